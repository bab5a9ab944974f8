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

use std::sync::Arc;

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

impl<T: Observe + ?Sized> Observe for Arc<T> {
    fn queued(
        &self,
        message: &Seen<'_>,
        client: Option<&Client>,
        deliveries: &[(NextHop, Vec<Recipient>)],
        refused: &[(Recipient, Failure)],
    ) {
        (**self).queued(message, client, deliveries, refused);
    }

    fn attempted(&self, message: &Seen<'_>, next_hop: &NextHop, outcomes: &[(Recipient, Outcome)]) {
        (**self).attempted(message, next_hop, outcomes);
    }

    fn reported(&self, original: &Seen<'_>, report: &Seen<'_>, deliveries: &[(NextHop, Vec<Recipient>)]) {
        (**self).reported(original, report, deliveries);
    }

    fn rerouted(&self, message: &Seen<'_>, from: &NextHop, to: &NextHop, recipients: &[Recipient]) {
        (**self).rerouted(message, from, to, recipients);
    }

    fn set_aside(&self, message: &Seen<'_>, reason: &str) {
        (**self).set_aside(message, reason);
    }

    fn bad_mail(&self, at: Timestamp, source: &str, file: &str, reason: &str) {
        (**self).bad_mail(at, source, file, reason);
    }
}

/// Both are told, the first one first: a tracking log and a dashboard.
impl<A: Observe, B: Observe> Observe for (A, B) {
    fn queued(
        &self,
        message: &Seen<'_>,
        client: Option<&Client>,
        deliveries: &[(NextHop, Vec<Recipient>)],
        refused: &[(Recipient, Failure)],
    ) {
        self.0.queued(message, client, deliveries, refused);
        self.1.queued(message, client, deliveries, refused);
    }

    fn attempted(&self, message: &Seen<'_>, next_hop: &NextHop, outcomes: &[(Recipient, Outcome)]) {
        self.0.attempted(message, next_hop, outcomes);
        self.1.attempted(message, next_hop, outcomes);
    }

    fn reported(&self, original: &Seen<'_>, report: &Seen<'_>, deliveries: &[(NextHop, Vec<Recipient>)]) {
        self.0.reported(original, report, deliveries);
        self.1.reported(original, report, deliveries);
    }

    fn rerouted(&self, message: &Seen<'_>, from: &NextHop, to: &NextHop, recipients: &[Recipient]) {
        self.0.rerouted(message, from, to, recipients);
        self.1.rerouted(message, from, to, recipients);
    }

    fn set_aside(&self, message: &Seen<'_>, reason: &str) {
        self.0.set_aside(message, reason);
        self.1.set_aside(message, reason);
    }

    fn bad_mail(&self, at: Timestamp, source: &str, file: &str, reason: &str) {
        self.0.bad_mail(at, source, file, reason);
        self.1.bad_mail(at, source, file, reason);
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
    /// A message that has just come, of which no more is known: for tests of an observer; set the rest on the value.
    pub fn new(id: MessageId, at: Timestamp, source: &'a str, reverse_path: &'a ReversePath) -> Self {
        Self { id, at, received_at: at, source, reverse_path, size: 0, content: None, way: None }
    }

    pub(crate) fn of(id: MessageId, message: &'a NewMessage) -> Self {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes down what it is told.
    #[derive(Default)]
    struct Told(Mutex<Vec<&'static str>>);

    impl Told {
        fn of(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl Observe for Told {
        fn queued(
            &self,
            _: &Seen<'_>,
            _: Option<&Client>,
            _: &[(NextHop, Vec<Recipient>)],
            _: &[(Recipient, Failure)],
        ) {
            self.of("queued");
        }

        fn attempted(&self, _: &Seen<'_>, _: &NextHop, _: &[(Recipient, Outcome)]) {
            self.of("attempted");
        }

        fn reported(&self, _: &Seen<'_>, _: &Seen<'_>, _: &[(NextHop, Vec<Recipient>)]) {
            self.of("reported");
        }

        fn rerouted(&self, _: &Seen<'_>, _: &NextHop, _: &NextHop, _: &[Recipient]) {
            self.of("rerouted");
        }

        fn set_aside(&self, _: &Seen<'_>, _: &str) {
            self.of("set aside");
        }

        fn bad_mail(&self, _: Timestamp, _: &str, _: &str, _: &str) {
            self.of("bad mail");
        }
    }

    #[test]
    fn a_pair_of_observers_hears_everything_twice() {
        let (one, other) = (Arc::new(Told::default()), Arc::new(Told::default()));
        let both: Arc<dyn Observe> = Arc::new((one.clone(), other.clone()));
        let (now, next_hop) = (Timestamp::from_unix_millis(0), NextHop::new("Partner", "contoso.com"));
        let seen = Seen::new(MessageId::from_u64(1), now, "app", &ReversePath::Null);
        both.queued(&seen, None, &[], &[]);
        both.attempted(&seen, &next_hop, &[]);
        both.reported(&seen, &seen, &[]);
        both.rerouted(&seen, &next_hop, &next_hop, &[]);
        both.set_aside(&seen, "harm");
        both.bad_mail(now, "pickup", "a.bad", "no sender");
        for told in [one, other] {
            let all = ["queued", "attempted", "reported", "rerouted", "set aside", "bad mail"];
            assert_eq!(*told.0.lock().unwrap(), all);
        }
    }
}
