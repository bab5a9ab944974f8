//! Who wants to watch messages go by: the demo, a tracking log, a test.

use postroad_message::{NextHop, Outcome, Recipient, ReversePath};
use postroad_queue::MessageId;

/// Told of each step in a message's way, after it is durable. Must return at once.
///
/// Every method does nothing by default; the pipeline writes its log lines itself.
pub trait Observe: Send + Sync + 'static {
    /// A message is in the queue, each recipient under its next hop.
    fn queued(
        &self,
        message: MessageId,
        source: &str,
        sender: &ReversePath,
        deliveries: &[(NextHop, Vec<Recipient>)],
    ) {
        let _ = (message, source, sender, deliveries);
    }

    /// One recipient was attempted, and this became of it.
    fn attempted(&self, message: MessageId, next_hop: &NextHop, recipient: &Recipient, outcome: &Outcome) {
        let _ = (message, next_hop, recipient, outcome);
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NobodyWatches;

impl Observe for NobodyWatches {}
