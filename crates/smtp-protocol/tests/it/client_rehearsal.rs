//! A whole client session against bytes that may be anything: it ends, and every recipient has one outcome.

use std::time::Instant;

use postroad_address_space::Address;
use postroad_message::{Content, Envelope, Notify, Recipient, ReversePath, Timestamp, TlsFacts};
use postroad_smtp_protocol::client::{
    Authentication, Event, Input, Output, Session, Settings, StartTls, Transaction,
};
use postroad_smtp_protocol::sasl::{Credential, Secret};

/// Plays the bytes as a server's words. The first byte chooses the settings, a byte 0xff ends a segment.
///
/// # Panics
/// When the session breaks its word.
pub(crate) fn rehearse(data: &[u8]) {
    #![expect(clippy::disallowed_methods, reason = "one moment that never passes")]
    let Some((&choice, words)) = data.split_first() else { return };
    let now = Instant::now();
    let mut settings = Settings::new("hub.test".parse().expect("a domain"), "mx");
    settings.starttls =
        [StartTls::Never, StartTls::Opportunistic, StartTls::Required][usize::from(choice % 3)];
    settings.force_helo = choice & 0x10 != 0;
    settings.lmtp = choice & 0x80 != 0;
    if choice & 0x20 != 0 {
        let mut authentication = Authentication::new(Credential::new("tim", Secret::new("pw")));
        authentication.clear_text_allowed = choice & 0x40 != 0;
        settings.authentication = Some(authentication);
    }
    let mut segments = words.split(|&byte| byte == 0xff);
    let mut session = Session::new(settings, None, now);
    let (mut sent, mut settled, mut ends) = (0, 0, 0);
    for _ in 0..100_000 {
        match session.poll() {
            Output::Transmit { bytes, then, .. } => {
                let count = (bytes.len() + then.len()).min(700);
                session.handle(now, Input::Transmitted(count));
            }
            Output::StartTls => {
                let facts = TlsFacts::new("x", "x", true);
                session.handle(now, Input::TlsEstablished(facts));
            }
            Output::Event(Event::Ready) if sent == 3 => session.quit(now),
            Output::Event(Event::Ready) => {
                sent += 1;
                session.send(now, message(CONTENTS[sent % 2]));
            }
            Output::Event(Event::Settled(outcomes)) => {
                settled += 1;
                assert_eq!(outcomes.len(), 2);
            }
            Output::Event(Event::Unusable(_)) => ends += 1,
            Output::Task(task) => session.handle(now, Input::Done(task.run())),
            Output::Wait(_) => match segments.next() {
                Some(segment) => session.handle(now, Input::Received(segment)),
                None => session.handle(now, Input::Closed),
            },
            Output::Closed => {
                assert_eq!(settled, sent, "a message without outcomes, or with two");
                assert!(ends <= 1 && (ends == 1 || sent > 0), "neither mail nor a reason");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("the session never ends");
}

/// One that is changed on the way, and one that leaves as it is.
const CONTENTS: [&[u8]; 2] = [b"Subject: \xe9\r\n\r\n.dot\n", b"Subject: \xe9\r\n\r\nno dot\r\n"];

fn message(content: &[u8]) -> Transaction {
    let mut recipients = ["a@b.test", "j\u{f6}rg@b.test"]
        .map(|text| Recipient::new(Address::parse(text).expect("an address")));
    recipients[0].notify = Some(Notify { success: true, failure: true, delay: false });
    let envelope = Envelope::new(ReversePath::Null, recipients.to_vec());
    Transaction::new(
        &envelope,
        &recipients,
        &Content::from(content.to_vec()),
        None,
        Timestamp::from_unix_millis(0),
    )
}

#[cfg(test)]
mod tests {
    use super::rehearse;
    use proptest::prelude::*;

    /// Words that servers use, in any order.
    fn word() -> impl Strategy<Value = Vec<u8>> {
        let words: Vec<&'static [u8]> = vec![
            b"220 mx\r\n",
            b"250 ok\r\n",
            b"250-mx\r\n",
            b"250-STARTTLS\r\n",
            b"250-AUTH PLAIN LOGIN\r\n",
            b"250-PIPELINING\r\n",
            b"250-CHUNKING\r\n",
            b"250-8BITMIME\r\n",
            b"250-SMTPUTF8\r\n",
            b"250-DSN\r\n",
            b"334 \r\n",
            b"235 in\r\n",
            b"354 go\r\n",
            b"421 out\r\n",
            b"450 later\r\n",
            b"452 4.5.3 many\r\n",
            b"550 5.1.1 no\r\n",
            b"504 no\r\n",
            b"\xff",
            b"\xff",
            b"\n",
            b"2",
            b"250 ",
        ];
        prop_oneof![20 => prop::sample::select(words).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..5)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(700))]
        #[test]
        fn whatever_a_server_says_the_session_ends(choice in any::<u8>(), words in prop::collection::vec(word(), 0..60)) {
            rehearse(&[&[choice][..], &words.concat()].concat());
        }

        #[test]
        fn a_server_that_answers_in_turn_is_heard_to_the_end(choice in any::<u8>(), words in prop::collection::vec(word(), 0..60)) {
            let spaced: Vec<u8> = words.iter().flat_map(|word| word.iter().copied().chain([0xff])).collect();
            rehearse(&[&[choice][..], b"220 mx\r\n\xff250-mx\r\n250 PIPELINING\r\n\xff", &spaced].concat());
        }
    }
}
