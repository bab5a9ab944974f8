//! An embedder that refuses a client or a name: what its refusal leaves as it was, and whom it is asked about.

use std::sync::{Arc, Mutex};

use postroad_message::{Content, EnhancedStatus, Envelope};
use postroad_smtp_server::{BoxFuture, Client, NobodyLogsOn, Refusal, Server, Submit, TlsMaterial};
use tokio::net::TcpStream;

use crate::house::{Caller, connector, settings};

/// Serves nobody from 198.51.100.1, nor who is called spam; keeps whom each message came from.
#[derive(Default)]
struct Doorkeeper {
    served: Mutex<Vec<Client>>,
}

fn unless(refused: bool) -> BoxFuture<'static, Result<(), Refusal>> {
    let refusal = Refusal::new(554, EnhancedStatus::permanent(7, 1), "Not from you");
    Box::pin(async move { if refused { Err(refusal) } else { Ok(()) } })
}

impl Submit for Doorkeeper {
    fn accept_client<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<(), Refusal>> {
        unless(client.peer.ip().to_string() == "198.51.100.1")
    }

    fn accept_hello<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<(), Refusal>> {
        unless(client.hello_name.as_deref() == Some("spam"))
    }

    fn accept_message<'a>(
        &'a self,
        client: &'a Client,
        _: Envelope,
        _: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        self.served.lock().expect("not poisoned").push(client.clone());
        Box::pin(async { Ok("id".to_owned()) })
    }
}

async fn guarded() -> (Arc<Doorkeeper>, Caller<TcpStream>) {
    let mut connector = connector("Guarded");
    connector.xclient_ip_ranges = vec!["127.0.0.1".parse().expect("an address")];
    let doorkeeper = Arc::new(Doorkeeper::default());
    let submit = Arc::clone(&doorkeeper) as Arc<dyn Submit>;
    let server =
        Server::bind(vec![(connector, TlsMaterial::none())], settings(), submit, Arc::new(NobodyLogsOn));
    let server = server.await.expect("it binds");
    let address = server.local_addrs()[0];
    tokio::spawn(server.serve(std::future::pending()));
    let stream = TcpStream::connect(address).await.expect("it listens");
    let mut caller = Caller { stream, held: Vec::new() };
    caller.expect("220 ").await;
    (doorkeeper, caller)
}

#[tokio::test]
async fn a_refused_name_leaves_the_one_before_and_its_transaction() {
    let (doorkeeper, mut caller) = guarded().await;
    caller.ask("EHLO app01", "250-").await;
    caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
    caller.ask("RCPT TO:<jane@contoso.com>", "250 ").await;
    caller.ask("HELO spam", "554 5.7.1 Not from you").await;
    caller.ask("DATA", "354 ").await;
    caller.ask("Subject: a\r\n\r\nbody\r\n.", "250 ").await;
    let served = doorkeeper.served.lock().expect("not poisoned");
    assert_eq!((served[0].hello_name.as_deref(), served[0].extended), (Some("app01"), true));
}

#[tokio::test]
async fn a_client_whom_a_front_names_is_asked_about_too() {
    let (doorkeeper, mut caller) = guarded().await;
    caller.ask("XCLIENT ADDR=192.0.2.37", "220 ").await;
    caller.ask("EHLO app01", "250").await;
    caller.send_one("jane@contoso.com").await;
    assert_eq!(doorkeeper.served.lock().expect("not poisoned").len(), 1);
    let (_, mut caller) = guarded().await;
    caller.ask("XCLIENT ADDR=198.51.100.1", "554 5.7.1 Not from you").await;
    assert_eq!(caller.reply().await, None);
}
