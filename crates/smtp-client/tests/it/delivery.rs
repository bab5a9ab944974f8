//! Who gets which outcome, and over which host.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use postroad_message::{
    Content, DeliverBy, Envelope, Fault, Outcome, Priority, Recipient, ReversePath, Timestamp, WhenLate,
};
use postroad_smtp_client::{Authentication, Credential, Secret, Timeouts};

use crate::pretend::{
    Authority, Behaviour, Pretend, builder, by_mx, client, deliver, deliver_content, mx_hosts, words,
};

#[tokio::test]
async fn each_recipient_has_an_outcome_of_its_own() {
    let replies = [("RCPT TO:<no@", "550 5.1.1 unknown\r\n"), ("RCPT TO:<later@", "450 4.2.1 busy\r\n")];
    let server = Pretend::start(Behaviour { replies: replies.into(), ..Behaviour::default() }).await;
    let outcomes =
        deliver(&client(), &server.destination(), &["a@b.test", "no@b.test", "later@b.test"]).await;
    assert_eq!(words(&outcomes), ["delivered", "failed 5.1.1 at RCPT TO", "deferred 4.2.1 at RCPT TO"]);
    assert_eq!(
        server.seen(|seen| seen.messages.clone()),
        [(vec!["a@b.test".into()], b"Subject: x\r\n\r\n.hello\r\n".to_vec())]
    );
    let Outcome::Delivered(receipt) = &outcomes[0] else { panic!("not delivered") };
    assert_eq!(receipt.host, format!("[127.0.0.1]:{}", server.address.port()));
    assert_eq!(receipt.reply.as_ref().map(ToString::to_string).as_deref(), Some("250 fine"));
}

#[tokio::test]
async fn one_too_many_goes_in_another_transaction_at_once() {
    for capabilities in [vec![], vec!["PIPELINING"]] {
        let server =
            Pretend::start(Behaviour { capabilities, max_recipients: Some(2), ..Behaviour::default() }).await;
        let recipients = ["a@b.test", "c@b.test", "d@b.test", "e@b.test", "f@b.test"];
        let outcomes = deliver(&client(), &server.destination(), &recipients).await;
        assert_eq!(words(&outcomes), vec!["delivered"; 5]);
        assert_eq!(server.seen(|seen| (seen.connections, seen.messages.len())), (1, 3));
        let all: Vec<String> =
            server.seen(|seen| seen.messages.iter().flat_map(|(to, _)| to.clone()).collect());
        assert_eq!(all, recipients);
    }
}

#[tokio::test]
async fn a_large_message_arrives_whole_stuffed_or_from_where_it_lies() {
    let certificate = Authority::new().server("m1.test");
    for line in
        [&b".a line that begins with a dot and goes on a little\r\n"[..], b"a line that begins with none\r\n"]
    {
        let content = line.repeat(40_000);
        for (capabilities, tls) in [
            (vec![], None),
            (vec!["CHUNKING"], None),
            (vec!["STARTTLS"], Some(certificate.clone())),
            (vec!["STARTTLS", "CHUNKING"], Some(certificate.clone())),
        ] {
            let is_secured = tls.is_some();
            let server = Pretend::start(Behaviour { capabilities, tls, ..Behaviour::default() }).await;
            let client = client();
            for nth in 0..2 {
                let sending =
                    deliver_content(&client, &server.destination(), &["a@b.test"], content.clone()).await;
                let [Outcome::Delivered(receipt)] = sending.as_slice() else { panic!("{sending:?}") };
                assert_eq!(receipt.tls.is_some(), is_secured);
                assert!(server.seen(|seen| seen.messages[nth].1 == content));
            }
            assert_eq!(server.seen(|seen| seen.connections), 1);
        }
    }
}

#[tokio::test]
async fn lmtp_is_heard_for_each_recipient() {
    let server = Pretend::start(Behaviour { lmtp: true, ..Behaviour::default() }).await;
    let client = client();
    let mut destination = server.destination();
    destination.lmtp = true;
    for _ in 0..2 {
        let outcomes = deliver(&client, &destination, &["a@b.test", "c@b.test"]).await;
        assert_eq!(words(&outcomes), ["delivered", "delivered"]);
    }
    assert_eq!((server.heard("LHLO"), server.seen(|seen| seen.connections)), (1, 1));
}

/// Two hosts at one port: the first of them on 127.0.0.1, the second on 127.0.0.2.
pub(crate) async fn two_hosts(first: Behaviour) -> (Pretend, Pretend) {
    let first = Pretend::start(first).await;
    let second =
        Pretend::start_at(&format!("127.0.0.2:{}", first.address.port()), Behaviour::default()).await;
    (first, second)
}

#[tokio::test]
async fn the_next_host_stands_in_for_one_that_fails() {
    let at = |hangs_up_at| Behaviour { hangs_up_at: Some(hangs_up_at), ..Behaviour::default() };
    let says = |line, reply| Behaviour { replies: [(line, reply)].into(), ..Behaviour::default() };
    for (name, behaviour) in [
        ("turned away", says("", "554 no\r\n")),
        ("busy", says("", "421 later\r\n")),
        ("no greeting but garbage", says("", "hello\r\n")),
        ("hangs up at EHLO", at("EHLO")),
        ("hangs up at MAIL", at("MAIL")),
        ("hangs up at RCPT", at("RCPT")),
        ("hangs up at DATA", at("DATA")),
        ("421 at RCPT", says("RCPT", "421 4.3.2 later\r\n")),
    ] {
        let (first, second) = two_hosts(behaviour).await;
        let client = builder(mx_hosts(2)).build().expect("a client");
        let outcomes = deliver(&client, &by_mx(first.address.port()), &["a@b.test", "c@b.test"]).await;
        assert_eq!(words(&outcomes), ["delivered", "delivered"], "{name}");
        assert_eq!(
            (first.seen(|seen| seen.connections), second.seen(|seen| seen.messages.len())),
            (1, 1),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_is_passed_over() {
    let second = Pretend::start_at("127.0.0.2:0", Behaviour::default()).await;
    let client = builder(mx_hosts(2)).build().expect("a client");
    let outcomes = deliver(&client, &by_mx(second.address.port()), &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["delivered"]);
    let Outcome::Delivered(receipt) = &outcomes[0] else { panic!("not delivered") };
    assert_eq!(receipt.host, format!("m2.test [127.0.0.2]:{}", second.address.port()));
}

#[tokio::test]
async fn answers_of_one_host_are_not_asked_of_the_next() {
    let (first, second) =
        two_hosts(Behaviour { replies: [("RCPT", "550 5.1.1 no\r\n")].into(), ..Behaviour::default() }).await;
    let client = builder(mx_hosts(2)).build().expect("a client");
    let outcomes = deliver(&client, &by_mx(first.address.port()), &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["failed 5.1.1 at RCPT TO"]);
    assert_eq!(second.seen(|seen| seen.connections), 0);
}

#[tokio::test]
async fn lost_behind_the_final_dot_is_ambiguous_and_goes_nowhere_else() {
    let (first, second) = two_hosts(Behaviour { hangs_up_at: Some("."), ..Behaviour::default() }).await;
    let client = builder(mx_hosts(2)).build().expect("a client");
    let outcomes = deliver(&client, &by_mx(first.address.port()), &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["ambiguous 4.4.2 at final dot"]);
    assert_eq!(second.seen(|seen| seen.connections), 0);
}

#[tokio::test]
async fn no_host_at_all_leaves_everyone_deferred() {
    let server = Pretend::start(Behaviour::default()).await;
    let client = builder(mx_hosts(3)).build().expect("a client");
    let mut destination = by_mx(server.address.port());
    // An address that is none of ours: no connection can leave from it.
    destination.source_address = Some([203, 0, 113, 7].into());
    let outcomes = deliver(&client, &destination, &["a@b.test", "c@b.test"]).await;
    assert_eq!(words(&outcomes), ["deferred 4.4.1 at connecting", "deferred 4.4.1 at connecting"]);
}

#[tokio::test]
async fn every_stall_has_an_end() {
    let mut timeouts = Timeouts::default();
    let short = Duration::from_millis(50);
    (timeouts.greeting, timeouts.command, timeouts.data_start) = (short, short, short);
    (timeouts.data_block, timeouts.final_dot) = (short, short);
    for (silent_at, expected) in [
        ("EHLO", "deferred 4.4.2 at EHLO"),
        ("MAIL", "deferred 4.4.2 at MAIL FROM"),
        ("RCPT", "deferred 4.4.2 at RCPT TO"),
        ("DATA", "deferred 4.4.2 at DATA"),
        (".", "ambiguous 4.4.2 at final dot"),
    ] {
        let server = Pretend::start(Behaviour { silent_at: Some(silent_at), ..Behaviour::default() }).await;
        let client = builder(mx_hosts(0)).timeouts(timeouts).build().expect("a client");
        assert_eq!(
            words(&deliver(&client, &server.destination(), &["a@b.test"]).await),
            [expected],
            "{silent_at}"
        );
    }
    let mute = Behaviour { replies: [("", "")].into(), ..Behaviour::default() };
    let server = Pretend::start(mute).await;
    let client = builder(mx_hosts(0)).timeouts(timeouts).build().expect("a client");
    assert_eq!(
        words(&deliver(&client, &server.destination(), &["a@b.test"]).await),
        ["deferred 4.4.2 at greeting"]
    );
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_the_content_is_heard() {
    let refuses_content = Some("552 5.3.4 too large\r\n");
    let server = Pretend::start(Behaviour { refuses_content, ..Behaviour::default() }).await;
    let content = b"a line that is not stuffed at all, and is a little long\r\n".repeat(200_000);
    let outcomes = deliver_content(&client(), &server.destination(), &["a@b.test"], content).await;
    // A reset may overtake the words; then the mail waits.
    let words = words(&outcomes);
    assert!(
        words[0].starts_with("failed 5.3.4") || words[0] == "deferred 4.4.2 at sending the content",
        "{words:?}"
    );
}

#[tokio::test]
async fn a_refused_login_is_tried_at_one_host_only() {
    let refuses = Behaviour {
        capabilities: vec!["AUTH PLAIN"],
        replies: [("AUTH", "535 5.7.8 wrong\r\n")].into(),
        ..Behaviour::default()
    };
    let (first, second) = two_hosts(refuses).await;
    let client = builder(mx_hosts(2)).build().expect("a client");
    let mut destination = by_mx(first.address.port());
    let mut authentication = Authentication::new(Credential::new("tim", Secret::new("pw")));
    authentication.clear_text_allowed = true;
    destination.authentication = Some(authentication);
    let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["deferred 4.7.8 at AUTH"]);
    assert_eq!(outcomes[0].failure().map(|failure| failure.fault), Some(Fault::Configuration));
    assert_eq!((first.heard("AUTH"), first.heard("MAIL"), second.seen(|seen| seen.connections)), (1, 0, 0));
}

#[tokio::test]
async fn nobody_to_deliver_to_is_nothing_to_do() {
    assert!(deliver(&client(), &by_mx(9), &[]).await.is_empty());
}

#[tokio::test]
async fn a_message_that_is_to_come_back_when_late_is_counted_by_the_callers_calendar() {
    let server = Pretend::start(Behaviour {
        capabilities: vec!["DELIVERBY 5", "MT-PRIORITY"],
        ..Behaviour::default()
    })
    .await;
    let clock = Arc::new(AtomicI64::new(0));
    let hands = Arc::clone(&clock);
    let client = builder(mx_hosts(0))
        .calendar(move || Timestamp::from_unix_millis(hands.load(Ordering::Relaxed)))
        .build()
        .expect("a client");
    let recipients = [Recipient::new("a@b.test".parse().expect("an address"))];
    let mut envelope = Envelope::new(ReversePath::Null, recipients.to_vec());
    let deadline = Timestamp::from_unix_millis(60_000);
    envelope.deliver_by = Some(DeliverBy::new(deadline, WhenLate::Return));
    envelope.priority = Priority::new(4);
    let content = Content::from(b"Subject: x\r\n\r\n".to_vec());
    let to = server.destination();
    for (now, becomes) in [
        (1_000, "delivered"),
        (55_000, "delivered"),
        (56_000, "failed 5.4.7 at MAIL FROM"),
        (60_000, "failed 5.4.7 at waiting in the queue"),
    ] {
        clock.store(now, Ordering::Relaxed);
        assert_eq!(words(&client.deliver(&to, &envelope, &recipients, &content).await), [becomes], "{now}");
    }
    let said = |line: &str| server.heard(line);
    assert_eq!(said("MAIL FROM:<> BY=59;R MT-PRIORITY=4"), 1);
    assert_eq!((said("MAIL FROM:<> BY=5;R MT-PRIORITY=4"), said("MAIL")), (1, 2));
    assert_eq!(server.seen(|seen| seen.connections), 1, "refused before MAIL, the connection stays good");
}
