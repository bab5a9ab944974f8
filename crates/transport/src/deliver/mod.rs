//! How a delivery is carried out: one object for each delivery type.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use postroad_connector::{Connector, ServerAddress};
use postroad_message::{Content, Envelope, Outcome};
use postroad_queue::{DeliveryId, MessageId};

pub mod agent;
pub mod drop;
mod no_way_out;
pub mod smtp;

pub use agent::AgentDeliver;
pub use drop::DropDeliver;
pub use smtp::SmtpDeliver;

use no_way_out::NoWayOut;

/// One message for one next hop.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Job<'a> {
    /// The connector that won the selection; its kind says which object carries the job out.
    pub connector: &'a Connector,
    /// The server to relay to, where this one is no source of the connector; always a job for SMTP.
    pub server: Option<&'a ServerAddress>,
    /// The queue within the connector: for MX routing the recipients' domain.
    pub destination: &'a str,
    /// From whom, and to the recipients of this next hop only.
    pub envelope: &'a Envelope,
    /// Exactly what is sent.
    pub content: &'a Content,
    /// For log lines and file names.
    pub message: MessageId,
    /// Which delivery of the message.
    pub delivery: DeliveryId,
}

impl<'a> Job<'a> {
    /// A job of this server.
    pub fn new(
        connector: &'a Connector,
        destination: &'a str,
        envelope: &'a Envelope,
        content: &'a Content,
        message: MessageId,
        delivery: DeliveryId,
    ) -> Self {
        Self { connector, server: None, destination, envelope, content, message, delivery }
    }
}

/// Carries out deliveries of one kind.
///
/// The answer holds exactly one outcome for each recipient, in the order of the envelope's recipients,
/// whatever happens; a missing one counts as deferred. It may take its time: the lease
/// ([`Settings::lease`](crate::Settings::lease)) is renewed meanwhile. Dropping the future may leave open whether the
/// message was taken, as a crash does.
pub trait Deliver: Send + Sync + 'static {
    /// Delivers, or says why not.
    fn deliver<'a>(&'a self, job: Job<'a>) -> Pin<Box<dyn Future<Output = Vec<Outcome>> + Send + 'a>>;
}

impl<T: Deliver + ?Sized> Deliver for Arc<T> {
    fn deliver<'a>(&'a self, job: Job<'a>) -> Pin<Box<dyn Future<Output = Vec<Outcome>> + Send + 'a>> {
        (**self).deliver(job)
    }
}

/// The object for each kind of connector. By default there is none: all mail waits, and says why.
#[derive(Clone)]
#[non_exhaustive]
pub struct Delivers {
    /// Send connectors: smart hosts and MX hosts.
    pub smtp: Arc<dyn Deliver>,
    /// Foreign connectors: files for a gateway.
    pub drop: Arc<dyn Deliver>,
    /// Delivery Agent connectors: whatever agent is registered for the connector's protocol.
    pub agent: Arc<dyn Deliver>,
}

impl Delivers {
    /// All three of them.
    pub fn new(smtp: impl Deliver, drop: impl Deliver, agent: impl Deliver) -> Self {
        Self { smtp: Arc::new(smtp), drop: Arc::new(drop), agent: Arc::new(agent) }
    }
}

impl Default for Delivers {
    fn default() -> Self {
        Self::new(NoWayOut, NoWayOut, NoWayOut)
    }
}

impl fmt::Debug for Delivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivers").finish_non_exhaustive()
    }
}
