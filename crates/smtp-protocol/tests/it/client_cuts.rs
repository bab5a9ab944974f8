//! The connection is cut at every byte of a session, in either direction: one outcome for each recipient, and only what was
//! lost behind the final dot is ambiguous.

use postroad_message::Outcome;
use postroad_smtp_protocol::client::{Event, Input, Output, Session, Settings, StartTls, Transaction};

use postroad_address_space::Address;
use postroad_message::{Content, Envelope, Recipient, ReversePath};
use std::time::Instant;

/// Answers every command, and counts what it may still hear and say.
struct Server {
    pipelining: bool,
    hears: usize,
    says: usize,
    line: Vec<u8>,
    in_content: bool,
    answers: Vec<u8>,
    said: usize,
    got_final_dot: bool,
}

impl Server {
    fn new(pipelining: bool, hears: usize, says: usize) -> Self {
        let answers = b"220 mx\r\n".to_vec();
        Self {
            pipelining,
            hears,
            says,
            line: Vec::new(),
            in_content: false,
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
                (self.in_content, self.got_final_dot) = (false, true);
                self.answers.extend_from_slice(b"250 2.0.0 queued\r\n");
            }
            return;
        }
        self.answers.extend_from_slice(match line {
            [b'E', ..] if self.pipelining => b"250-mx\r\n250-PIPELINING\r\n250 SIZE\r\n",
            [b'E', ..] => b"250-mx\r\n250 SIZE\r\n",
            b"RCPT TO:<no@b.test>\r\n" => b"550 5.1.1 unknown\r\n",
            b"DATA\r\n" => {
                self.in_content = true;
                b"354 go on\r\n"
            }
            b"QUIT\r\n" => b"221 bye\r\n",
            _ => b"250 fine\r\n",
        });
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
                session.send(now, Transaction::new(&envelope, &recipients, &content, None));
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
    for pipelining in [false, true] {
        let whole = run(Server::new(pipelining, usize::MAX, usize::MAX));
        let outcomes = whole.outcomes.expect("settled");
        assert!(matches!(
            outcomes.as_slice(),
            [Outcome::Delivered(_), Outcome::Failed(_), Outcome::Delivered(_)]
        ));
        let mut ambiguous = 0;
        for says in 0..whole.server.said {
            let cut = run(Server::new(pipelining, usize::MAX, says));
            check(&cut, &format!("when the server's words end at byte {says}, pipelining {pipelining}"));
            ambiguous += usize::from(
                cut.outcomes.iter().flatten().any(|outcome| matches!(outcome, Outcome::Ambiguous(_))),
            );
        }
        assert_eq!(
            ambiguous,
            "250 2.0.0 queued\r\n".len(),
            "one for each byte of the reply that may be missing"
        );
        let mut hears = 0;
        loop {
            let cut = run(Server::new(pipelining, hears, usize::MAX));
            check(&cut, &format!("when ours end at byte {hears}, pipelining {pipelining}"));
            if cut.server.hears > 0 {
                break;
            }
            hears += 1;
        }
        assert!(hears > 100);
    }
}
