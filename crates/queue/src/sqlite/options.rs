//! The few knobs of the embedded store.

use std::time::Duration;

/// How [`SqliteStore`](super::SqliteStore) goes about its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// How long to wait for another process that writes, before the call fails with
    /// [`Busy`](crate::QueueError::Busy); 10 s.
    pub busy_timeout: Duration,
    /// How often to look whether another process changed something; 250 ms, at most 1 s.
    pub poll_interval: Duration,
    /// How many callers may share one transaction; 512.
    pub group_limit: usize,
    /// How many bytes of content may share one transaction; 16 MiB. One larger message has one of its own.
    pub group_bytes: usize,
    /// From how many bytes on a content lies in a file of its own, beside the store's; 128 KiB.
    pub large_content: usize,
    /// How many bytes of the contents queued last are kept in memory until they have left; 16 MiB. None larger than an
    /// eighth of that is.
    pub recent_content: usize,
    /// From how many bytes on the write-ahead log is carried over into the database, and begun anew; 32 MiB. Larger
    /// ones are carried over less often and for longer, and whoever calls meanwhile waits. In idle moments a sixteenth is enough.
    pub log_size: usize,
    /// How many bytes the log of fresh mail may have: what was accepted lies there, and in memory up to a quarter as much, until
    /// it is delivered, or moves into the database three seconds later; 128 MiB. 0: all mail goes through the database.
    ///
    /// Only a store that was [started](crate::QueueStore::start) has one, and takes messages there that bring their
    /// [id](crate::NewMessage::id) and go to one next hop. Servers that share a store and take in files, each of them, go without.
    pub fresh_log: usize,
    /// How many bytes the store's file may have, about; `None` is unlimited. Beyond it whatever needs room fails
    /// with [`DiskFull`](crate::QueueError::DiskFull), while what waits is delivered and leaves.
    pub max_size: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(10),
            poll_interval: Duration::from_millis(250),
            group_limit: 512,
            group_bytes: 16 << 20,
            large_content: 128 << 10,
            recent_content: 16 << 20,
            log_size: 32 << 20,
            fresh_log: 128 << 20,
            max_size: None,
        }
    }
}
