//! The connection is cut at every byte of a session, in either direction: one outcome for each recipient, and only what was
//! lost behind the final dot is ambiguous.

use postroad_message::Outcome;
use postroad_smtp_protocol::client::{Event, Input, Output, Session, Settings, StartTls, Transaction};

use postroad_address_space::Address;
use postroad_message::{Content, Envelope, Recipient, ReversePath, Timestamp};
use std::time::Instant;

/// What a server is and offers.
#[derive(Clone, Copy, Debug)]
struct Manner {
    pipelining: bool,
    chunking: bool,
    lmtp: bool,
}

impl Manner {
    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self { pipelining: bits & 1 != 0, chunking: bits & 2 != 0, lmtp: bits & 4 != 0 })
    }

    /// What answers the end of the content: two recipients are accepted.
    fn final_replies(self) -> Vec<u8> {
        b"250 2.0.0 queued\r\n".repeat(if self.lmtp { 2 } else { 1 })
    }
}

/// Answers every command, and counts what it may still hear and say.
struct Server {
    manner: Manner,
    hears: usize,
    says: usize,
    line: Vec<u8>,
    in_content: bool,
    /// Of a chunk, still to come.
    octets: usize,
    answers: Vec<u8>,
    said: usize,
    got_final_dot: bool,
}

impl Server {
    fn new(manner: Manner, hears: usize, says: usize) -> Self {
        let answers = b"220 mx\r\n".to_vec();
        Self {
            manner,
            hears,
            says,
            line: Vec::new(),
            in_content: false,
            octets: 0,
            answers,
            said: 0,
            got_final_dot: false,
        }
    }

    /// Takes what it can; how much that was.
    fn hear(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.hears);
        self.hears -= taken;
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

    fn answer(&mut self, line: &[u8]) {
        if self.in_content {
            if line == b".\r\n" {
                self.in_content = false;
                self.content_is_whole();
            }
            return;
        }
        if let Some(length) = line.strip_prefix(b"BDAT ").and_then(|rest| rest.strip_suffix(b" LAST\r\n")) {
            self.octets = String::from_utf8_lossy(length).parse().expect("a length");
            return;
        }
        let greets: &[u8] = if self.manner.lmtp { b"LHLO" } else { b"EHLO" };
        if line.starts_with(greets) {
            let offers = [("PIPELINING", self.manner.pipelining), ("CHUNKING", self.manner.chunking)];
            let lines =
                offers.iter().filter(|(_, offered)| *offered).map(|(word, _)| format!("250-{word}\r\n"));
            let reply = format!("250-mx\r\n{}250 SIZE\r\n", lines.collect::<String>());
            self.answers.extend_from_slice(reply.as_bytes());
            return;
        }
        self.answers.extend_from_slice(match line {
            b"RCPT TO:<no@b.test>\r\n" => b"550 5.1.1 unknown\r\n",
            b"DATA\r\n" => {
                self.in_content = true;
                b"354 go on\r\n"
            }
            b"QUIT\r\n" => b"221 bye\r\n",
            _ => b"250 fine\r\n",
        });
    }

    fn content_is_whole(&mut self) {
        self.got_final_dot = true;
        self.answers.extend_from_slice(&self.manner.final_replies());
    }

    fn say(&mut self) -> Vec<u8> {
        let end = self.answers.len().min(self.says);
        let said = self.answers[self.said..end].to_vec();
        self.said = end;
        said
    }
}

struct Run {
    outcomes: Option<Vec<Outcome>>,
    unusable: bool,
    server: Server,
}

#[expect(clippy::disallowed_methods, reason = "one moment that never passes")]
fn run(mut server: Server) -> Run {
    let now = Instant::now();
    let mut settings = Settings::new("hub.test".parse().expect("a domain"), "mx");
    settings.starttls = StartTls::Never;
    settings.lmtp = server.manner.lmtp;
    let mut session = Session::new(settings, None, now);
    let (mut outcomes, mut unusable, mut sent) = (None, false, false);
    for _ in 0..10_000 {
        match session.poll() {
            Output::Transmit(bytes) => {
                let taken = server.hear(bytes);
                let input = if taken == 0 { Input::Closed } else { Input::Transmitted(taken) };
                session.handle(now, input);
            }
            Output::Wait(_) => {
                let said = server.say();
                let input = if said.is_empty() { Input::Closed } else { Input::Received(&said) };
                session.handle(now, input);
            }
            Output::Event(Event::Ready) if sent => session.quit(now),
            Output::Event(Event::Ready) => {
                sent = true;
                let recipients = ["a@b.test", "no@b.test", "c@b.test"]
                    .map(|text| Recipient::new(Address::parse(text).expect("an address")));
                let envelope = Envelope::new(ReversePath::Null, recipients.to_vec());
                let content = Content::from(b"Subject: x\r\n\r\n.hello\r\n".to_vec());
                session.send(
                    now,
                    Transaction::new(&envelope, &recipients, &content, None, Timestamp::from_unix_millis(0)),
                );
            }
            Output::Event(Event::Settled(settled)) => {
                assert!(outcomes.is_none(), "settled twice");
                outcomes = Some(settled);
            }
            Output::Event(Event::Unusable(_)) => unusable = true,
            Output::Closed => return Run { outcomes, unusable, server },
            other => panic!("{other:?}"),
        }
    }
    panic!("the session never ends");
}

fn check(run: &Run, at: &str) {
    let Some(outcomes) = &run.outcomes else {
        assert!(run.unusable, "neither outcomes nor a reason {at}");
        return;
    };
    assert_eq!(outcomes.len(), 3, "{at}");
    assert!(!run.unusable || outcomes.iter().all(Outcome::is_final), "unusable and unsettled {at}");
    for outcome in outcomes {
        match outcome {
            Outcome::Ambiguous(_) => assert!(run.server.got_final_dot, "ambiguous before the dot {at}"),
            Outcome::Delivered(_) => assert!(run.server.got_final_dot, "delivered before the dot {at}"),
            Outcome::Deferred(_) => {
                assert!(!run.server.got_final_dot, "deferred though the dot arrived {at}")
            }
            Outcome::Failed(_) => {}
            other => panic!("{other:?} {at}"),
        }
    }
    assert!(matches!(outcomes[1], Outcome::Failed(_) | Outcome::Deferred(_)), "{:?} {at}", outcomes[1]);
}

#[test]
fn a_cut_at_any_byte_leaves_one_outcome_for_each_recipient() {
    for manner in Manner::all() {
        let whole = run(Server::new(manner, usize::MAX, usize::MAX));
        let outcomes = whole.outcomes.expect("settled");
        assert!(matches!(
            outcomes.as_slice(),
            [Outcome::Delivered(_), Outcome::Failed(_), Outcome::Delivered(_)]
        ));
        let mut ambiguous = 0;
        for says in 0..whole.server.said {
            let cut = run(Server::new(manner, usize::MAX, says));
            check(&cut, &format!("when the server's words end at byte {says}, {manner:?}"));
            ambiguous += usize::from(
                cut.outcomes.iter().flatten().any(|outcome| matches!(outcome, Outcome::Ambiguous(_))),
            );
        }
        let missing = manner.final_replies().len();
        assert_eq!(ambiguous, missing, "one for each byte that may be missing, {manner:?}");
        let mut hears = 0;
        loop {
            let cut = run(Server::new(manner, hears, usize::MAX));
            check(&cut, &format!("when ours end at byte {hears}, {manner:?}"));
            if cut.server.hears > 0 {
                break;
            }
            hears += 1;
        }
        assert!(hears > 100);
    }
}
