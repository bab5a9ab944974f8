//! A server with a store in memory, and a client that says lines.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postroad_address_space::{Domain, Mailbox};
use postroad_message::{Content, Envelope, Recipient, ReversePath};
use postroad_smtp_server::{
    BoxFuture, Client, PasswordVerdict, PermissionGroup, ReceiveConnector, Refusal, Secret, Server,
    ServerSettings, Submit, TlsMaterial, Verify,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
#[cfg(target_os = "linux")]
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// Keeps messages in memory. With no permits in `gate`, a message waits before it is taken.
pub(crate) struct Store {
    pub(crate) messages: Mutex<Vec<(Client, Envelope, Content)>>,
    pub(crate) gate: Semaphore,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { messages: Mutex::default(), gate: Semaphore::new(1000) }
    }
}

impl Submit for Store {
    fn accept_recipient<'a>(
        &'a self,
        _: &'a Client,
        _: &'a ReversePath,
        recipient: &'a Recipient,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let full = recipient.address.to_string().starts_with("full@");
        Box::pin(
            async move { if full { Err(Refusal::transient(2, 2, "The mailbox is full")) } else { Ok(()) } },
        )
    }

    fn accept_message<'a>(
        &'a self,
        client: &'a Client,
        envelope: Envelope,
        content: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move {
            let _permit = self.gate.acquire().await;
            if content.head().starts_with(b"Subject: disk full") {
                return Err(Refusal::transient(3, 1, "There is no room"));
            }
            let mut messages = self.messages.lock().expect("not poisoned");
            messages.push((client.clone(), envelope, content));
            Ok(format!("id-{}", messages.len()))
        })
    }
}

/// Knows jane, whose password is "secret".
pub(crate) struct Jane;

impl Verify for Jane {
    fn verify<'a>(
        &'a self,
        _: &'a Client,
        username: &'a str,
        password: Secret,
    ) -> BoxFuture<'a, PasswordVerdict> {
        let right = username == "jane" && password.matches(&Secret::new("secret"));
        Box::pin(std::future::ready(if right {
            PasswordVerdict::Accepted
        } else {
            PasswordVerdict::Rejected
        }))
    }

    fn is_known(&self, _: &Client, username: &str) -> bool {
        username == "jane"
    }
}

/// A running server.
pub(crate) struct House {
    pub(crate) store: Arc<Store>,
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) served: JoinHandle<()>,
}

/// A connector for everybody, with no waiting, on a port of its own.
pub(crate) fn connector(name: &str) -> ReceiveConnector {
    let mut connector = ReceiveConnector::new(name);
    connector.bindings = vec!["127.0.0.1:0".parse().expect("an address")];
    connector.permission_groups = vec![PermissionGroup::AnonymousUsers, PermissionGroup::ExchangeUsers];
    connector.tarpit_interval = Duration::ZERO;
    connector.auth_tarpit_interval = Duration::ZERO;
    connector
}

pub(crate) fn settings() -> ServerSettings {
    let domain = Domain::parse("contoso.com").expect("a domain");
    ServerSettings::new(
        "hub01.contoso.com",
        vec![domain],
        Mailbox::parse("admin@contoso.com").expect("a mailbox"),
    )
}

impl House {
    pub(crate) async fn open(
        connectors: Vec<(ReceiveConnector, TlsMaterial)>,
        settings: ServerSettings,
    ) -> Self {
        Self::open_to(connectors, settings, Arc::new(Jane)).await
    }

    pub(crate) async fn open_to(
        connectors: Vec<(ReceiveConnector, TlsMaterial)>,
        settings: ServerSettings,
        verify: Arc<dyn Verify>,
    ) -> Self {
        let store = Arc::new(Store::new());
        let server = Server::bind(connectors, settings, Arc::clone(&store) as Arc<dyn Submit>, verify)
            .await
            .expect("it binds");
        let address = server.local_addrs()[0];
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { store, address, stop, served }
    }

    pub(crate) async fn with(connector: ReceiveConnector) -> Self {
        Self::open(vec![(connector, TlsMaterial::none())], settings()).await
    }

    pub(crate) async fn connect(&self) -> Caller<TcpStream> {
        let mut caller = self.dial().await;
        caller.expect("220 ").await;
        caller
    }

    /// From an address of ours other than 127.0.0.1.
    #[cfg(target_os = "linux")]
    pub(crate) async fn connect_from(&self, source: [u8; 4]) -> Caller<TcpStream> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("it is ours");
        let stream = socket.connect(self.address).await.expect("it listens");
        let mut caller = Caller { stream, held: Vec::new() };
        caller.expect("220 ").await;
        caller
    }

    pub(crate) async fn dial(&self) -> Caller<TcpStream> {
        Caller { stream: TcpStream::connect(self.address).await.expect("it listens"), held: Vec::new() }
    }

    pub(crate) fn messages(&self) -> Vec<(Client, Envelope, Content)> {
        self.store.messages.lock().expect("not poisoned").clone()
    }
}

/// A client that says lines and reads replies.
pub(crate) struct Caller<S> {
    pub(crate) stream: S,
    pub(crate) held: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Caller<S> {
    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("it is written");
    }

    /// Says a line and reads one whole reply, which must start so.
    pub(crate) async fn ask(&mut self, line: &str, start: &str) -> String {
        self.say(&format!("{line}\r\n")).await;
        self.expect(start).await
    }

    pub(crate) async fn expect(&mut self, start: &str) -> String {
        let reply = self.reply().await.unwrap_or_else(|| panic!("the end came where {start:?} was due"));
        assert!(reply.starts_with(start), "{reply:?} came where {start:?} was due");
        reply
    }

    /// One whole reply; `None` at the end of the stream.
    pub(crate) async fn reply(&mut self) -> Option<String> {
        let mut reply = String::new();
        loop {
            while let Some(end) = self.held.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.held.drain(..end + 2).collect();
                reply.push_str(&String::from_utf8_lossy(&line));
                if line.get(3) != Some(&b'-') {
                    return Some(reply);
                }
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.held.extend(&piece[..count]),
            }
        }
    }

    pub(crate) async fn send_one(&mut self, recipient: &str) {
        self.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
        self.ask(&format!("RCPT TO:<{recipient}>"), "250 ").await;
        self.ask("DATA", "354 ").await;
        self.ask("Subject: a\r\n\r\nbody\r\n.", "250 ").await;
    }
}
