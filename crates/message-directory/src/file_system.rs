//! The few file-system steps that directories need, each safe against what a hostile neighbour may put in the way.
//!
//! Unix is what is compiled and tested. Elsewhere the same face is made of `std` alone: no-follow and hard links are
//! then judged by a look at the path before it is opened, and a rename that must not overwrite looks first, which leaves
//! a gap between look and rename. Windows refuses to rename or delete a file that others hold open without sharing: such
//! a file counts as busy. The non-Unix part has not been compiled.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use postroad_message::Timestamp;

/// What a look at a file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) is_regular: bool,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
    pub(crate) identity: Identity,
}

/// One state of one file, whatever it is called: device, number, size, and the moments of the last write and of its birth,
/// where the file system knows that: a new file may get the number of one that was deleted, and its date by `cp -p`.
///
/// It survives the renames of a claim and a restart. A queue that records it with the message knows a file again that
/// was taken in already, when a crash kept us from deleting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    number: u64,
    size: u64,
    modified_nanos: i128,
    born_nanos: i128,
}

impl Identity {
    /// Sixteen bytes that no other file state on this device has: a Message-ID made of them is the same when a file is
    /// taken in a second time after a crash, so that duplicates can be told.
    pub fn to_bytes(self) -> [u8; 16] {
        let low = |nanos: i128| nanos.unsigned_abs() as u64;
        // Both moments count, also where they are the same one: turned by an odd number of bits, of 64 none cancel each other.
        let moment = low(self.modified_nanos).rotate_left(31) ^ low(self.born_nanos);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..].copy_from_slice(&moment.to_be_bytes());
        bytes
    }

    /// Whether both are states of one file.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.number) == (other.device, other.number)
    }
}

/// Hexadecimal numbers joined by `-`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, number, size, modified_nanos, born_nanos } = self;
        write!(f, "{device:x}-{number:x}-{size:x}-{modified_nanos:x}-{born_nanos:x}")
    }
}

/// Looks at a path without following a symbolic link.
pub(crate) fn look(path: &Path) -> io::Result<Facts> {
    path.symlink_metadata().map(|metadata| facts(&metadata))
}

/// Looks at an open file.
pub(crate) fn look_inside(file: &File) -> io::Result<Facts> {
    file.metadata().map(|metadata| facts(&metadata))
}

fn facts(metadata: &Metadata) -> Facts {
    let nanos = nanos_since_epoch(metadata.modified().unwrap_or(UNIX_EPOCH));
    let (device, number, links) = file_number(metadata);
    Facts {
        is_regular: metadata.file_type().is_file(),
        links,
        size: metadata.len(),
        modified: Timestamp::from_unix_millis(i64::try_from(nanos.div_euclid(1_000_000)).unwrap_or(i64::MAX)),
        identity: Identity {
            device,
            number,
            size: metadata.len(),
            modified_nanos: nanos,
            born_nanos: metadata.created().map_or(0, nanos_since_epoch),
        },
    }
}

fn nanos_since_epoch(moment: SystemTime) -> i128 {
    let nanos = |span: std::time::Duration| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX);
    match moment.duration_since(UNIX_EPOCH) {
        Ok(after) => nanos(after),
        Err(before) => -nanos(before.duration()),
    }
}

#[cfg(unix)]
fn file_number(metadata: &Metadata) -> (u64, u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino(), metadata.nlink())
}

#[cfg(not(unix))]
fn file_number(_: &Metadata) -> (u64, u64, u64) {
    (0, 0, 1)
}

/// Opens for reading: follows no symbolic link, waits for no FIFO's other end, is not inherited by programs we start.
#[cfg(unix)]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if !look(path)?.is_regular {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    File::open(path)
}

/// Renames, never over something that exists: [`io::ErrorKind::AlreadyExists`].
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // This kernel or file system (NFS) cannot; a hard link can.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => (),
            done => return done.map_err(io::Error::from),
        }
    }
    rename_by_link(from, to)
}

/// Between the two steps the file has two names; [`Directory::recover`](crate::Directory::recover) knows that state.
#[cfg(unix)]
fn rename_by_link(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to)?;
    std::fs::remove_file(from)
}

#[cfg(not(unix))]
fn rename_by_link(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}

/// Bytes of all files in a directory. Others delete while we count: what vanishes counts nothing. Where the rest cannot be
/// listed, or a file not be looked at, nobody knows how many there are.
pub(crate) fn bytes_in(directory: &Path) -> io::Result<u64> {
    total(std::fs::read_dir(directory)?.map(|entry| look(&entry?.path())))
}

fn total(files: impl Iterator<Item = io::Result<Facts>>) -> io::Result<u64> {
    let mut bytes = 0_u64;
    for file in files {
        match file {
            Ok(facts) if facts.is_regular => bytes = bytes.saturating_add(facts.size),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Asks the system to begin writing a file to the disk, which will be synced soon: a hint that promises nothing. That its
/// bytes need not stay in memory is what makes Linux begin.
pub(crate) fn begin_writing(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = file;
}

/// Makes the names in a directory durable.
#[cfg(unix)]
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// NTFS journals its names; there is no such call.
#[cfg(not(unix))]
pub(crate) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made in a moment was born when it was written last.
    #[test]
    fn of_files_that_are_as_old_as_their_bytes_those_of_other_moments_have_other_names() {
        let at = |nanos: u64| {
            let (modified_nanos, born_nanos) = (i128::from(nanos), i128::from(nanos));
            Identity { device: 1, number: 2, size: 3, modified_nanos, born_nanos }.to_bytes()
        };
        let (high, low) = (1_711_903_005_000_000_000_u64 >> 32, 1_711_903_005_000_000_000_u64 & 0xffff_ffff);
        for later in 1..100_000 {
            let other = ((high + later) << 32) | (low ^ high ^ (high + later));
            assert_ne!(at((high << 32) | low), at(other), "{later}");
        }
    }

    #[test]
    fn a_listing_that_fails_is_no_short_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "12345").unwrap();
        let file = || look(&folder.path().join("a"));
        let fails = |kind: io::ErrorKind| io::Result::Err(kind.into());
        for (name, files, bytes) in [
            ("all of them", vec![file(), file(), look(folder.path())], Ok(10)),
            ("one vanished", vec![file(), fails(io::ErrorKind::NotFound), file()], Ok(10)),
            ("the disk fails", vec![file(), fails(io::ErrorKind::Other), file()], Err(io::ErrorKind::Other)),
            (
                "one is hidden",
                vec![fails(io::ErrorKind::PermissionDenied)],
                Err(io::ErrorKind::PermissionDenied),
            ),
        ] {
            assert_eq!(total(files.into_iter()).map_err(|error| error.kind()), bytes, "{name}");
        }
    }
}
