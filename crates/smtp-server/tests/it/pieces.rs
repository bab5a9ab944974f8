//! A server whose owner takes large messages in pieces.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use postroad_message::{Content, Envelope};
use postroad_smtp_server::{
    BoxFuture, Client, IncomingMessage, NobodyLogsOn, ReceiveConnector, Refusal, Server, ServerSettings,
    Submit, TlsMaterial,
};
#[cfg(target_os = "linux")]
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::house::{Caller, connector, settings};

pub(crate) const LARGE: usize = 300_000;
pub(crate) const ENVELOPE: &str =
    "EHLO a\r\nMAIL FROM:<joe@contoso.com>\r\nRCPT TO:<jane@contoso.com>\r\nRCPT TO:<ann@contoso.com>\r\n";

/// Takes large messages in pieces, and counts those that are neither whole nor thrown away.
pub(crate) struct Pieces {
    /// By how many pieces each came, where it came in pieces.
    messages: Mutex<Vec<(Option<usize>, Vec<u8>)>>,
    pub(crate) begun: AtomicUsize,
    pub(crate) under_way: AtomicUsize,
    /// Something was thrown away.
    pub(crate) dropped: Notify,
    /// A piece waits for a permit of its own.
    pub(crate) gate: Semaphore,
    pub(crate) largest: AtomicUsize,
    /// For all that is under way.
    pub(crate) room: AtomicU64,
}

impl Pieces {
    pub(crate) fn all(&self) -> Vec<(Option<usize>, Vec<u8>)> {
        self.messages.lock().expect("not poisoned").clone()
    }

    fn take(&self, pieces: Option<usize>, content: Vec<u8>) -> Result<String, Refusal> {
        self.messages.lock().expect("not poisoned").push((pieces, content));
        Ok("id-1".to_owned())
    }
}

/// The server's handle on them.
struct Handle(Arc<Pieces>);

impl Submit for Handle {
    fn accept_message<'a>(
        &'a self,
        _: &'a Client,
        _: Envelope,
        content: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move { self.0.take(None, content.load().expect("it is in memory").into_owned()) })
    }

    fn large_content(&self) -> Option<usize> {
        Some(LARGE)
    }

    fn room_for_unfinished(&self) -> u64 {
        self.0.room.load(Ordering::SeqCst)
    }

    fn begin_message<'a>(
        &'a self,
        _: &'a Client,
        envelope: &'a Envelope,
        header: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Box<dyn IncomingMessage>>, Refusal>> {
        Box::pin(async move {
            assert_eq!(envelope.recipients.len(), 2);
            self.0.begun.fetch_add(1, Ordering::SeqCst);
            if header.starts_with(b"Subject: no room") {
                return Err(Refusal::transient(3, 1, "There is no room"));
            }
            if header.starts_with(b"Subject: whole") {
                return Ok(None);
            }
            self.0.under_way.fetch_add(1, Ordering::SeqCst);
            let message = Message { to: Arc::clone(&self.0), content: header.to_vec(), pieces: 0 };
            Ok(Some(Box::new(message) as Box<dyn IncomingMessage>))
        })
    }
}

struct Message {
    to: Arc<Pieces>,
    content: Vec<u8>,
    pieces: usize,
}

impl IncomingMessage for Message {
    fn write(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            self.to.gate.acquire().await.expect("open").forget();
            self.to.largest.fetch_max(bytes.len(), Ordering::SeqCst);
            self.content.extend(bytes);
            self.pieces += 1;
            let full = self.content.starts_with(b"Subject: disk full") && self.pieces == 3;
            if full { Err(Refusal::transient(3, 1, "There is no room")) } else { Ok(()) }
        })
    }

    fn finish<'a>(
        mut self: Box<Self>,
        _: &'a Client,
        envelope: Envelope,
        rest: Vec<u8>,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move {
            assert_eq!(envelope.recipients.len(), 2);
            let mut content = std::mem::take(&mut self.content);
            content.extend(rest);
            self.to.take(Some(self.pieces), content)
        })
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.to.under_way.fetch_sub(1, Ordering::SeqCst);
        self.to.dropped.notify_one();
    }
}

pub(crate) struct House {
    pub(crate) pieces: Arc<Pieces>,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) served: JoinHandle<()>,
}

impl House {
    pub(crate) async fn open(connector: ReceiveConnector, settings: ServerSettings) -> Self {
        let pieces = Arc::new(Pieces {
            messages: Mutex::default(),
            begun: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            dropped: Notify::new(),
            gate: Semaphore::new(10_000),
            largest: AtomicUsize::new(0),
            room: AtomicU64::new(u64::MAX),
        });
        let connectors = vec![(connector, TlsMaterial::none())];
        let submit = Arc::new(Handle(Arc::clone(&pieces)));
        let server =
            Server::bind(connectors, settings, submit, Arc::new(NobodyLogsOn)).await.expect("it binds");
        let address = server.local_addrs()[0];
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { pieces, address, stop, served }
    }

    pub(crate) async fn usual() -> Self {
        Self::open(connector("Default"), settings()).await
    }

    /// One that has said its envelope, and this.
    pub(crate) async fn begun(&self, said: &str) -> Caller<TcpStream> {
        self.say(TcpStream::connect(self.address).await.expect("it listens"), said).await
    }

    /// One from an address of ours other than 127.0.0.1.
    #[cfg(target_os = "linux")]
    pub(crate) async fn begun_from(&self, source: [u8; 4], said: &str) -> Caller<TcpStream> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("it is ours");
        self.say(socket.connect(self.address).await.expect("it listens"), said).await
    }

    async fn say(&self, stream: TcpStream, said: &str) -> Caller<TcpStream> {
        let mut caller = Caller { stream, held: Vec::new() };
        caller.say(&format!("{ENVELOPE}{said}")).await;
        for reply in ["220 ", "250", "250 2.1.0 ", "250 2.1.5 ", "250 2.1.5 "] {
            caller.expect(reply).await;
        }
        if said.starts_with("DATA") {
            caller.expect("354 ").await;
        }
        caller
    }
}

/// A header with this subject, and some lines.
pub(crate) fn message(subject: &str, lines: usize) -> String {
    let lines: String = (0..lines).map(|number| format!("line {number:08}\r\n")).collect();
    format!("Subject: {subject}\r\n\r\n{lines}")
}
