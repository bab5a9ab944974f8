//! `[queue]`: where accepted mail waits.

use std::path::{Path, PathBuf};

use crate::reading::section::Section;
use crate::reading::value::{one_of, path, size};

/// Where accepted mail waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueStore {
    /// The embedded store in this file.
    Sqlite(PathBuf),
}

/// `[queue]`: where accepted mail waits, and how much room it leaves to others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// The store.
    pub store: QueueStore,
    /// Bytes that are to stay free on its disk: with less, nothing more is begun.
    pub minimum_free_space: u64,
    /// Bytes of memory that are to stay free: with less, nothing more is begun.
    pub minimum_free_memory: u64,
}

/// Exchange's constant for the disk of its queue database.
const MINIMUM_FREE_SPACE: u64 = 500 * 1024 * 1024;

/// Enough for the deliveries that are under way.
const MINIMUM_FREE_MEMORY: u64 = 64 * 1024 * 1024;

/// The embedded store's file in the data directory.
const FILE: &str = "queue.db";

pub(crate) fn default(data_directory: &Path) -> Queue {
    let store = QueueStore::Sqlite(data_directory.join(FILE));
    Queue { store, minimum_free_space: MINIMUM_FREE_SPACE, minimum_free_memory: MINIMUM_FREE_MEMORY }
}

pub(crate) fn read(mut section: Section<'_, '_>, folder: &Path, data_directory: &Path) -> Queue {
    let mut queue = default(data_directory);
    let store = section.get("store", one_of(&[("sqlite", "sqlite"), ("postgresql", "postgresql")]));
    section.check("url_file", path(folder));
    if section.has("url_file") && store != Some("postgresql") {
        section.contradiction("url_file", "store", "belongs to store = \"postgresql\" only");
    }
    if store == Some("postgresql") && !section.has("url_file") {
        section.contradiction(
            "store",
            "url_file",
            "\"postgresql\" needs url_file, as in url_file = \"secrets/queue-url\"",
        );
    }
    section.set(&mut queue.minimum_free_space, "minimum_free_space", size(0..=u64::MAX));
    section.set(&mut queue.minimum_free_memory, "minimum_free_memory", size(0..=u64::MAX));
    section.close();
    queue
}
