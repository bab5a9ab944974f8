//! Large messages, which are handed on in pieces while they come.

use std::sync::atomic::Ordering;

use tokio::net::TcpStream;

use crate::house::{Caller, connector, settings};
use crate::pieces::{ENVELOPE, House, LARGE, message};

#[tokio::test]
async fn a_large_message_is_handed_on_in_pieces_and_a_small_one_as_a_whole() {
    let house = House::usual().await;
    let (small, large) = (message("small", 100), message("large", 200_000));
    let mut caller = house.begun(&format!("DATA\r\n{small}.\r\n")).await;
    caller.expect("250 2.6.0 Queued as id-1").await;
    let mut caller = house.begun(&format!("DATA\r\n{large}.\r\n")).await;
    caller.expect("250 2.6.0 Queued as id-1").await;
    let by_count = format!("BDAT {} LAST\r\n{large}", large.len());
    house.begun(&by_count).await.expect("250 2.6.0 Queued as id-1").await;
    let all = house.pieces.all();
    assert!(all[0] == (None, small.into_bytes()));
    for (pieces, content) in &all[1..] {
        assert!(*content == large.as_bytes(), "to the byte");
        assert!(pieces.is_some_and(|pieces| pieces > 10), "{pieces:?}");
    }
    // What is large, and one read beyond.
    assert!(house.pieces.largest.load(Ordering::SeqCst) <= LARGE + 64 * 1024);
}

#[tokio::test]
async fn a_message_that_says_that_it_is_large_is_handed_on_from_its_first_piece_on() {
    let house = House::usual().await;
    let large = message("large", 50_000);
    let declared = ENVELOPE.replace("joe@contoso.com>", &format!("joe@contoso.com> SIZE={}", large.len()));
    let stream = TcpStream::connect(house.address).await.expect("it listens");
    let mut caller = Caller { stream, held: Vec::new() };
    caller.say(&format!("{declared}DATA\r\n{large}.\r\n")).await;
    for reply in ["220 ", "250", "250 2.1.0 ", "250 2.1.5 ", "250 2.1.5 ", "354 ", "250 2.6.0 "] {
        caller.expect(reply).await;
    }
    assert!(house.pieces.largest.load(Ordering::SeqCst) <= 192 * 1024);
    assert!(house.pieces.all()[0].1 == large.as_bytes());
}

#[tokio::test]
async fn who_does_not_want_pieces_gets_the_whole() {
    let house = House::usual().await;
    let whole = message("whole", 200_000);
    house.begun(&format!("DATA\r\n{whole}.\r\n")).await.expect("250 2.6.0 ").await;
    assert_eq!(house.pieces.begun.load(Ordering::SeqCst), 1, "asked once");
    assert!(house.pieces.all() == [(None, whole.into_bytes())]);
}

#[tokio::test]
async fn a_header_that_is_not_whole_is_waited_for_and_judged_as_ever() {
    let mut roomy = connector("Default");
    roomy.max_header_size = 2_000_000;
    roomy.max_hop_count = 60;
    let house = House::open(roomy, settings()).await;
    let field = |number: usize| format!("X-Field-{number}: {}\r\n", "x".repeat(900));
    let header: String = (0..700).map(field).collect();
    let hops = "Received: from a by b; x\r\n".repeat(61);
    for (message, reply) in [
        (format!("{header}\r\n{}", message("body", 20_000)), "250 2.6.0 "),
        (format!("{header}{hops}\r\n{}", message("body", 20_000)), "554 5.4.6 "),
        (format!("{header}{header}{header}{header}\r\n"), "552 5.3.4 "),
    ] {
        house.begun(&format!("DATA\r\n{message}.\r\n")).await.expect(reply).await;
        if reply.starts_with("250") {
            assert!(house.pieces.all()[0].1 == message.as_bytes());
        }
    }
    assert_eq!(house.pieces.begun.load(Ordering::SeqCst), 1, "nobody is asked before the header is judged");
}

#[tokio::test]
async fn what_is_refused_in_the_middle_is_thrown_away_and_answered_at_its_end() {
    let mut small = connector("Default");
    small.max_message_size = 2_000_000;
    let house = House::open(small, settings()).await;
    let large = message("a", 100_000);
    for (case, content, reply) in [
        ("no room at its begin", message("no room", 100_000), "452 4.3.1 "),
        ("no room in the middle", message("disk full", 100_000), "452 4.3.1 "),
        ("too large", message("a", 150_000), "552 5.3.4 "),
        ("a bare LF in the last piece", format!("{large}\nb\r\n"), "550 5.5.2 "),
    ] {
        let mut caller = house.begun(&format!("DATA\r\n{content}.\r\n")).await;
        caller.expect(reply).await;
        assert_eq!(house.pieces.under_way.load(Ordering::SeqCst), 0, "{case}");
        if !reply.starts_with("550") {
            caller.ask("RSET", "250 ").await;
        }
    }
    // By count the client may still give it up, or be told between two chunks.
    let chunk = format!("BDAT {}\r\n{large}", large.len());
    for (last, reply) in [("RSET", "250 2.0.0 Reset"), ("BDAT 900000 LAST", "552 5.3.4 ")] {
        let mut caller = house.begun(&chunk).await;
        caller.expect("250 2.0.0 ").await;
        assert_eq!(house.pieces.under_way.load(Ordering::SeqCst), 1);
        caller.say(&format!("{last}\r\n{}", "x".repeat(if last == "RSET" { 0 } else { 900_000 }))).await;
        caller.expect(reply).await;
        assert_eq!(house.pieces.under_way.load(Ordering::SeqCst), 0, "{last}");
    }
    assert!(house.pieces.all().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_nothing() {
    let house = House::usual().await;
    for end in ["DATA\r\n", "BDAT 9000000\r\n"] {
        let caller = house.begun(&format!("{end}{}", message("a", 50_000))).await;
        drop(caller);
        house.pieces.dropped.notified().await;
    }
    assert!(house.pieces.all().is_empty());
}

#[tokio::test]
async fn a_server_that_stops_throws_away_what_is_not_whole() {
    let mut hurried = settings();
    hurried.shutdown_grace = std::time::Duration::ZERO;
    let house = House::open(connector("Default"), hurried).await;
    let mut caller =
        house.begun(&format!("BDAT 800000\r\n{}", message("a", 50_000) + &"x".repeat(9_000))).await;
    while house.pieces.under_way.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    house.stop.send(()).expect("it runs");
    house.served.await.expect("it ends");
    assert_eq!(house.pieces.under_way.load(Ordering::SeqCst), 0);
    while caller.reply().await.is_some() {}
    assert!(house.pieces.all().is_empty());
}

/// A hundred that wait for a slow disk hold a piece each, however much their clients would send.
#[tokio::test]
async fn whoever_waits_for_the_disk_is_not_read_from() {
    let house = House::usual().await;
    house.pieces.gate.forget_permits(10_000);
    let mut callers = Vec::new();
    for _ in 0..20 {
        callers.push(house.begun("DATA\r\n").await);
    }
    let large = message("a", 100_000);
    let mut sending = tokio::task::JoinSet::new();
    for mut caller in callers {
        let wire = format!("{large}.\r\n");
        sending.spawn(async move {
            caller.say(&wire).await;
            caller.expect("250 2.6.0 ").await;
        });
    }
    while house.pieces.under_way.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    assert!(house.pieces.all().is_empty());
    house.pieces.gate.add_permits(10_000);
    while let Some(sent) = sending.join_next().await {
        sent.expect("it is sent");
    }
    assert_eq!(house.pieces.all().len(), 20);
    assert!(house.pieces.all().iter().all(|(_, content)| *content == large.as_bytes()));
}

/// What was handed on is in memory no longer.
#[tokio::test]
async fn content_that_was_handed_on_takes_no_room_in_memory() {
    let mut tight = settings();
    tight.max_content_in_memory = 1_000_000;
    let house = House::open(connector("Default"), tight).await;
    let large = message("a", 100_000);
    let declared =
        ENVELOPE.replace("contoso.com>\r\nRCPT TO:<jane", "contoso.com> SIZE=1500019\r\nRCPT TO:<jane");
    let stream = TcpStream::connect(house.address).await.expect("it listens");
    let mut caller = Caller { stream, held: Vec::new() };
    caller.say(&format!("{declared}DATA\r\n{large}.\r\n")).await;
    for reply in ["220 ", "250", "250 2.1.0 ", "250 2.1.5 ", "250 2.1.5 ", "354 ", "250 2.6.0 "] {
        caller.expect(reply).await;
    }
    let whole = message("whole", 100_000);
    house.begun(&format!("DATA\r\n{whole}.\r\n")).await.expect("452 4.3.1 ").await;
}
