//! A test's own folder, kept for reading when the test fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::TempDir;

/// A temporary folder that other users (Postfix's, nobody) can enter; removed unless the test panics.
#[derive(Debug)]
pub struct Scratch {
    folder: Option<TempDir>,
    path: PathBuf,
}

impl Scratch {
    /// A new, empty folder.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("postroad-").tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .expect("open the folder to Postfix");
        let path = folder.path().canonicalize().expect("the folder's real path");
        Self { folder: Some(folder), path }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates `name` and the folders above it inside this one.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path.join(name);
        fs::create_dir_all(&folder).expect("create a folder in the scratch folder");
        folder
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.path.join(name);
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

impl Drop for Scratch {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("what the programs left behind is in {}", folder.keep().display());
        }
    }
}
