//! Drives one session over one stream: bytes, the clock and the TLS handshake.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use postroad_message::TlsFacts;
use postroad_smtp_protocol::client::{Event, Input, Output, Session, Settings, Transaction};
use postroad_smtp_protocol::sasl::{ChannelBindings, Nonce};
use postroad_smtp_protocol::transcript::Transcript;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Handle, Id};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::alarm::Alarm;
use crate::authenticator::{Login, LoginAnswer};
use crate::certificate_fault;
use crate::content_task;
use crate::destination::Destination;
use crate::resolve::BoxFuture;
use crate::resolve::hosts::Target;
use crate::tls::Terms;

/// Anything that bytes go in and out of.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What a connection is wanted for: the host, and the terms of whoever sends the mail.
#[derive(Clone, Copy)]
pub(crate) struct Purpose<'a> {
    pub(crate) destination: &'a Destination,
    pub(crate) target: &'a Target,
    pub(crate) address: SocketAddr,
    /// In clear text, because TLS failed here a while ago.
    pub(crate) downgraded: bool,
}

/// A session and the stream it runs over. Dropped at any moment, it closes the stream.
pub(crate) struct Connection {
    /// `None` once TLS has failed on it.
    stream: Option<Box<dyn Stream>>,
    session: Session,
    handshake: Terms,
    server_name: ServerName<'static>,
    buffer: Vec<u8>,
    alarm: Alarm,
    login: Option<Box<dyn Login>>,
    tls_failed: bool,
    opened_for: OpenedFor,
    opened_at: Instant,
    messages: u32,
}

/// A [`Purpose`] that stays.
struct OpenedFor {
    terms: Destination,
    target: Target,
    address: SocketAddr,
    downgraded: bool,
    /// The runtime that tells when it can be read: in another it would be waited for in vain, once this one stands still.
    runtime: Id,
}

/// The moment it is, by a clock that tests can stop.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Connection {
    /// A session over this stream: TLS before anything else where the terms say so, as on port 465; a greeting first elsewhere.
    pub(crate) async fn open(
        stream: Box<dyn Stream>,
        purpose: &Purpose<'_>,
        mut settings: Settings,
        handshake: Terms,
        server_name: ServerName<'static>,
    ) -> Result<Self, String> {
        settings.nonce = nonce();
        let (stream, secured) = if purpose.destination.implicit_tls {
            let bound = now() + settings.timeouts.tls_handshake;
            let secured = shake_hands(stream, &handshake, &server_name, bound).await?;
            (secured.stream, Some((secured.facts, secured.bindings)))
        } else {
            (stream, None)
        };
        let (facts, bindings) = secured.unzip();
        let mut session = Session::new(settings, facts, now());
        session.bind_channel(bindings.unwrap_or_default());
        Ok(Self {
            stream: Some(stream),
            session,
            handshake,
            server_name,
            buffer: vec![0; 4096],
            alarm: Alarm::default(),
            login: None,
            tls_failed: false,
            opened_for: OpenedFor {
                terms: purpose.destination.terms(),
                target: purpose.target.clone(),
                address: purpose.address,
                downgraded: purpose.downgraded,
                runtime: Handle::current().id(),
            },
            opened_at: now(),
            messages: 0,
        })
    }

    /// Writes down what is said from now on.
    pub(crate) fn transcribe(&mut self, transcript: Transcript) {
        self.session.transcribe(transcript);
    }

    /// Whether it was opened for the same as is wanted now.
    pub(crate) fn serves(&self, purpose: &Purpose<'_>) -> bool {
        let opened_for = &self.opened_for;
        opened_for.address == purpose.address
            && opened_for.downgraded == purpose.downgraded
            && opened_for.target == *purpose.target
            && opened_for.terms.has_terms_of(purpose.destination)
            && opened_for.runtime == Handle::current().id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.opened_for.address
    }

    pub(crate) fn opened_at(&self) -> Instant {
        self.opened_at
    }

    /// Messages it was given.
    pub(crate) fn messages(&self) -> u32 {
        self.messages
    }

    /// Whether a message may be sent and nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.session.is_idle()
    }

    /// Whether the server has neither said anything nor closed since it became idle, as far as this machine knows.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut context = Context::from_waker(Waker::noop());
        poll_read(Pin::new(stream), &mut context, &mut self.buffer).is_pending()
    }

    /// Says QUIT and sees it through, while nobody waits.
    pub(crate) fn take_leave(mut self: Box<Self>) {
        tokio::spawn(async move { self.quit().await });
    }

    /// Says QUIT and waits for the answer, for as long as that is worth.
    pub(crate) async fn quit(&mut self) {
        self.session.quit(now());
        while self.event().await.is_some() {}
    }

    /// Says QUIT if it can be said without waiting.
    pub(crate) fn quit_unheard(&mut self) {
        self.session.quit(now());
        let Some(stream) = &mut self.stream else { return };
        let mut context = Context::from_waker(Waker::noop());
        if let Output::Transmit { bytes, .. } = self.session.poll() {
            let _ = Pin::new(stream.as_mut()).poll_write(&mut context, bytes);
            let _ = Pin::new(stream.as_mut()).poll_flush(&mut context);
        }
    }

    /// Hands a message to the session.
    pub(crate) fn send(&mut self, transaction: Transaction) {
        self.messages += 1;
        self.session.send(now(), transaction);
    }

    /// Whether the server offered TLS and the handshake failed.
    pub(crate) fn tls_failed(&self) -> bool {
        self.tls_failed
    }

    /// The next event; `None` when the connection has no further use.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            let bound = self.session.deadline();
            match self.session.poll() {
                Output::Event(event) => return Some(event),
                Output::Transmit { bytes, then, .. } => {
                    let Some(stream) = &mut self.stream else { return None };
                    let parts = [IoSlice::new(bytes), IoSlice::new(then)];
                    let moving = poll_fn(|context| {
                        let moved = write_or_read(Pin::new(stream), context, &parts, &mut self.buffer);
                        self.alarm.or(moved, bound, context)
                    });
                    match moving.await {
                        Some(Err(error)) => apart(self.broken(error)).await,
                        Some(Ok(moved)) => self.moved(moved),
                        None => self.session.handle(now(), Input::Timeout),
                    }
                }
                Output::Wait(bound) => {
                    let Some(stream) = &mut self.stream else { return None };
                    let moving = poll_fn(|context| {
                        let moved = flush_and_read(Pin::new(stream), context, &mut self.buffer);
                        self.alarm.or(moved, bound, context)
                    });
                    match moving.await {
                        Some(Err(error)) => apart(self.broken(error)).await,
                        Some(Ok(moved)) => self.moved(moved),
                        None => self.session.handle(now(), Input::Timeout),
                    }
                }
                Output::Task(task) => {
                    let result = apart(content_task::run(task, bound)).await;
                    self.session.handle(now(), Input::Done(result));
                }
                Output::StartTls => apart(self.start_tls(bound)).await,
                Output::Challenge { mechanism, challenge, .. } => {
                    let (mechanism, challenge) = (mechanism.to_owned(), challenge.map(<[u8]>::to_vec));
                    apart(self.answer(bound, &mechanism, challenge)).await;
                }
                // Closed, and whatever a later session may want that this loop does not know.
                _ => return None,
            }
        }
    }

    /// By whoever answers for that mechanism, in the time that the server has for a reply.
    async fn answer(&mut self, bound: Option<Instant>, mechanism: &str, challenge: Option<Vec<u8>>) {
        if challenge.is_none() {
            let authenticator = self.opened_for.terms.authenticator.as_ref();
            let host = self.server_name.to_str();
            self.login = authenticator.map(|answering| answering.begin(mechanism, &host));
        }
        let answer = match &mut self.login {
            Some(login) => within(bound, login.answer(challenge.as_deref())).await,
            None => Some(LoginAnswer::GiveUp("nobody answers for it".to_owned())),
        };
        let answer = answer.unwrap_or_else(|| LoginAnswer::GiveUp("no answer in time".to_owned()));
        self.session.handle(now(), Input::Answer(answer.as_answer()));
    }

    fn moved(&mut self, moved: Moved) {
        let input = match moved {
            Moved::Out(count) => Input::Transmitted(count),
            Moved::In(0) => Input::Closed,
            Moved::In(count) => Input::Received(self.buffer.get(..count).unwrap_or_default()),
        };
        self.session.handle(now(), input);
    }

    async fn broken(&mut self, error: io::Error) {
        self.read_last_words().await;
        self.session.handle(now(), Input::Broken(&error.to_string()));
    }

    /// A server that gives up says why before it closes; that is still to be read after a write has failed.
    async fn read_last_words(&mut self) {
        // A session that has heard enough has no deadline any more, however much a server goes on to say.
        while let (Some(stream), bound @ Some(_)) = (&mut self.stream, self.session.deadline()) {
            match within(bound, read(stream, &mut self.buffer)).await {
                Some(Ok(Moved::In(count))) if count > 0 => {
                    let bytes = self.buffer.get(..count).unwrap_or_default();
                    self.session.handle(now(), Input::Received(bytes));
                }
                _ => return,
            }
        }
    }

    async fn start_tls(&mut self, bound: Option<Instant>) {
        let Some(stream) = self.stream.take() else { return };
        let bound = bound.unwrap_or_else(now);
        match shake_hands(stream, &self.handshake, &self.server_name, bound).await {
            Ok(secured) => {
                self.stream = Some(secured.stream);
                self.session.bind_channel(secured.bindings);
                self.session.handle(now(), Input::TlsEstablished(secured.facts));
            }
            Err(why) => {
                self.tls_failed = true;
                self.session.handle(now(), Input::TlsFailed(&why));
            }
        }
    }
}

/// Room on the heap and a function of its own for what few messages need, so that the others do not carry it along.
pub(crate) fn apart<'a, T>(rare: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(rare)
}

enum Moved {
    Out(usize),
    In(usize),
}

pub(crate) async fn within<T>(bound: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match bound {
        Some(bound) => tokio::time::timeout_at(bound.into(), future).await.ok(),
        None => Some(future.await),
    }
}

/// Writes, both parts at once where there are two; while that stalls, reads, so that a server that refuses before the end is heard.
fn write_or_read(
    mut stream: Pin<&mut Box<dyn Stream>>,
    context: &mut Context<'_>,
    parts: &[IoSlice<'_>; 2],
    buffer: &mut [u8],
) -> Poll<io::Result<Moved>> {
    let [bytes, then] = parts;
    let written = if then.is_empty() {
        stream.as_mut().poll_write(context, bytes)
    } else {
        stream.as_mut().poll_write_vectored(context, parts)
    };
    match written {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        Poll::Ready(written) => Poll::Ready(written.map(Moved::Out)),
        Poll::Pending => poll_read(stream, context, buffer),
    }
}

fn flush_and_read(
    mut stream: Pin<&mut Box<dyn Stream>>,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<Moved>> {
    match stream.as_mut().poll_flush(context) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) | Poll::Pending => poll_read(stream, context, buffer),
    }
}

async fn read(stream: &mut Box<dyn Stream>, buffer: &mut [u8]) -> io::Result<Moved> {
    poll_fn(|context| poll_read(Pin::new(stream), context, buffer)).await
}

fn poll_read(
    stream: Pin<&mut Box<dyn Stream>>,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<Moved>> {
    let mut buffer = ReadBuf::new(buffer);
    stream.poll_read(context, &mut buffer).map_ok(|()| Moved::In(buffer.filled().len()))
}

/// A stream inside TLS.
struct Secured {
    stream: Box<dyn Stream>,
    facts: TlsFacts,
    bindings: ChannelBindings,
}

async fn shake_hands(
    stream: Box<dyn Stream>,
    terms: &Terms,
    name: &ServerName<'static>,
    bound: Instant,
) -> Result<Secured, String> {
    let connector = TlsConnector::from(terms.configuration.clone());
    match within(Some(bound), connector.connect(name.clone(), stream)).await {
        Some(Ok(stream)) => {
            let (_, tls) = stream.get_ref();
            terms
                .accept(tls.peer_certificates())
                .map_err(|fault| certificate_fault::explain(&io::Error::other(fault)))?;
            let facts = facts(&stream, terms.authenticates);
            let bindings = bindings(tls);
            Ok(Secured { stream: Box::new(stream), facts, bindings })
        }
        Some(Err(error)) => Err(certificate_fault::explain(&error)),
        None => Err("it did not end in time".to_owned()),
    }
}

/// What a login can be bound to this connection by: the server's certificate, and of TLS 1.3 its exported keying material.
fn bindings(tls: &ClientConnection) -> ChannelBindings {
    let mut bindings = ChannelBindings::none();
    if let Some([certificate, ..]) = tls.peer_certificates() {
        bindings = bindings.with_server_certificate(certificate);
    }
    let label = ChannelBindings::EXPORTER_LABEL.as_bytes();
    match tls.export_keying_material([0; 32], label, Some(&[])) {
        Ok(material) if tls.protocol_version() == Some(ProtocolVersion::TLSv1_3) => {
            bindings.with_exporter(material)
        }
        _ => bindings,
    }
}

/// Without randomness there is none, and no SCRAM.
fn nonce() -> Option<Nonce> {
    let mut random = [0; 18];
    getrandom::fill(&mut random).ok().map(|()| Nonce::from_random(random))
}

fn facts(stream: &TlsStream<Box<dyn Stream>>, authenticated: bool) -> TlsFacts {
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().and_then(|version| version.as_str()).unwrap_or_default();
    let cipher =
        connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
    TlsFacts::new(version.replace('_', "."), cipher.replace("TLS13_", "TLS_"), authenticated)
}
