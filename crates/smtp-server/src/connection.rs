//! One connection: moves bytes between a stream and its session, and answers what the session asks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use postroad_message::{Content, EnhancedStatus, Envelope, ReversePath, TlsFacts};
use postroad_smtp_protocol::sasl::ClearCredential;
use postroad_smtp_protocol::server::{
    Event, Input, LogonOffer, Output, Refusal, Session, Settings, SizeKeyword, Slow, Verdict,
};
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::client::Client;
use crate::content_check;
use crate::parameters::{AuthMechanism, SizeEnabled};
use crate::receive_connector::ReceiveConnector;
use crate::relay_right;
use crate::server_settings::ServerSettings;
use crate::submit::Submit;
use crate::tls::TlsMaterial;
use crate::verify::{Verification, Verify};

/// What every connection of one receive connector shares.
pub(crate) struct Service {
    pub(crate) connector: ReceiveConnector,
    pub(crate) tls: TlsMaterial,
    pub(crate) settings: Arc<ServerSettings>,
    pub(crate) submit: Arc<dyn Submit>,
    pub(crate) verify: Arc<dyn Verify>,
    /// Bytes of content that all connections of the server hold.
    pub(crate) memory: Arc<AtomicU64>,
}

/// Command lines are short and connections many; content is long and flows.
const COMMAND_READ: usize = 4 * 1024;
const CONTENT_READ: usize = 64 * 1024;
/// Replies to pipelined commands are written together up to here.
const REPLIES_HELD: usize = 16 * 1024;
/// How long, and for how much, an ended connection is still read from.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// Serves a connection to its end. Whatever happens to it, it is the client's loss alone.
pub(crate) async fn serve<S>(
    service: &Service,
    client: Client,
    mut stream: S,
    shutdown: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut connection = Connection::new(service, client, shutdown);
    match connection.converse(&mut stream).await {
        Ok(End::Closed) => hang_up(&mut stream).await,
        Ok(End::StartTls) => connection.continue_in_tls(stream).await,
        Err(error) => tracing::debug!(%error, "the connection was lost"),
    }
}

/// Ends our side, then reads what the client still sends for a moment: closing on unread bytes resets the connection, and
/// takes our last reply back from the wire.
async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let linger = async {
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        let mut patience = LINGER_BYTES;
        while patience > 0 {
            match stream.read(&mut unread).await? {
                0 => break,
                count => patience = patience.saturating_sub(count),
            }
        }
        io::Result::Ok(())
    };
    let _ = timeout(LINGER, linger).await;
}

struct Connection<'a> {
    service: &'a Service,
    session: Session,
    client: Client,
    reverse_path: ReversePath,
    shutdown: watch::Receiver<bool>,
    deadline: Instant,
    outgoing: Vec<u8>,
    memory: Held<'a>,
}

enum End {
    Closed,
    StartTls,
}

impl<'a> Connection<'a> {
    fn new(service: &'a Service, mut client: Client, shutdown: watch::Receiver<bool>) -> Self {
        client.may_relay = relay_right::may_relay(&service.connector, client.peer.ip(), false);
        Self {
            session: Session::new(session_settings(service)),
            client,
            reverse_path: ReversePath::Null,
            shutdown,
            deadline: Instant::now() + service.connector.connection_timeout,
            outgoing: Vec::new(),
            memory: Held { all: &service.memory, mine: 0 },
            service,
        }
    }

    async fn continue_in_tls<S>(&mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Some(config) = self.service.tls.config() else { return };
        let handshake = TlsAcceptor::from(Arc::clone(config)).accept(stream);
        match timeout(self.service.settings.tls_handshake_timeout, handshake).await {
            Ok(Ok(mut stream)) => {
                self.client.forget();
                self.client.tls = Some(facts(stream.get_ref().1));
                self.client.may_relay =
                    relay_right::may_relay(&self.service.connector, self.client.peer.ip(), false);
                self.session.handle(Input::TlsEstablished);
                if let Err(error) = self.converse(&mut stream).await {
                    tracing::debug!(%error, "the connection was lost");
                }
                hang_up(&mut stream).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "the TLS handshake failed"),
            Err(_) => tracing::debug!("the TLS handshake took too long"),
        }
    }

    /// Does what the session wants until it ends or goes on inside TLS.
    async fn converse<S>(&mut self, stream: &mut S) -> io::Result<End>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut buffer = Vec::new();
        loop {
            match self.session.poll() {
                Output::Transmit { bytes, slow } => self.transmit(stream, &bytes, slow).await?,
                Output::Event(event) => {
                    let verdict = self.judge(event).await;
                    self.session.handle(Input::Verdict(verdict));
                }
                Output::Receive => {
                    self.flush(stream).await?;
                    if !self.receive(stream, &mut buffer).await? {
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
            }
        }
    }

    /// Holds replies back until there is nothing more to say; what costs an attacker time is waited for.
    async fn transmit<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        bytes: &[u8],
        slow: Slow,
    ) -> io::Result<()> {
        let connector = &self.service.connector;
        let wait = match slow {
            Slow::No => Duration::ZERO,
            Slow::Logon => connector.auth_tarpit_interval,
            Slow::Refusal if self.client.may_relay || self.client.user.is_some() => Duration::ZERO,
            Slow::Refusal => connector.tarpit_interval,
        };
        if !wait.is_zero() {
            self.flush(stream).await?;
            tokio::time::sleep(wait).await;
        }
        self.outgoing.extend_from_slice(bytes);
        if self.outgoing.len() > REPLIES_HELD { self.flush(stream).await } else { Ok(()) }
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let write = async {
            stream.write_all(&self.outgoing).await?;
            stream.flush().await
        };
        timeout(self.service.connector.connection_inactivity_timeout, write).await??;
        self.outgoing.clear();
        Ok(())
    }

    /// Reads once; false at the end of the stream.
    async fn receive<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        buffer: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let size = if self.session.is_receiving_content() { CONTENT_READ } else { COMMAND_READ };
        if buffer.len() != size {
            *buffer = vec![0; size];
        }
        let silence = Instant::now() + self.service.connector.connection_inactivity_timeout;
        let until = silence.min(self.deadline);
        let idle = self.session.is_idle();
        tokio::select! {
            read = timeout_at(until, stream.read(buffer)) => match read {
                Ok(read) => {
                    let count = read?;
                    self.session.handle(Input::Received(buffer.get(..count).unwrap_or_default()));
                    self.account_for_content();
                    Ok(count > 0)
                }
                Err(_) => {
                    let text = if until == silence { "Timeout waiting for client input" } else { "The session took too long" };
                    self.end(Refusal::new(421, EnhancedStatus::transient(4, 2), text));
                    Ok(true)
                }
            },
            () = told_to_stop(&mut self.shutdown), if idle => {
                self.end(Refusal::new(421, EnhancedStatus::transient(3, 2), "The server is shutting down"));
                Ok(true)
            }
        }
    }

    fn end(&mut self, refusal: Refusal) {
        self.session.handle(Input::End(refusal));
    }

    fn account_for_content(&mut self) {
        if !self.memory.set(self.session.content_held() as u64, self.service.settings.max_content_in_memory) {
            self.session.handle(Input::RefuseContent(no_room()));
            self.memory.set(0, u64::MAX);
        }
    }

    async fn judge(&mut self, event: Event) -> Verdict {
        match event {
            Event::Hello { name, extended } => {
                self.client.hello_name = name;
                self.client.extended = extended;
                Verdict::Accept
            }
            Event::Logon { credential, .. } => self.log_on(credential).await,
            Event::Mail { reverse_path, .. } => {
                self.reverse_path = reverse_path;
                Verdict::Accept
            }
            Event::Recipient { mut recipient, postmaster } => {
                let service = self.service;
                let judged = relay_right::judge(
                    &service.connector,
                    &service.settings,
                    &self.client,
                    &recipient.address,
                    postmaster,
                );
                let address = match judged {
                    Ok(address) => address,
                    Err(refusal) => return Verdict::Refuse(refusal),
                };
                recipient.address = address;
                let asked = service.submit.accept_recipient(&self.client, &self.reverse_path, &recipient);
                match asked.await {
                    Ok(()) => Verdict::AcceptAs(recipient.address),
                    Err(refusal) => Verdict::Refuse(refusal),
                }
            }
            Event::ContentStart => {
                let room =
                    self.service.memory.load(Ordering::Relaxed) < self.service.settings.max_content_in_memory;
                if room { Verdict::Accept } else { Verdict::Refuse(no_room()) }
            }
            Event::Message { envelope, content } => self.submit(envelope, content).await,
            _ => Verdict::Refuse(Refusal::transient(3, 0, "Not known here")),
        }
    }

    async fn log_on(&mut self, credential: ClearCredential) -> Verdict {
        let verified =
            self.service.verify.verify(&self.client, &credential.username, credential.password).await;
        match verified {
            Verification::Accepted => {
                self.client.may_relay =
                    relay_right::may_relay(&self.service.connector, self.client.peer.ip(), true);
                tracing::info!(user = %credential.username, "logged on");
                self.client.user = Some(credential.username);
                Verdict::Accept
            }
            Verification::Rejected => {
                // Whatever the client sent: escaped, and no longer than a name is.
                let user: String = credential.username.chars().take(256).collect();
                tracing::warn!(peer = %self.client.peer, ?user, "a logon failed");
                Verdict::Refuse(Refusal::new(
                    535,
                    EnhancedStatus::permanent(7, 8),
                    "The user name or password is wrong",
                ))
            }
            Verification::Unavailable => {
                let text = "Logons cannot be verified now";
                Verdict::Refuse(Refusal::new(454, EnhancedStatus::transient(7, 0), text))
            }
        }
    }

    async fn submit(&mut self, envelope: Envelope, content: Vec<u8>) -> Verdict {
        let service = self.service;
        let fqdn = service.connector.fqdn.as_deref().unwrap_or(&service.settings.fqdn);
        if let Err(refusal) = content_check::check(&service.connector, fqdn, &content) {
            return Verdict::Refuse(refusal);
        }
        let (size, recipients) = (content.len(), envelope.recipients.len());
        self.memory.set(size as u64, u64::MAX);
        let submitted = service.submit.accept_message(&self.client, envelope, Content::from(content)).await;
        self.memory.set(0, u64::MAX);
        match submitted {
            Ok(id) => {
                tracing::info!(%id, size, recipients, "message accepted");
                Verdict::Queued(id)
            }
            Err(refusal) => Verdict::Refuse(refusal),
        }
    }
}

fn no_room() -> Refusal {
    Refusal::transient(3, 1, "There is no room for content now")
}

/// Ends when the server is told to stop; never where nobody is left to tell it.
pub(crate) async fn told_to_stop(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A connection's part in the memory for content; given back when it is dropped.
struct Held<'a> {
    all: &'a AtomicU64,
    mine: u64,
}

impl Held<'_> {
    /// Says what is held now; false, and nothing more is counted, where all connections together would exceed the limit.
    fn set(&mut self, bytes: u64, limit: u64) -> bool {
        if bytes > self.mine {
            let grown = bytes - self.mine;
            let before = self.all.fetch_add(grown, Ordering::Relaxed);
            if before.saturating_add(grown) > limit {
                self.all.fetch_sub(grown, Ordering::Relaxed);
                return false;
            }
        } else {
            self.all.fetch_sub(self.mine - bytes, Ordering::Relaxed);
        }
        self.mine = bytes;
        true
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.mine, Ordering::Relaxed);
    }
}

/// A receive connector's parameters as its sessions understand them.
fn session_settings(service: &Service) -> Settings {
    let connector = &service.connector;
    let fqdn = connector.fqdn.as_ref().unwrap_or(&service.settings.fqdn);
    let mut settings = Settings::new(fqdn.clone(), service.settings.postmaster.clone());
    settings.banner.clone_from(&connector.banner);
    settings.pipelining = connector.pipelining_enabled;
    settings.size = match connector.size_enabled {
        SizeEnabled::Enabled => SizeKeyword::WithLimit,
        SizeEnabled::EnabledWithoutValue => SizeKeyword::Alone,
        SizeEnabled::Disabled => SizeKeyword::Absent,
    };
    settings.eight_bit_mime = connector.eight_bit_mime_enabled;
    settings.enhanced_status_codes = connector.enhanced_status_codes_enabled;
    settings.dsn = connector.delivery_status_notification_enabled;
    settings.chunking = connector.chunking_enabled;
    settings.starttls = connector.offers(AuthMechanism::Tls) && service.tls.config().is_some();
    settings.require_tls = connector.require_tls;
    settings.logon = connector
        .offers(AuthMechanism::BasicAuth)
        .then(|| LogonOffer::basic(connector.offers(AuthMechanism::BasicAuthRequireTls)));
    settings.require_hello_name = connector.require_ehlo_domain;
    settings.refuse_bare_line_ends = connector.bare_linefeed_rejection_enabled;
    settings.limits.message_size = usize::try_from(connector.max_message_size).unwrap_or(usize::MAX);
    settings.limits.recipients = usize::try_from(connector.max_recipients_per_message).unwrap_or(usize::MAX);
    settings.limits.protocol_errors = connector.max_protocol_errors;
    settings.limits.logon_failures = connector.max_logon_failures;
    settings
}

fn facts(tls: &ServerConnection) -> TlsFacts {
    let version = match tls.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    };
    let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
    let cipher = suite.and_then(|suite| suite.as_str()).unwrap_or("unknown").trim_start_matches("TLS13_");
    let cipher = if cipher.starts_with("TLS_") { cipher.to_owned() } else { format!("TLS_{cipher}") };
    TlsFacts { version: version.to_owned(), cipher, authenticated: false }
}
