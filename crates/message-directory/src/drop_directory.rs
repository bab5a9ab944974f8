//! Writes Drop files so that a gateway never sees half of one, and a crash never loses one that was acknowledged.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use postroad_message::{EnhancedStatus, Failure, Fault, Phase, Scope};

use crate::file_system;

/// The directory of one foreign connector. It is never created here: a missing one is a mistake to be told, not mended.
///
/// A file is written under a temporary name that starts with a dot, synced, renamed to `<32 hex digits>.eml`, and the
/// directory is synced; only then does [`write`](Self::write) return. Names come from the caller's random bytes, never from
/// message data. Blocking calls, no thread of its own.
#[derive(Clone, Debug)]
pub struct DropDirectory {
    path: PathBuf,
    quota: Option<u64>,
}

/// A file could not be written. Always transient: the message stays queued and is tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DropError {
    /// The directory does not exist, or is none.
    #[error("the Drop directory {} does not exist", .0.display())]
    Missing(PathBuf),
    /// We may not write there.
    #[error("the Drop directory {} may not be written to", .0.display())]
    Denied(PathBuf),
    /// The file system is mounted read-only.
    #[error("the Drop directory {} is read-only", .0.display())]
    ReadOnly(PathBuf),
    /// The disk, or the user's share of it, is full.
    #[error("no space for the Drop directory {}", .0.display())]
    Full(PathBuf),
    /// The files that wait there, and this one, are more than the connector's quota.
    #[error("the Drop directory {} holds {used} bytes, {size} more are over its quota of {quota}", .path.display())]
    OverQuota {
        /// The directory.
        path: PathBuf,
        /// Bytes in it.
        used: u64,
        /// Bytes of this file.
        size: u64,
        /// Bytes allowed.
        quota: u64,
    },
    /// Anything else: an I/O error, no descriptors.
    #[error("the Drop directory {}: {reason}", .path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl DropError {
    /// The same as a passing failure of this next hop: `Outcome::Deferred` takes it.
    pub fn failure(&self) -> Failure {
        let (status, fault) = match self {
            Self::Missing(_) | Self::Denied(_) => (EnhancedStatus::transient(3, 5), Fault::Configuration),
            Self::ReadOnly(_) => (EnhancedStatus::transient(3, 2), Fault::Local),
            Self::Full(_) | Self::OverQuota { .. } => (EnhancedStatus::transient(3, 1), Fault::Local),
            Self::Io { .. } => (EnhancedStatus::transient(3, 0), Fault::Local),
        };
        Failure::new(status, fault, Scope::NextHop, Phase::File, self.to_string())
    }
}

impl DropDirectory {
    /// The directory at `path`, without quota.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), quota: None }
    }

    /// DropDirectoryQuota: the most bytes that all files there may have together; `None` is unlimited.
    pub fn quota(self, quota: Option<u64>) -> Self {
        Self { quota, ..self }
    }

    /// Where this directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one file, durable when this returns. `unique`: 16 random bytes for its name.
    pub fn write(&self, unique: [u8; 16], file: &[u8]) -> Result<PathBuf, DropError> {
        self.check(u64::try_from(file.len()).unwrap_or(u64::MAX))?;
        let path = self.place(unique, file).map_err(|error| self.error(&error))?;
        file_system::sync_directory(&self.path).map_err(|error| self.error(&error))?;
        Ok(path)
    }

    /// Writes several files with one sync of the directory: all durable when this returns, each with its own result.
    pub fn write_all<'f>(
        &self,
        files: impl IntoIterator<Item = ([u8; 16], &'f [u8])>,
    ) -> Vec<Result<PathBuf, DropError>> {
        let placed: Vec<_> = files
            .into_iter()
            .map(|(unique, file)| {
                self.check(u64::try_from(file.len()).unwrap_or(u64::MAX))?;
                self.place(unique, file).map_err(|error| self.error(&error))
            })
            .collect();
        match file_system::sync_directory(&self.path) {
            Ok(()) => placed,
            // None of the names is safe: those that were placed are tried again, as duplicates at worst.
            Err(error) => placed.into_iter().map(|result| result.and(Err(self.error(&error)))).collect(),
        }
    }

    /// Removes temporary files that a crash left behind, not those that another process is writing. Returns how many.
    pub fn sweep(&self) -> Result<usize, DropError> {
        let entries = std::fs::read_dir(&self.path).map_err(|error| self.error(&error))?;
        let mut swept = 0;
        for entry in entries.flatten() {
            let path = entry.path();
            if is_temporary(&entry.file_name())
                && file_system::open(&path).is_ok_and(|file| file.try_lock().is_ok())
                && std::fs::remove_file(&path).is_ok()
            {
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn check(&self, size: u64) -> Result<(), DropError> {
        let Some(quota) = self.quota else { return Ok(()) };
        let used = file_system::bytes_in(&self.path).map_err(|error| self.error(&error))?;
        if used.saturating_add(size) > quota {
            return Err(DropError::OverQuota { path: self.path.clone(), used, size, quota });
        }
        Ok(())
    }

    fn place(&self, unique: [u8; 16], bytes: &[u8]) -> io::Result<PathBuf> {
        let name = name(unique);
        let temporary = self.path.join(format!(".{name}.tmp"));
        let path = self.path.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        let written = fill(&mut file, bytes).and_then(|()| file_system::rename_new(&temporary, &path));
        if let Err(error) = written {
            // Nothing of a failed attempt counts against the quota. If this fails too, `sweep` finds it.
            let _ = std::fs::remove_file(&temporary);
            return Err(error);
        }
        Ok(path)
    }

    fn error(&self, error: &io::Error) -> DropError {
        let path = self.path.clone();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => DropError::Missing(path),
            io::ErrorKind::PermissionDenied => DropError::Denied(path),
            io::ErrorKind::ReadOnlyFilesystem => DropError::ReadOnly(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DropError::Full(path),
            _ => DropError::Io { path, reason: error.to_string() },
        }
    }
}

fn fill(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    // For `sweep` of another process; where there are no locks, a sweep at start is the operator's risk.
    let _ = file.try_lock();
    file.write_all(bytes)?;
    file.sync_all()
}

fn name(unique: [u8; 16]) -> String {
    let mut name = String::with_capacity(36);
    for byte in unique {
        // Writing into a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(".eml");
    name
}

fn is_temporary(name: &OsStr) -> bool {
    let stem =
        name.to_str().and_then(|name| name.strip_prefix('.')).and_then(|name| name.strip_suffix(".eml.tmp"));
    stem.is_some_and(|stem| stem.len() == 32 && stem.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
