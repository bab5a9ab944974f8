//! How often, how many, and who else may say no.

use std::sync::Arc;
use std::time::Duration;

use postroad_message::{Content, EnhancedStatus, Envelope, ReversePath};
use postroad_smtp_server::{
    BoxFuture, Client, MessageRateSource, NobodyLogsOn, Refusal, Server, Submit, TlsMaterial,
};
use tokio::net::TcpStream;

use crate::house::{Caller, House, connector, settings};

#[tokio::test(start_paused = true)]
async fn who_sends_more_a_minute_than_he_may_is_sent_away_and_may_come_back() {
    let mut limited = connector("Limited");
    limited.message_rate_limit = Some(3);
    limited.message_rate_source = MessageRateSource::IpAddress;
    let house = House::with(limited).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    for _ in 0..3 {
        caller.send_one("jane@contoso.com").await;
    }
    caller.ask("MAIL FROM:<joe@contoso.com>", "421 4.4.2 Message submission rate").await;
    assert_eq!(caller.reply().await, None);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.send_one("jane@contoso.com").await;
}

#[tokio::test(start_paused = true)]
async fn connections_are_counted_by_the_minute_over_all_connectors() {
    let mut limited = settings();
    limited.max_connection_rate_per_minute = Some(5);
    let house = House::open(vec![(connector("Default"), TlsMaterial::none())], limited).await;
    for _ in 0..5 {
        house.connect().await.ask("QUIT", "221 ").await;
    }
    house.dial().await.expect("421 4.3.2 ").await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    house.connect().await;
}

#[tokio::test]
async fn content_that_says_it_will_not_fit_is_refused_before_it_comes() {
    let mut tight = settings();
    tight.max_content_in_memory = 100_000;
    let house = House::open(vec![(connector("Default"), TlsMaterial::none())], tight).await;
    let mut caller = house.connect().await;
    caller.ask("EHLO a", "250-").await;
    for (size, reply) in [(99_999, "354 "), (100_001, "452 4.3.1 ")] {
        caller.ask(&format!("MAIL FROM:<joe@contoso.com> SIZE={size}"), "250 ").await;
        caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
        caller.ask("DATA", reply).await;
        if reply == "354 " {
            caller.ask("a\r\n.", "250 ").await;
        }
    }
    // It stays a transaction: who drops it may send another.
    caller.ask("RSET", "250 ").await;
    caller.send_one("jane@contoso.com").await;
}

#[tokio::test]
async fn a_chunk_that_was_taken_counts_while_its_client_is_silent() {
    let mut tight = settings();
    tight.max_content_in_memory = 100_000;
    let house = House::open(vec![(connector("Default"), TlsMaterial::none())], tight).await;
    let begun = async |size: u32| {
        let mut caller = house.connect().await;
        caller.ask("EHLO a", "250-").await;
        caller.ask(&format!("MAIL FROM:<joe@contoso.com> SIZE={size}"), "250 ").await;
        caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
        caller
    };
    let mut silent = begun(0).await;
    silent.say(&format!("BDAT 30000\r\n{}", "x".repeat(30_000))).await;
    silent.expect("250 2.0.0 30000 octets received").await;
    // Two of one source: together they leave as much to others as they take.
    begun(20_001).await.ask("DATA", "452 4.3.1 ").await;
    begun(20_000).await.ask("DATA", "354 ").await;
    silent.ask("RSET", "250 ").await;
    begun(100_000).await.ask("DATA", "354 ").await;
}

/// 127.0.0.2 is ours on Linux without more ado.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_source_with_twenty_connections_leaves_room_for_the_others() {
    let mut tight = settings();
    tight.max_content_in_memory = 100_000;
    let house = House::open(vec![(connector("Default"), TlsMaterial::none())], tight).await;
    let chunk_from = async |source: [u8; 4]| {
        let mut caller = house.connect_from(source).await;
        caller.ask("EHLO a", "250-").await;
        caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
        caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
        caller.say(&format!("BDAT 10000\r\n{}", "x".repeat(10_000))).await;
        let reply = caller.reply().await.expect("a reply");
        (reply[..3].to_owned(), caller)
    };
    let mut greedy = Vec::new();
    for _ in 0..20 {
        greedy.push(chunk_from([127, 0, 0, 2]).await);
    }
    let taken = greedy.iter().filter(|(reply, _)| reply == "250").count();
    assert!(greedy.iter().all(|(reply, _)| reply == "250" || reply == "452"));
    assert_eq!(taken, 5);
    let (reply, mut caller) = chunk_from([127, 0, 0, 1]).await;
    assert_eq!(reply, "250");
    caller.say(&format!("BDAT 40000 LAST\r\n{}", "1234567\r\n".repeat(4444) + "12\r\n")).await;
    caller.expect("250 2.6.0 ").await;
}

#[tokio::test]
async fn a_message_that_came_in_one_piece_counts_before_it_is_taken() {
    let mut tight = settings();
    tight.max_content_in_memory = 100_000;
    let house = House::open(vec![(connector("Default"), TlsMaterial::none())], tight).await;
    let envelope = "EHLO a\r\nMAIL FROM:<joe@contoso.com>\r\nRCPT TO:<jane@contoso.com>\r\n";
    let lines = "1234567\r\n".repeat(5_000);
    let mut silent = house.connect().await;
    silent.say(&format!("{envelope}BDAT 60000\r\n{}", "x".repeat(60_000))).await;
    for reply in ["250-", "250 2.1.0 ", "250 2.1.5 ", "250 2.0.0 60000 octets received"] {
        silent.expect(reply).await;
    }
    let mut caller = house.connect().await;
    caller.say(&format!("{envelope}BDAT 45000 LAST\r\n{lines}")).await;
    for reply in ["250-", "250 2.1.0 ", "250 2.1.5 ", "452 4.3.1 "] {
        caller.expect(reply).await;
    }
    silent.ask("RSET", "250 ").await;
    caller.say(&format!("{envelope}BDAT 45000 LAST\r\n{lines}")).await;
    for reply in ["250-", "250 2.1.0 ", "250 2.1.5 ", "250 2.6.0 "] {
        caller.expect(reply).await;
    }
    assert_eq!(house.messages().len(), 1);
}

#[tokio::test]
async fn the_rest_of_too_many_recipients_is_for_another_message() {
    let mut few = connector("Few");
    few.max_recipients_per_message = 2;
    let house = House::with(few).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    for (index, reply) in ["250 ", "250 ", "452 4.5.3 ", "452 4.5.3 "].into_iter().enumerate() {
        caller.ask(&format!("RCPT TO:<u{index}@contoso.com>"), reply).await;
    }
    caller.ask("DATA", "354 ").await;
    caller.ask("a\r\n.", "250 ").await;
    assert_eq!(house.messages()[0].1.recipients.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_kept_busy_ends_in_its_time_all_the_same() {
    let mut slow = connector("Slow");
    slow.tarpit_interval = Duration::from_secs(30);
    slow.connection_timeout = Duration::from_secs(100);
    slow.connection_inactivity_timeout = Duration::from_secs(99);
    let house = House::with(slow).await;
    let mut caller = house.connect().await;
    caller.ask("HELO a", "250 ").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    caller.say(&"RCPT TO:<bob@elsewhere.net>\r\n".repeat(50)).await;
    for _ in 0..4 {
        caller.expect("550 5.7.1 ").await;
    }
    caller.expect("421 4.4.2 The session took too long").await;
    assert_eq!(caller.reply().await, None);
}

/// Says no to one word at each step.
struct Picky(u16);

impl Picky {
    fn judge(&self, step: u16, text: &str) -> BoxFuture<'_, Result<(), Refusal>> {
        let refused = self.0 == step && text.contains("spam");
        let refusal = Refusal::new(554, EnhancedStatus::permanent(7, 1), "Not from you");
        Box::pin(async move { if refused { Err(refusal) } else { Ok(()) } })
    }
}

impl Submit for Picky {
    fn accept_client<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<(), Refusal>> {
        self.judge(0, &format!("spam from {}", client.peer))
    }

    fn accept_hello<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<(), Refusal>> {
        self.judge(1, client.hello_name.as_deref().unwrap_or_default())
    }

    fn accept_sender<'a>(
        &'a self,
        _: &'a Client,
        reverse_path: &'a ReversePath,
        size: Option<u64>,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        assert_eq!(size, Some(7));
        self.judge(2, &reverse_path.to_string())
    }

    fn accept_message<'a>(
        &'a self,
        _: &'a Client,
        _: Envelope,
        _: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async { Ok("id".to_owned()) })
    }
}

#[tokio::test]
async fn an_embedder_may_refuse_the_client_its_name_and_its_sender() {
    let steps = ["", "EHLO spam", "MAIL FROM:<spam@elsewhere.net> SIZE=7"];
    for (step, line) in (0u16..).zip(steps) {
        let connectors = vec![(connector("Default"), TlsMaterial::none())];
        let server = Server::bind(connectors, settings(), Arc::new(Picky(step)), Arc::new(NobodyLogsOn));
        let server = server.await.expect("it binds");
        let address = server.local_addrs()[0];
        tokio::spawn(server.serve(std::future::pending()));
        let mut caller =
            Caller { stream: TcpStream::connect(address).await.expect("it listens"), held: Vec::new() };
        if step == 0 {
            caller.expect("554 5.7.1 Not from you").await;
            assert_eq!(caller.reply().await, None);
            continue;
        }
        caller.expect("220 ").await;
        if step == 2 {
            caller.ask("EHLO ham", "250-").await;
        }
        caller.ask(line, "554 5.7.1 Not from you").await;
        caller.ask("NOOP", "250 ").await;
    }
}
