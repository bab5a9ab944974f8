//! How much content all connections together hold in memory.

use std::sync::atomic::{AtomicU64, Ordering};

/// A connection's part in the memory for content; given back when it is dropped.
pub(crate) struct Held<'a> {
    pub(crate) all: &'a AtomicU64,
    pub(crate) mine: u64,
}

impl Held<'_> {
    /// Says what is held now; false, and nothing more is counted, where all connections together would exceed the limit.
    pub(crate) fn set(&mut self, bytes: u64, limit: u64) -> bool {
        if bytes == self.mine {
            return true;
        }
        if bytes > self.mine {
            let grown = bytes - self.mine;
            let before = self.all.fetch_add(grown, Ordering::Relaxed);
            if before.saturating_add(grown) > limit {
                self.all.fetch_sub(grown, Ordering::Relaxed);
                return false;
            }
        } else {
            self.all.fetch_sub(self.mine - bytes, Ordering::Relaxed);
        }
        self.mine = bytes;
        true
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.mine, Ordering::Relaxed);
    }
}
