//! What can go wrong with a queue, whose fault it is, and whether the same call may succeed later.

use crate::message_id::{DeliveryId, MessageId};

/// Why a store did not do what it was asked. Nothing of a call that failed is visible, now or after a restart; but for one that
/// failed with [`Io`](Self::Io), of which something may be there at the next start, where the disk could neither sync it nor
/// take it back: whoever was told "not now" and comes again may have come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// No space left for the queue, or a quota reached. Answer 452 4.3.1; make room.
    #[error("the queue's disk is full (code {code}): make room")]
    DiskFull {
        /// SQLite's extended result code, or the system's error number.
        code: i32,
    },
    /// The disk or the file system failed, a sync included. Answer 451 4.3.0; look at the machine.
    #[error("the queue's disk failed (code {code}): see the system log")]
    Io {
        /// SQLite's extended result code, or the system's error number.
        code: i32,
    },
    /// Its disk, its folder or its file may only be read. Answer 451 4.3.0; remount the disk, or give us the files.
    #[error("the queue can only be read (code {code}): see how its disk is mounted, and whose its files are")]
    ReadOnly {
        /// SQLite's extended result code, or the system's error number.
        code: i32,
    },
    /// Another process held the store for longer than we wait, or this machine is short of memory or descriptors.
    #[error(
        "the queue is in use by another process, or memory or descriptors are short (code {code}): try again"
    )]
    Busy {
        /// SQLite's extended result code, or the system's error number.
        code: i32,
    },
    /// A record cannot be read. Where it is one message, that message is set aside and the rest goes on.
    #[error("the queue is damaged{}: see `set aside` in the listing, or restore it", of(message))]
    Corrupt {
        /// The message that was set aside; `None` when the damage is in the store as a whole.
        message: Option<MessageId>,
    },
    /// The store was written by a newer version of this program, and was not touched.
    #[error("the queue's schema is version {found}, this program knows up to {known}: run the newer program")]
    NewerSchema {
        /// Version of the store.
        found: i32,
        /// Newest version that this program reads.
        known: i32,
    },
    /// The file is a database, but not a queue of ours, and was not touched.
    #[error(
        "the file is not a queue of this program, or its beginning is damaged: restore it, or name another"
    )]
    NotAQueue,
    /// Any other answer of the database engine, which would be a fault of this crate.
    #[error("the queue's database engine refused (SQLite {code})")]
    Engine {
        /// SQLite's extended result code.
        code: i32,
    },
    /// The store was closed, or its thread is gone.
    #[error("the queue is closed")]
    Closed,
    /// The lease ran out and someone else took the delivery, or the delivery was removed. Drop the result.
    #[error("the lease of delivery {delivery} is lost")]
    LeaseLost {
        /// The delivery that was leased.
        delivery: DeliveryId,
    },
    /// There is no such message, or no longer.
    #[error("no message {message} in the queue")]
    UnknownMessage {
        /// The id that was asked for.
        message: MessageId,
    },
    /// A message without deliveries, or a delivery without recipients: nothing would ever happen to it.
    #[error("a message in the queue needs a delivery, and a delivery a recipient")]
    NothingToDeliver,
    /// A settlement names a recipient that the lease does not have, or names one twice.
    #[error("the settlement names recipient {index}, which the lease has not, or names it twice")]
    NoSuchRecipient {
        /// Index into the lease's recipients.
        index: usize,
    },
}

impl QueueError {
    /// Whether to answer "not now" rather than "never": true for every fault of this machine or of its
    /// operator, false only where the call itself was wrong or came too late.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::DiskFull { .. }
            | Self::Io { .. }
            | Self::ReadOnly { .. }
            | Self::Busy { .. }
            | Self::Corrupt { .. }
            | Self::NewerSchema { .. }
            | Self::NotAQueue
            | Self::Engine { .. }
            | Self::Closed => true,
            Self::LeaseLost { .. }
            | Self::UnknownMessage { .. }
            | Self::NothingToDeliver
            | Self::NoSuchRecipient { .. } => false,
        }
    }
}

fn of(message: &Option<MessageId>) -> String {
    message.map_or_else(String::new, |id| format!(" at message {id}"))
}
