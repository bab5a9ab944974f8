//! What a delivery agent promises, and what it can count on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use postroad_connector::DeliveryAgentConnector;
use postroad_message::{Content, Envelope, Failure, Outcome};
use postroad_queue::MessageId;

/// What an agent's methods answer with: a future in a box, so that agents can be kept side by side.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens connections for the connectors of one delivery protocol.
///
/// What the pipeline promises:
///
/// * A connector has [`max_concurrent_connections`](DeliveryAgentConnector::max_concurrent_connections) connections at most,
///   however many other next hops may have (a changed configuration counts anew), and each carries
///   [`max_messages_per_connection`](DeliveryAgentConnector::max_messages_per_connection) messages, one after another.
/// * Every call has bounded time; whatever takes longer is dropped at an await, and so it is when the relay stops. A
///   connection that was dropped in a call is never used again.
/// * A panic ends one delivery. It counts for the message, which is set aside when it happens again and again.
///
/// What the agent promises: to keep no thread waiting (`spawn_blocking` is for that), and to hold a message no longer than
/// the call. Mail arrives **at least once**: when the relay dies, or a connection is lost, between the agent's taking a
/// message and our writing it down, the message comes again, with the same
/// [`message`](AgentMessage::message). An agent that must not act twice remembers those.
pub trait DeliveryAgent: Send + Sync + 'static {
    /// Opens a connection, or says why there is none: the next hop has failed then, and its queue waits for the retry schedule.
    ///
    /// A failure here is never the message's, so nothing is returned to its sender whatever the failure's status.
    fn open<'a>(
        &'a self,
        connector: &'a DeliveryAgentConnector,
    ) -> Answer<'a, Result<Box<dyn AgentConnection>, Failure>>;
}

impl<T: DeliveryAgent + ?Sized> DeliveryAgent for Arc<T> {
    fn open<'a>(
        &'a self,
        connector: &'a DeliveryAgentConnector,
    ) -> Answer<'a, Result<Box<dyn AgentConnection>, Failure>> {
        (**self).open(connector)
    }
}

/// Takes messages one after another.
pub trait AgentConnection: Send {
    /// Takes a message for its recipients: one outcome for each, in the order of the envelope's recipients.
    ///
    /// A recipient without an outcome is deferred, and an outcome too many is ignored. `Delivered` says that the agent
    /// answers for the recipient; it is not asked again. A `Failed` by a fault of this machine or its configuration
    /// counts as `Deferred`. `Ambiguous` is for what may have been taken.
    fn deliver<'a>(&'a mut self, message: AgentMessage<'a>) -> Answer<'a, Vec<Outcome>>;

    /// Whether it can take another message. Asked before each one but the first; costs nothing.
    fn is_usable(&mut self) -> bool {
        true
    }

    /// Takes leave, in a few seconds: it is dropped after that, as it is where something went wrong.
    fn close<'a>(&'a mut self) -> Answer<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// One message for one queue of the connector.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AgentMessage<'a> {
    /// The queue: the address space that was matched.
    pub queue: &'a str,
    /// From whom, and to which recipients. Addresses of other types than SMTP are here in their own form: `FAX:123`.
    pub envelope: &'a Envelope,
    /// Header and body, exactly as they are to be delivered. Of a large one only the head may be in memory: read
    /// [pieces](Content::pieces) of it, or [all](Content::load), where you may block.
    pub content: &'a Content,
    /// The same each time that the message comes.
    pub message: MessageId,
}

impl<'a> AgentMessage<'a> {
    /// As the pipeline hands it over: for tests of an agent, too.
    pub fn new(queue: &'a str, envelope: &'a Envelope, content: &'a Content, message: MessageId) -> Self {
        Self { queue, envelope, content, message }
    }
}
