//! A file that is ours: read, and then deleted, refused or given back.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use postroad_message::Timestamp;

use crate::badmail_directory::{Bad, BadmailDirectory, Triplet};
use crate::directory::Skipped;
use crate::file_system::{self, Facts, Identity};

/// A file that is ours until it is settled. Dropped without that, it stays `.tmp` until the next start.
#[derive(Debug)]
pub struct Claimed {
    /// Holds the lock.
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) stem: OsString,
    /// What it was called when it came.
    pub(crate) name: OsString,
    pub(crate) facts: Facts,
    pub(crate) max_file_size: u64,
}

impl Claimed {
    /// Which state of which file this is: to be recorded with the queued message.
    pub fn identity(&self) -> Identity {
        self.facts.identity
    }

    /// What it was called when it came.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Where the file is now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes. [`Skipped::Busy`] if someone wrote meanwhile, or gave the name to another file before it became ours: release
    /// it then.
    ///
    /// # Errors
    ///
    /// Besides `Busy`: too large, or what the disk says.
    pub fn read(&mut self) -> Result<Vec<u8>, Skipped> {
        let mut bytes = Vec::new();
        self.read_into(&mut bytes)?;
        Ok(bytes)
    }

    /// The same into a buffer that others were read into before.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_into(&mut self, bytes: &mut Vec<u8>) -> Result<(), Skipped> {
        bytes.clear();
        let (size, limit) = (self.facts.size, self.max_file_size);
        if size <= limit {
            bytes.reserve(usize::try_from(size).unwrap_or(0));
            // No more than that: the look behind it tells whether the file has grown.
            (&mut self.file).take(size).read_to_end(bytes).map_err(skipped)?;
        }
        // By its name: one look tells that it is as it was, and that what we renamed is what we opened.
        let after = file_system::look(&self.path).map_err(skipped)?;
        let whole = size > limit || u64::try_from(bytes.len()).is_ok_and(|length| length == size);
        if !whole || after.identity != self.facts.identity {
            return Err(Skipped::Busy);
        }
        if size > limit { Err(Skipped::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// The queue has it, durably: the file goes.
    ///
    /// # Errors
    ///
    /// What the disk says: the file may come again, with the same [`identity`](Self::identity).
    pub fn settle(self) -> io::Result<()> {
        if self.is_still_there()? { std::fs::remove_file(&self.path) } else { Ok(()) }
    }

    /// It cannot become a message: it stays as `.bad`. Returns where.
    ///
    /// # Errors
    ///
    /// What the disk says: it stays as `.tmp`.
    pub fn refuse(self, now: Timestamp) -> io::Result<PathBuf> {
        rename(&self.path, &self.stem, "bad", now)
    }

    /// It cannot become a message, and is kept as IIS keeps such files; where the cap allows no more, or that directory
    /// cannot be written, it stays as `.bad`, as [`refuse`](Self::refuse) leaves it. Returns where it is.
    ///
    /// # Errors
    ///
    /// What the disk says: it stays as `.tmp`.
    pub fn refuse_to(
        self,
        badmail: &BadmailDirectory,
        source: &str,
        reason: &str,
        now: Timestamp,
    ) -> io::Result<PathBuf> {
        let file = self.path.with_file_name(&self.name);
        let file = file.to_string_lossy();
        let triplet = Triplet {
            unique: self.identity().to_bytes(),
            bad: Bad::File(&self.path),
            properties: &[("Source", source), ("File", &file)],
            reason,
        };
        match self.is_still_there()?.then(|| badmail.keep(&triplet)) {
            Some(Ok(Some(kept))) => Ok(kept),
            _ => self.refuse(now),
        }
    }

    /// Not now: it gets its `.eml` name back, for the next poll. One that vanished needs none.
    ///
    /// # Errors
    ///
    /// What the disk says: it stays as `.tmp`.
    pub fn release(self, now: Timestamp) -> io::Result<()> {
        match rename(&self.path, &self.stem, "eml", now) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_still_there(&self) -> io::Result<bool> {
        match file_system::look(&self.path) {
            Ok(facts) => Ok(facts.identity.is_same_file(&self.facts.identity)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// In its directory it becomes `stem.extension`, or `stem<moment>.extension`, or `stem<moment>-<n>.extension`: the first that is free.
pub(crate) fn rename(from: &Path, stem: &OsStr, extension: &str, now: Timestamp) -> io::Result<PathBuf> {
    let mut infix = String::new();
    for attempt in 1..100 {
        let to = from.with_file_name(named(stem, &infix, extension));
        match file_system::rename_new(from, &to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            // The moment would make a name that is long already too long.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename && attempt > 1 => return Err(error),
            done => return done.map(|()| to),
        }
        let moment = now.to_compact();
        infix = if attempt == 1 { moment } else { format!("{moment}-{attempt}") };
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

pub(crate) fn named(stem: &OsStr, infix: &str, extension: &str) -> OsString {
    let mut name = stem.to_owned();
    name.push(infix);
    name.push(".");
    name.push(extension);
    name
}

pub(crate) fn skipped(error: io::Error) -> Skipped {
    match error.kind() {
        io::ErrorKind::NotFound => Skipped::Vanished,
        io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock => Skipped::Busy,
        kind => Skipped::Denied(kind),
    }
}
