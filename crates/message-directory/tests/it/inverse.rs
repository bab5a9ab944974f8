//! Drop writes what Replay reads: there and back nothing changes but what the rules say.

use postroad_address_space::{Address, Domain, Mailbox};
use postroad_message::{Body, Content, Envelope, Notify, OriginalRecipient, Recipient, Return, ReversePath};
use postroad_message_directory::{AddressForm, EncodeError, Injected, drop, replay};
use proptest::prelude::*;

fn domain() -> Domain {
    Domain::parse("contoso.com").unwrap()
}

fn addresses() -> impl Strategy<Value = Address> {
    prop_oneof![
        "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,12}@[a-z]{1,8}\\.(example|test)",
        "\"[a-z<>@ ;,:]{0,10}\"@[a-z]{1,8}\\.example",
        "[a-z]{1,8}@\\[192\\.0\\.2\\.[1-9]\\]",
        "FAX:[+0-9 ()]{1,20}[0-9]",
        "NOTES:[A-Za-z /@;]{0,20}[a-z]",
        "X400:[cC]=US;[aA]= ;[pP]=[A-Z][a-z]{1,8};",
        "(?i:jürgen|用户)@[a-z]{1,5}\\.example",
    ]
    .prop_filter_map("no address", |text| Address::parse(&text).ok())
}

prop_compose! {
    fn recipients()(
        address in addresses(),
        notify in proptest::option::of((any::<bool>(), any::<bool>(), any::<bool>())),
        original in proptest::option::of(("(rfc822|x400|utf-8)", "[ -~é\r\n]{1,20}")),
    ) -> Recipient {
        let mut recipient = Recipient::new(address);
        recipient.notify = notify.map(|(success, failure, delay)| Notify { success, failure, delay });
        recipient.original = original.map(|(address_type, address)| OriginalRecipient::new(address_type, address));
        recipient
    }
}

prop_compose! {
    fn envelopes()(
        sender in proptest::option::of(addresses()),
        recipients in proptest::collection::vec(recipients(), 1..6),
        ret in prop_oneof![Just(None), Just(Some(Return::Full)), Just(Some(Return::Headers))],
        envelope_id in proptest::option::of("[ -~;\r\n]{1,30}"),
        body in prop_oneof![Just(Body::SevenBit), Just(Body::EightBitMime), Just(Body::BinaryMime)],
        (smtputf8, require_tls) in any::<(bool, bool)>(),
    ) -> Envelope {
        let sender = sender.and_then(|address| address.mailbox().cloned());
        let mut envelope = Envelope::new(sender.map_or(ReversePath::Null, ReversePath::Mailbox), recipients);
        envelope.ret = ret;
        envelope.envelope_id = envelope_id;
        envelope.body = body;
        envelope.smtputf8 = smtputf8;
        envelope.require_tls = require_tls;
        envelope
    }
}

/// Headers and bodies that might be mistaken for the block.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("X-Receiver: <smuggled@example.org>\r\n"),
        Just("X-Sender: <other@example.org>\r\n"),
        Just("X-EndOfInjectedXHeaders: 5\r\n"),
        Just("X-Mailer: x\r\n"),
        Just("Received: from a by b\r\n\tfor c\r\n"),
        Just("Subject: Tea\r\n"),
        Just("\r\n"),
        Just("body\r\n"),
        Just(".\r\n"),
    ];
    proptest::collection::vec(line, 0..8).prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    #[test]
    fn drop_and_back_is_the_same_envelope_and_content(
        envelope in envelopes(),
        content in contents(),
        form in prop_oneof![Just(AddressForm::Imcea), Just(AddressForm::Native)],
    ) {
        let mut rules = drop::Rules::new(domain());
        rules.form = form;
        let content = Content::from(content);
        // An address that cannot be written says so; it is never written wrong.
        let Ok(file) = drop::encode(&envelope, &content, &rules) else { return Ok(()) };
        let file = file.in_memory().unwrap();
        let (back, body) = drop::decode(file, &domain()).unwrap();
        prop_assert_eq!(&back.envelope, &envelope);
        prop_assert_eq!(body, content);
        // And as a Replay file it has the same recipients.
        let replayed = replay::decode(file, &{
            let mut rules = replay::Rules::default();
            rules.domain = Some(domain());
            rules
        }).unwrap();
        prop_assert_eq!(replayed.envelope.recipients, envelope.recipients);
    }

    #[test]
    fn what_replay_writes_it_reads(envelope in envelopes(), auth in proptest::option::of("[ -~]{1,20}"), texts in proptest::collection::vec("[!-~]([ -~]{0,10}[!-~])?", 4)) {
        let mut injected = Injected::new(envelope);
        injected.auth = auth;
        injected.origin.created_by = Some(texts[0].clone());
        injected.origin.hello_domain = Some(texts[1].clone());
        injected.origin.source = Some(texts[2].clone());
        injected.origin.source_ip_address = "192.0.2.1".parse().ok();
        injected.extended_properties = Some(texts[3].clone());
        let Ok(file) = replay::encode(&injected, b"Subject: Tea\r\n\r\n", AddressForm::Imcea, &domain()) else { return Ok(()) };
        let (back, _) = drop::decode(&file, &domain()).unwrap();
        prop_assert_eq!(back, injected);
    }

    #[test]
    fn any_bytes_are_decoded_without_panic(file in "(X-Sender: |X-Receiver: |<a@b.example>|From: |To: |X-EndOfInjectedXHeaders: |NOTIFY=|[ <>@:;,\"\r\n\\x00-\\x7fé]){0,20}") {
        let _ = replay::decode(file.as_bytes(), &replay::Rules::default());
        let _ = drop::decode(file.as_bytes(), &domain());
        for dialect in [postroad_message_directory::Dialect::Exchange, postroad_message_directory::Dialect::Iis] {
            let mut rules = postroad_message_directory::pickup::Rules::default();
            rules.dialect = dialect;
            let _ = postroad_message_directory::pickup::decode(file.as_bytes(), &rules);
        }
    }
}

#[test]
fn a_value_that_would_end_its_line_is_refused() {
    let jane = Recipient::new(Address::parse("jane@contoso.com").unwrap());
    let mut injected = Injected::new(Envelope::new(ReversePath::Null, vec![jane]));
    injected.origin.source = Some("a\r\nX-Receiver: <evil@example.org>".to_owned());
    let refused = replay::encode(&injected, b"", AddressForm::Imcea, &domain());
    assert_eq!(refused, Err(EncodeError::Value { name: "X-Source" }));
}

#[test]
fn only_organisation_fields_are_kept_from_the_gateway() {
    let sender = Mailbox::parse("jane@contoso.com").unwrap();
    let fax = Recipient::new(Address::parse("FAX:1").unwrap());
    let envelope = Envelope::new(ReversePath::Mailbox(sender), vec![fax]);
    let content =
        b"Received: a\r\nX-MS-Exchange-Organization-SCL: 1\r\nResent-To: b@c.example\r\n\r\nbody\r\n"
            .to_vec();
    let file = drop::encode(&envelope, &Content::from(content), &drop::Rules::new(domain())).unwrap();
    let (_, body) = drop::decode(file.in_memory().unwrap(), &domain()).unwrap();
    assert_eq!(body.in_memory().unwrap(), b"Received: a\r\nResent-To: b@c.example\r\n\r\nbody\r\n");
}

#[test]
fn a_body_without_header_does_not_join_the_block() {
    let jane = Recipient::new(Address::parse("jane@contoso.com").unwrap());
    let envelope = Envelope::new(ReversePath::Null, vec![jane]);
    let file =
        drop::encode(&envelope, &Content::from(b" indented\r\n".to_vec()), &drop::Rules::new(domain()))
            .unwrap();
    let (_, body) = drop::decode(file.in_memory().unwrap(), &domain()).unwrap();
    assert_eq!(body.in_memory().unwrap(), b"\r\n indented\r\n");
}
