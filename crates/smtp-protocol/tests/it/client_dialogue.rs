//! Plays a written dialogue against a client session: `C:` is what it has to say, `S:` what it hears.
//!
//! ```text
//! == the name of the case
//! given: recipients=a@b.test,c@d.test tls=required auth notify=success
//! S: 220 mx
//! C: EHLO hub.test
//! => failed 5.1.1 at RCPT TO
//! ```
//!
//! `S:` lines behind each other come in one segment. `S!` has `\r \n \0 \e \xHH` and no line end of its own. `TLS` is a
//! handshake done, `TLS FAILS` one that failed, `CLOSE` the server closing, `SILENCE` a time-out. `=>` lines are what became
//! of the message, one for each recipient, or of the session. Behind the last line nothing may have been said or decided.

use std::time::{Duration, Instant};

use postroad_address_space::{Address, Domain, Mailbox};
use postroad_message::{
    Body, Content, DeliverBy, Envelope, Notify, OriginalRecipient, Outcome, Priority, Recipient, Return,
    ReversePath, Timestamp, TlsFacts, WhenLate,
};
use postroad_smtp_protocol::client::{
    Answer, Authentication, EightBitContent, Event, Input, Output, Session, Settings, StartTls, Transaction,
};
use postroad_smtp_protocol::sasl::{Credential, Nonce, Secret};

/// Plays every dialogue of a file.
pub(crate) fn play_file(text: &str) {
    let mut played = 0;
    for case in text.split("\n== ").skip(1) {
        let (name, lines) = case.split_once('\n').expect("a case has lines");
        Player::new(lines).play(name, lines);
        played += 1;
    }
    assert!(played > 0, "no dialogue in the file");
}

/// A session that can take a message, and what it said and decided so far.
pub(crate) struct Player {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    pub(crate) said: Vec<u8>,
    pub(crate) results: Vec<String>,
    pub(crate) outcomes: Vec<Outcome>,
    messages: Vec<Transaction>,
    wants_tls: bool,
    closed: bool,
}

impl Player {
    /// As the `given:` line says.
    #[expect(clippy::disallowed_methods, reason = "the first moment; every later one is counted from it")]
    pub(crate) fn new(lines: &str) -> Self {
        let given = lines.lines().find_map(|line| line.strip_prefix("given:")).unwrap_or_default();
        let mut settings = Settings::new("hub.test".parse().expect("a domain"), "mx");
        let mut envelope = Envelope::new(
            ReversePath::Mailbox(Mailbox::parse("me@hub.test").expect("a mailbox")),
            Vec::new(),
        );
        let mut recipients = vec!["a@b.test"];
        let (mut notify, mut original) = (None, None);
        let mut content = b"Subject: x\r\n\r\nhello\r\n".to_vec();
        let mut count = 1;
        let mut imcea_domain = None;
        for word in given.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match (key, value) {
                ("tls", "never") => settings.starttls = StartTls::Never,
                ("tls", "opportunistic") => settings.starttls = StartTls::Opportunistic,
                ("tls", "required") => settings.starttls = StartTls::Required,
                ("helo", _) => settings.force_helo = true,
                ("lmtp", _) => settings.lmtp = true,
                ("chunking", "never") => settings.chunking = false,
                ("downgraded", _) => settings.downgraded = true,
                ("auth", how) => {
                    let mut authentication = Authentication::new(Credential::new("tim", Secret::new("pw")));
                    authentication.clear_text_allowed = how.contains("clear");
                    if how.contains("own") {
                        authentication.own_mechanisms = vec!["gssapi".to_owned(), "NTLM".to_owned()];
                    }
                    if how.contains("token") {
                        authentication.credential = Credential::token("tim", Secret::new("ya29.token"));
                    }
                    settings.nonce = Nonce::parse("clients-part");
                    settings.authentication = Some(authentication);
                }
                ("recipients", list) => recipients = list.split(',').collect(),
                ("from", "null") => envelope.reverse_path = ReversePath::Null,
                ("from", other) => {
                    envelope.reverse_path = ReversePath::Mailbox(Mailbox::parse(other).expect("a mailbox"));
                }
                ("messages", n) => count = n.parse().expect("a number"),
                ("content", text) => content = unescape(text),
                ("eight-bit", "convert") => settings.eight_bit_content = EightBitContent::Convert,
                ("eight-bit", "as-it-is") => settings.eight_bit_content = EightBitContent::SendAsItIs,
                ("smtputf8", _) => envelope.smtputf8 = true,
                ("binary", _) => envelope.body = Body::BinaryMime,
                ("requiretls", _) => envelope.require_tls = true,
                ("ret", "hdrs") => envelope.ret = Some(Return::Headers),
                ("by", value) => {
                    let (left, mode) = value.split_once(';').expect("a mode");
                    let left: i64 = left.parse().expect("seconds");
                    let when_late = if mode.starts_with('R') { WhenLate::Return } else { WhenLate::Notify };
                    let deadline = Timestamp::from_unix_millis(left * 1000);
                    let mut deliver_by = DeliverBy::new(deadline, when_late);
                    deliver_by.trace = mode.ends_with('T');
                    envelope.deliver_by = Some(deliver_by);
                }
                ("priority", value) => {
                    envelope.priority = Priority::new(value.parse().expect("a number"));
                }
                ("envid", id) => envelope.envelope_id = Some(id.to_owned()),
                ("notify", words) => {
                    notify = Some(Notify {
                        success: words.contains("success"),
                        failure: words.contains("failure"),
                        delay: words.contains("delay"),
                    });
                }
                ("orcpt", address) => {
                    original = Some(OriginalRecipient::new("rfc822", address));
                }
                ("imcea", domain) => imcea_domain = Domain::parse(domain).ok(),
                other => panic!("unknown {other:?}"),
            }
        }
        let recipients: Vec<Recipient> = recipients
            .iter()
            .map(|text| {
                let mut recipient = Recipient::new(Address::parse(text).expect("an address"));
                (recipient.notify, recipient.original) = (notify, original.clone());
                recipient
            })
            .collect();
        let transaction = Transaction::new(
            &envelope,
            &recipients,
            &Content::from(content),
            imcea_domain.as_ref(),
            Timestamp::from_unix_millis(0),
        );
        let now = Instant::now();
        Self {
            session: Session::new(settings, None, now),
            now,
            said: Vec::new(),
            results: Vec::new(),
            outcomes: Vec::new(),
            messages: vec![transaction; count],
            wants_tls: false,
            closed: false,
        }
    }

    fn play(&mut self, name: &str, lines: &str) {
        let mut heard = Vec::new();
        let mut lines = lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
        while let Some(line) = lines.next() {
            self.pump();
            let context = || format!("in {name:?} at {line:?}");
            match line.split_once(' ').unwrap_or((line, "")) {
                ("given:", _) => {}
                ("S:" | "S!", text) => {
                    heard.extend(unescape(text));
                    if line.starts_with("S:") {
                        heard.extend_from_slice(b"\r\n");
                    }
                    if !lines.peek().is_some_and(|next| next.starts_with('S') && !next.starts_with("SILENCE"))
                    {
                        assert_eq!(
                            String::from_utf8_lossy(&self.said),
                            "",
                            "said before its turn {}",
                            context()
                        );
                        self.hear(&std::mem::take(&mut heard));
                    }
                }
                ("C:", text) => {
                    let end =
                        self.said.iter().position(|&byte| byte == b'\n').map_or(self.said.len(), |at| at + 1);
                    let said: Vec<u8> = self.said.drain(..end).collect();
                    let mut wanted = unescape(text);
                    wanted.extend_from_slice(b"\r\n");
                    assert_eq!(
                        String::from_utf8_lossy(&said),
                        String::from_utf8_lossy(&wanted),
                        "{}",
                        context()
                    );
                }
                ("TLS", how) => {
                    assert!(std::mem::take(&mut self.wants_tls), "no handshake was asked for {}", context());
                    let facts = TlsFacts::new("TLSv1.3", "x", how == "authenticated");
                    let input = if how == "FAILS" {
                        Input::TlsFailed("bad\r\ncertificate")
                    } else {
                        Input::TlsEstablished(facts)
                    };
                    self.session.handle(self.now, input);
                }
                ("ANSWER", words) => {
                    let answer = match words.split_once(' ') {
                        Some(("and-complete", text)) => {
                            Answer::Say { bytes: text.as_bytes(), complete: true }
                        }
                        Some(("say", text)) => Answer::Say { bytes: text.as_bytes(), complete: false },
                        Some(("give-up", why)) => Answer::GiveUp(why),
                        _ => Answer::Nothing,
                    };
                    self.session.handle(self.now, Input::Answer(answer));
                }
                ("CLOSE", _) => self.session.handle(self.now, Input::Closed),
                ("SILENCE", _) => {
                    let bound =
                        self.session.deadline().unwrap_or_else(|| panic!("waits for ever {}", context()));
                    self.session.handle(bound - Duration::from_millis(1), Input::Timeout);
                    self.now = bound;
                    self.session.handle(bound, Input::Timeout);
                }
                ("=>", result) => {
                    assert!(!self.results.is_empty(), "nothing was decided {}", context());
                    assert_eq!(self.results.remove(0), result, "{}", context());
                }
                ("CLOSED", _) => assert!(self.closed, "still open {}", context()),
                _ => panic!("what is this? {}", context()),
            }
        }
        self.pump();
        assert_eq!(String::from_utf8_lossy(&self.said), "", "said at the end of {name:?}");
        assert_eq!(self.results, Vec::<String>::new(), "decided at the end of {name:?}");
    }

    /// Brings bytes to the session.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.session.handle(self.now, Input::Received(bytes));
        self.pump();
    }

    /// Until the session waits: what it says is said, what it decides is noted, what it can carry is given.
    pub(crate) fn pump(&mut self) {
        loop {
            match self.session.poll() {
                Output::Transmit { bytes, .. } => {
                    self.said.extend_from_slice(bytes);
                    let count = bytes.len();
                    self.session.handle(self.now, Input::Transmitted(count));
                }
                Output::Event(Event::Ready) => match self.messages.pop() {
                    Some(message) => self.session.send(self.now, message),
                    None => self.session.quit(self.now),
                },
                Output::Event(Event::Settled(outcomes)) => {
                    self.results.extend(outcomes.iter().map(describe));
                    self.outcomes.extend(outcomes);
                }
                Output::Event(Event::Unusable(failure)) => {
                    let fault = format!("{:?}", failure.fault).to_lowercase();
                    let kept =
                        failure.reply.iter().flat_map(|reply| &reply.lines).fold(String::new(), |a, b| a + b);
                    assert!(
                        !kept.contains("AHRpbQBwdw") && !kept.contains("cHc="),
                        "a password is kept: {kept}"
                    );
                    self.results.push(format!("unusable {} at {} ({fault})", failure.status, failure.phase));
                }
                Output::StartTls => self.wants_tls = true,
                Output::Task(task) => self.session.handle(self.now, Input::Done(task.run())),
                Output::Challenge { mechanism, challenge, .. } => {
                    let heard = challenge.map_or("nothing yet".into(), String::from_utf8_lossy);
                    self.results.push(format!("asked {mechanism}: {heard}"));
                }
                Output::Wait(_) => return,
                _ => {
                    self.closed = true;
                    return;
                }
            }
        }
    }
}

fn describe(outcome: &Outcome) -> String {
    let word = match outcome {
        Outcome::Delivered(_) => return "delivered".to_owned(),
        Outcome::Relayed(_) => return "relayed".to_owned(),
        Outcome::Deferred(_) => "deferred",
        Outcome::Failed(_) => "failed",
        Outcome::Ambiguous(_) => "ambiguous",
        other => return format!("{other:?}"),
    };
    outcome
        .failure()
        .map_or_else(String::new, |failure| format!("{word} {} at {}", failure.status, failure.phase))
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match (byte, byte == b'\\') {
            (_, true) => match rest.next() {
                Some(b'r') => bytes.push(b'\r'),
                Some(b'n') => bytes.push(b'\n'),
                Some(b'0') => bytes.push(0),
                Some(b'e') => bytes.push(0x1b),
                Some(b's') => bytes.push(b' '),
                Some(b'x') => {
                    let digits = [rest.next(), rest.next()].map(|d| d.expect("two hex digits") as char);
                    let text: String = digits.iter().collect();
                    bytes.push(u8::from_str_radix(&text, 16).expect("two hex digits"));
                }
                other => panic!("unknown escape {other:?}"),
            },
            _ => bytes.push(byte),
        }
    }
    bytes
}
