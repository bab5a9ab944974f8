//! Load balancers, fronts and LMTP: who is believed about a client, and who is not.

use postroad_message::Body;
use postroad_smtp_server::{PermissionGroup, ReceiveConnector, ReceiveProtocol, TlsMaterial};

use crate::house::{House, connector, settings};

/// Relays for 192.0.2.37 and for jane.
fn behind_a_front(change: impl FnOnce(&mut ReceiveConnector)) -> ReceiveConnector {
    let mut connector = connector("Front");
    connector.permission_groups = vec![PermissionGroup::ExchangeUsers];
    connector.relay_ip_ranges = vec!["192.0.2.37".parse().expect("an address")];
    change(&mut connector);
    connector
}

fn behind_a_load_balancer() -> ReceiveConnector {
    behind_a_front(|connector| {
        connector.proxy_protocol_ip_ranges = vec!["127.0.0.1".parse().expect("an address")]
    })
}

#[tokio::test]
async fn the_client_is_whom_the_load_balancer_names() {
    let house = House::with(behind_a_load_balancer()).await;
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x25\x0a\x00\x00\x01\x9c\x40\x00\x19";
    let mut caller = house.dial().await;
    caller.say("PROXY TCP4 192.0.2.37 10.0.0.1 40000 25\r\n").await;
    caller.expect("220 ").await;
    caller.ask("EHLO app01", "250").await;
    caller.send_one("bob@elsewhere.net").await;
    let mut caller = house.dial().await;
    tokio::io::AsyncWriteExt::write_all(&mut caller.stream, second).await.unwrap();
    caller.expect("220 ").await;
    caller.ask("EHLO app01", "250").await;
    caller.send_one("bob@elsewhere.net").await;
    for (client, ..) in house.messages() {
        assert_eq!(client.peer, "192.0.2.37:40000".parse().unwrap());
        assert_eq!(client.local, "10.0.0.1:25".parse().unwrap());
        assert_eq!(client.through.map(|front| front.ip()), Some([127, 0, 0, 1].into()));
    }
    assert_eq!(house.messages().len(), 2);
}

#[tokio::test]
async fn a_load_balancer_gives_no_right_of_its_own() {
    let mut connector = behind_a_load_balancer();
    connector.relay_ip_ranges.push("127.0.0.1".parse().unwrap());
    let house = House::with(connector).await;
    let mut caller = house.dial().await;
    caller.say("PROXY TCP6 ::ffff:198.51.100.1 ::1 40000 25\r\nEHLO evil\r\n").await;
    caller.expect("220 ").await;
    caller.expect("250").await;
    caller.ask("MAIL FROM:<>", "250 ").await;
    caller.ask("RCPT TO:<bob@elsewhere.net>", "550 5.7.1 ").await;
    caller.ask("PROXY TCP4 192.0.2.37 10.0.0.1 40000 25", "554 5.5.1 ").await;
    assert_eq!(caller.reply().await, None);
}

#[tokio::test]
async fn a_client_whom_the_load_balancer_does_not_know_has_no_right_and_its_health_check_has() {
    let mut connector = behind_a_load_balancer();
    connector.relay_ip_ranges.push("127.0.0.1".parse().unwrap());
    connector.xclient_ip_ranges = vec!["0.0.0.0/0".parse().unwrap()];
    let house = House::with(connector).await;
    let second = "\r\n\r\n\0\r\nQUIT\n";
    for (header, recipient, xclient) in [
        ("PROXY UNKNOWN\r\n".to_owned(), "550 5.7.1 ", false),
        (format!("{second}\x21\0\0\0"), "550 5.7.1 ", false),
        (format!("{second}\x20\0\0\0"), "250 ", true),
    ] {
        let mut caller = house.dial().await;
        caller.say(&header).await;
        caller.expect("220 ").await;
        assert_eq!(caller.ask("EHLO a", "250").await.contains("XCLIENT"), xclient, "{header:?}");
        caller.ask("MAIL FROM:<>", "250 ").await;
        caller.ask("RCPT TO:<bob@elsewhere.net>", recipient).await;
    }
}

#[tokio::test]
async fn a_front_that_says_no_address_lends_its_client_no_right() {
    let house = House::with(behind_a_front(|connector| {
        connector.xclient_ip_ranges = vec!["127.0.0.1".parse().unwrap()];
        connector.relay_ip_ranges.push("127.0.0.1".parse().unwrap());
    }))
    .await;
    let mut caller = house.connect().await;
    caller.ask("XCLIENT NAME=app01.contoso.com", "220 ").await;
    caller.ask("EHLO app01", "250").await;
    caller.ask("MAIL FROM:<>", "250 ").await;
    caller.ask("RCPT TO:<bob@elsewhere.net>", "550 5.7.1 ").await;
}

#[tokio::test]
async fn without_its_header_not_a_word_is_heard() {
    let house = House::with(behind_a_load_balancer()).await;
    for wire in ["EHLO evil\r\nMAIL FROM:<>\r\n", "PROXY TCP4 192.0.2.37\r\nEHLO evil\r\n"] {
        let mut caller = house.dial().await;
        caller.say(wire).await;
        caller.expect("554 5.5.1 ").await;
        assert_eq!(caller.reply().await, None, "{wire}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let house = House::with(behind_a_load_balancer()).await;
    let mut caller = house.dial().await;
    caller.say("PROXY TCP4 192.0.2.37").await;
    caller.expect("421 4.4.2 ").await;
    assert_eq!(caller.reply().await, None);
}

#[tokio::test]
async fn a_header_from_anybody_else_ends_the_connection() {
    let house = House::with(behind_a_front(|_| ())).await;
    let mut caller = house.connect().await;
    caller.ask("PROXY TCP4 192.0.2.37 10.0.0.1 40000 25\r\nEHLO evil", "554 5.5.1 ").await;
    assert_eq!(caller.reply().await, None);
}

#[tokio::test]
async fn each_client_behind_a_load_balancer_is_a_source_of_its_own() {
    let mut connector = behind_a_load_balancer();
    connector.max_inbound_connection_per_source = Some(1);
    let house = House::with(connector).await;
    let mut held = Vec::new();
    for (client, answer) in [(37, "220 "), (38, "220 "), (37, "421 4.3.2 "), (39, "220 ")] {
        let mut caller = house.dial().await;
        caller.say(&format!("PROXY TCP4 192.0.2.{client} 10.0.0.1 40000 25\r\n")).await;
        caller.expect(answer).await;
        held.push(caller);
    }
}

#[tokio::test]
async fn a_front_says_for_whom_it_speaks() {
    let named =
        |connector: &mut ReceiveConnector| connector.xclient_ip_ranges = vec!["127.0.0.0/8".parse().unwrap()];
    let house = House::with(behind_a_front(named)).await;
    let mut caller = house.connect().await;
    assert!(caller.ask("EHLO front", "250").await.contains("\r\n250 XCLIENT NAME ADDR PORT "));
    caller.ask("XCLIENT ADDR=198.51.100.1 PORT=40000 LOGIN=jane", "220 ").await;
    caller.ask("EHLO app01", "250").await;
    caller.send_one("bob@elsewhere.net").await;
    let (client, ..) = house.messages().remove(0);
    assert_eq!((client.peer, client.user.as_deref()), ("198.51.100.1:40000".parse().unwrap(), Some("jane")));
    caller.ask("XCLIENT ADDR=192.0.2.37", "502 ").await;

    for (told, answer) in
        [("ADDR=192.0.2.37", "250 "), ("ADDR=192.0.2.38", "550 "), ("ADDR=[UNAVAILABLE]", "550 ")]
    {
        let mut caller = house.connect().await;
        caller.ask(&format!("XCLIENT {told}"), "220 ").await;
        caller.ask("EHLO app01", "250").await;
        caller.ask("MAIL FROM:<>", "250 ").await;
        caller.ask("RCPT TO:<bob@elsewhere.net>", answer).await;
    }
}

#[tokio::test]
async fn a_client_whom_a_front_names_counts_as_his_own_source() {
    let house = House::with(behind_a_front(|connector| {
        connector.xclient_ip_ranges = vec!["127.0.0.1".parse().unwrap()];
        connector.max_inbound_connection_per_source = Some(1);
    }))
    .await;
    let mut first = house.connect().await;
    first.ask("XCLIENT ADDR=192.0.2.37", "220 ").await;
    first.ask("XCLIENT HELO=app01", "220 ").await;
    let mut second = house.connect().await;
    second.ask("XCLIENT ADDR=192.0.2.37", "421 4.3.2 Too many connections").await;
    assert_eq!(second.reply().await, None);
    for unknown in ["192.0.2.38", "[UNAVAILABLE]", "[UNAVAILABLE]"] {
        let mut other = house.connect().await;
        other.ask(&format!("XCLIENT ADDR={unknown}"), "220 ").await;
        first.ask("NOOP", "250 ").await;
    }
}

#[tokio::test]
async fn a_client_whom_a_front_names_has_his_own_share_of_the_memory_for_content() {
    for proxied in [false, true] {
        let mut tight = settings();
        tight.max_content_in_memory = 100_000;
        let front = vec!["127.0.0.1".parse().unwrap()];
        let named = behind_a_front(|connector| {
            connector.permission_groups.push(PermissionGroup::AnonymousUsers);
            let ranges = if proxied {
                &mut connector.proxy_protocol_ip_ranges
            } else {
                &mut connector.xclient_ip_ranges
            };
            *ranges = front;
        });
        let house = House::open(vec![(named, TlsMaterial::none())], tight).await;
        let mut open = Vec::new();
        for (client, reply) in [(37, "250 "), (37, "250 "), (37, "452 4.3.1 "), (38, "250 ")] {
            let mut caller = house.dial().await;
            if proxied {
                caller.say(&format!("PROXY TCP4 192.0.2.{client} 10.0.0.1 40000 25\r\n")).await;
                caller.expect("220 ").await;
            } else {
                caller.expect("220 ").await;
                caller.ask(&format!("XCLIENT ADDR=192.0.2.{client}"), "220 ").await;
            }
            caller.ask("EHLO a", "250-").await;
            caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
            caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
            caller.say(&format!("BDAT 25000\r\n{}", "x".repeat(25_000))).await;
            caller.expect(reply).await;
            open.push(caller);
        }
    }
}

#[tokio::test]
async fn a_front_may_open_many_connections_before_it_names_a_client() {
    for proxied in [false, true] {
        let house = House::with(behind_a_front(|connector| {
            connector.xclient_ip_ranges = vec!["127.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap()];
            if proxied {
                connector.proxy_protocol_ip_ranges = vec!["127.0.0.1".parse().unwrap()];
            }
            connector.max_inbound_connection = Some(30);
            connector.max_inbound_connection_per_source = Some(2);
        }))
        .await;
        let mut burst = Vec::new();
        for _ in 0..30 {
            let mut caller = house.dial().await;
            if proxied {
                caller.say("PROXY TCP4 192.0.2.1 10.0.0.1 40000 25\r\n").await;
            }
            caller.expect("220 ").await;
            burst.push(caller);
        }
        // In all there are as many as the connector has, whoever asks.
        house.dial().await.expect("421 4.3.2 ").await;
        // Each client is counted by what it is itself: at two per cent of few that remain, one connection.
        for (caller, (client, answer)) in
            burst.iter_mut().zip([(37, "220 "), (38, "220 "), (37, "421 4.3.2 ")])
        {
            caller.ask(&format!("XCLIENT ADDR=192.0.2.{client}"), answer).await;
        }
    }
}

#[tokio::test]
async fn nobody_else_may() {
    let house = House::with(behind_a_front(|_| ())).await;
    let mut caller = house.connect().await;
    assert!(!caller.ask("EHLO evil", "250").await.contains("XCLIENT"));
    caller.ask("XCLIENT ADDR=192.0.2.37", "502 5.5.1 ").await;
    caller.ask("MAIL FROM:<>", "250 ").await;
    caller.ask("RCPT TO:<bob@elsewhere.net>", "550 5.7.1 ").await;
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let mut delivery = connector("Delivery");
    delivery.protocol = ReceiveProtocol::Lmtp;
    let house = House::with(delivery).await;
    let mut caller = house.connect().await;
    caller.ask("EHLO a", "500 ").await;
    caller.ask("LHLO a", "250").await;
    caller.ask("MAIL FROM:<> BODY=BINARYMIME", "250 ").await;
    for recipient in ["jane", "joe"] {
        caller.ask(&format!("RCPT TO:<{recipient}@contoso.com>"), "250 ").await;
    }
    caller.say("BDAT 7 LAST\r\nA: b\r\n\n").await;
    caller.expect("550 5.5.2 ").await;
    caller.expect("550 5.5.2 ").await;

    let mut caller = house.connect().await;
    caller.ask("LHLO a", "250").await;
    caller.ask("MAIL FROM:<> BODY=BINARYMIME", "250 ").await;
    for recipient in ["jane", "joe"] {
        caller.ask(&format!("RCPT TO:<{recipient}@contoso.com>"), "250 ").await;
    }
    caller.say("BDAT 11 LAST\r\nA: b\r\n\r\n\n\0\n").await;
    caller.expect("250 2.6.0 Queued as id-1").await;
    caller.expect("250 2.6.0 Queued as id-1").await;
    let (client, envelope, content) = house.messages().remove(0);
    assert!(client.lmtp && envelope.body == Body::BinaryMime);
    assert_eq!(content.in_memory().unwrap(), b"A: b\r\n\r\n\n\0\n");
}
