//! What all receive connectors of one server share.

use std::sync::Arc;
use std::time::Duration;

use postroad_address_space::{Domain, Mailbox};
use postroad_smtp_protocol::transcript::ProtocolLog;

/// Name, domains and bounds of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerSettings {
    /// Our name where a connector has none of its own.
    pub fqdn: String,
    /// Domains that anonymous users may send to. The first is the one that IMCEA recipients are opened for.
    pub accepted_domains: Vec<Domain>,
    /// Where `<postmaster>` goes.
    pub postmaster: Mailbox,
    /// Bytes of content held in memory at one moment, all sessions together, which is not what a
    /// [`begin_message`](crate::Submit::begin_message) took elsewhere; more is told 452 4.3.1, before it is read where its size was
    /// declared. A source (an address, or an IPv6 network of 64 bits) with several messages under way holds no more than it leaves to
    /// the others. What holds them takes up to twice as much, and three times for moments. 512 MiB unless set.
    pub max_content_in_memory: u64,
    /// Connections a minute, all receive connectors together (`MaxConnectionRatePerMinute`); those above are told 421 4.3.2.
    /// Any number unless set.
    pub max_connection_rate_per_minute: Option<u32>,
    /// `TLSReceiveDomainSecureList`: sender domains that connectors with `domain_secure_enabled` take only from clients whose
    /// certificate is for that very domain. None unless set.
    pub tls_receive_domain_secure_list: Vec<Domain>,
    /// How long sessions with a message under way may go on after the shutdown began. 30 s unless set.
    pub shutdown_grace: Duration,
    /// How long a TLS handshake may take. 60 s unless set.
    pub tls_handshake_timeout: Duration,
    /// Keeps what connectors with `protocol_logging_level` verbose hear and say. Nobody unless set.
    pub protocol_log: Option<Arc<dyn ProtocolLog>>,
}

impl ServerSettings {
    /// Settings with the bounds above.
    pub fn new(fqdn: impl Into<String>, accepted_domains: Vec<Domain>, postmaster: Mailbox) -> Self {
        Self {
            fqdn: fqdn.into(),
            accepted_domains,
            postmaster,
            max_content_in_memory: 512 * 1024 * 1024,
            max_connection_rate_per_minute: None,
            tls_receive_domain_secure_list: Vec::new(),
            shutdown_grace: Duration::from_secs(30),
            tls_handshake_timeout: Duration::from_secs(60),
            protocol_log: None,
        }
    }
}
