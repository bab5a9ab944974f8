//! Which message goes over which connection, and that nothing half read is ever used again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use postroad_message::Outcome;
use postroad_smtp_client::{
    Authentication, Credential, Destination, EightBitContent, Hosts, Secret, TlsPolicy, Verification,
};
use rustls::ServerConfig;

use crate::pretend::{Authority, Behaviour, Pretend, builder, by_mx, client, deliver, mx_hosts, words};

fn connections(server: &Pretend) -> usize {
    server.seen(|seen| seen.connections)
}

#[tokio::test]
async fn a_connection_carries_twenty_messages_and_not_a_word_more_than_they_need() {
    let server = Pretend::start(Behaviour::default()).await;
    let client = client();
    for _ in 0..41 {
        assert_eq!(words(&deliver(&client, &server.destination(), &["a@b.test"]).await), ["delivered"]);
    }
    assert_eq!(connections(&server), 3);
    server.ended(2).await;
    assert_eq!((server.heard("EHLO"), server.heard("QUIT")), (3, 2));
    assert_eq!((server.heard("NOOP"), server.heard("RSET")), (0, 0));
    client.close_idle().await;
    server.ended(3).await;
    assert_eq!(server.heard("QUIT"), 3);
}

#[tokio::test]
async fn a_refused_message_costs_a_rset_and_not_the_connection() {
    let replies = [("RCPT TO:<no@", "550 5.1.1 unknown\r\n")];
    let server = Pretend::start(Behaviour { replies: replies.into(), ..Behaviour::default() }).await;
    let client = client();
    for (to, expected) in [("no@b.test", "failed 5.1.1 at RCPT TO"), ("a@b.test", "delivered")] {
        assert_eq!(words(&deliver(&client, &server.destination(), &[to]).await), [expected]);
    }
    assert_eq!((connections(&server), server.heard("RSET")), (1, 1));
}

#[tokio::test]
async fn whoever_wants_other_terms_gets_another_connection() {
    fn login(name: &str, password: &str) -> Option<Authentication> {
        let mut login = Authentication::new(Credential::new(name, Secret::new(password)));
        login.clear_text_allowed = true;
        Some(login)
    }
    type Change = fn(&mut Destination);
    let server = Pretend::start(Behaviour { capabilities: vec!["AUTH PLAIN"], ..Behaviour::default() }).await;
    let client = client();
    deliver(&client, &server.destination(), &["a@b.test"]).await;
    let changes: &[(&str, Change)] = &[
        ("nothing", |_| {}),
        ("only what is asked for each message anew", |d| d.inactivity_timeout = Duration::from_secs(60)),
        ("a policy", |d| d.tls = TlsPolicy::Never),
        ("a login", |d| d.authentication = login("tim", "pw")),
        ("another user", |d| d.authentication = login("jane", "pw")),
        ("another password", |d| d.authentication = login("tim", "changed")),
        ("another name of ours", |d| d.hello_name = "other.test".parse().expect("a domain")),
        ("HELO", |d| d.force_helo = true),
        ("where it leaves from", |d| d.source_address = Some([127, 0, 0, 3].into())),
        ("what is done about 8-bit content", |d| d.eight_bit_content = EightBitContent::SendAsItIs),
    ];
    let mut expected = 1;
    for (what, change) in changes {
        let mut destination = server.destination();
        change(&mut destination);
        for _ in 0..2 {
            assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), ["delivered"], "{what}");
        }
        expected += usize::from(!what.starts_with("nothing") && !what.starts_with("only"));
        assert_eq!(connections(&server), expected, "{what}");
    }
    let mut required = server.destination();
    required.tls = TlsPolicy::required(Verification::EncryptionOnly);
    let outcomes = deliver(&client, &required, &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["deferred 4.7.4 at EHLO"], "clear text is no stand-in for TLS");
}

#[tokio::test]
async fn a_connection_that_the_server_gave_up_costs_nobody_anything() {
    for farewell in ["", "421 4.3.2 enough for today\r\n", "250 you did not ask\r\n", "25"] {
        let behaviour = Behaviour { farewell: Some((1, farewell)), ..Behaviour::default() };
        let server = Pretend::start(behaviour).await;
        let client = builder(mx_hosts(1)).build().expect("a client");
        for n in 1..=3 {
            let outcomes = deliver(&client, &by_mx(server.address.port()), &["a@b.test"]).await;
            assert_eq!(words(&outcomes), ["delivered"], "message {n} after {farewell:?}");
        }
        assert_eq!(server.seen(|seen| (seen.connections, seen.messages.len())), (3, 3), "{farewell:?}");
    }
}

/// Behaves until the first message is through.
async fn second_message(at: &'static str, reply: &'static str) -> (Pretend, Vec<Outcome>) {
    let server = Pretend::start(Behaviour { second: Some((at, reply)), ..Behaviour::default() }).await;
    let client = client();
    assert_eq!(words(&deliver(&client, &server.destination(), &["a@b.test"]).await), ["delivered"]);
    let outcomes = deliver(&client, &server.destination(), &["a@b.test", "c@b.test"]).await;
    (server, outcomes)
}

#[tokio::test]
async fn a_kept_connection_that_fails_is_replaced_and_one_that_answers_is_believed() {
    const HANGS_UP: &str = "";
    for (at, reply, expected, connections) in [
        ("MAIL", HANGS_UP, "delivered", 2),
        ("RCPT", HANGS_UP, "delivered", 2),
        ("DATA", HANGS_UP, "delivered", 2),
        ("MAIL", "421 4.7.0 no more than one message\r\n", "delivered", 2),
        ("DATA", "421 4.7.0 no more than one message\r\n", "delivered", 2),
        ("MAIL", "451 4.3.0 later\r\n", "deferred 4.3.0 at MAIL FROM", 1),
        ("RCPT", "550 5.1.1 no\r\n", "failed 5.1.1 at RCPT TO", 1),
        // It may have been taken: never twice.
        (".", HANGS_UP, "ambiguous 4.4.2 at final dot", 1),
    ] {
        let (server, outcomes) = second_message(at, reply).await;
        assert_eq!(words(&outcomes), [expected, expected], "{reply:?} at {at}");
        assert_eq!(self::connections(&server), connections, "{reply:?} at {at}");
    }
}

#[tokio::test]
async fn what_waits_too_long_hears_quit() {
    let server = Pretend::start(Behaviour::default()).await;
    let client = client();
    let mut destination = server.destination();
    destination.inactivity_timeout = Duration::from_millis(1);
    deliver(&client, &destination, &["a@b.test"]).await;
    server.ended(1).await;
    assert_eq!(server.heard("QUIT"), 1);
}

#[tokio::test]
async fn the_one_that_waits_longest_makes_room() {
    let (first, second) =
        (Pretend::start(Behaviour::default()).await, Pretend::start(Behaviour::default()).await);
    let client = builder(mx_hosts(0)).max_idle_connections(1).build().expect("a client");
    deliver(&client, &first.destination(), &["a@b.test"]).await;
    deliver(&client, &second.destination(), &["a@b.test"]).await;
    first.ended(1).await;
    deliver(&client, &second.destination(), &["a@b.test"]).await;
    assert_eq!((first.heard("QUIT"), connections(&second)), (1, 1));
}

#[tokio::test]
async fn the_last_clone_says_quit_on_its_way() {
    let server = Pretend::start(Behaviour::default()).await;
    let client = client();
    deliver(&client, &server.destination(), &["a@b.test"]).await;
    drop(client);
    server.ended(1).await;
    assert_eq!(server.heard("QUIT"), 1);
}

/// An application may have several runtimes, one for each of its tests say, and one client.
#[test]
fn a_connection_is_lent_in_the_runtime_alone_that_looks_after_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let serving = serving.expect("a runtime");
    let server = serving.block_on(Pretend::start(Behaviour::default()));
    let (first, second) = (runtime(), runtime());
    let client = first.block_on(async { client() });
    let send = |runtime: &tokio::runtime::Runtime| {
        runtime.block_on(async {
            assert_eq!(words(&deliver(&client, &server.destination(), &["a@b.test"]).await), ["delivered"]);
        });
    };
    // While the second is busy, nobody turns the wheels of the first.
    [&first, &second, &second, &first].into_iter().for_each(send);
    assert_eq!(connections(&server), 2);
    drop(first);
    [&second, &runtime()].into_iter().for_each(send);
    assert_eq!(connections(&server), 3);
}

/// What comes of it within so many polls; then it is dropped.
async fn polled<T>(mut polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// A server and how it is spoken to, for a delivery that is dropped somewhere.
struct Scene {
    name: &'static str,
    capabilities: Vec<&'static str>,
    tls: Option<Arc<ServerConfig>>,
    change: fn(&mut Destination),
    /// What the server answers to commands that begin so, and to the end of the content with more than one recipient.
    replies: Vec<(&'static str, &'static str)>,
}

fn scenes(tls: &Arc<ServerConfig>) -> Vec<Scene> {
    fn as_it_is(_: &mut Destination) {}
    fn behind_tls(destination: &mut Destination) {
        destination.tls = TlsPolicy::required(Verification::EncryptionOnly);
    }
    fn with_a_login(destination: &mut Destination) {
        behind_tls(destination);
        destination.authentication = Some(Authentication::new(Credential::new("tim", Secret::new("pw"))));
    }
    fn from_the_first_byte(destination: &mut Destination) {
        behind_tls(destination);
        destination.implicit_tls = true;
    }
    let plain =
        |name, capabilities| Scene { name, capabilities, tls: None, change: as_it_is, replies: vec![] };
    let tls = || Some(Arc::clone(tls));
    vec![
        plain("bare", vec![]),
        plain("pipelined", vec!["PIPELINING"]),
        plain("by BDAT", vec!["PIPELINING", "CHUNKING"]),
        Scene { change: |destination| destination.lmtp = true, ..plain("LMTP", vec!["PIPELINING"]) },
        Scene { change: |destination| destination.force_helo = true, ..plain("HELO", vec![]) },
        Scene { tls: tls(), change: behind_tls, ..plain("STARTTLS", vec!["STARTTLS"]) },
        Scene {
            tls: tls(),
            change: with_a_login,
            replies: vec![
                ("AUTH", "334 VXNlcm5hbWU6\r\n"),
                ("dGlt", "334 UGFzc3dvcmQ6\r\n"),
                ("cHc=", "235 2.7.0 in\r\n"),
            ],
            ..plain("STARTTLS and a login of three rounds", vec!["STARTTLS", "AUTH LOGIN", "PIPELINING"])
        },
        Scene { tls: tls(), change: from_the_first_byte, ..plain("implicit TLS", vec!["PIPELINING"]) },
    ]
}

#[tokio::test]
async fn a_delivery_dropped_at_any_await_leaves_nothing_half_read_behind() {
    let certificate = Authority::new().server("m1.test");
    for Scene { name, capabilities, tls, change, replies } in scenes(&certificate) {
        for warm in [false, true] {
            let mut to =
                Destination::new(Hosts::SmartHosts(Vec::new()), "hub.test".parse().expect("a domain"));
            change(&mut to);
            let server = Pretend::start(Behaviour {
                capabilities: capabilities.clone(),
                implicit_tls: to.implicit_tls,
                lmtp: to.lmtp,
                tls: tls.clone(),
                replies: replies.iter().copied().collect(),
                hesitates: true,
                ..Behaviour::default()
            })
            .await;
            let mut to = server.destination();
            change(&mut to);
            let client = client();
            let mut polls = 0;
            loop {
                if warm {
                    deliver(&client, &to, &["warm@b.test"]).await;
                } else {
                    client.close_idle().await;
                }
                let dropped = polled(polls, deliver(&client, &to, &["dropped@b.test"])).await;
                let outcomes = deliver(&client, &to, &["after@b.test"]).await;
                assert_eq!(words(&outcomes), ["delivered"], "{name}, after a drop at poll {polls}");
                if dropped.is_some() {
                    break;
                }
                polls += 1;
            }
            assert!(polls > 4, "{name}: {polls} polls");
            server.seen(|seen| {
                for (recipients, content) in &seen.messages {
                    assert_eq!(recipients.len(), 1, "{name}: {recipients:?}");
                    assert_eq!(content, b"Subject: x\r\n\r\n.hello\r\n", "{name}");
                }
                let after = seen.messages.iter().filter(|(to, _)| to[0] == "after@b.test").count();
                assert_eq!(after, polls + 1, "{name}: none lost and none twice");
            });
        }
    }
}
