//! Nothing accepted is lost: where mail waits, when it is tried again, and whose turn it is.

pub mod contract;
pub mod error;
pub mod item;
pub mod listing;
pub mod message_id;
pub mod schedule;
pub mod scheduler;
pub mod sqlite;
pub mod store;

pub use error::QueueError;
pub use item::{Claim, Claimed, Eligible, Kept, Lease, NewDelivery, NewMessage, Settlement};
pub use listing::{Changed, Filter, Listed, QueueSummary, QueuedRecipient, State, StateKind};
pub use message_id::{DeliveryId, InvalidId, MessageId};
pub use schedule::{ExchangePhases, MessageTimers, RetrySchedule};
pub use scheduler::{Concurrency, Contact, Scheduler, Slot, Standing};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{BoxFuture, QueueStore};
