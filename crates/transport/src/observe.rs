//! Who wants to watch messages go by: a tracking log, the demo, a test.
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use postroad_message::{NextHop, Outcome, Recipient};
//! use postroad_transport::{Observe, Seen};
//!
//! /// Counts for a dashboard.
//! #[derive(Default)]
//! struct Delivered(AtomicUsize);
//!
//! impl Observe for Delivered {
//!     fn attempted(&self, _: &Seen<'_>, _: &NextHop, outcomes: &[(Recipient, Outcome)]) {
//!         let delivered = outcomes.iter().filter(|(_, outcome)| outcome.is_success()).count();
//!         self.0.fetch_add(delivered, Ordering::Relaxed);
//!     }
//! }
//! ```

use postroad_message::{Content, Failure, NextHop, Outcome, Recipient, ReversePath, Timestamp};
use postroad_queue::{Lease, MessageId, NewMessage};
use postroad_smtp_server::Client;

/// Told of each step in a message's way, after it is durable. Must return at once: it is called where mail waits.
///
/// Every method does nothing by default; the pipeline writes its log lines itself.
pub trait Observe: Send + Sync + 'static {
    /// A message is in the queue, each recipient under its next hop. `refused` are those whom no connector takes; they
    /// are told of in [`attempted`](Self::attempted) too. `client` is who brought it by SMTP.
    fn queued(
        &self,
        message: &Seen<'_>,
        client: Option<&Client>,
        deliveries: &[(NextHop, Vec<Recipient>)],
        refused: &[(Recipient, Failure)],
    ) {
        let _ = (message, client, deliveries, refused);
    }

    /// One attempt, or one verdict without an attempt (no connector, expiry): what became of each recipient that it was
    /// for. Who was refused at submission has [`NextHop::unreachable`] here.
    fn attempted(&self, message: &Seen<'_>, next_hop: &NextHop, outcomes: &[(Recipient, Outcome)]) {
        let _ = (message, next_hop, outcomes);
    }

    /// A report about a message is in the queue.
    fn reported(&self, original: &Seen<'_>, report: &Seen<'_>, deliveries: &[(NextHop, Vec<Recipient>)]) {
        let _ = (original, report, deliveries);
    }

    /// Recipients wait in another queue now, because their way has changed or somebody asked for it.
    fn rerouted(&self, message: &Seen<'_>, from: &NextHop, to: &NextHop, recipients: &[Recipient]) {
        let _ = (message, from, to, recipients);
    }

    /// A message was set aside, because working on it does harm (poison).
    fn set_aside(&self, message: &Seen<'_>, reason: &str) {
        let _ = (message, reason);
    }

    /// A file of Pickup (`source` is `pickup`) or Replay that can be neither delivered nor returned.
    fn bad_mail(&self, at: Timestamp, source: &str, file: &str, reason: &str) {
        let _ = (at, source, file, reason);
    }
}

/// What is known of a message when something happens to it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Seen<'a> {
    /// Its id in the queue, as it stands in every log line about it.
    pub id: MessageId,
    /// When it happened.
    pub at: Timestamp,
    /// When it was submitted.
    pub received_at: Timestamp,
    /// Which door it came in by: `smtp`, `pickup`, `replay`, `send`, `dsn`.
    pub source: &'a str,
    /// Who is told of failures.
    pub reverse_path: &'a ReversePath,
    /// Length of the content in bytes.
    pub size: u64,
    /// What is sent; `None` where it was not at hand.
    pub content: Option<&'a Content>,
    /// By which way it was tried, in [`Observe::attempted`]; `None` where it was not.
    pub way: Option<Way>,
}

/// How mail goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// In an SMTP session.
    Smtp,
    /// As a file in a Drop directory.
    Drop,
    /// Through a delivery agent.
    Agent,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(id: MessageId, message: &'a NewMessage) -> Self {
        Self {
            id,
            at: message.received_at,
            received_at: message.received_at,
            source: &message.source,
            reverse_path: &message.envelope.reverse_path,
            size: crate::pipeline::size(&message.content),
            content: Some(&message.content),
            way: None,
        }
    }

    pub(crate) fn lent(lease: &'a Lease, at: Timestamp, content: Option<&'a Content>) -> Self {
        Self {
            id: lease.message,
            at,
            received_at: lease.received_at,
            source: &lease.source,
            reverse_path: &lease.envelope.reverse_path,
            size: lease.size,
            content,
            way: None,
        }
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NobodyWatches;

impl Observe for NobodyWatches {}
