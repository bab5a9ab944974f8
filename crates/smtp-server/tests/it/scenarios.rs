//! What an application, a stranger and a postmaster see.

use std::time::Duration;

use postroad_message::ReversePath;
use postroad_smtp_server::{AuthMechanism, PermissionGroup, TlsMaterial};

use crate::house::{House, connector, settings};

#[tokio::test]
async fn a_stranger_sends_to_an_accepted_domain_and_nowhere_else() {
    let house = House::with(connector("Default")).await;
    let mut caller = house.connect().await;
    caller.ask("EHLO app01", "250-hub01.contoso.com").await;
    caller.ask("MAIL FROM:<>", "250 2.1.0 ").await;
    for refused in [
        "bob@elsewhere.net",
        "bob%elsewhere.net@contoso.com",
        "bob@[127.0.0.1]",
        "IMCEASMTP-a+40b.c@contoso.com",
    ] {
        caller.ask(&format!("RCPT TO:<{refused}>"), "550 5.7.1 Unable to relay").await;
    }
    caller.ask("RCPT TO:<full@contoso.com>", "452 4.2.2 ").await;
    caller.ask("RCPT TO:<jane@contoso.com>", "250 2.1.5 ").await;
    caller.ask("RCPT TO:<postmaster>", "250 2.1.5 ").await;
    caller.ask("DATA", "354 ").await;
    caller.ask("Subject: a\r\n\r\n..dot\r\n.", "250 2.6.0 Queued as id-1").await;
    caller.ask("QUIT", "221 ").await;
    assert_eq!(caller.reply().await, None);
    let (client, envelope, content) = house.messages().remove(0);
    assert_eq!((client.connector.as_str(), client.hello_name.as_deref()), ("Default", Some("app01")));
    assert!(!client.may_relay && client.extended && client.user.is_none());
    assert_eq!(envelope.reverse_path, ReversePath::Null);
    let to: Vec<_> = envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
    assert_eq!(to, ["jane@contoso.com", "admin@contoso.com"]);
    assert_eq!(content.in_memory().unwrap(), b"Subject: a\r\n\r\n.dot\r\n");
}

#[tokio::test]
async fn the_relay_list_opens_the_world_and_the_fax() {
    let mut applications = connector("Applications");
    applications.permission_groups = Vec::new();
    applications.relay_ip_ranges = vec!["127.0.0.1".parse().unwrap()];
    let house = House::with(applications).await;
    let mut caller = house.connect().await;
    caller.ask("HELO app01", "250 ").await;
    caller.send_one("bob@elsewhere.net").await;
    caller.send_one("IMCEAFAX-+2B1+20425@contoso.com").await;
    let to: Vec<_> =
        house.messages().iter().map(|(_, envelope, _)| envelope.recipients[0].address.to_string()).collect();
    assert_eq!(to, ["bob@elsewhere.net", "FAX:+1 425"]);
}

#[tokio::test]
async fn nobody_may_send_through_a_connector_that_names_nobody() {
    let mut closed = connector("Closed");
    closed.permission_groups = Vec::new();
    let house = House::with(closed).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    caller.ask("RCPT TO:<jane@contoso.com>", "550 5.7.1 ").await;
    caller.ask("RCPT TO:<postmaster>", "550 5.7.1 ").await;
}

#[tokio::test]
async fn a_logon_opens_the_world_where_users_may() {
    let mut users = connector("Users");
    users.auth_mechanism = vec![AuthMechanism::BasicAuth];
    let house = House::with(users.clone()).await;
    let mut caller = house.connect().await;
    assert!(caller.ask("EHLO a", "250-").await.contains("\r\n250-AUTH PLAIN LOGIN\r\n"));
    caller.ask("AUTH PLAIN AGphbmUAd3Jvbmc=", "535 5.7.8 ").await;
    caller.ask("AUTH PLAIN AGphbmUAc2VjcmV0", "235 2.7.0 ").await;
    caller.send_one("bob@elsewhere.net").await;
    assert_eq!(house.messages()[0].0.user.as_deref(), Some("jane"));

    users.permission_groups = vec![PermissionGroup::AnonymousUsers];
    let house = House::with(users).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.ask("AUTH PLAIN AGphbmUAc2VjcmV0", "235 ").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    caller.ask("RCPT TO:<bob@elsewhere.net>", "550 5.7.1 ").await;
}

#[tokio::test]
async fn the_most_specific_remote_range_takes_the_connection() {
    let ranged = |name: &str, range: &str| {
        let mut connector = connector(name);
        connector.remote_ip_ranges = vec![range.parse().unwrap()];
        connector.banner = Some(format!("220 {name}"));
        (connector, TlsMaterial::none())
    };
    let all =
        vec![ranged("Everybody", "0.0.0.0/0"), ranged("Here", "127.0.0.1"), ranged("Near", "127.0.0.0/8")];
    let house = House::open(all, settings()).await;
    assert_eq!(house.dial().await.expect("220 ").await, "220 Here\r\n");
    let house = House::open(vec![ranged("Elsewhere", "192.0.2.0/24")], settings()).await;
    house.dial().await.expect("554 5.7.1 ").await;
}

#[tokio::test]
async fn a_source_has_its_number_of_connections() {
    let mut narrow = connector("Narrow");
    narrow.max_inbound_connection_per_source = Some(2);
    let house = House::with(narrow).await;
    let first = house.connect().await;
    let mut second = house.connect().await;
    house.dial().await.expect("421 4.3.2 ").await;
    drop(first);
    second.ask("NOOP", "250 ").await;
    // The place is free once the server has seen the end; until then it says 421.
    let mut third = loop {
        let mut caller = house.dial().await;
        if caller.reply().await.is_some_and(|reply| reply.starts_with("220 ")) {
            break caller;
        }
    };
    third.ask("NOOP", "250 ").await;
}

#[tokio::test]
async fn content_beyond_what_memory_allows_is_told_to_come_again() {
    let mut tight = settings();
    tight.max_content_in_memory = 100_000;
    let house = House::open(vec![(connector("Default"), TlsMaterial::none())], tight).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
    caller.ask("DATA", "354 ").await;
    let line = format!("{}\r\n", "x".repeat(70));
    caller.ask(&format!("{}.", line.repeat(3000)), "452 4.3.1 ").await;
    caller.send_one("jane@contoso.com").await;
    assert_eq!(house.messages().len(), 1);
}

#[tokio::test]
async fn a_local_fault_is_never_permanent() {
    let house = House::with(connector("Default")).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
    caller.ask("DATA", "354 ").await;
    caller.ask("Subject: disk full\r\n.", "452 4.3.1 ").await;
}

#[tokio::test]
async fn a_loop_is_cut() {
    let house = House::with(connector("Default")).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
    caller.ask("DATA", "354 ").await;
    let hops = "Received: from a by b; x\r\n".repeat(31);
    caller.ask(&format!("{hops}\r\n."), "554 5.4.6 ").await;
    assert!(house.messages().is_empty());
}

#[tokio::test(start_paused = true)]
async fn silence_and_sessions_that_last_for_ever_are_ended() {
    let house = House::with(connector("Default")).await;
    let mut silent = house.connect().await;
    let began = tokio::time::Instant::now();
    silent.expect("421 4.4.2 ").await;
    assert_eq!(silent.reply().await, None);
    assert_eq!(began.elapsed().as_secs() / 60, 5);

    let mut busy = house.connect().await;
    let began = tokio::time::Instant::now();
    let last = loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        busy.say("NOOP\r\n").await;
        match busy.reply().await {
            Some(reply) if reply.starts_with("250 ") => {}
            other => break other,
        }
    };
    assert!(last.is_some_and(|reply| reply.starts_with("421 4.4.2 ")));
    assert!((9..=11).contains(&(began.elapsed().as_secs() / 60)), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stranger_waits_for_his_refusal() {
    let mut slow = connector("Slow");
    slow.tarpit_interval = Duration::from_secs(5);
    slow.auth_tarpit_interval = Duration::from_secs(7);
    slow.auth_mechanism = vec![AuthMechanism::BasicAuth];
    let house = House::with(slow).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    let began = tokio::time::Instant::now();
    caller.ask("RCPT TO:<bob@elsewhere.net>", "550 ").await;
    assert_eq!(began.elapsed().as_secs(), 5);
    caller.ask("RSET", "250 ").await;
    let began = tokio::time::Instant::now();
    caller.ask("AUTH PLAIN AGphbmUAd3Jvbmc=", "535 ").await;
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn stalled_clients_do_not_keep_a_new_one_waiting() {
    let mut open = connector("Default");
    open.max_inbound_connection_per_source = None;
    open.max_inbound_connection_percentage_per_source = 100;
    let house = House::with(open).await;
    let mut idle = Vec::new();
    for index in 0..150 {
        let mut caller = house.connect().await;
        if index < 50 {
            caller.ask("HELO a", "250 ").await;
            caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
            caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
            caller.ask("DATA", "354 ").await;
            caller.say("half a li").await;
        }
        idle.push(caller);
    }
    let served = async {
        let mut caller = house.connect().await;
        caller.ask("HELO a", "250 ").await;
        caller.send_one("jane@contoso.com").await;
    };
    tokio::time::timeout(Duration::from_secs(10), served).await.expect("served within ten seconds");
    assert_eq!(house.messages().len(), 1);
}

#[tokio::test]
async fn the_last_reply_reaches_a_client_that_is_still_sending() {
    let mut small = connector("Small");
    small.max_message_size = 65_536;
    let house = House::with(small).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
    caller.ask("DATA", "354 ").await;
    // Twice the limit and a little: hung up on, with all that follows still on its way.
    caller.say(&"0123456789\r\n".repeat(65_536 * 3 / 12)).await;
    caller.expect("552 5.3.4 ").await;
    assert_eq!(caller.reply().await, None);
    assert!(house.messages().is_empty());
}
