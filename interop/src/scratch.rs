//! A test's own folder, kept for reading when the test fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

/// A temporary folder that other users (Postfix's, nobody) can enter.
///
/// Clones are the same folder; it goes with the last of them, so that no program loses its folder before it ends.
#[derive(Clone, Debug)]
pub struct Scratch {
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    temporary: Option<TempDir>,
    path: PathBuf,
}

impl Scratch {
    /// A new, empty folder.
    pub fn new() -> Self {
        let temporary = tempfile::Builder::new().prefix("postroad-").tempdir().expect("a temporary folder");
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755))
            .expect("open the folder to Postfix");
        let path = temporary.path().canonicalize().expect("the folder's real path");
        Self { folder: Arc::new(Folder { temporary: Some(temporary), path }) }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// Creates `name` and the folders above it inside this one.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path().join(name);
        fs::create_dir_all(&folder).expect("create a folder in the scratch folder");
        folder
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.path().join(name);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).expect("create a folder in the scratch folder");
        }
        fs::write(&file, content).expect("write a file in the scratch folder");
        file
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(folder) = self.temporary.take()
        {
            eprintln!("what the programs left behind is in {}", folder.keep().display());
        }
    }
}
