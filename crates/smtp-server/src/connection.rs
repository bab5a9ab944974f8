//! One connection: moves bytes between a stream and its session, and lets what the session asks be judged.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use postroad_message::{EnhancedStatus, ReversePath};
use postroad_smtp_protocol::sasl::ChannelBindings;
use postroad_smtp_protocol::server::{Input, Output, Refusal, Session, Slow};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::admission::Admitted;
use crate::client::Client;
use crate::content_room::Held;
use crate::incoming::Incoming;
use crate::judgement::no_room;
use crate::logon::{self, Logons};
use crate::relay_right;
use crate::service::{Service, session_settings, transcript};

/// What one read takes at most. It is on the stack while bytes are there to be read: a connection that waits holds none of it.
const READ: usize = 64 * 1024;
/// Replies to pipelined commands are written together up to here.
const REPLIES_HELD: usize = 16 * 1024;
/// How long, and for how much, an ended connection is still read from.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// Serves a connection to its end. Whatever happens to it, it is the client's loss alone.
pub(crate) async fn serve<S>(
    service: &Service,
    client: Client,
    admitted: Admitted,
    implicit_tls: bool,
    mut stream: S,
    shutdown: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut connection = Connection::new(service, client, admitted, shutdown);
    Box::pin(connection.welcome()).await;
    let ended = if implicit_tls { Ok(End::StartTls) } else { connection.converse(&mut stream).await };
    match ended {
        Ok(End::Closed) => hang_up(&mut stream).await,
        // What TLS needs is allocated where there is TLS.
        Ok(End::StartTls) => Box::pin(connection.continue_in_tls(stream)).await,
        Err(error) => tracing::debug!(%error, "the connection was lost"),
    }
}

/// Ends our side, then reads what the client still sends for a moment: closing on unread bytes resets the connection, and
/// takes our last reply back from the wire.
async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let linger = async {
        stream.shutdown().await?;
        let mut patience = LINGER_BYTES;
        while patience > 0 {
            match read(stream, |_| ()).await? {
                0 => break,
                count => patience = patience.saturating_sub(count),
            }
        }
        io::Result::Ok(())
    };
    let _ = timeout(LINGER, linger).await;
}

/// Reads once, and gives what came to `take`; 0 is the end. Waiting takes no memory, however many connections wait.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
    poll_fn(|context| {
        let mut room = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}

/// One client's connection, and what it has come to.
pub(crate) struct Connection<'a> {
    pub(crate) service: &'a Service,
    pub(crate) session: Session,
    pub(crate) client: Client,
    /// Its part in the limits; none once it was refused as somebody else's.
    pub(crate) admitted: Option<Admitted>,
    pub(crate) reverse_path: ReversePath,
    /// `SIZE` of the message under way, 0 where it was not said.
    pub(crate) declared: u64,
    shutdown: watch::Receiver<bool>,
    deadline: Instant,
    outgoing: Vec<u8>,
    pub(crate) memory: Held<'a>,
    pub(crate) incoming: Incoming<'a>,
    pub(crate) logons: Logons,
}

enum End {
    Closed,
    StartTls,
}

impl<'a> Connection<'a> {
    fn new(
        service: &'a Service,
        mut client: Client,
        admitted: Admitted,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        client.may_relay = relay_right::may_relay(&service.connector, client.peer.ip(), false);
        let mut settings = session_settings(service);
        settings.logon = logon::offer(service, &client, &ChannelBindings::none());
        settings.xclient = service.connector.takes_xclient(client.peer.ip());
        client.lmtp = settings.lmtp;
        let mut session = Session::new(settings);
        session.transcribe(transcript(service, &client));
        Self {
            session,
            client,
            reverse_path: ReversePath::Null,
            declared: 0,
            shutdown,
            deadline: Instant::now() + service.connector.connection_timeout,
            outgoing: Vec::new(),
            memory: Held::nothing(&service.memory, admitted.source()),
            incoming: Incoming::default(),
            admitted: Some(admitted),
            logons: Logons::default(),
            service,
        }
    }

    async fn continue_in_tls<S>(&mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Some(tls) = self.service.tls.in_force() else { return };
        let handshake = TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream);
        match timeout(self.service.settings.tls_handshake_timeout, handshake).await {
            Ok(Ok(mut stream)) => {
                self.client.forget();
                let (facts, certificate) = tls.facts(stream.get_ref().1);
                drop(tls);
                let names = certificate.as_ref().map(|shown| &shown.names);
                tracing::debug!(version = facts.version, cipher = facts.cipher, ?names, "in TLS");
                let established = format!("TLS established: {} {}", facts.version, facts.cipher);
                self.session.transcript().note(&established, "");
                self.client.tls = Some(facts);
                self.client.certificate = certificate;
                self.client.may_relay =
                    relay_right::may_relay(&self.service.connector, self.client.peer.ip(), false);
                self.logons.bindings = logon::bindings(stream.get_ref().1);
                self.session.offer_logon(logon::offer(self.service, &self.client, &self.logons.bindings));
                self.session.handle(Input::TlsEstablished);
                if let Err(error) = self.converse(&mut stream).await {
                    tracing::debug!(%error, "the connection was lost");
                }
                hang_up(&mut stream).await;
            }
            Ok(Err(error)) => {
                self.session.transcript().note("the TLS handshake failed", &error.to_string());
                tracing::debug!(%error, "the TLS handshake failed");
            }
            Err(_) => tracing::debug!("the TLS handshake took too long"),
        }
    }

    /// Does what the session wants until it ends or goes on inside TLS.
    async fn converse<S>(&mut self, stream: &mut S) -> io::Result<End>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        loop {
            match self.session.poll() {
                Output::Transmit { bytes, slow } => {
                    self.account_for_content();
                    self.transmit(stream, bytes, slow).await?;
                }
                Output::Event(event) => {
                    let verdict = Box::pin(self.judge(event)).await;
                    self.session.handle(Input::Verdict(verdict));
                }
                Output::Receive => {
                    if !self.session.is_logging_on() {
                        self.logons.forget_exchange();
                    }
                    self.account_for_content();
                    self.flush(stream).await?;
                    if self.has_content_to_hand_on() {
                        Box::pin(self.hand_on()).await;
                        self.account_for_content();
                    }
                    if !self.receive(stream).await? {
                        return Ok(End::Closed);
                    }
                }
                Output::StartTls => {
                    self.flush(stream).await?;
                    return Ok(End::StartTls);
                }
                Output::Close => {
                    self.flush(stream).await?;
                    return Ok(End::Closed);
                }
                Output::AwaitVerdict => return Err(io::Error::other("a verdict was forgotten")),
                other => return Err(io::Error::other(format!("nobody here does {other:?}"))),
            }
        }
    }

    /// Holds replies back until there is nothing more to say; what costs an attacker time is waited for.
    async fn transmit<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        bytes: Vec<u8>,
        slow: Slow,
    ) -> io::Result<()> {
        let connector = &self.service.connector;
        let wait = match slow {
            Slow::No => Duration::ZERO,
            Slow::Logon => connector.auth_tarpit_interval,
            Slow::Refusal if self.client.may_relay || self.client.user.is_some() => Duration::ZERO,
            _ => connector.tarpit_interval,
        };
        if !wait.is_zero() {
            self.flush(stream).await?;
            let until = (Instant::now() + wait).min(self.deadline);
            tokio::select! {
                () = sleep_until(until) => (),
                () = told_to_stop(&mut self.shutdown) => (),
            }
        }
        if self.outgoing.is_empty() {
            self.outgoing = bytes;
        } else {
            self.outgoing.extend_from_slice(&bytes);
        }
        if !wait.is_zero() && self.is_overdue() {
            self.end(took_too_long());
        }
        if self.outgoing.len() > REPLIES_HELD { self.flush(stream).await } else { Ok(()) }
    }

    /// Writes what is held back, all of it at once where the system takes it, and gives its memory back.
    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let replies = std::mem::take(&mut self.outgoing);
        let write = async {
            stream.write_all(&replies).await?;
            stream.flush().await
        };
        timeout(self.service.connector.connection_inactivity_timeout, write).await?
    }

    /// Reads once; false at the end of the stream.
    async fn receive<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<bool> {
        // Input that is there is read before any clock is looked at: who always has some would stay for ever.
        if self.is_overdue() {
            self.end(took_too_long());
            return Ok(true);
        }
        let silence = Instant::now() + self.service.connector.connection_inactivity_timeout;
        let until = silence.min(self.deadline);
        let idle = self.session.is_idle();
        let Self { session, shutdown, .. } = self;
        let taken = tokio::select! {
            taken = timeout_at(until, read(stream, |bytes| session.handle(Input::Received(bytes)))) => taken,
            () = told_to_stop(shutdown), if idle => {
                self.end(Refusal::new(421, EnhancedStatus::transient(3, 2), "The server is shutting down"));
                return Ok(true);
            }
        };
        match taken {
            Ok(count) => {
                self.account_for_content();
                Ok(count? > 0)
            }
            Err(_) => {
                let silent = "Timeout waiting for client input";
                self.end(if until == silence {
                    Refusal::new(421, EnhancedStatus::transient(4, 2), silent)
                } else {
                    took_too_long()
                });
                Ok(true)
            }
        }
    }

    fn is_overdue(&self) -> bool {
        Instant::now() >= self.deadline
    }

    pub(crate) fn end(&mut self, refusal: Refusal) {
        self.session.handle(Input::End(refusal));
    }

    /// After each read, and before each wait: what a session holds while nobody hurries it is what others must do without.
    fn account_for_content(&mut self) {
        self.forget_lost_content();
        let limit = self.service.settings.max_content_in_memory;
        if !self.memory.set(self.session.content_held() as u64, limit) {
            self.session.handle(Input::RefuseContent(no_room()));
            self.memory.force(self.session.content_held() as u64);
        }
    }
}

fn took_too_long() -> Refusal {
    Refusal::new(421, EnhancedStatus::transient(4, 2), "The session took too long")
}

/// Ends when the server is told to stop; never where nobody is left to tell it.
pub(crate) async fn told_to_stop(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
