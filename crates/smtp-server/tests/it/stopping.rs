//! The end of a server: nobody is cut off in the middle of a message, and nobody is waited for without bound.

use std::time::Duration;

use postroad_smtp_server::TlsMaterial;

use crate::house::{House, connector, settings};

#[tokio::test]
async fn idle_sessions_are_told_and_the_message_under_way_is_finished() {
    let house = House::with(connector("Default")).await;
    let mut idle = house.connect().await;
    let mut sending = house.connect().await;
    sending.ask("HELO a", "250 ").await;
    sending.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    sending.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
    sending.ask("DATA", "354 ").await;
    house.stop.send(()).expect("it runs");
    idle.expect("421 4.3.2 ").await;
    assert_eq!(idle.reply().await, None);
    sending.ask("x\r\n.", "250 2.6.0 ").await;
    sending.expect("421 4.3.2 ").await;
    house.served.await.expect("it ends");
    assert_eq!(house.store.messages.lock().expect("not poisoned").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_hold_the_server_for_ever() {
    let mut settings = settings();
    settings.shutdown_grace = Duration::from_secs(10);
    let house = House::open(vec![(connector("Default"), TlsMaterial::none())], settings).await;
    house.store.gate.forget_permits(1000);
    let mut sending = house.connect().await;
    sending.ask("HELO a", "250 ").await;
    sending.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    sending.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
    sending.ask("DATA", "354 ").await;
    sending.say("x\r\n.\r\n").await;
    let began = tokio::time::Instant::now();
    house.stop.send(()).expect("it runs");
    house.served.await.expect("it ends");
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(sending.reply().await, None);
}

#[tokio::test]
async fn a_binding_may_be_widened_and_narrowed_without_letting_go_of_its_port() {
    use postroad_smtp_server::{Listening, NobodyLogsOn, Server};
    let store = House::with(connector("Default")).await.store;
    let serve = async |earlier: &Listening, binding: String| {
        let mut connector = connector("Default");
        connector.bindings = vec![binding.parse().expect("an address")];
        let connectors = vec![(connector, TlsMaterial::none())];
        let store = std::sync::Arc::clone(&store);
        Server::succeed(earlier, connectors, settings(), store, std::sync::Arc::new(NobodyLogsOn)).await
    };
    let first = serve(&Listening::default(), "127.0.0.1:0".into()).await.expect("a port");
    let port = first.local_addrs()[0].port();
    let held = serve(&Listening::default(), format!("0.0.0.0:{port}")).await;
    assert!(held.is_err(), "somebody else's port was taken");
    // The first one has the binding with port 0: what succeeds it names the port.
    drop(first);
    let first = serve(&Listening::default(), format!("127.0.0.1:{port}")).await.expect("it is free again");
    let wide =
        serve(&first.listening().expect("its sockets"), format!("0.0.0.0:{port}")).await.expect("wider");
    let narrow = serve(&wide.listening().expect("its sockets"), format!("127.0.0.1:{port}")).await;
    let narrow = narrow.expect("narrower");
    drop((first, wide));
    let held = serve(&Listening::default(), format!("0.0.0.0:{port}")).await;
    assert!(held.is_err(), "the port stayed open to others");
    let served = tokio::spawn(narrow.serve(std::future::pending()));
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    crate::house::Caller { stream, held: Vec::new() }.expect("220 ").await;
    served.abort();
}

#[tokio::test]
async fn sessions_of_the_server_before_count_for_the_one_that_takes_over() {
    use postroad_smtp_server::{Listening, NobodyLogsOn, Server};
    let store = House::with(connector("Default")).await.store;
    let serve = async |earlier: &Listening| {
        let mut one = connector("One");
        one.max_inbound_connection_per_source = Some(1);
        let connectors = vec![(one, TlsMaterial::none())];
        let store = std::sync::Arc::clone(&store);
        Server::succeed(earlier, connectors, settings(), store, std::sync::Arc::new(NobodyLogsOn)).await
    };
    let dial = async |address| {
        let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        crate::house::Caller { stream, held: Vec::new() }
    };
    let first = serve(&Listening::default()).await.expect("a port");
    let (address, sockets) = (first.local_addrs()[0], first.listening().expect("its sockets"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ending = tokio::spawn(first.serve(async { drop(stopped.await) }));
    let mut standing = dial(address).await;
    standing.expect("220 ").await;
    standing.ask("HELO a", "250 ").await;
    standing.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;

    let second = tokio::spawn(serve(&sockets).await.expect("the same port").serve(std::future::pending()));
    stop.send(()).expect("it runs");
    // Whichever of the two takes it, there is no place for it.
    dial(address).await.expect("421 4.3.2 ").await;
    standing.ask("QUIT", "221 ").await;
    ending.await.expect("it ends");
    dial(address).await.expect("220 ").await;
    second.abort();
}
