//! Plays `tests/dialogues/*.txt` against the server session, as written and cut into small pieces.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use postroad_address_space::{MailDomain, Mailbox};
use postroad_message::{Body, Envelope, Recipient};
use postroad_smtp_protocol::server::{Event, Input, LogonOffer, Output, Refusal, Session, Settings, Verdict};
use proptest::prelude::*;

use crate::logon_judge::LogonJudge;

#[test]
fn every_dialogue_goes_as_written_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut played = 0;
    let mut failures = String::new();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        for dialogue in Dialogue::read_all(&std::fs::read_to_string(&file).unwrap()) {
            let cuts: &[usize] =
                if dialogue.set("whole") { &[usize::MAX] } else { &[usize::MAX, 1, 2, 3, 7] };
            for &cut in cuts {
                if let Err(why) = dialogue.play(cut) {
                    let _ = writeln!(failures, "{}: {} (cut by {cut}): {why}", file.display(), dialogue.name);
                    break;
                }
            }
            played += 1;
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(played > 50, "only {played} dialogues were found");
}

#[derive(Default)]
struct Dialogue {
    name: String,
    settings: Vec<String>,
    steps: Vec<Step>,
    ends: Vec<String>,
}

enum Step {
    Client(Vec<u8>),
    Handshake,
    Server(String),
}

impl Dialogue {
    fn read_all(text: &str) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix("== ") {
                all.push(Self { name: name.to_owned(), ..Self::default() });
                continue;
            }
            let dialogue = all.last_mut().expect("a dialogue starts with ==");
            match line.split_at_checked(2).expect("a mark and a text") {
                ("! ", word) => dialogue.settings.push(word.to_owned()),
                ("= ", end) => dialogue.ends.push(end.to_owned()),
                ("S:", reply) => {
                    dialogue.steps.push(Step::Server(reply.strip_prefix(' ').unwrap_or(reply).to_owned()))
                }
                ("C:", " (TLS)") => dialogue.steps.push(Step::Handshake),
                ("C:", text) => {
                    let text = text.strip_prefix(' ').unwrap_or(text);
                    let bytes = match text.strip_suffix("\\c") {
                        Some(text) => unescaped(text),
                        None => [unescaped(text), b"\r\n".to_vec()].concat(),
                    };
                    match dialogue.steps.last_mut() {
                        Some(Step::Client(segment)) => segment.extend(bytes),
                        _ => dialogue.steps.push(Step::Client(bytes)),
                    }
                }
                (mark, _) => panic!("{mark}?"),
            }
        }
        all
    }

    fn set(&self, word: &str) -> bool {
        self.settings.iter().any(|set| set == word)
    }

    fn play(&self, cut: usize) -> Result<(), String> {
        let mut play = Play::new(self.server());
        for step in &self.steps {
            match step {
                Step::Client(segment) => segment.chunks(cut).for_each(|piece| play.send(piece)),
                Step::Handshake if !play.handshake => return Err("no handshake was asked for".to_owned()),
                Step::Handshake => {
                    play.handshake = false;
                    play.session.handle(Input::TlsEstablished);
                }
                Step::Server(expected) => {
                    play.run();
                    let line = play
                        .next_reply()
                        .ok_or_else(|| format!("nothing came where {expected:?} was due"))?;
                    let fits = match (expected.strip_prefix("(EHLO"), expected.strip_suffix("...")) {
                        (Some(wish), _) => play.hello_goes_on(&line, wish),
                        (None, Some(start)) => line.starts_with(start),
                        (None, None) => line == *expected,
                    };
                    if !fits {
                        return Err(format!("{line:?} came where {expected:?} was due"));
                    }
                }
            }
        }
        play.run();
        match play.next_reply() {
            Some(line) => Err(format!("{line:?} came at the end")),
            None => self.ends.iter().try_for_each(|end| play.check(end)),
        }
    }

    fn server(&self) -> Session {
        let mut settings =
            Settings::new("mail.contoso.com", Mailbox::parse("admin@contoso.com").expect("a mailbox"));
        settings.starttls = self.set("starttls");
        settings.require_tls = self.set("require-tls");
        settings.refuse_bare_line_ends = !self.set("make-crlf");
        settings.chunking = !self.set("no-chunking");
        settings.binary_mime = !self.set("no-binarymime");
        settings.lmtp = self.set("lmtp");
        settings.xclient = self.set("xclient");
        if self.set("limits") {
            (settings.limits.messages, settings.limits.recipient_domains) = (Some(2), Some(1));
        }
        if self.set("logon") || self.set("logon-in-tls") {
            settings.logon = Some(LogonOffer::basic(self.set("logon-in-tls")));
        }
        if self.set("logon-by") {
            let names = ["SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "EXTERNAL", "PLAIN"].map(str::to_owned);
            settings.logon = Some(LogonOffer::new(names.to_vec(), false));
        }
        if self.set("small") {
            settings.limits.message_size = 1000;
            settings.limits.recipients = 2;
        }
        Session::new(settings)
    }
}

/// A session, the judge beside it, and what has come of it.
struct Play {
    session: Session,
    logons: LogonJudge,
    replies: Vec<u8>,
    messages: Vec<(Envelope, Vec<u8>)>,
    /// Who XCLIENT says the client is.
    address: Option<IpAddr>,
    handshake: bool,
    closed: bool,
}

impl Play {
    fn new(session: Session) -> Self {
        let mut play = Self {
            session,
            logons: LogonJudge::new("jane", "secret"),
            replies: Vec::new(),
            messages: Vec::new(),
            address: None,
            handshake: false,
            closed: false,
        };
        play.run();
        play
    }

    fn send(&mut self, piece: &[u8]) {
        self.run();
        if !self.closed && !self.handshake {
            self.session.handle(Input::Received(piece));
            self.run();
        }
    }

    fn run(&mut self) {
        loop {
            match self.session.poll() {
                Output::Transmit { bytes, .. } => self.replies.extend(bytes),
                Output::Event(event) => {
                    let verdict = self.judge(event);
                    self.session.handle(Input::Verdict(verdict));
                }
                Output::Receive => return,
                Output::StartTls => {
                    self.handshake = true;
                    return;
                }
                Output::Close => {
                    self.closed = true;
                    return;
                }
                Output::AwaitVerdict => panic!("a verdict is missing"),
            }
        }
    }

    fn judge(&mut self, event: Event) -> Verdict {
        let event = match self.logons.judge(event) {
            Ok(verdict) => return verdict,
            Err(other) => other,
        };
        match event {
            Event::Recipient { recipient, .. } => {
                let ours = match recipient.address.mailbox().map(Mailbox::domain) {
                    Some(MailDomain::Name(domain)) => domain.ascii() == "contoso.com",
                    _ => false,
                };
                let listed = self.address == Some(IpAddr::from([192, 0, 2, 37]));
                let may = ours || listed || self.session.user().is_some();
                if may {
                    Verdict::Accept
                } else {
                    Verdict::Refuse(Refusal::permanent(7, 1, "Unable to relay"))
                }
            }
            Event::Message { envelope, content } => {
                let full = |to: &Recipient| {
                    to.address.mailbox().is_some_and(|mailbox| mailbox.local_part() == "full")
                };
                let answers: Vec<_> = envelope
                    .recipients
                    .iter()
                    .map(|to| if full(to) { Err(no_room()) } else { Ok(()) })
                    .collect();
                self.messages.push((envelope, content));
                match answers.iter().all(Result::is_ok) {
                    true => Verdict::Queued(self.messages.len().to_string()),
                    false => Verdict::Each(answers),
                }
            }
            Event::Xclient(told) => {
                self.address = told.address.value().copied().or(self.address);
                Verdict::Accept
            }
            _ => Verdict::Accept,
        }
    }

    fn next_reply(&mut self) -> Option<String> {
        let end = self.replies.windows(2).position(|pair| pair == b"\r\n")?;
        let line = self.replies.drain(..end + 2).collect::<Vec<_>>();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// `(EHLO)`, `(EHLO with A, B c)`, `(EHLO without A)` or `(EHLO with A; without B)`: one whole reply with these lines,
    /// and with none that begins with those words.
    fn hello_goes_on(&mut self, first: &str, wish: &str) -> bool {
        let mut lines = vec![first.to_owned()];
        while lines.last().is_some_and(|line| line.starts_with("250-")) {
            lines.extend(self.next_reply());
        }
        let said = |text: &str| lines.iter().any(|line| line.get(4..) == Some(text));
        let begun =
            |word: &str| lines.iter().any(|line| line.get(4..).is_some_and(|line| line.starts_with(word)));
        let wishes = wish.trim_end_matches(')').split("; ").map(str::trim).filter(|wish| !wish.is_empty());
        first.starts_with("250")
            && wishes.into_iter().all(|wish| {
                match (wish.strip_prefix("with "), wish.strip_prefix("without ")) {
                    (Some(with), _) => with.split(", ").all(said),
                    (None, Some(without)) => !without.split(", ").any(begun),
                    (None, None) => panic!("{wish}?"),
                }
            })
    }

    fn check(&self, end: &str) -> Result<(), String> {
        let holds = match end {
            "open" => !self.closed,
            "closed" => self.closed,
            "binary" => self.messages.last().is_some_and(|(envelope, _)| envelope.body == Body::BinaryMime),
            "requires TLS" => self.messages.last().is_some_and(|(envelope, _)| envelope.require_tls),
            _ => match (end.strip_suffix(" messages"), end.strip_prefix("content")) {
                (Some(count), _) => self.messages.len() == count.parse::<usize>().expect("a number"),
                (None, Some(text)) => self
                    .messages
                    .last()
                    .is_some_and(|(_, content)| *content == unescaped(text.trim_start_matches(' '))),
                _ => panic!("{end}?"),
            },
        };
        if holds { Ok(()) } else { Err(format!("not so: {end}; {} messages", self.messages.len())) }
    }
}

fn no_room() -> Refusal {
    Refusal::transient(2, 2, "The mailbox is full")
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(rest[..at].bytes());
        let (byte, length) = match rest.as_bytes()[at + 1] {
            b'r' => (b'\r', 2),
            b'n' => (b'\n', 2),
            b'0' => (0, 2),
            b'\\' => (b'\\', 2),
            b'x' => (u8::from_str_radix(&rest[at + 2..at + 4], 16).expect("two hex digits"), 4),
            other => panic!("\\{}?", char::from(other)),
        };
        bytes.push(byte);
        rest = &rest[at + length..];
    }
    bytes.extend(rest.bytes());
    bytes
}

#[test]
fn a_hundred_thousand_commands_end_the_session() {
    let mut play = Play::new(Dialogue::default().server());
    let flood = b"NOOP\r\n".repeat(100_000);
    flood.chunks(4096).for_each(|piece| play.send(piece));
    assert!(play.closed);
    assert!(
        String::from_utf8_lossy(&play.replies).ends_with("421 4.7.0 Too many commands without a message\r\n")
    );
}

#[test]
fn a_line_of_eight_megabytes_is_not_held() {
    let mut play = Play::new(Dialogue::default().server());
    let mut sent = 0;
    while !play.closed && sent < 8 << 20 {
        play.send(&[b'x'; 4096]);
        sent += 4096;
    }
    assert!(play.closed && sent < 100_000, "{sent}");
    assert!(play.replies.ends_with(b"500 5.5.2 The line is too long\r\n"));
}

#[test]
fn content_beyond_the_limit_is_read_to_its_end_or_hung_up_on() {
    let mut dialogue = Dialogue::default();
    dialogue.settings.push("small".to_owned());
    for (lines, closed) in [(50, false), (150, false), (5000, true)] {
        let mut play = Play::new(dialogue.server());
        play.send(b"HELO a\r\nMAIL FROM:<> SIZE=10\r\nRCPT TO:<jane@contoso.com>\r\nDATA\r\n");
        for _ in 0..lines {
            play.send(b"12345678\r\n");
            assert!(play.session.content_held() <= 1000);
        }
        play.send(b".\r\n");
        let text = String::from_utf8_lossy(&play.replies).into_owned();
        assert_eq!(play.messages.len(), usize::from(lines == 50), "{text}");
        assert_eq!(text.contains("\r\n552 5.3.4 "), lines > 100, "{text}");
        assert_eq!(play.closed, closed);
    }
}

/// Every part of the protocol and of the attacks on it, to be strung together in any order.
const PARTS: &[&str] = &[
    "EHLO a\r\n",
    "HELO a\r\n",
    "MAIL FROM:<joe@contoso.com>\r\n",
    "MAIL FROM: joe@contoso.com\r\n",
    "RCPT TO:<jane@contoso.com>\r\n",
    "RCPT TO:<bob@elsewhere.net>\r\n",
    "DATA\r\n",
    "BDAT 6\r\n",
    "BDAT 3 LAST\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "QUIT\r\n",
    ".\r\n",
    ".",
    "\r\n",
    "\n",
    "\r",
    "x",
    "..\r\n",
    "AUTH PLAIN\r\n",
    "AUTH PLAIN AGphbmUAc2VjcmV0\r\n",
    "AUTH LOGIN\r\n",
    "amFuZQ==\r\n",
    "*\r\n",
    "\0",
    "Subject: a\r\n\r\nbody\r\n.\r\n",
];

proptest! {
    #[test]
    fn the_outcome_does_not_depend_on_the_cuts(
        parts in proptest::collection::vec(0..PARTS.len(), 0..24),
        cuts in proptest::collection::vec(1usize..40, 1..8),
        lenient in any::<bool>(),
    ) {
        let wire: Vec<u8> = ["HELO a\r\n"].into_iter().chain(parts.iter().map(|&part| PARTS[part])).flat_map(str::bytes).collect();
        let mut dialogue = Dialogue::default();
        dialogue.settings.push("logon".to_owned());
        if lenient { dialogue.settings.push("make-crlf".to_owned()); }
        let mut whole = Play::new(dialogue.server());
        whole.send(&wire);
        let mut pieces = Play::new(dialogue.server());
        let mut rest = wire.as_slice();
        for &cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.send(piece);
            rest = after;
        }
        prop_assert_eq!(String::from_utf8_lossy(&whole.replies), String::from_utf8_lossy(&pieces.replies));
        prop_assert_eq!(whole.messages, pieces.messages);
        prop_assert_eq!(whole.closed, pieces.closed);
    }
}
