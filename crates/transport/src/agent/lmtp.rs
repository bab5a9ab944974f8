//! `lmtp`: mail for a mailbox server, which answers for each recipient behind the content (RFC 2033).

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use postroad_address_space::{Domain, MailDomain};
use postroad_connector::DeliveryAgentConnector;
use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Scope};
use postroad_smtp_client::content_task;
use postroad_smtp_protocol::client::{
    Event, Input, Output, Session, Settings, StartTls, Timeouts, Transaction,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout_at;

use crate::agent::{AgentConnection, AgentMessage, Answer, DeliveryAgent};
use crate::dial::Names;
use crate::world::World;

/// Where an LMTP server listens: `unix:` and an absolute path, or host and port. In clear text: for the same machine, or a
/// network that is trusted.
///
/// ```
/// use postroad_transport::agent::lmtp::Endpoint;
/// for text in ["unix:/run/dovecot/lmtp", "mailboxes.contoso.com:24", "127.0.0.1:24", "[::1]:24"] {
///     assert_eq!(text.parse::<Endpoint>()?.to_string(), text);
/// }
/// for text in ["", "unix:dovecot", "mailboxes.contoso.com", ":24", "::1:24", "host:0", "a b:24"] {
///     assert!(text.parse::<Endpoint>().is_err(), "{text}");
/// }
/// # Ok::<(), postroad_transport::agent::lmtp::InvalidEndpoint>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A host by name.
    Name(Domain, u16),
    /// A host by address.
    Address(IpAddr, u16),
}

/// The text names no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an LMTP endpoint is \"unix:/path\", \"host:port\" or \"[IPv6]:port\"")]
pub struct InvalidEndpoint;

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        if let Some(path) = text.strip_prefix("unix:") {
            let is_path = path.starts_with('/') && !path.contains('\0');
            return is_path.then(|| Self::Unix(path.into())).ok_or(InvalidEndpoint);
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidEndpoint)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(InvalidEndpoint)?;
        if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            return inner
                .parse()
                .map(|address| Self::Address(IpAddr::V6(address), port))
                .or(Err(InvalidEndpoint));
        }
        match host.parse() {
            Ok(address) => Ok(Self::Address(IpAddr::V4(address), port)),
            Err(_) => Domain::parse(host).map(|name| Self::Name(name, port)).or(Err(InvalidEndpoint)),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Address(IpAddr::V6(address), port) => write!(f, "[{address}]:{port}"),
            Self::Address(address, port) => write!(f, "{address}:{port}"),
        }
    }
}

/// The agent of `delivery_protocol = "lmtp"`; a connector's `endpoint` says where.
pub struct Lmtp {
    names: Names,
    timeouts: Timeouts,
    world: Arc<dyn World>,
}

impl std::fmt::Debug for Lmtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lmtp").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Lmtp {
    /// Says LHLO with the name of `names`, and writes addresses of other types as IMCEA addresses in its default domain.
    pub fn new(names: Names, timeouts: Timeouts, world: impl World) -> Self {
        Self { names, timeouts, world: Arc::new(world) }
    }

    async fn connect(&self, connector: &DeliveryAgentConnector) -> Result<Connection, Failure> {
        let endpoint: Endpoint =
            connector.endpoint.as_deref().unwrap_or_default().parse().map_err(|error: InvalidEndpoint| {
                let status = EnhancedStatus::transient(3, 5);
                unopened(status, Fault::Configuration, error.to_string())
            })?;
        let bound = now() + self.timeouts.connect;
        let opened = timeout_at(bound.into(), dial(&endpoint)).await;
        let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = opened.map_err(|error| {
            let text = format!("{endpoint} cannot be reached: {error}");
            unopened(EnhancedStatus::transient(4, 1), Fault::Remote, text)
        })?;
        let mut settings = Settings::new(MailDomain::Name(self.names.fqdn.clone()), endpoint.to_string());
        settings.lmtp = true;
        settings.starttls = StartTls::Never;
        settings.timeouts = self.timeouts;
        let session = Session::new(settings, None, now());
        let imcea_domain = self.names.default_domain.clone();
        let world = Arc::clone(&self.world);
        let mut connection = Connection { stream, session, buffer: vec![0; 4096], imcea_domain, world };
        match connection.event().await {
            Some(Event::Ready) => Ok(connection),
            Some(Event::Unusable(failure)) => Err(failure),
            _ => Err(lost()),
        }
    }
}

impl DeliveryAgent for Lmtp {
    fn open<'a>(
        &'a self,
        connector: &'a DeliveryAgentConnector,
    ) -> Answer<'a, Result<Box<dyn AgentConnection>, Failure>> {
        Box::pin(async move {
            let connection = self.connect(connector).await?;
            Ok(Box::new(connection) as Box<dyn AgentConnection>)
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn dial(endpoint: &Endpoint) -> io::Result<Box<dyn Stream>> {
    Ok(match endpoint {
        Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Endpoint::Name(name, port) => Box::new(TcpStream::connect((name.ascii(), *port)).await?),
        Endpoint::Address(address, port) => Box::new(TcpStream::connect((*address, *port)).await?),
    })
}

/// A session and the stream it runs over.
struct Connection {
    stream: Box<dyn Stream>,
    session: Session,
    buffer: Vec<u8>,
    imcea_domain: Domain,
    world: Arc<dyn World>,
}

impl Connection {
    /// The next thing to know; `None` when the connection has no further use.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let bound = self.session.deadline();
            let moved = match self.session.poll() {
                Output::Event(event) => return Some(event),
                Output::Transmit { bytes, then, .. } => {
                    let parts = [IoSlice::new(bytes), IoSlice::new(then)];
                    let written = within(bound, self.stream.write_vectored(&parts)).await;
                    written.map(|written| written.map(Moved::Out))
                }
                Output::Wait(bound) => {
                    let flushed_and_read = async {
                        self.stream.flush().await?;
                        self.stream.read(&mut self.buffer).await
                    };
                    within(bound, flushed_and_read).await.map(|read| read.map(Moved::In))
                }
                Output::Task(task) => {
                    let result = content_task::run(task, bound).await;
                    self.session.handle(now(), Input::Done(result));
                    continue;
                }
                // Closed; and for neither TLS nor a login has anybody asked.
                _ => return None,
            };
            let input = match &moved {
                None => Input::Timeout,
                Some(Ok(Moved::Out(0) | Moved::In(0))) => Input::Closed,
                Some(Ok(Moved::Out(count))) => Input::Transmitted(*count),
                Some(Ok(Moved::In(count))) => Input::Received(self.buffer.get(..*count).unwrap_or_default()),
                Some(Err(error)) => {
                    self.session.handle(now(), Input::Broken(&error.to_string()));
                    continue;
                }
            };
            self.session.handle(now(), input);
        }
    }

    async fn transact(&mut self, message: AgentMessage<'_>) -> Vec<Outcome> {
        let (envelope, domain) = (message.envelope, Some(&self.imcea_domain));
        let date = self.world.now();
        self.session
            .send(now(), Transaction::new(envelope, &envelope.recipients, message.content, domain, date));
        let mut outcomes = None;
        loop {
            match self.event().await {
                Some(Event::Settled(settled)) => outcomes = Some(settled),
                Some(Event::Unusable(failure)) if outcomes.is_none() => {
                    outcomes = Some(vec![Outcome::Deferred(failure); envelope.recipients.len()]);
                }
                Some(Event::Ready) if outcomes.is_some() => break,
                Some(_) => {}
                None => break,
            }
        }
        outcomes.unwrap_or_else(|| vec![Outcome::Deferred(lost()); envelope.recipients.len()])
    }
}

impl AgentConnection for Connection {
    fn deliver<'a>(&'a mut self, message: AgentMessage<'a>) -> Answer<'a, Vec<Outcome>> {
        Box::pin(self.transact(message))
    }

    fn is_usable(&mut self) -> bool {
        self.session.is_idle()
    }

    fn close<'a>(&'a mut self) -> Answer<'a, ()> {
        Box::pin(async move {
            self.session.quit(now());
            while self.event().await.is_some() {}
        })
    }
}

enum Moved {
    Out(usize),
    In(usize),
}

async fn within<T>(bound: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match bound {
        Some(bound) => timeout_at(bound.into(), work).await.ok(),
        None => Some(work.await),
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn lost() -> Failure {
    unopened(EnhancedStatus::transient(4, 2), Fault::Remote, "the LMTP server ended the connection")
}

fn unopened(status: EnhancedStatus, fault: Fault, text: impl Into<String>) -> Failure {
    Failure::new(status, fault, Scope::NextHop, Phase::Connect, text)
}
