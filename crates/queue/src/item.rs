//! What goes into a queue, what is lent out of it, and what comes back.

use postroad_message::{Content, Envelope, Failure, NextHop, Outcome, Recipient, Timestamp};

use crate::message_id::{DeliveryId, MessageId};

/// A message to be queued: once its content, and a delivery for each next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewMessage {
    /// From whom, and how it wants to be handled. Its `recipients` are not read: the deliveries name them.
    pub envelope: Envelope,
    /// The id it shall have, where the content names it: one of [`MessageId::ahead`]. Where another message has it already,
    /// nothing is queued; with another id it may be. `None`: the store makes one.
    pub id: Option<MessageId>,
    /// Exactly what will be sent.
    pub content: Content,
    /// When it was submitted: expiry and delay notice count from here.
    pub received_at: Timestamp,
    /// Which door it came in by, for listings: `smtp`, `pickup`, `replay`, `dsn`.
    pub source: String,
    /// What the source knows it by, where the source could come with it twice: a claimed Pickup file.
    /// See [`QueueStore::enqueue_all`](crate::QueueStore::enqueue_all).
    pub source_key: Option<String>,
    /// Whether someone wants to know what became of each recipient after it left.
    /// See [`QueueStore::results`](crate::QueueStore::results).
    pub watched: bool,
    /// Who gets it, by next hop; at least one.
    pub deliveries: Vec<NewDelivery>,
}

impl NewMessage {
    /// A message that can come only once, and that nobody watches; set `source_key` or `watched` on the value
    /// where it is otherwise.
    pub fn new(
        envelope: Envelope,
        content: Content,
        received_at: Timestamp,
        source: impl Into<String>,
        deliveries: Vec<NewDelivery>,
    ) -> Self {
        Self {
            envelope,
            id: None,
            content,
            received_at,
            source: source.into(),
            source_key: None,
            watched: false,
            deliveries,
        }
    }
}

/// The recipients of a message that share a next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewDelivery {
    /// The queue it waits in.
    pub next_hop: NextHop,
    /// At least one.
    pub recipients: Vec<Recipient>,
    /// Not to be tried before this.
    pub due: Timestamp,
}

impl NewDelivery {
    /// A delivery to these recipients, which are one at least.
    pub fn new(next_hop: NextHop, recipients: Vec<Recipient>, due: Timestamp) -> Self {
        Self { next_hop, recipients, due }
    }
}

/// Which deliveries to lend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// Of one queue only.
    pub next_hop: Option<NextHop>,
    /// Of one message only.
    pub message: Option<MessageId>,
    /// One delivery only.
    pub delivery: Option<DeliveryId>,
    /// Of messages received at this moment or before only.
    pub received_before: Option<Timestamp>,
    /// Only those whose senders were sent no delay notice yet.
    pub not_delay_notified: bool,
    /// Whether those not due, or suspended, are lent too.
    pub eligible: Eligible,
    /// At most so many.
    pub limit: usize,
    /// What time it is.
    pub now: Timestamp,
    /// When the leases run out.
    pub lease_until: Timestamp,
}

impl Claim {
    /// What is due at one next hop, the longest due first.
    pub fn due(next_hop: NextHop, limit: usize, now: Timestamp, lease_until: Timestamp) -> Self {
        Self { next_hop: Some(next_hop), ..Self::all(Eligible::Due, limit, now, lease_until) }
    }

    /// Whatever waits anywhere, due or not, received at `received_before` or earlier: to be given up.
    pub fn expired(received_before: Timestamp, limit: usize, now: Timestamp, lease_until: Timestamp) -> Self {
        Self {
            received_before: Some(received_before),
            ..Self::all(Eligible::Waiting, limit, now, lease_until)
        }
    }

    /// The same, of those alone whose senders have not heard of a delay yet.
    pub fn delayed(received_before: Timestamp, limit: usize, now: Timestamp, lease_until: Timestamp) -> Self {
        Self { not_delay_notified: true, ..Self::expired(received_before, limit, now, lease_until) }
    }

    /// Anything at one next hop, suspended or not: to be routed anew.
    pub fn to_reroute(next_hop: NextHop, limit: usize, now: Timestamp, lease_until: Timestamp) -> Self {
        Self { next_hop: Some(next_hop), ..Self::all(Eligible::Any, limit, now, lease_until) }
    }

    /// Anything of one message: to be routed anew, or removed with a report.
    pub fn message(message: MessageId, now: Timestamp, lease_until: Timestamp) -> Self {
        Self { message: Some(message), ..Self::all(Eligible::Any, usize::MAX, now, lease_until) }
    }

    /// One delivery, whatever holds it: an administrator resubmits it, or removes it with a report.
    pub fn delivery(delivery: DeliveryId, now: Timestamp, lease_until: Timestamp) -> Self {
        Self { delivery: Some(delivery), ..Self::all(Eligible::Held, 1, now, lease_until) }
    }

    fn all(eligible: Eligible, limit: usize, now: Timestamp, lease_until: Timestamp) -> Self {
        Self {
            next_hop: None,
            message: None,
            delivery: None,
            received_before: None,
            not_delay_notified: false,
            eligible,
            limit,
            now,
            lease_until,
        }
    }
}

/// Which deliveries that nobody works on may be lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Eligible {
    /// Due, and neither they nor their queue suspended.
    Due,
    /// Due or not, and neither they nor their queue suspended.
    Waiting,
    /// Due or not, suspended or not.
    Any,
    /// Those set aside as well. A record that cannot be read is never lent.
    Held,
}

/// The answer to a [`Claim`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Claimed {
    /// What was lent.
    pub leases: Vec<Lease>,
    /// For a claim of one next hop: when the next delivery there that nobody works on is due.
    pub next_due: Option<Timestamp>,
}

impl Claimed {
    /// For stores: these leases, and when more is due.
    pub fn new(leases: Vec<Lease>, next_due: Option<Timestamp>) -> Self {
        Self { leases, next_due }
    }
}

/// One delivery, lent to whoever claimed it until it is settled or released, or the lease runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "a delivery is lent to nobody else before its lease is settled or released, or runs out"]
pub struct Lease {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Which lending of it: with a later one, this lease is lost.
    pub generation: u64,
    /// Of which message; its content is [`QueueStore::content`](crate::QueueStore::content).
    pub message: MessageId,
    /// Where it goes.
    pub next_hop: NextHop,
    /// From whom; its recipients are those of this delivery.
    pub envelope: Envelope,
    /// For each recipient of the envelope, in the same order: how its last attempt failed.
    pub last_failures: Vec<Option<Failure>>,
    /// When the message was submitted.
    pub received_at: Timestamp,
    /// When it was to be tried: what to give it back with where nothing was.
    pub due: Timestamp,
    /// Which door it came in by.
    pub source: String,
    /// Length of the content in bytes.
    pub size: u64,
    /// How many attempts were settled at this next hop.
    pub attempts: u32,
    /// How often working on it broke off, since an attempt last came to an end: 1 for a server's death while it was
    /// lent, which is no more than a suspicion, and one for each crash that is its own: by
    /// [`Settlement::crashed`], or of a server that had begun its [trial](crate::QueueStore::begin_trial).
    pub crashes: u32,
    /// Whether the sender was told of the delay.
    pub delay_notified: bool,
    /// Whether the settlement's `results` are wanted; where they are not, they need not be made.
    pub watched: bool,
    /// When this lease runs out.
    pub until: Timestamp,
}

impl Lease {
    /// For stores: a first lease of a delivery that was never tried; set the rest on the value.
    pub fn new(
        (delivery, generation): (DeliveryId, u64),
        message: MessageId,
        next_hop: NextHop,
        envelope: Envelope,
        received_at: Timestamp,
        until: Timestamp,
    ) -> Self {
        Self {
            delivery,
            generation,
            message,
            next_hop,
            last_failures: vec![None; envelope.recipients.len()],
            envelope,
            received_at,
            due: received_at,
            source: String::new(),
            size: 0,
            attempts: 0,
            crashes: 0,
            delay_notified: false,
            watched: false,
            until,
        }
    }
}

/// What becomes of a lent delivery, all of it in one transaction.
///
/// Recipients that `keep` does not name leave the queue: they were delivered, or failed and are reported by a
/// message in `enqueue`. When the last recipient of a message leaves, its content does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "nothing is settled before the store is given it"]
pub struct Settlement {
    /// Who stays.
    pub keep: Vec<Kept>,
    /// Whether this was an attempt, to be counted. It came to an end: earlier crashes are forgotten.
    pub attempted: bool,
    /// Whether working on it broke off, to be counted as a crash.
    pub crashed: bool,
    /// Whether the sender is told of the delay by a message in `enqueue`; never unset again.
    pub delay_notified: bool,
    /// Who leaves, each with its final outcome: written down with the settlement if the message is watched, else
    /// ignored. See [`QueueStore::results`](crate::QueueStore::results).
    pub results: Vec<(Recipient, Outcome)>,
    /// The reports owed, queued with the settlement or not at all.
    pub enqueue: Vec<NewMessage>,
}

impl Settlement {
    /// An attempt after which everyone leaves.
    pub fn all_leave() -> Self {
        Self {
            keep: Vec::new(),
            attempted: true,
            crashed: false,
            delay_notified: false,
            results: Vec::new(),
            enqueue: Vec::new(),
        }
    }

    /// An attempt after which these stay.
    pub fn keep(keep: Vec<Kept>) -> Self {
        Self { keep, ..Self::all_leave() }
    }

    /// No attempt but a crash: everyone stays, due at `due`.
    pub fn crashed(recipients: usize, due: Timestamp) -> Self {
        let keep = (0..recipients).map(|index| Kept::waiting(index, due)).collect();
        Self { crashed: true, ..Self::reroute(keep) }
    }

    /// No attempt: the recipients go to other next hops, and those not named leave.
    pub fn reroute(keep: Vec<Kept>) -> Self {
        Self { keep, attempted: false, ..Self::all_leave() }
    }
}

/// A recipient that stays in the queue. Those that differ in next hop or due time become deliveries of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Index into the recipients of the lease's envelope.
    pub index: usize,
    /// Not to be tried before this.
    pub due: Timestamp,
    /// How the attempt failed; `None` leaves the last failure as it was.
    pub failure: Option<Failure>,
    /// The queue it moves to, where its count of attempts begins anew; `None` leaves it where it is.
    pub next_hop: Option<NextHop>,
}

impl Kept {
    /// Deferred where it is.
    pub fn deferred(index: usize, due: Timestamp, failure: Failure) -> Self {
        Self { index, due, failure: Some(failure), next_hop: None }
    }

    /// Stays where it is, its last failure as it was.
    pub fn waiting(index: usize, due: Timestamp) -> Self {
        Self { index, due, failure: None, next_hop: None }
    }

    /// Moved to another queue.
    pub fn moved(index: usize, due: Timestamp, next_hop: NextHop) -> Self {
        Self { index, due, failure: None, next_hop: Some(next_hop) }
    }
}
