//! Our client and our server talk to each other: both ends in memory.

use std::time::Instant;

use postroad_address_space::{Address, Mailbox};
use postroad_message::{
    Content, Envelope, Notify, Outcome, Recipient, Return, ReversePath, Timestamp, TlsFacts,
};
use postroad_smtp_protocol::client;
use postroad_smtp_protocol::sasl::ChannelBindings;
use postroad_smtp_protocol::server;
use proptest::prelude::*;

use crate::logon_judge::LogonJudge;
use crate::stored::stored;
use crate::there_and_back::as_it_arrives;

/// Two sessions and the wire between them.
pub(crate) struct Pair {
    client: client::Session,
    server: server::Session,
    pub(crate) messages: Vec<(Envelope, Vec<u8>)>,
    pub(crate) logons: LogonJudge,
    /// What the client's end of the connection is bound by.
    pub(crate) client_bindings: ChannelBindings,
    pub(crate) delivered: bool,
    pub(crate) handshakes: usize,
    pub(crate) failures: Vec<postroad_message::Failure>,
}

impl Pair {
    /// Plays until the client is done with these messages.
    pub(crate) fn play(&mut self, now: Instant, mut messages: Vec<client::Transaction>) -> Vec<Vec<Outcome>> {
        messages.reverse();
        let (mut settled, mut to_client, mut to_server) = (Vec::new(), Vec::new(), Vec::new());
        let (mut client_shakes, mut server_shakes, mut server_closed) = (false, false, false);
        for _ in 0..100_000 {
            loop {
                match self.server.poll() {
                    server::Output::Transmit { bytes, .. } => to_client.extend(bytes),
                    server::Output::Event(event) => self.judge(event),
                    server::Output::StartTls => {
                        server_shakes = true;
                        break;
                    }
                    server::Output::Receive if !to_server.is_empty() => {
                        self.server.handle(server::Input::Received(&std::mem::take(&mut to_server)));
                    }
                    server::Output::Receive => break,
                    server::Output::Close => {
                        server_closed = true;
                        break;
                    }
                    other => unreachable!("every event was judged, and yet {other:?}"),
                }
            }
            match self.client.poll() {
                client::Output::Transmit { bytes, then, .. } => {
                    to_server.extend_from_slice(bytes);
                    to_server.extend_from_slice(then);
                    let count = bytes.len() + then.len();
                    self.client.handle(now, client::Input::Transmitted(count));
                }
                client::Output::Event(client::Event::Ready) => match messages.pop() {
                    Some(message) => self.client.send(now, message),
                    None => self.client.quit(now),
                },
                client::Output::Event(client::Event::Settled(outcomes)) => settled.push(outcomes),
                client::Output::Event(client::Event::Unusable(failure)) => self.failures.push(failure),
                client::Output::StartTls => client_shakes = true,
                client::Output::Task(task) => self.client.handle(now, client::Input::Done(task.run())),
                client::Output::Closed => return settled,
                _ if !to_client.is_empty() => {
                    self.client.handle(now, client::Input::Received(&std::mem::take(&mut to_client)));
                }
                _ if client_shakes && server_shakes => {
                    (client_shakes, server_shakes) = (false, false);
                    self.handshakes += 1;
                    self.server.handle(server::Input::TlsEstablished);
                    self.client.bind_channel(self.client_bindings.clone());
                    let facts = TlsFacts::new("TLSv1.3", "x", false);
                    self.client.handle(now, client::Input::TlsEstablished(facts));
                }
                _ if server_closed => self.client.handle(now, client::Input::Closed),
                other => panic!("both wait: {other:?}"),
            }
        }
        panic!("they never end");
    }

    fn judge(&mut self, event: server::Event) {
        let event = match self.logons.judge(event) {
            Ok(verdict) => return self.server.handle(server::Input::Verdict(verdict)),
            Err(other) => other,
        };
        let verdict = match *event {
            server::Event::Recipient { recipient, .. }
                if recipient.address.to_string().starts_with("no@") =>
            {
                server::Verdict::Refuse(server::Refusal::permanent(1, 1, "unknown"))
            }
            server::Event::Message { envelope, content, .. } => {
                self.messages.push((envelope, content));
                server::Verdict::Queued("1".into())
            }
            _ => server::Verdict::Accept,
        };
        self.server.handle(server::Input::Verdict(verdict));
    }
}

pub(crate) fn pair(client: client::Settings, server: server::Settings, now: Instant) -> Pair {
    Pair {
        client: client::Session::new(client, None, now),
        server: server::Session::new(server),
        messages: Vec::new(),
        logons: LogonJudge::new("tim", "pw"),
        client_bindings: ChannelBindings::none(),
        delivered: false,
        handshakes: 0,
        failures: Vec::new(),
    }
}

pub(crate) fn server_settings() -> server::Settings {
    server::Settings::new("mx.test", Mailbox::parse("postmaster@mx.test").expect("a mailbox"))
}

pub(crate) fn client_settings() -> client::Settings {
    client::Settings::new("hub.test".parse().expect("a domain"), "mx")
}

pub(crate) fn recipients(addresses: &[&str]) -> Vec<Recipient> {
    addresses.iter().map(|text| Recipient::new(Address::parse(text).expect("an address"))).collect()
}

#[expect(clippy::disallowed_methods, reason = "one moment that never passes")]
pub(crate) fn moment() -> Instant {
    Instant::now()
}

#[test]
fn a_message_and_all_its_wishes_arrive() {
    let mut envelope = Envelope::new(
        ReversePath::Mailbox(Mailbox::parse("me@hub.test").expect("a mailbox")),
        recipients(&["a@b.test", "no@b.test"]),
    );
    envelope.ret = Some(Return::Headers);
    envelope.envelope_id = Some("a+b=c".into());
    envelope.recipients[0].notify = Some(Notify { success: true, failure: true, delay: false });
    let content = stored(b"Subject: \xc3\xa9\r\n\r\n.dot\r\n", 13, usize::MAX);
    let now = moment();
    let mut both = pair(client_settings(), server_settings(), now);
    let message = client::Transaction::new(
        &envelope,
        &envelope.recipients,
        &content,
        None,
        Timestamp::from_unix_millis(0),
    );
    let settled = both.play(now, vec![message.clone(), message]);
    for outcomes in &settled {
        assert!(matches!(outcomes.as_slice(), [Outcome::Delivered(_), Outcome::Failed(_)]), "{outcomes:?}");
    }
    assert_eq!(both.messages.len(), 2);
    for (received, bytes) in &both.messages {
        assert_eq!(received.reverse_path, envelope.reverse_path);
        assert_eq!(received.recipients.as_slice(), &envelope.recipients[..1]);
        assert_eq!((received.ret, &received.envelope_id), (envelope.ret, &envelope.envelope_id));
        assert_eq!(Content::from(bytes.clone()), content);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_the_content_holds_one_message_arrives(
        content in "[.a\r\n]{0,60}|(\r?\n?\\.\r?\n?){0,9}",
        head in 0..90_usize,
        chunking: bool,
    ) {
        let now = moment();
        let mut settings = client_settings();
        settings.chunking = chunking;
        let mut both = pair(settings, server_settings(), now);
        let envelope = Envelope::new(ReversePath::Null, recipients(&["a@b.test"]));
        let message = client::Transaction::new(&envelope, &envelope.recipients, &stored(content.as_bytes(), head, usize::MAX), None, Timestamp::from_unix_millis(0));
        let settled = both.play(now, vec![message]);
        prop_assert!(matches!(settled[0].as_slice(), [Outcome::Delivered(_)]));
        prop_assert_eq!(both.messages.len(), 1);
        prop_assert_eq!(&both.messages[0].1, &as_it_arrives(content.as_bytes()));
    }
}
