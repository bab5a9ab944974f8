//! Large content that is not in memory: it arrives whole, or not at all.

use postroad_message::{
    Content, EnhancedStatus, Envelope, Fault, Outcome, ReversePath, StatusClass, Timestamp,
};
use postroad_smtp_protocol::client::{Event, Input, Output, Session, Transaction};

use crate::client_with_server::{client_settings, moment, pair, recipients, server_settings};
use crate::stored::stored;
use crate::there_and_back::as_it_arrives;

/// Leaves as it is, is stuffed on the way, is mended on the way.
const LINES: [&str; 3] =
    ["a line like any other\r\n", ".a line that opens with a dot\r\n", "a line of Unix\n"];

fn transaction(content: &Content) -> Transaction {
    let envelope = Envelope::new(ReversePath::Null, recipients(&["a@b.test", "b@b.test"]));
    Transaction::new(&envelope, &envelope.recipients, content, None, Timestamp::from_unix_millis(0))
}

#[test]
fn a_large_content_arrives_byte_for_byte() {
    let now = moment();
    for (line, chunking) in LINES.into_iter().flat_map(|line| [(line, false), (line, true)]) {
        let content = format!("Subject: x\r\n\r\n{}", line.repeat(700_000 / line.len())).into_bytes();
        let mut settings = client_settings();
        settings.chunking = chunking;
        let mut both = pair(settings, server_settings(), now);
        let (in_memory, elsewhere) = (Content::from(content.clone()), stored(&content, 100_000, usize::MAX));
        let settled = both.play(now, vec![transaction(&in_memory), transaction(&elsewhere)]);
        assert!(settled.iter().flatten().all(Outcome::is_success), "{line:?} {chunking}: {settled:?}");
        let expected = as_it_arrives(&content);
        assert_eq!(both.messages.len(), 2);
        assert!(both.messages.iter().all(|(_, bytes)| *bytes == expected), "{line:?} {chunking}");
    }
}

#[test]
fn content_that_cannot_be_read_is_nowhere_taken_and_comes_again() {
    let now = moment();
    for (line, chunking) in LINES.into_iter().flat_map(|line| [(line, false), (line, true)]) {
        let content = format!("Subject: x\r\n\r\n{}", line.repeat(700_000 / line.len())).into_bytes();
        for broken_from in [16, 131_000, 262_144, 400_000, content.len() - 1] {
            for lmtp in [false, true] {
                let (mut settings, mut other) = (client_settings(), server_settings());
                (settings.chunking, settings.lmtp, other.lmtp) = (chunking, lmtp, lmtp);
                let mut both = pair(settings, other, now);
                let settled = both.play(now, vec![transaction(&stored(&content, 16, broken_from))]);
                let context = format!("{line:?}, chunks: {chunking}, from {broken_from}, LMTP: {lmtp}");
                assert_eq!(settled.iter().map(Vec::len).collect::<Vec<_>>(), [2], "{context}");
                for outcome in settled.iter().flatten() {
                    let Outcome::Deferred(failure) = outcome else { panic!("{outcome:?} {context}") };
                    assert_eq!(failure.fault, Fault::Local, "{context}");
                    assert_eq!(failure.status.class(), StatusClass::Transient, "{context}");
                    assert!(failure.text.contains("a bad sector"), "{} {context}", failure.text);
                }
                assert!(both.messages.is_empty(), "half a message was taken: {context}");
            }
        }
    }
}

/// What a session says to a server that agrees to everything and offers nothing, up to the outcomes.
fn said(content: &Content) -> (String, Vec<Outcome>) {
    said_to("250 mx\r\n", content)
}

/// The same to a server that answers EHLO so.
fn said_to(hello: &str, content: &Content) -> (String, Vec<Outcome>) {
    let now = moment();
    let mut session = Session::new(client_settings(), None, now);
    let (mut said, mut server) = (Vec::new(), b"220 mx\r\n".to_vec());
    for _ in 0..1000 {
        match session.poll() {
            Output::Transmit { bytes, .. } => {
                said.extend_from_slice(bytes);
                server = match bytes {
                    [b'E', ..] => hello.as_bytes().to_vec(),
                    [.., b'.', b'\r', b'\n'] | [b'M' | b'R', ..] => b"250 fine\r\n".to_vec(),
                    [b'D', b'A', b'T', b'A', ..] => b"354 go on\r\n".to_vec(),
                    _ => Vec::new(),
                };
                let count = bytes.len();
                session.handle(now, Input::Transmitted(count));
            }
            Output::Task(task) => session.handle(now, Input::Done(task.run())),
            Output::Event(Event::Ready) => session.send(now, transaction(content)),
            Output::Event(Event::Settled(outcomes)) => {
                return (String::from_utf8(said).expect("text"), outcomes);
            }
            Output::Wait(_) => session.handle(now, Input::Received(&std::mem::take(&mut server))),
            other => panic!("{other:?}"),
        }
    }
    panic!("it never ends");
}

#[test]
fn large_content_is_put_into_seven_bits_by_whoever_may_wait() {
    let content = format!("Subject: x\r\n\r\n{}", "Gr\u{fc}\u{df}e\r\n".repeat(20_000)).into_bytes();
    let (in_memory, outcomes) = said(&Content::from(content.clone()));
    assert!(outcomes.iter().all(Outcome::is_success), "{outcomes:?}");
    assert!(in_memory.contains("quoted-printable\r\n") && in_memory.contains("Gr=C3=BC=C3=9Fe\r\n"));
    assert_eq!(said(&stored(&content, 20, usize::MAX)), (in_memory, outcomes));
    let (unsaid, outcomes) = said(&stored(&content, 20, 300));
    assert!(!unsaid.contains("MAIL"), "{unsaid}");
    for outcome in outcomes {
        assert!(
            matches!(&outcome, Outcome::Deferred(failure) if failure.fault == Fault::Local),
            "{outcome:?}"
        );
    }
}

#[test]
fn what_the_server_would_refuse_in_any_form_is_not_even_read() {
    let content = format!("Subject: x\r\n\r\n{}", "Gr\u{fc}\u{df}e\r\n".repeat(20_000)).into_bytes();
    let (said, outcomes) = said_to("250-mx\r\n250 SIZE 100000\r\n", &stored(&content, 20, 300));
    assert!(!said.contains("MAIL"), "{said}");
    for outcome in outcomes {
        assert!(
            matches!(&outcome, Outcome::Failed(failure) if failure.status == EnhancedStatus::permanent(3, 4)),
            "{outcome:?}"
        );
    }
}
