//! A server that can be disturbed anywhere, the session that meets it, and what each recipient's outcome must then be.

use std::time::{Duration, Instant};

use postroad_address_space::Address;
use postroad_message::{
    EnhancedStatus, Envelope, Fault, Outcome, Recipient, ReversePath, StatusClass, Timestamp, TlsFacts,
};
use postroad_smtp_protocol::client::{
    Authentication, Event, Input, Output, Session, Settings, StartTls, Transaction,
};
use postroad_smtp_protocol::sasl::{Credential, Secret};

use crate::stored::stored;

/// What the server is and offers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) pipelining: bool,
    pub(crate) chunking: bool,
    pub(crate) lmtp: bool,
    /// STARTTLS and a login, both demanded by the client.
    pub(crate) guarded: bool,
}

impl Manner {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0_u8..16).map(|bits| Self {
            pipelining: bits & 1 != 0,
            chunking: bits & 2 != 0,
            lmtp: bits & 4 != 0,
            guarded: bits & 8 != 0,
        })
    }
}

/// Where and how it is disturbed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disturbance {
    /// Bytes it takes, and bytes it says, before it stops.
    pub(crate) hears: usize,
    pub(crate) says: usize,
    /// Whether the connection stands when it stops: only the clock ends that.
    pub(crate) stalls: bool,
    /// Its so-many-th reply is this one.
    pub(crate) instead: Option<(usize, &'static [u8])>,
}

impl Disturbance {
    pub(crate) const NONE: Self = Self { hears: usize::MAX, says: usize::MAX, stalls: false, instead: None };
}

/// What a reply means to a client: by its first digit, unless it is 421 or no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Yes,
    GoOn,
    Later,
    Never,
    Farewell,
    Nonsense,
}

/// Must know a reply when it sees one, by other means than the code under test.
fn meaning(reply: &[u8]) -> Meaning {
    let lines: Vec<&[u8]> = reply.split_inclusive(|&byte| byte == b'\n').collect();
    let code = reply.get(..3).unwrap_or_default();
    let whole = lines.iter().enumerate().all(|(at, line)| {
        let mark = if at + 1 == lines.len() { b' ' } else { b'-' };
        line.ends_with(b"\r\n") && line.starts_with(code) && line.get(3) == Some(&mark) && line.len() <= 2048
    });
    match code {
        _ if !whole => Meaning::Nonsense,
        b"421" => Meaning::Farewell,
        [b'2', ..] => Meaning::Yes,
        [b'3', ..] => Meaning::GoOn,
        [b'4', ..] => Meaning::Later,
        [b'5', ..] => Meaning::Never,
        _ => Meaning::Nonsense,
    }
}

/// What a reply was said to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Opening,
    Mail,
    Rcpt(usize),
    Data,
    /// The end of the content, for everyone or in LMTP for one.
    End(Option<usize>),
    Quit,
}

/// One reply: the message it belongs to, what it means, and where in all that is said it ends.
struct Said {
    message: usize,
    to: To,
    meaning: Meaning,
    end: usize,
}

pub(crate) const RECIPIENTS: [&str; 3] = ["a@b.test", "no@b.test", "c@b.test"];

/// Answers every command, and counts what it may still hear and say.
pub(crate) struct Server {
    manner: Manner,
    disturbance: Disturbance,
    line: Vec<u8>,
    in_content: bool,
    /// Of a chunk, still to come.
    octets: usize,
    /// Lines of a login still to be asked for, behind AUTH.
    in_login: bool,
    encrypted: bool,
    accepted: Vec<usize>,
    mail_accepted: bool,
    messages: usize,
    answers: Vec<u8>,
    replies: Vec<Said>,
    said: usize,
    closes: bool,
    /// For each message, whether all of its content came.
    pub(crate) contents: Vec<bool>,
}

impl Server {
    fn new(manner: Manner, disturbance: Disturbance) -> Self {
        let mut server = Self {
            manner,
            disturbance,
            line: Vec::new(),
            in_content: false,
            octets: 0,
            in_login: false,
            encrypted: false,
            accepted: Vec::new(),
            mail_accepted: false,
            messages: 0,
            answers: Vec::new(),
            replies: Vec::new(),
            said: 0,
            closes: false,
            contents: Vec::new(),
        };
        server.reply(To::Opening, b"220 mx\r\n");
        server
    }

    pub(crate) fn replies(&self) -> usize {
        self.replies.len()
    }

    pub(crate) fn bytes_said(&self) -> usize {
        self.said
    }

    pub(crate) fn could_hear_more(&self) -> bool {
        self.disturbance.hears > 0
    }

    /// Takes what it can; how much that was.
    fn hear(&mut self, bytes: &[u8]) -> usize {
        assert!(!self.has_ended_it(), "spoken to after its last word: {:?}", String::from_utf8_lossy(bytes));
        let taken = if self.closes { 0 } else { bytes.len().min(self.disturbance.hears) };
        self.disturbance.hears -= taken;
        for &byte in &bytes[..taken] {
            if self.octets > 0 {
                self.octets -= 1;
                if self.octets == 0 {
                    self.content_is_whole();
                }
                continue;
            }
            self.line.push(byte);
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.answer(&line);
            }
        }
        taken
    }

    /// Whether the client has heard 421, or something that is no reply: there is nothing more to say.
    fn has_ended_it(&self) -> bool {
        let last = self.replies.last().map(|reply| reply.meaning);
        self.said == self.answers.len() && matches!(last, Some(Meaning::Farewell | Meaning::Nonsense))
    }

    /// Says it, or what stands in for it. Whether the client may take that for what it was to be.
    fn reply(&mut self, to: To, reply: &[u8]) -> Meaning {
        if self.closes {
            return Meaning::Nonsense;
        }
        let given = match self.disturbance.instead {
            Some((at, given)) if at == self.replies.len() => given,
            _ => reply,
        };
        self.answers.extend_from_slice(given);
        let said = Said {
            message: self.messages.saturating_sub(1),
            to,
            meaning: meaning(given),
            end: self.answers.len(),
        };
        self.closes = matches!(said.meaning, Meaning::Farewell | Meaning::Nonsense);
        let meaning = said.meaning;
        self.replies.push(said);
        meaning
    }

    fn answer(&mut self, line: &[u8]) {
        if self.in_content {
            if line == b".\r\n" {
                self.in_content = false;
                self.content_is_whole();
            }
            return;
        }
        if self.in_login {
            self.in_login = false;
            let last = line == b"cHc=\r\n";
            let reply: &[u8] = match line {
                b"*\r\n" => b"501 5.7.0 given up\r\n",
                b"dGlt\r\n" => b"334 UGFzc3dvcmQ6\r\n",
                _ if last => b"235 2.7.0 in\r\n",
                _ => b"535 5.7.8 who?\r\n",
            };
            self.in_login = self.reply(To::Opening, reply) == Meaning::GoOn;
            return;
        }
        if let Some(length) = line.strip_prefix(b"BDAT ").and_then(|rest| rest.strip_suffix(b" LAST\r\n")) {
            self.octets = String::from_utf8_lossy(length).parse().expect("a length");
            return;
        }
        let word = line.get(..4).unwrap_or_default();
        match word {
            b"EHLO" | b"LHLO" => {
                let reply = self.greeting();
                self.reply(To::Opening, &reply);
            }
            b"HELO" => {
                self.reply(To::Opening, b"250 mx\r\n");
            }
            b"STAR" => self.encrypted = self.reply(To::Opening, b"220 2.0.0 go\r\n") == Meaning::Yes,
            b"AUTH" => {
                self.in_login = self.reply(To::Opening, b"334 VXNlcm5hbWU6\r\n") == Meaning::GoOn;
            }
            b"RSET" => {
                self.reply(To::Opening, b"250 2.0.0 reset\r\n");
            }
            b"MAIL" => {
                self.messages += 1;
                self.contents.push(false);
                self.accepted.clear();
                self.mail_accepted = self.reply(To::Mail, b"250 2.1.0 from\r\n") == Meaning::Yes;
            }
            b"RCPT" => {
                let recipient = RECIPIENTS
                    .iter()
                    .position(|address| line == format!("RCPT TO:<{address}>\r\n").as_bytes());
                let recipient = recipient.expect("one of ours");
                let reply: &[u8] = match recipient {
                    _ if !self.mail_accepted => b"503 5.5.1 MAIL first\r\n",
                    1 => b"550 5.1.1 unknown\r\n",
                    _ => b"250 2.1.5 to\r\n",
                };
                if self.reply(To::Rcpt(recipient), reply) == Meaning::Yes {
                    self.accepted.push(recipient);
                }
            }
            b"DATA" => {
                let reply: &[u8] =
                    if self.accepted.is_empty() { b"554 5.5.1 for nobody\r\n" } else { b"354 go on\r\n" };
                self.in_content = self.reply(To::Data, reply) == Meaning::GoOn;
            }
            b"QUIT" => {
                self.reply(To::Quit, b"221 2.0.0 bye\r\n");
                self.closes = true;
            }
            _ => panic!("what is {:?}?", String::from_utf8_lossy(line)),
        }
    }

    fn greeting(&self) -> Vec<u8> {
        let offers = [
            ("PIPELINING", self.manner.pipelining),
            ("CHUNKING", self.manner.chunking),
            ("STARTTLS", self.manner.guarded && !self.encrypted),
            ("AUTH LOGIN", self.manner.guarded && self.encrypted),
        ];
        let lines = offers.iter().filter(|(_, offered)| *offered).map(|(word, _)| format!("250-{word}\r\n"));
        format!("250-mx\r\n{}250 SIZE\r\n", lines.collect::<String>()).into_bytes()
    }

    fn content_is_whole(&mut self) {
        *self.contents.last_mut().expect("a message") = true;
        if self.manner.lmtp {
            for recipient in self.accepted.clone() {
                self.reply(To::End(Some(recipient)), b"250 2.0.0 yours\r\n");
            }
        } else {
            self.reply(To::End(None), b"250 2.0.0 queued\r\n");
        }
    }

    fn say(&mut self) -> Vec<u8> {
        let end = self.answers.len().min(self.disturbance.says);
        let said = self.answers[self.said..end].to_vec();
        self.said = end;
        said
    }

    /// What the outcome of this recipient must be, by what was said to the end and nothing else.
    fn expected(&self, message: usize, recipient: usize) -> Expected {
        let mut accepted = false;
        let heard = self.replies.iter().filter(|reply| reply.end <= self.said && reply.message == message);
        for Said { to, meaning, .. } in heard {
            let concerns = match to {
                To::Opening | To::Quit => continue,
                To::Mail => true,
                To::Rcpt(one) | To::End(Some(one)) => *one == recipient,
                To::Data | To::End(None) => accepted,
            };
            match (to, meaning) {
                (_, Meaning::Nonsense) => break,
                // An answer to the end of the content, for whom it is one; to others the connection is lost.
                (To::End(_), Meaning::Farewell) if concerns => return Expected::Deferred,
                (_, Meaning::Farewell) => break,
                (To::Data, Meaning::GoOn) => {}
                (To::Data, Meaning::Yes) | (_, Meaning::GoOn) => break,
                _ if !concerns => {}
                (_, Meaning::Later) => return Expected::Deferred,
                (_, Meaning::Never) => return Expected::Failed,
                (To::Rcpt(_), Meaning::Yes) => accepted = true,
                (To::End(_), Meaning::Yes) if accepted => return Expected::Delivered,
                _ => {}
            }
        }
        let taken = self.contents.get(message).copied().unwrap_or(false);
        if accepted && taken { Expected::Ambiguous } else { Expected::Deferred }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Delivered,
    Deferred,
    Failed,
    Ambiguous,
}

/// What came of two messages to three recipients each.
pub(crate) struct Run {
    pub(crate) outcomes: Vec<Vec<Outcome>>,
    pub(crate) server: Server,
}

/// Plays until the session ends, by a clock of its own, and holds each outcome against what was said.
#[expect(clippy::disallowed_methods, reason = "the first moment; every later one is counted from it")]
pub(crate) fn run(manner: Manner, disturbance: Disturbance) -> Run {
    let context = format!("{manner:?} {disturbance:?}");
    let (mut now, mut server) = (Instant::now(), Server::new(manner, disturbance));
    let mut session = Session::new(settings(manner), None, now);
    let (mut outcomes, mut reasons, mut sent) = (Vec::new(), 0, 0);
    for _ in 0..10_000 {
        match session.poll() {
            Output::Transmit { bytes, then, .. } => {
                let mut taken = server.hear(bytes);
                if taken == bytes.len() && !then.is_empty() {
                    taken += server.hear(then);
                }
                if taken > 0 {
                    session.handle(now, Input::Transmitted(taken));
                } else {
                    stop(&mut session, &mut server, &mut now);
                }
            }
            Output::Task(task) => session.handle(now, Input::Done(task.run())),
            Output::Wait(_) => stop(&mut session, &mut server, &mut now),
            Output::StartTls if server.said < server.disturbance.says => {
                let facts = TlsFacts::new("TLSv1.3", "x", true);
                session.handle(now, Input::TlsEstablished(facts));
            }
            Output::StartTls => session.handle(now, Input::TlsFailed("it broke off")),
            Output::Event(Event::Ready) if sent == 2 => session.quit(now),
            Output::Event(Event::Ready) => {
                sent += 1;
                session.send(now, transaction(CONTENTS[sent - 1]));
            }
            Output::Event(Event::Settled(settled)) => outcomes.push(settled),
            Output::Event(Event::Unusable(failure)) => {
                reasons += 1;
                assert_eq!(failure.status.class(), StatusClass::Transient, "{failure} {context}");
            }
            Output::Closed => {
                assert_eq!(outcomes.len(), sent, "a message is settled once: {context}");
                assert!(reasons <= 1 && (reasons == 1 || sent > 0), "neither mail nor a reason: {context}");
                check(&server, &outcomes, &context);
                return Run { outcomes, server };
            }
            other => panic!("{other:?} {context}"),
        }
    }
    panic!("the session never ends: {context}");
}

/// Nothing moves but what the server has said: that first, then its silence or its end.
fn stop(session: &mut Session, server: &mut Server, now: &mut Instant) {
    let said = server.say();
    if !said.is_empty() {
        session.handle(*now, Input::Received(&said));
    } else if server.disturbance.stalls && !server.closes {
        let bound = session.deadline().expect("nothing is awaited for ever");
        session.handle(bound - Duration::from_millis(1), Input::Timeout);
        assert_eq!(session.deadline(), Some(bound), "given up before its time");
        *now = bound;
        session.handle(bound, Input::Timeout);
    } else {
        session.handle(*now, Input::Closed);
    }
}

fn check(server: &Server, outcomes: &[Vec<Outcome>], context: &str) {
    for (message, settled) in outcomes.iter().enumerate() {
        assert_eq!(settled.len(), RECIPIENTS.len(), "{context}");
        for (recipient, outcome) in settled.iter().enumerate() {
            let found = match outcome {
                Outcome::Delivered(_) => Expected::Delivered,
                Outcome::Deferred(_) => Expected::Deferred,
                Outcome::Failed(_) => Expected::Failed,
                Outcome::Ambiguous(_) => Expected::Ambiguous,
                other => panic!("{other:?} {context}"),
            };
            let expected = server.expected(message, recipient);
            assert_eq!(
                found, expected,
                "message {message}, {}: {outcome:?} {context}",
                RECIPIENTS[recipient]
            );
            if let Some(failure) = outcome.failure() {
                let permanent = failure.status.class() == StatusClass::Permanent;
                assert_eq!(permanent, found == Expected::Failed, "{failure} {context}");
                assert_ne!(failure.fault, Fault::Local, "{failure} {context}");
                assert_ne!(failure.status, EnhancedStatus::success(0, 0));
            }
        }
    }
}

fn settings(manner: Manner) -> Settings {
    let mut settings = Settings::new("hub.test".parse().expect("a domain"), "mx");
    settings.lmtp = manner.lmtp;
    settings.starttls = if manner.guarded { StartTls::Required } else { StartTls::Never };
    let credential = || Credential::new("tim", Secret::new("pw"));
    settings.authentication = manner.guarded.then(|| Authentication::new(credential()));
    settings
}

/// One that leaves as it is, and one that is stuffed on the way.
const CONTENTS: [&[u8]; 2] = [b"X: y\r\n\r\nz\r\n", b"X: y\r\n\r\n.z\r\n"];

fn transaction(content: &[u8]) -> Transaction {
    let recipients = RECIPIENTS.map(|text| Recipient::new(Address::parse(text).expect("an address")));
    let envelope = Envelope::new(ReversePath::Null, recipients.to_vec());
    // The head of each is in memory, and a read brings the rest.
    let content = stored(content, 10, usize::MAX);
    Transaction::new(&envelope, &recipients, &content, None, Timestamp::from_unix_millis(0))
}
