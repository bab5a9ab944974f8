//! The handle that mail is delivered with, and its builder.

use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use postroad_message::{Content, Envelope, Outcome, Recipient, Timestamp};
use postroad_smtp_protocol::client::Timeouts;
use postroad_smtp_protocol::transcript::ProtocolLog;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;

use crate::delivery;
use crate::destination::Destination;
use crate::error::BuildError;
use crate::memory::Memory;
use crate::pool::Pool;
#[cfg(feature = "hickory")]
use crate::resolve::HickoryResolver;
use crate::resolve::Resolve;
use crate::tls::{Tls, TrustAnchors};

/// Delivers mail. A clone is a pointer; all of them share their connections and what they remember of hosts.
///
/// It is built anywhere and used inside a tokio runtime: connections are kept for the next message and looked after there.
#[derive(Clone)]
pub struct SmtpClient(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) timeouts: Timeouts,
    pub(crate) tls: Tls,
    pub(crate) ourselves: Ourselves,
    pub(crate) memory: Memory,
    pub(crate) pool: Arc<Pool>,
    pub(crate) max_addresses: usize,
    pub(crate) protocol_log: Option<Arc<dyn ProtocolLog>>,
    calendar: Option<Calendar>,
}

type Calendar = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl Inner {
    /// What a sender's deadline is compared with.
    #[expect(clippy::disallowed_methods, reason = "the world's clock, unless the caller has another")]
    pub(crate) fn date(&self) -> Timestamp {
        match &self.calendar {
            Some(calendar) => calendar(),
            None => std::time::SystemTime::now().into(),
        }
    }
}

/// How this relay is known to others, so that it does not deliver to itself for ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ourselves {
    /// Where this relay listens; an unspecified address stands for every address of this machine.
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) names: Vec<String>,
    pub(crate) allow_loopback_mx: bool,
}

impl SmtpClient {
    /// The system's resolver and trust anchors, RFC 5321's time-outs.
    ///
    /// # Errors
    /// As of [`SmtpClientBuilder::build`].
    pub fn new() -> Result<Self, BuildError> {
        Self::builder().build()
    }

    /// A client with anything else.
    pub fn builder() -> SmtpClientBuilder {
        SmtpClientBuilder::default()
    }

    /// Delivers to these recipients of the envelope, not to all of it: one outcome for each, in their order, always.
    ///
    /// Hosts are tried in turn until each recipient has an answer. The call ends within the time-outs of the client;
    /// dropping it closes the connection, and what was under way counts as not delivered. A connection that ends well is
    /// kept for the next message to the same host on the same terms.
    #[must_use = "who was not served has to be tried again, or told"]
    pub async fn deliver(
        &self,
        destination: &Destination,
        envelope: &Envelope,
        recipients: &[Recipient],
        content: &Content,
    ) -> Vec<Outcome> {
        delivery::deliver(&self.0, destination, envelope, recipients, content).await
    }

    /// [Delivers](Self::deliver) to every recipient of the envelope.
    #[must_use = "who was not served has to be tried again, or told"]
    pub async fn deliver_all(
        &self,
        destination: &Destination,
        envelope: &Envelope,
        content: &Content,
    ) -> Vec<Outcome> {
        self.deliver(destination, envelope, &envelope.recipients, content).await
    }

    /// Says QUIT on every connection that waits for a message, and waits for the answers. Mail may be sent all the same.
    ///
    /// When the last clone goes they are closed in any case; the servers then hear QUIT, and nobody hears their answer.
    pub async fn close_idle(&self) {
        let mut leaving = tokio::task::JoinSet::new();
        for mut idle in self.0.pool.drain() {
            leaving.spawn(async move { idle.connection.quit().await });
        }
        while leaving.join_next().await.is_some() {}
    }
}

/// How it is built is its own affair.
impl fmt::Debug for SmtpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpClient").finish_non_exhaustive()
    }
}

/// Everything that a client may be told.
#[derive(Default)]
#[must_use = "it is a client once it is built"]
pub struct SmtpClientBuilder {
    resolver: Option<Arc<dyn Resolve>>,
    #[cfg(feature = "hickory")]
    name_servers: Vec<SocketAddr>,
    timeouts: Timeouts,
    trust_anchors: TrustAnchors,
    provider: Option<Arc<CryptoProvider>>,
    tls_configuration: Option<Arc<ClientConfig>>,
    ourselves: Ourselves,
    max_addresses: Option<usize>,
    protocol_log: Option<Arc<dyn ProtocolLog>>,
    max_idle_connections: Option<usize>,
    calendar: Option<Calendar>,
}

impl SmtpClientBuilder {
    /// A resolver of the caller's; an `Arc` of one serves several clients.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// These name servers instead of the system's; each with its port. A [`resolver`](Self::resolver) goes before them.
    #[cfg(feature = "hickory")]
    pub fn name_servers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.name_servers = servers.into_iter().collect();
        self
    }

    /// How long each phase may take.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Which authorities certificates are checked against. The system's.
    pub fn trust_anchors(mut self, anchors: TrustAnchors) -> Self {
        self.trust_anchors = anchors;
        self
    }

    /// The cryptography TLS is made with; the process's default is neither read nor set. That of a given TLS configuration, or else
    /// ring, where the feature of that name was not left out; without it one must be given.
    pub fn crypto_provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// The caller's whole TLS configuration, for every policy that validates certificates; trust anchors are not asked for then.
    ///
    /// It weakens no policy, and where its verifier is stricter than the policy, as rustls's own is, that holds:
    ///
    /// | the policy demands | the verifier is given as the server's name | and behind it |
    /// |---|---|---|
    /// | [`EncryptionOnly`](crate::Verification::EncryptionOnly), or nothing | it is not asked: such policies use a configuration of their own | |
    /// | [`CertificateValidation`](crate::Verification::CertificateValidation) | the host's, which it may check too | |
    /// | [`DomainValidation`](crate::Verification::DomainValidation) of the [`Host`](crate::CertificateName::Host) | the host's | |
    /// | of [`Exact`](crate::CertificateName::Exact)ly one name | that name | |
    /// | of a name [`Below`](crate::CertificateName::Below) a domain | the host's, which it may check too | one of the certificate's names has to be below the domain |
    ///
    /// Its cryptography signs for a client certificate, and serves all other policies if [`crypto_provider`](Self::crypto_provider) names none.
    pub fn tls_configuration(mut self, configuration: Arc<ClientConfig>) -> Self {
        self.tls_configuration = Some(configuration);
        self
    }

    /// Where this relay listens: an MX host there is ourselves, and so are all worse ones.
    pub fn own_listeners(mut self, listeners: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.ourselves.listeners = listeners.into_iter().collect();
        self
    }

    /// Names of this relay that an MX record may hold.
    pub fn own_names(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.ourselves.names = names.into_iter().collect();
        self
    }

    /// Takes an MX host on a loopback address for what it says. Tests and demonstrations need that.
    pub fn allow_loopback_mx(mut self, allow: bool) -> Self {
        self.ourselves.allow_loopback_mx = allow;
        self
    }

    /// How many addresses are tried for one message. 10.
    pub fn max_addresses(mut self, most: usize) -> Self {
        self.max_addresses = Some(most.max(1));
        self
    }

    /// How many connections wait for messages at most, to all hosts together; the one that waits longest goes first. 200.
    pub fn max_idle_connections(mut self, most: usize) -> Self {
        self.max_idle_connections = Some(most);
        self
    }

    /// Keeps what is said to destinations that are [`logged_as`](Destination::logged_as) a connector.
    pub fn protocol_log(mut self, log: Arc<dyn ProtocolLog>) -> Self {
        self.protocol_log = Some(log);
        self
    }

    /// Says what time it is, for senders' deadlines (`Envelope::deliver_by`); the machine's clock. Time-outs go by tokio's.
    pub fn calendar(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.calendar = Some(Arc::new(now));
        self
    }

    /// Reads trust anchors and the resolver's configuration.
    ///
    /// # Errors
    /// What is named cannot be read or used; see [`BuildError`].
    pub fn build(self) -> Result<SmtpClient, BuildError> {
        let resolver = match self.resolver {
            Some(resolver) => resolver,
            #[cfg(feature = "hickory")]
            None if self.name_servers.is_empty() => Arc::new(HickoryResolver::system()?),
            #[cfg(feature = "hickory")]
            None => Arc::new(HickoryResolver::new(&self.name_servers)?),
            #[cfg(not(feature = "hickory"))]
            None => return Err(BuildError::NoResolver),
        };
        Ok(SmtpClient(Arc::new(Inner {
            resolver,
            timeouts: self.timeouts,
            tls: Tls::new(self.provider, &self.trust_anchors, self.tls_configuration)?,
            ourselves: self.ourselves,
            memory: Memory::default(),
            pool: Pool::new(self.max_idle_connections.unwrap_or(200)),
            max_addresses: self.max_addresses.unwrap_or(10),
            protocol_log: self.protocol_log,
            calendar: self.calendar,
        })))
    }
}

/// What a client would trust, and how long it would wait.
impl fmt::Debug for SmtpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpClientBuilder")
            .field("trust_anchors", &self.trust_anchors)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

impl Ourselves {
    /// Whether a connection to this address would come back to us.
    pub(crate) fn listens_at(&self, address: IpAddr, port: u16) -> bool {
        self.listeners.iter().any(|listener| {
            let is_there =
                if listener.ip().is_unspecified() { is_ours(address) } else { listener.ip() == address };
            listener.port() == port && is_there
        })
    }
}

/// Whether this machine has the address: only then can a socket be bound to it.
fn is_ours(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "hickory")]
    fn a_client_is_built_outside_a_runtime_and_goes_where_it_is_needed() {
        fn anywhere<T: Send + Sync + 'static>(_: &T) {}
        let built = SmtpClient::builder().name_servers([([192, 0, 2, 53], 53).into()]).build();
        anywhere(&built.expect("a client"));
    }

    #[test]
    fn a_listener_on_every_address_is_on_ours_and_no_others() {
        let ourselves = Ourselves { listeners: vec![([0, 0, 0, 0], 25).into()], ..Ourselves::default() };
        for (address, port, expected) in
            [([127, 0, 0, 1], 25, true), ([127, 0, 0, 1], 2525, false), ([192, 0, 2, 1], 25, false)]
        {
            assert_eq!(ourselves.listens_at(address.into(), port), expected, "{address:?}:{port}");
        }
    }
}
