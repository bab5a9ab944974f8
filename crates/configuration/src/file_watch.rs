//! Whether a configuration file has changed since it was read: a look now and then, no thread.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// When a file was last written, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

/// One file, looked at every second or so.
#[derive(Clone, Debug)]
pub(crate) struct FileWatch {
    file: PathBuf,
    read: Stamp,
    before: Stamp,
}

impl FileWatch {
    /// A file that is read at this moment.
    pub(crate) fn new(file: &Path) -> Self {
        let now = stamp(file);
        Self { file: file.to_owned(), read: now, before: now }
    }

    /// Whether it should be read again: it changed, and has been at rest since the last look, so that an editor has
    /// finished with it.
    pub(crate) fn has_changed(&mut self) -> bool {
        let now = stamp(&self.file);
        let at_rest = std::mem::replace(&mut self.before, now) == now;
        at_rest && now != self.read
    }

    /// It is read again at this moment.
    pub(crate) fn is_read(&mut self) {
        self.read = stamp(&self.file);
    }
}

fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_is_at_rest_and_until_it_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("relay.toml");
        let mut watch = FileWatch::new(&file);
        assert!(!watch.has_changed());
        std::fs::write(&file, "a").expect("write");
        assert!(!watch.has_changed(), "somebody may still write it");
        assert!(watch.has_changed());
        assert!(watch.has_changed());
        watch.is_read();
        assert!(!watch.has_changed());
    }
}
