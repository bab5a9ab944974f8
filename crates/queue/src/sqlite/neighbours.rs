//! Who else has the store open, and what they tell one another of a disk that failed.
//!
//! | file in `queue.db-fresh/` | what it is |
//! |---|---|
//! | `open` | locked together by all who have the store open; not empty once a sync of the database failed |
//! | `carry` | locked by whoever carries the write-ahead log over |
//!
//! SQLite keeps beside the database how far its log was carried over, in memory that all who have it open share. After a
//! sync that failed this is not true, and whoever believes it would write over what stands in the log alone. So from then on
//! nobody carries anything over, or comes to the store, until all have left it: with the last of them that memory is gone.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rusqlite::ffi::SQLITE_IOERR_FSYNC;
use rustix::fs::{FlockOperation, flock};

use super::fault::Fault;
use super::fresh;
use crate::error::QueueError;

/// This store among those who have it open: to be dropped after every connection to the database.
pub(super) struct Neighbours {
    open: File,
    carry: File,
}

/// Nobody else carries the log over meanwhile.
pub(super) struct Turn(Arc<Neighbours>);

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = self.0.carry.unlock();
    }
}

impl Neighbours {
    /// Comes to those who have the store open, before its database is.
    pub(super) fn enter(database: &Path) -> Result<Self, Fault> {
        let (open, carry) = (fresh::open_beside(database, "open")?, fresh::open_beside(database, "carry")?);
        if open.try_lock().is_ok() {
            // All who knew of it have left.
            open.set_len(0)?;
        }
        flock(&open, FlockOperation::LockShared).map_err(std::io::Error::from)?;
        let this = Self { open, carry };
        match this.is_forsaken() {
            false => Ok(this),
            true => Err(QueueError::Io { code: SQLITE_IOERR_FSYNC }.into()),
        }
    }

    /// Whether a sync of the database failed; where that cannot be seen it may have.
    pub(super) fn is_forsaken(&self) -> bool {
        self.open.metadata().map_or(true, |open| open.len() > 0)
    }

    /// Tells all that one did.
    pub(super) fn forsake(&self) {
        // Where even this fails, those who have the database open already are told of that sync by the kernel.
        let _ = self.open.set_len(1);
    }

    /// To carry over; nothing where somebody else does.
    pub(super) fn turn(self: &Arc<Self>) -> Option<Turn> {
        self.carry.try_lock().ok().map(|()| Turn(Arc::clone(self)))
    }

    /// The file turned out to be none of ours: what was made beside it goes.
    pub(super) fn never_mind(self, database: &Path) {
        drop(self);
        fresh::remove_beside(database, &["open", "carry"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_comes_to_a_store_that_is_forsaken_before_all_have_left_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("queue.db");
        std::fs::write(&database, "").expect("a file");
        let enter = || Neighbours::enter(&database).map_err(|Fault(error)| error);
        let (first, second) = (enter().expect("nobody is there"), enter().expect("room for two"));
        assert!(!first.is_forsaken());
        second.forsake();
        drop(second);
        assert!(first.is_forsaken());
        let refused = enter().err();
        assert_eq!(refused, Some(QueueError::Io { code: SQLITE_IOERR_FSYNC }));
        drop(first);
        assert!(!enter().expect("all have left").is_forsaken());
    }
}
