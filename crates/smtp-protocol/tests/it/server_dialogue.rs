//! How a dialogue file reads, and a server session that plays one.

use std::net::IpAddr;

use postroad_address_space::{MailDomain, Mailbox};
use postroad_message::{Body, EnhancedStatus, Envelope, Recipient};
use postroad_smtp_protocol::server::{Event, Input, LogonOffer, Output, Refusal, Session, Settings, Verdict};

use crate::logon_judge::LogonJudge;

#[derive(Default)]
pub(crate) struct Dialogue {
    pub(crate) name: String,
    settings: Vec<String>,
    steps: Vec<Step>,
    ends: Vec<String>,
}

enum Step {
    Client(Vec<u8>),
    /// The same again and again, until all is said or nobody listens.
    Flood(Vec<u8>, u64),
    /// The owner's clock has run out.
    Overdue,
    Handshake,
    Server(String),
}

/// What a flood is sent by, where it is not cut smaller.
const SEGMENT: usize = 4096;

impl Dialogue {
    /// One without a line, for a server set like this.
    pub(crate) fn with(settings: &[&str]) -> Self {
        Self { settings: settings.iter().map(|&word| word.to_owned()).collect(), ..Self::default() }
    }

    pub(crate) fn read_all(text: &str) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix("== ") {
                all.push(Self { name: name.to_owned(), ..Self::default() });
                continue;
            }
            let dialogue = all.last_mut().expect("a dialogue starts with ==");
            let (mark, text) = line.split_once(' ').unwrap_or((line, ""));
            match (mark, text) {
                ("!", word) => dialogue.settings.push(word.to_owned()),
                ("=", end) => dialogue.ends.push(end.to_owned()),
                ("S:", reply) => dialogue.steps.push(Step::Server(reply.to_owned())),
                ("C:", "(TLS)") => dialogue.steps.push(Step::Handshake),
                ("C:", "(too slow)") => dialogue.steps.push(Step::Overdue),
                ("C:", text) => match dialogue.steps.last_mut() {
                    Some(Step::Client(segment)) => segment.extend(said(text)),
                    _ => dialogue.steps.push(Step::Client(said(text))),
                },
                (mark, text) => {
                    let times = mark.strip_prefix("C*").and_then(|rest| rest.strip_suffix(':'));
                    let times = times.and_then(|times| times.parse().ok());
                    dialogue.steps.push(Step::Flood(said(text), times.unwrap_or_else(|| panic!("{mark}?"))));
                }
            }
        }
        all
    }

    pub(crate) fn set(&self, word: &str) -> bool {
        self.settings.iter().any(|set| set == word)
    }

    pub(crate) fn has_flood(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Flood(..)))
    }

    pub(crate) fn play(&self, cut: usize) -> Result<(), String> {
        let mut play = Play::new(self.server());
        for step in &self.steps {
            match step {
                Step::Client(segment) => segment.chunks(cut).for_each(|piece| play.send(piece)),
                Step::Flood(unit, times) => play.flood(unit, *times, cut),
                Step::Overdue => {
                    let text = "Timeout waiting for client input";
                    play.session.handle(Input::End(Refusal::new(421, EnhancedStatus::transient(4, 2), text)));
                    play.run();
                }
                Step::Handshake if !play.handshake => return Err("no handshake was asked for".to_owned()),
                Step::Handshake => {
                    play.handshake = false;
                    play.session.handle(Input::TlsEstablished);
                }
                Step::Server(expected) => {
                    play.run();
                    let expected = match expected.strip_prefix("(at last) ") {
                        Some(expected) => {
                            play.skip_to_the_last_reply();
                            expected
                        }
                        None => expected,
                    };
                    let line = play
                        .next_reply()
                        .ok_or_else(|| format!("nothing came where {expected:?} was due"))?;
                    let fits = match (expected.strip_prefix("(EHLO"), expected.strip_suffix("...")) {
                        (Some(wish), _) => play.hello_goes_on(&line, wish),
                        (None, Some(start)) => line.starts_with(start),
                        (None, None) => line == expected,
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

    pub(crate) fn server(&self) -> Session {
        let mut settings =
            Settings::new("mail.contoso.com", Mailbox::parse("admin@contoso.com").expect("a mailbox"));
        settings.starttls = self.set("starttls");
        settings.require_tls = self.set("require-tls");
        settings.refuse_bare_line_ends = !self.set("make-crlf");
        settings.chunking = !self.set("no-chunking");
        settings.binary_mime = !self.set("no-binarymime");
        settings.lmtp = self.set("lmtp");
        settings.xclient = self.set("xclient");
        settings.long_addresses = self.set("long-addresses");
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
pub(crate) struct Play {
    pub(crate) session: Session,
    logons: LogonJudge,
    pub(crate) replies: Vec<u8>,
    pub(crate) messages: Vec<(Envelope, Vec<u8>)>,
    /// Who XCLIENT says the client is.
    address: Option<IpAddr>,
    /// Bytes that were sent to it while it listened, bytes it said, and the most content it held.
    heard: u64,
    told: usize,
    most_held: usize,
    /// Whether content is taken out wherever it can be, and what was.
    pub(crate) takes: bool,
    taken: Vec<u8>,
    pub(crate) handshake: bool,
    pub(crate) closed: bool,
}

impl Play {
    pub(crate) fn new(session: Session) -> Self {
        let mut play = Self {
            session,
            logons: LogonJudge::new("jane", "secret"),
            replies: Vec::new(),
            messages: Vec::new(),
            address: None,
            heard: 0,
            told: 0,
            most_held: 0,
            takes: false,
            taken: Vec::new(),
            handshake: false,
            closed: false,
        };
        play.run();
        play
    }

    pub(crate) fn send(&mut self, piece: &[u8]) {
        self.run();
        if !self.closed && !self.handshake {
            self.heard += piece.len() as u64;
            self.session.handle(Input::Received(piece));
            self.run();
            self.most_held = self.most_held.max(self.session.content_held());
        }
    }

    /// Never held as a whole, so that it may be a gigabyte.
    fn flood(&mut self, unit: &[u8], times: u64, cut: usize) {
        let whole = SEGMENT.div_ceil(unit.len()) as u64;
        let segment = unit.repeat(whole as usize);
        let mut left = times;
        while left > 0 && !self.closed {
            let now = left.min(whole);
            let length = unit.len() * now as usize;
            segment[..length].chunks(cut).for_each(|piece| self.send(piece));
            left -= now;
        }
    }

    fn skip_to_the_last_reply(&mut self) {
        let text = self.replies.strip_suffix(b"\r\n").unwrap_or(&self.replies);
        let last = text.windows(2).rposition(|pair| pair == b"\r\n").map_or(0, |end| end + 2);
        self.replies.drain(..last);
    }

    fn run(&mut self) {
        loop {
            if self.session.content_taken() == 0 {
                self.taken.clear();
            }
            match self.session.poll() {
                Output::Transmit { bytes, .. } => {
                    self.told += bytes.len();
                    self.replies.extend(bytes);
                }
                Output::Event(event) => {
                    let verdict = self.judge(event);
                    self.session.handle(Input::Verdict(verdict));
                }
                Output::Receive if self.takes => return self.taken.extend(self.session.take_content()),
                Output::Receive => return,
                Output::StartTls => {
                    self.handshake = true;
                    return;
                }
                Output::Close => {
                    self.closed = true;
                    return;
                }
                other => panic!("nobody here does {other:?}"),
            }
        }
    }

    fn judge(&mut self, event: Event) -> Verdict {
        let event = match self.logons.judge(event) {
            Ok(verdict) => return verdict,
            Err(other) => other,
        };
        match *event {
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
            Event::Message { envelope, content, taken } => {
                assert_eq!(taken, self.taken.len() as u64, "what was taken belongs to this message");
                let content = [std::mem::take(&mut self.taken), content].concat();
                let named = |to: &Recipient, name: &str| {
                    to.address.mailbox().is_some_and(|mailbox| mailbox.local_part() == name)
                };
                let answer = |to: &Recipient| match (named(to, "full"), named(to, "enough")) {
                    (true, _) => Err(no_room()),
                    (_, true) => Err(Refusal::permanent(7, 1, "Enough of this").closing()),
                    _ => Ok(()),
                };
                let answers: Vec<_> = envelope.recipients.iter().map(answer).collect();
                self.messages.push((envelope, content));
                match answers.iter().all(Result::is_ok) {
                    true => Verdict::Queued(self.messages.len().to_string()),
                    false => Verdict::Each(answers),
                }
            }
            Event::Xclient(told) => {
                self.address = told.address.value().copied().or(self.address);
                match self.address == Some(IpAddr::from([203, 0, 113, 9])) {
                    true => Verdict::Refuse(Refusal::permanent(7, 1, "Not from there")),
                    false => Verdict::Accept,
                }
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
            _ => match end.split_once(' ').unwrap_or((end, "")) {
                (count, "messages") => self.messages.len() == number(count),
                ("content", text) => self
                    .messages
                    .last()
                    .is_some_and(|(_, content)| *content == unescaped(text.trim_start_matches(' '))),
                ("hears", most) => self.heard <= number(most) as u64,
                ("says", most) => self.told <= number(most),
                ("holds", most) => self.most_held <= number(most),
                _ => panic!("{end}?"),
            },
        };
        if holds {
            return Ok(());
        }
        let Self { heard, told, most_held, messages, .. } = self;
        Err(format!(
            "not so: {end}; {} messages, {heard} bytes heard, {told} told, {most_held} held",
            messages.len()
        ))
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("{text}?"))
}

/// A line of a client, with its CRLF unless it ends in `\c`.
fn said(text: &str) -> Vec<u8> {
    match text.strip_suffix("\\c") {
        Some(text) => unescaped(text),
        None => [unescaped(text), b"\r\n".to_vec()].concat(),
    }
}

fn no_room() -> Refusal {
    Refusal::transient(2, 2, "The mailbox is full")
}

pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(rest[..at].bytes());
        let (byte, length) = match rest.as_bytes()[at + 1] {
            b'r' => (b'\r', 2),
            b'n' => (b'\n', 2),
            b't' => (b'\t', 2),
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
