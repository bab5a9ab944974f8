//! What our client says in commands and content, our server understands as it was meant, whatever addresses and bytes are in it.

use std::time::Instant;

use postroad_address_space::Address;
use postroad_message::{
    Content, Envelope, Notify, OriginalRecipient, Outcome, Recipient, Return, ReversePath, Timestamp,
};
use postroad_smtp_protocol::{client, server};

/// Sends a message from one session to another. The first two bytes choose what the server offers and what the sender wishes; then come,
/// each ended by a byte 0xff, the reverse path, two recipients, an ORCPT, an ENVID and the content. Whether all recipients have it.
///
/// # Panics
/// When what arrives is not what was sent, or is told otherwise.
pub(crate) fn send(data: &[u8]) -> bool {
    #![expect(clippy::disallowed_methods, reason = "one moment that never passes")]
    let [offers, wishes, parts @ ..] = data else { return false };
    let mut parts = parts.splitn(6, |&byte| byte == 0xff);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let Ok(reverse_path) = ReversePath::try_from(text()) else { return false };
    let mut recipients = Vec::new();
    for address in [text(), text()] {
        recipients.extend(Address::parse(&address).ok().map(Recipient::new));
    }
    if recipients.is_empty() {
        return false;
    }
    let wish = |bit: u8| wishes & (1 << bit) != 0;
    let notify = Notify { success: wish(0), failure: wish(1), delay: wish(2) };
    recipients[0].notify = wish(3).then_some(notify);
    let original = text();
    recipients[0].original = original
        .split_once(';')
        .filter(|_| wish(4))
        .map(|(address_type, address)| OriginalRecipient::new(address_type, address));
    let mut envelope = Envelope::new(reverse_path, recipients);
    envelope.envelope_id = Some(text()).filter(|id| wish(5) && !id.is_empty());
    envelope.ret = wish(6).then_some(Return::Headers);
    let content = parts.next().unwrap_or_default();

    let offer = |bit: u8| offers & (1 << bit) != 0;
    let postmaster = "postmaster@mx.test".parse().expect("a mailbox");
    let mut settings = server::Settings::new("mx.test", postmaster);
    (settings.pipelining, settings.dsn, settings.chunking) = (offer(0), offer(1), offer(2));
    (settings.eight_bit_mime, settings.smtputf8, settings.lmtp) = (offer(3), offer(4), offer(5));
    let has_dsn = settings.dsn;
    let mut ours = client::Settings::new("hub.test".parse().expect("a domain"), "mx");
    ours.lmtp = settings.lmtp;
    let is_as_it_is = settings.eight_bit_mime || content.is_ascii();

    let now = Instant::now();
    let message = client::Transaction::new(
        &envelope,
        &envelope.recipients,
        &Content::from(content.to_vec()),
        None,
        Timestamp::from_unix_millis(0),
    );
    let sessions = (client::Session::new(ours, None, now), server::Session::new(settings));
    let (outcomes, arrived) = play(sessions, message, now);

    assert_eq!(outcomes.len(), envelope.recipients.len());
    let taken = |outcome: &Outcome| outcome.is_success();
    let has_it = envelope.recipients.iter().zip(&outcomes).filter(|(_, outcome)| taken(outcome));
    let has_it = once_each(has_it.map(|(recipient, _)| recipient.clone()), has_dsn);
    assert_eq!(arrived.len(), usize::from(!has_it.is_empty()), "{outcomes:?}");
    for (received, bytes) in &arrived {
        assert_eq!(received.reverse_path, envelope.reverse_path);
        let addresses = |of: &[Recipient]| of.iter().map(|one| one.address.clone()).collect::<Vec<_>>();
        assert_eq!(addresses(&received.recipients), addresses(&has_it));
        if has_dsn {
            for (received, sent) in received.recipients.iter().zip(&has_it) {
                assert_eq!(received.notify, sent.notify);
                assert_eq!(received.original, sent.original.clone().filter(can_be_said));
            }
            let id = envelope.envelope_id.as_ref().filter(|id| id.is_ascii());
            assert_eq!((received.ret, received.envelope_id.as_ref()), (envelope.ret, id));
        }
        if is_as_it_is {
            assert_eq!(bytes.as_slice(), as_it_arrives(content));
        }
    }
    outcomes.iter().all(taken)
}

/// Who is named twice gets one copy, unless he asks for other reports the second time and can say so.
fn once_each(named: impl Iterator<Item = Recipient>, has_dsn: bool) -> Vec<Recipient> {
    let mut once: Vec<Recipient> = Vec::new();
    let said = |one: &Recipient| (one.notify, one.original.clone().filter(can_be_said));
    for one in named {
        let is_same =
            |other: &Recipient| other.address == one.address && (!has_dsn || said(other) == said(&one));
        if !once.iter().any(is_same) {
            once.push(one);
        }
    }
    once
}

/// `atom ";" xtext` (RFC 3461 section 4.2), with an atom of the kind that is registered; anything else is kept to ourselves.
fn can_be_said(original: &OriginalRecipient) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let OriginalRecipient { address_type, address, .. } = original;
    !address_type.is_empty() && address_type.bytes().all(is_usual) && address.is_ascii()
}

/// The outcomes on one side, and the messages on the other.
fn play(
    (mut client, mut server): (client::Session, server::Session),
    message: client::Transaction,
    now: Instant,
) -> (Vec<Outcome>, Vec<(Envelope, Vec<u8>)>) {
    let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
    let (mut message, mut outcomes, mut arrived) = (Some(message), Vec::new(), Vec::new());
    for _ in 0..100_000 {
        match server.poll() {
            server::Output::Transmit { bytes, .. } => to_client.extend(bytes),
            server::Output::Event(event) => {
                let verdict = match event {
                    server::Event::Message { envelope, content, .. } => {
                        arrived.push((envelope, content));
                        server::Verdict::Queued("1".into())
                    }
                    _ => server::Verdict::Accept,
                };
                server.handle(server::Input::Verdict(verdict));
            }
            server::Output::Receive if !to_server.is_empty() => {
                server.handle(server::Input::Received(&std::mem::take(&mut to_server)));
            }
            server::Output::Receive | server::Output::Close => match client.poll() {
                client::Output::Transmit { bytes, .. } => {
                    to_server.extend_from_slice(bytes);
                    let count = bytes.len();
                    client.handle(now, client::Input::Transmitted(count));
                }
                client::Output::Event(client::Event::Ready) => match message.take() {
                    Some(message) => client.send(now, message),
                    None => client.quit(now),
                },
                client::Output::Task(task) => client.handle(now, client::Input::Done(task.run())),
                client::Output::Event(client::Event::Settled(settled)) => outcomes = settled,
                client::Output::Event(client::Event::Unusable(failure)) => panic!("{failure}"),
                client::Output::Closed => return (outcomes, arrived),
                _ if to_client.is_empty() => client.handle(now, client::Input::Closed),
                _ => client.handle(now, client::Input::Received(&std::mem::take(&mut to_client))),
            },
            other => panic!("{other:?}"),
        }
    }
    panic!("they never end");
}

/// With CRLF for every line end, and one at the end.
pub(crate) fn as_it_arrives(content: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut rest = content.iter().peekable();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\r' => {
                rest.next_if(|&&next| next == b'\n');
                lines.extend_from_slice(b"\r\n");
            }
            b'\n' => lines.extend_from_slice(b"\r\n"),
            other => lines.push(other),
        }
    }
    if !lines.is_empty() && !lines.ends_with(b"\r\n") {
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::send;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn whatever_an_envelope_and_a_content_hold_they_arrive(
            offers in any::<u8>(),
            wishes in any::<u8>(),
            from in "|[a-z.+=]{1,9}@a\\.test|\"[ -~]{0,9}\"@a\\.test|j\u{f6}rg@a\\.test",
            to in "[a-zA-Z'/{}]{1,9}@b\\.test|\"[ -~]{0,9}\"@\\[192\\.0\\.2\\.1\\]|j\u{f6}@b\u{fc}cher\\.test",
            original in "rfc822;[ -~]{0,9}|[a-z8 \r\n=-]{0,9};[a\r\n>+]{0,9}",
            id in "[!-~]{0,9}|[a\r\n +=]{0,9}",
            content in "[.a\r\n\u{fc}]{0,60}|(\r?\n?\\.\r?\n?){0,9}",
        ) {
            let choice = [offers, wishes];
            let parts = [from.as_bytes(), to.as_bytes(), b"tim@b.test", original.as_bytes(), id.as_bytes(), content.as_bytes()];
            send(&[&choice[..], &parts.join(&0xff)].concat());
        }
    }

    #[test]
    fn who_is_named_twice_has_it_once() {
        for choice in [[0, 0], [2, 0xff], [0x20, 0], [0x1f, 0xff]] {
            let parts: [&[u8]; 6] =
                [b"a@a.test", b"tim@b.test", b"tim@b.test", b"rfc822;t@b.test", b"id", b"once"];
            assert!(send(&[&choice[..], &parts.join(&0xff)].concat()), "{choice:?}");
        }
    }

    #[test]
    fn with_all_that_can_be_offered_and_wished_all_of_it_arrives() {
        for content in ["", ".", "Subject: hello\n\n.\r\n..\n", "\u{fc}ber"] {
            let parts =
                ["j\u{f6}rg@a.test", "\"a b\"@b.test", "tim@b\u{fc}cher.test", "rfc822;a+b", "a=b", content];
            let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            for lmtp in [0, 0x20] {
                assert!(send(&[&[0x1f | lmtp, 0x7f][..], &parts.join(&0xff)].concat()), "{content:?}");
            }
        }
    }
}
