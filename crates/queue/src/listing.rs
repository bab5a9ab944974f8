//! What a postmaster sees of a queue: deliveries, queues, and the filter that picks among them.

use std::str::FromStr;

use postroad_message::{Failure, NextHop, Recipient, ReversePath, Timestamp};
use serde::{Deserialize, Serialize};

use crate::message_id::{DeliveryId, MessageId};

/// Which deliveries to list or to act on: those that fit every field that is set.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Filter {
    /// Of one message.
    pub message: Option<MessageId>,
    /// One delivery.
    pub delivery: Option<DeliveryId>,
    /// Of one queue.
    pub next_hop: Option<NextHop>,
    /// Of every queue of one connector.
    pub connector: Option<String>,
    /// From this mailbox, ASCII case aside; `<>` for reports.
    pub sender: Option<String>,
    /// With this recipient, as an address prints, ASCII case aside.
    pub recipient: Option<String>,
    /// In this state.
    pub state: Option<StateKind>,
    /// Received at this moment or before.
    pub received_before: Option<Timestamp>,
    /// For paging: those after this one, in the order of delivery ids. Lists only.
    pub after: Option<DeliveryId>,
    /// At most so many. Lists only.
    pub limit: Option<usize>,
}

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// One message.
    pub fn message(message: MessageId) -> Self {
        Self { message: Some(message), ..Self::default() }
    }

    /// One queue.
    pub fn next_hop(next_hop: NextHop) -> Self {
        Self { next_hop: Some(next_hop), ..Self::default() }
    }
}

/// How a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// Waits for its due time, or for a free slot.
    Waiting,
    /// Someone works on it until then.
    Active {
        /// When the lease runs out.
        until: Timestamp,
    },
    /// Held by an administrator, itself or its queue.
    Suspended,
    /// Held because it cannot be read, or because working on it did harm.
    SetAside {
        /// What was found.
        reason: String,
    },
}

/// A [`State`] without its particulars, to filter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateKind {
    /// [`State::Waiting`]
    Waiting,
    /// [`State::Active`]
    Active,
    /// [`State::Suspended`]
    Suspended,
    /// [`State::SetAside`]
    SetAside,
}

/// The text names no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state: expected waiting, active, suspended or set-aside")]
pub struct UnknownState;

impl FromStr for StateKind {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        match text {
            "waiting" => Ok(Self::Waiting),
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            "set-aside" => Ok(Self::SetAside),
            _ => Err(UnknownState),
        }
    }
}

/// One delivery as listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// Its name.
    pub delivery: DeliveryId,
    /// Its message.
    pub message: MessageId,
    /// Its queue.
    pub next_hop: NextHop,
    /// From whom; `None` where the record cannot be read.
    pub sender: Option<ReversePath>,
    /// Who waits here; empty where the record cannot be read.
    pub recipients: Vec<QueuedRecipient>,
    /// Length of the content in bytes.
    pub size: u64,
    /// When the message was submitted.
    pub received_at: Timestamp,
    /// Which door it came in by.
    pub source: String,
    /// When it is tried next.
    pub due: Timestamp,
    /// Attempts settled here.
    pub attempts: u32,
    /// Whether the sender was told of the delay.
    pub delay_notified: bool,
    /// How it stands.
    pub state: State,
}

impl Listed {
    /// For stores: a delivery that waits and was never tried; set the rest on the value.
    pub fn new(
        delivery: DeliveryId,
        message: MessageId,
        next_hop: NextHop,
        received_at: Timestamp,
        due: Timestamp,
    ) -> Self {
        Self {
            delivery,
            message,
            next_hop,
            sender: None,
            recipients: Vec::new(),
            size: 0,
            received_at,
            source: String::new(),
            due,
            attempts: 0,
            delay_notified: false,
            state: State::Waiting,
        }
    }

    /// The first failure that any recipient has to its name.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.recipients.iter().find_map(|queued| queued.last_failure.as_ref())
    }
}

/// A recipient and how its last attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueuedRecipient {
    /// Who.
    pub recipient: Recipient,
    /// How its last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
}

impl QueuedRecipient {
    /// For stores: one that was never tried.
    pub fn new(recipient: Recipient) -> Self {
        Self { recipient, last_failure: None }
    }
}

/// One queue as listed: how many deliveries it has in each state, each counted once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QueueSummary {
    /// Its name.
    pub next_hop: NextHop,
    /// Whether the queue as a whole is suspended.
    pub suspended_as_a_whole: bool,
    /// Deliveries that wait, due or not; the ones of a suspended queue count as suspended.
    pub waiting: u64,
    /// Deliveries that someone works on.
    pub active: u64,
    /// Deliveries that are suspended.
    pub suspended: u64,
    /// Deliveries that are set aside.
    pub set_aside: u64,
    /// When the first waiting one is tried.
    pub next_due: Option<Timestamp>,
    /// When the oldest message here was submitted.
    pub oldest: Option<Timestamp>,
}

impl QueueSummary {
    /// For stores: an empty queue; set the rest on the value.
    pub fn new(next_hop: NextHop) -> Self {
        Self {
            next_hop,
            suspended_as_a_whole: false,
            waiting: 0,
            active: 0,
            suspended: 0,
            set_aside: 0,
            next_due: None,
            oldest: None,
        }
    }
}

/// How far an administrator's action came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Changed {
    /// Deliveries that were changed.
    pub deliveries: u64,
    /// Deliveries that fit the filter but that someone works on at the moment; left alone.
    pub active: u64,
}
