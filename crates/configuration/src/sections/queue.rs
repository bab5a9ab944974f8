//! `[queue]`: where accepted mail waits.

use std::path::{Path, PathBuf};

use crate::reading::section::Section;
use crate::reading::value::{one_of, path};

/// Where accepted mail waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueStore {
    /// The embedded store in this file.
    Sqlite(PathBuf),
}

/// The embedded store's file in the data directory.
const FILE: &str = "queue.db";

pub(crate) fn default(data_directory: &Path) -> QueueStore {
    QueueStore::Sqlite(data_directory.join(FILE))
}

pub(crate) fn read(mut section: Section<'_, '_>, folder: &Path, data_directory: &Path) -> QueueStore {
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
    section.close();
    default(data_directory)
}
