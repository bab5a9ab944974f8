//! What a listing shows, as values: a row for each queue, and one for each delivery of a message.

use postroad_message::{Scope, Timestamp};
use postroad_queue::{Filter, Listed, MessageId, QueueStore, QueueSummary, QueuedRecipient, State};
use serde::Serialize;

use crate::error::AdminError;

/// Deliveries looked up at a time.
const PAGE: usize = 500;

/// How a queue or a delivery stands, in Exchange's words where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It waits for its turn.
    Ready,
    /// Someone works on it.
    Active,
    /// The last try failed; there will be another.
    Retry,
    /// Held by an administrator.
    Suspended,
    /// Held because it cannot be read or did harm: Exchange's poison queue.
    SetAside,
}

impl Status {
    /// The word of a listing.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Active => "active",
            Self::Retry => "retry",
            Self::Suspended => "suspended",
            Self::SetAside => "set-aside",
        }
    }
}

/// One queue: the mail for one next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QueueRow {
    /// Its name, `connector -> destination`.
    pub queue: String,
    /// Its connector; empty for the unreachable.
    pub connector: String,
    /// The queue within the connector.
    pub destination: String,
    /// How it stands.
    pub status: Status,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Deliveries that someone works on.
    pub active: u64,
    /// Deliveries that are suspended.
    pub suspended: u64,
    /// Deliveries that are set aside.
    pub set_aside: u64,
    /// When the first that waits is tried, RFC 3339.
    #[serde(serialize_with = "moment")]
    pub next_try: Option<Timestamp>,
    /// When the oldest was submitted.
    #[serde(serialize_with = "moment")]
    pub oldest: Option<Timestamp>,
    /// Why its oldest delivery was not taken at the last try.
    pub last_error: Option<String>,
}

/// One message at one next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MessageRow {
    /// The message: what the commands are told.
    pub id: String,
    /// This delivery of it.
    pub delivery: String,
    /// Its queue.
    pub queue: String,
    /// How it stands.
    pub status: Status,
    /// Why it is set aside.
    pub reason: Option<String>,
    /// From whom, `<>` for a report; `None` where the record cannot be read.
    pub sender: Option<String>,
    /// Who waits.
    pub recipients: Vec<RecipientRow>,
    /// Length of the content in bytes.
    pub size: u64,
    /// Which door it came in by.
    pub source: String,
    /// When it was submitted.
    #[serde(serialize_with = "always")]
    pub received_at: Timestamp,
    /// When it is tried next.
    #[serde(serialize_with = "always")]
    pub next_try: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// Whether the sender was told of the delay.
    pub delay_notified: bool,
    /// Why the first recipient that has a reason was not taken at the last try.
    pub last_error: Option<String>,
}

/// One recipient that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecipientRow {
    /// Who.
    pub address: String,
    /// Why it was not taken at the last try.
    pub last_error: Option<String>,
}

/// Every queue that has mail or is suspended, by name.
///
/// A queue is in [`Status::Retry`] while its oldest delivery waits after a failure of the next hop itself.
///
/// # Errors
///
/// [`AdminError::Queue`]
pub async fn queues(store: &dyn QueueStore, now: Timestamp) -> Result<Vec<QueueRow>, AdminError> {
    let mut rows = Vec::new();
    for summary in store.queues(now).await? {
        let mut oldest = Filter::next_hop(summary.next_hop.clone());
        oldest.limit = Some(1);
        let oldest = store.list(oldest, now).await?.pop();
        rows.push(QueueRow::new(&summary, oldest.as_ref(), now));
    }
    Ok(rows)
}

/// Hands each delivery that fits any of the filters to `each`, by age, without holding all of them.
///
/// # Errors
///
/// [`AdminError::Queue`], and the first that `each` gives.
pub async fn messages(
    store: &dyn QueueStore,
    filters: &[Filter],
    now: Timestamp,
    mut each: impl FnMut(Vec<MessageRow>) -> Result<(), AdminError>,
) -> Result<(), AdminError> {
    for filter in filters {
        let mut filter = filter.clone();
        filter.limit = Some(PAGE);
        loop {
            let page = store.list(filter.clone(), now).await?;
            let Some(last) = page.last() else { break };
            filter.after = Some(last.delivery);
            each(page.iter().map(MessageRow::new).collect())?;
        }
    }
    Ok(())
}

/// All deliveries of one message; empty where the queue does not have it.
///
/// # Errors
///
/// [`AdminError::Queue`]
pub async fn message(
    store: &dyn QueueStore,
    message: MessageId,
    now: Timestamp,
) -> Result<Vec<MessageRow>, AdminError> {
    Ok(store.list(Filter::message(message), now).await?.iter().map(MessageRow::new).collect())
}

impl QueueRow {
    fn new(summary: &QueueSummary, oldest: Option<&Listed>, now: Timestamp) -> Self {
        let failure = oldest.and_then(Listed::last_failure);
        let held = oldest.is_some_and(|oldest| oldest.due > now)
            && failure.is_some_and(|failure| failure.scope == Scope::NextHop);
        let status = match summary {
            _ if summary.suspended_as_a_whole => Status::Suspended,
            _ if summary.active > 0 => Status::Active,
            _ if summary.waiting > 0 && held => Status::Retry,
            _ if summary.waiting > 0 => Status::Ready,
            _ if summary.suspended > 0 => Status::Suspended,
            _ => Status::SetAside,
        };
        Self {
            queue: summary.next_hop.to_string(),
            connector: summary.next_hop.connector.to_string(),
            destination: summary.next_hop.destination.to_string(),
            status,
            waiting: summary.waiting,
            active: summary.active,
            suspended: summary.suspended,
            set_aside: summary.set_aside,
            next_try: summary.next_due,
            oldest: summary.oldest,
            last_error: failure.map(ToString::to_string),
        }
    }
}

impl MessageRow {
    fn new(listed: &Listed) -> Self {
        let last_error = listed.last_failure().map(ToString::to_string);
        let (status, reason) = match &listed.state {
            State::Active { .. } => (Status::Active, None),
            State::Suspended => (Status::Suspended, None),
            State::SetAside { reason } => (Status::SetAside, Some(reason.clone())),
            _ if last_error.is_some() => (Status::Retry, None),
            _ => (Status::Ready, None),
        };
        Self {
            id: listed.message.to_string(),
            delivery: listed.delivery.to_string(),
            queue: listed.next_hop.to_string(),
            status,
            reason,
            sender: listed.sender.as_ref().map(ToString::to_string),
            recipients: listed.recipients.iter().map(RecipientRow::new).collect(),
            size: listed.size,
            source: listed.source.clone(),
            received_at: listed.received_at,
            next_try: listed.due,
            attempts: listed.attempts,
            delay_notified: listed.delay_notified,
            last_error,
        }
    }
}

impl RecipientRow {
    fn new(queued: &QueuedRecipient) -> Self {
        Self {
            address: queued.recipient.address.to_string(),
            last_error: queued.last_failure.as_ref().map(ToString::to_string),
        }
    }
}

fn moment<S: serde::Serializer>(moment: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => to.collect_str(moment),
        None => to.serialize_none(),
    }
}

fn always<S: serde::Serializer>(moment: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(moment)
}
