//! Writes Drop files so that a gateway never sees half of one, and a crash never loses one that was acknowledged.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use postroad_message::{Content, EnhancedStatus, Failure, Fault, Phase, Scope};

use crate::file_system;

/// The directory of one foreign connector. It is never created here: a missing one is a mistake to be told, not mended.
///
/// A file is written under a temporary name that starts with a dot, synced, renamed to `<32 hex digits>.eml`, and the
/// directory is synced; only then does [`write`](Self::write) return. Names come from the caller's numbers, never from
/// message data. Blocking calls, no thread of its own.
///
/// Whoever gives one delivery the same number at each attempt makes one file of it, whatever crash came between: a file
/// that stands there with that name and those bytes is not written again. Where the gateway has taken it meanwhile nobody
/// can know, and it gets a second one. A file of that name with other bytes stays, and the new one gets another name.
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
    /// The message itself cannot be read, for whatever its content lies in said so: the directory has nothing to do with it.
    #[error("the content cannot be read: {reason}")]
    #[non_exhaustive]
    Unreadable {
        /// What kind of failure it is.
        kind: io::ErrorKind,
        /// What the system said.
        reason: String,
    },
    /// Anything else: an I/O error, no descriptors.
    #[error("the Drop directory {}: {reason}", .path.display())]
    #[non_exhaustive]
    Io {
        /// The directory.
        path: PathBuf,
        /// What kind of failure it is.
        kind: io::ErrorKind,
        /// What the system said.
        reason: String,
    },
}

impl DropError {
    /// The same as a passing failure, of this next hop but for [`Unreadable`](Self::Unreadable): `Outcome::Deferred` takes it.
    pub fn failure(&self) -> Failure {
        let scope = if matches!(self, Self::Unreadable { .. }) { Scope::Message } else { Scope::NextHop };
        let (status, fault) = match self {
            Self::Missing(_) | Self::Denied(_) => (EnhancedStatus::transient(3, 5), Fault::Configuration),
            Self::ReadOnly(_) => (EnhancedStatus::transient(3, 2), Fault::Local),
            Self::Full(_) | Self::OverQuota { .. } => (EnhancedStatus::transient(3, 1), Fault::Local),
            Self::Unreadable { .. } | Self::Io { .. } => (EnhancedStatus::transient(3, 0), Fault::Local),
        };
        Failure::new(status, fault, scope, Phase::File, self.to_string())
    }
}

impl DropDirectory {
    /// The directory at `path`, without quota.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), quota: None }
    }

    /// DropDirectoryQuota: the most bytes that all files there may have together; `None` is unlimited.
    #[must_use]
    pub fn quota(self, quota: Option<u64>) -> Self {
        Self { quota, ..self }
    }

    /// Where this directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one file, durable when this returns. `number`: what its name is made of, the same at each attempt.
    ///
    /// # Errors
    ///
    /// Why it is not there for sure. The same `number` is to be tried again: what this attempt left is found by it.
    pub fn write(&self, number: u128, file: &[u8]) -> Result<PathBuf, DropError> {
        let mut written = self.write_all([(number, &Content::from(file.to_vec()))]);
        written.pop().unwrap_or_else(|| Err(DropError::Missing(self.path.clone())))
    }

    /// Writes several files, durable when this returns, each with its own result. They are synced beside each other, so that
    /// a disk with a journal makes many durable at once, and share the sync of the directory and the look at the quota.
    pub fn write_all<'f>(
        &self,
        files: impl IntoIterator<Item = (u128, &'f Content)>,
    ) -> Vec<Result<PathBuf, DropError>> {
        let mut room = self.room();
        let fill = |(number, file): (u128, &Content)| {
            let path = self.path.join(name(number));
            if holds(&path, file) {
                return Ok(Filled::Before(path));
            }
            room.as_mut().map_err(|error| error.clone())?.take(&self.path, file.len())?;
            Temporary::fill(self, number, file).map(Filled::Now)
        };
        let filled: Vec<_> = files.into_iter().map(fill).collect();
        let whole: Vec<&File> = filled.iter().flatten().filter_map(Filled::now).collect();
        let mut synced = sync_side_by_side(&whole).into_iter();
        let place = |filled: Result<Filled, DropError>| {
            let temporary = match filled? {
                Filled::Now(temporary) => temporary,
                // Its bytes were synced before it got this name.
                Filled::Before(path) => return Ok(path),
            };
            let synced = synced.next().unwrap_or_else(|| Err(io::ErrorKind::Other.into()));
            synced.and_then(|()| temporary.place(&self.path)).map_err(|error| self.error(&error))
        };
        let placed: Vec<_> = filled.into_iter().map(place).collect();
        if placed.iter().all(Result::is_err) {
            return placed;
        }
        match file_system::sync_directory(&self.path) {
            Ok(()) => placed,
            // None of the names is safe: those that were placed are tried again, and found.
            Err(error) => placed.into_iter().map(|result| result.and(Err(self.error(&error)))).collect(),
        }
    }

    /// Removes temporary files that a crash left behind, not those that another process is writing. Returns how many.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed.
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

    fn room(&self) -> Result<Room, DropError> {
        let used = match self.quota {
            None => 0,
            Some(_) => file_system::bytes_in(&self.path).map_err(|error| self.error(&error))?,
        };
        Ok(Room { used, quota: self.quota })
    }

    fn error(&self, error: &io::Error) -> DropError {
        let path = self.path.clone();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => DropError::Missing(path),
            io::ErrorKind::PermissionDenied => DropError::Denied(path),
            io::ErrorKind::ReadOnlyFilesystem => DropError::ReadOnly(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DropError::Full(path),
            _ => DropError::Io { path, kind: error.kind(), reason: error.to_string() },
        }
    }
}

/// What the quota leaves.
struct Room {
    used: u64,
    quota: Option<u64>,
}

impl Room {
    fn take(&mut self, path: &Path, size: usize) -> Result<(), DropError> {
        let (used, size) = (self.used, u64::try_from(size).unwrap_or(u64::MAX));
        match self.quota {
            Some(quota) if used.saturating_add(size) > quota => {
                Err(DropError::OverQuota { path: path.to_owned(), used, size, quota })
            }
            _ => {
                self.used = used.saturating_add(size);
                Ok(())
            }
        }
    }
}

/// A file of this call.
enum Filled {
    Now(Temporary),
    /// An attempt that did not live to tell of it has placed it.
    Before(PathBuf),
}

impl Filled {
    fn now(&self) -> Option<&File> {
        match self {
            Self::Now(temporary) => Some(&temporary.file),
            Self::Before(_) => None,
        }
    }
}

/// Whether a regular file there has exactly these bytes.
fn holds(path: &Path, content: &Content) -> bool {
    let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let is_alike = file_system::look(path).is_ok_and(|facts| facts.is_regular && facts.size == size);
    let compare = || {
        let (mut file, mut found) = (file_system::open(path)?, Vec::new());
        content.pieces(|piece| {
            found.resize(piece.len(), 0);
            file.read_exact(&mut found)?;
            if found == piece { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
        })
    };
    is_alike && compare().is_ok()
}

/// A file under its temporary name, which goes unless it is [placed](Self::place): nothing of a failed attempt counts
/// against the quota. What cannot be removed even then [`sweep`](DropDirectory::sweep) finds.
struct Temporary {
    file: File,
    temporary: PathBuf,
    number: u128,
}

impl Temporary {
    fn fill(directory: &DropDirectory, number: u128, content: &Content) -> Result<Self, DropError> {
        // What an attempt left that a crash ended has the first name, and is left to `sweep`.
        let (file, temporary) = first_free(number, |name| {
            let temporary = directory.path.join(format!(".{name}.tmp"));
            OpenOptions::new().write(true).create_new(true).open(&temporary).map(|file| (file, temporary))
        })
        .map_err(|error| directory.error(&error))?;
        let filled = Self { file, temporary, number };
        // For `sweep` of another process; where there are no locks, a sweep at start is the operator's risk.
        let _ = filled.file.try_lock();
        let mut written = Ok(());
        let read = content.pieces(|piece| {
            written = (&filled.file).write_all(piece);
            if written.is_ok() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
        });
        written.map_err(|error| directory.error(&error))?;
        read.map_err(|error| DropError::Unreadable { kind: error.kind(), reason: error.to_string() })?;
        Ok(filled)
    }

    fn place(mut self, directory: &Path) -> io::Result<PathBuf> {
        let placed = first_free(self.number, |name| {
            let path = directory.join(name);
            file_system::rename_new(&self.temporary, &path).map(|()| path)
        })?;
        self.temporary.clear();
        Ok(placed)
    }
}

/// Does what a name that exists prevents, under the first of a hundred names that is free. The second is far from the
/// names of the deliveries that come next.
fn first_free<T>(number: u128, mut act: impl FnMut(&str) -> io::Result<T>) -> io::Result<T> {
    const STRIDE: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
    for attempt in 0..100 {
        match act(&name(number.wrapping_add(STRIDE.wrapping_mul(attempt)))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            done => return done,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// So many syncs wait for the disk at the same time, and each of their threads has at least so many files.
const SIDE_BY_SIDE: usize = 4;

/// Syncs every file; one after another as far as there are no threads to be had.
///
/// The disk begins with all of them before the first is waited for, so that most are written by the time their turn comes. The
/// threads are for a machine that has other work: there a sync takes milliseconds, however little is written, and several wait
/// at the same time.
fn sync_side_by_side(files: &[&File]) -> Vec<io::Result<()>> {
    if files.len() > 1 {
        files.iter().for_each(|file| file_system::begin_writing(file));
    }
    let next = AtomicUsize::new(0);
    let synced: Vec<OnceLock<io::Result<()>>> = files.iter().map(|_| OnceLock::new()).collect();
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some(one), Some(result)) = (files.get(at), synced.get(at)) else { return };
            // Nobody else has this place.
            let _ = result.set(one.sync_all());
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..files.len().div_ceil(SIDE_BY_SIDE).min(SIDE_BY_SIDE) {
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let result = |cell: OnceLock<_>| cell.into_inner().unwrap_or_else(|| Err(io::ErrorKind::Other.into()));
    synced.into_iter().map(result).collect()
}

fn name(number: u128) -> String {
    format!("{number:032x}.eml")
}

fn is_temporary(name: &OsStr) -> bool {
    let stem =
        name.to_str().and_then(|name| name.strip_prefix('.')).and_then(|name| name.strip_suffix(".eml.tmp"));
    stem.is_some_and(|stem| stem.len() == 32 && stem.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use postroad_message::StatusClass;

    use super::*;

    #[test]
    fn whatever_the_system_says_is_told_and_passes() {
        for (kind, told, status) in [
            (io::ErrorKind::NotFound, "the Drop directory Fax does not exist", "4.3.5"),
            (io::ErrorKind::NotADirectory, "the Drop directory Fax does not exist", "4.3.5"),
            (io::ErrorKind::PermissionDenied, "the Drop directory Fax may not be written to", "4.3.5"),
            (io::ErrorKind::ReadOnlyFilesystem, "the Drop directory Fax is read-only", "4.3.2"),
            (io::ErrorKind::StorageFull, "no space for the Drop directory Fax", "4.3.1"),
            (io::ErrorKind::QuotaExceeded, "no space for the Drop directory Fax", "4.3.1"),
            (io::ErrorKind::ResourceBusy, "the Drop directory Fax: resource busy", "4.3.0"),
        ] {
            let error = DropDirectory::new("Fax").error(&kind.into());
            let failure = error.failure();
            assert_eq!((error.to_string().as_str(), failure.status.to_string().as_str()), (told, status));
            assert_eq!(failure.status.class(), StatusClass::Transient, "{kind}");
        }
    }
}
