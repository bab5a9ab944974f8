//! A watched directory: lists what waits, claims one file at a time, settles it. Blocking calls, no thread of its own.

use std::collections::{BinaryHeap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postroad_message::Timestamp;

use crate::claimed::{named, rename, skipped};
use crate::file_system::{self, Facts};
use crate::pickup::{Dialect, has_extension};

pub use crate::claimed::Claimed;
pub use crate::file_system::Identity;

/// A Pickup or Replay directory.
///
/// One file goes through these states, each a name, so that a crash at any point loses nothing:
///
/// ```text
///   name.eml ──claim──► name.tmp ──settle──► gone         once the queue has committed
///       ▲                  │  └────refuse──► name.bad     stays, its reason told once
///       └──release, or recover at start
/// ```
///
/// No rename ever overwrites: where `name.tmp` or `name.bad` exists, the name gets the moment in it
/// (`name20240331163645042.tmp`). A claimed file is locked (`flock`) for as long as it is held, so that several processes
/// can watch one directory and one that starts does not take back what another holds.
///
/// Only regular files with one name are touched, and symbolic links are never followed: a link, a FIFO, a device, a
/// directory called `x.eml` stays and is told of once.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    dialect: Dialect,
    max_file_size: u64,
    quiet_for: Duration,
    told: HashSet<OsString>,
    /// So many names were looked at without finding enough: the next poll goes on behind them.
    passed: usize,
}

/// The most files whose age is looked up in one poll; the next goes on behind them.
const MOST_LOOKED_AT: usize = 20_000;
/// An empty file this young is taken for one that is about to be written.
const EMPTY_FOR: Duration = Duration::from_secs(60);

/// What one poll found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poll {
    /// What can be claimed, oldest first.
    pub candidates: Vec<Candidate>,
    /// What stands in the directory and is not ours to take; each is here once for as long as it stands there.
    pub oddities: Vec<Oddity>,
    /// There are more candidates than were asked for.
    pub more: bool,
    /// When the first of those that do not rest yet will have rested: worth a look then.
    pub next_at_rest: Option<Timestamp>,
}

/// A file that can be claimed. Ordered by age, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Candidate {
    /// Its last write.
    pub modified: Timestamp,
    /// Its name in the directory.
    pub name: OsString,
    /// Bytes.
    pub size: u64,
}

/// Something that will not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Oddity {
    /// Its name in the directory.
    pub name: OsString,
    /// Why.
    pub why: Skipped,
}

/// Why a file was not claimed or not read. It is left where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Skipped {
    /// Someone else took it.
    #[error("is gone")]
    Vanished,
    /// Someone holds a lock on it, or wrote to it while we read.
    #[error("is being written")]
    Busy,
    /// A directory, a symbolic link, a FIFO, a device.
    #[error("is no regular file")]
    NotRegular,
    /// It has other names, perhaps outside this directory.
    #[error("has {0} names")]
    HardLinked(u64),
    /// It may not be read, renamed or deleted by us.
    #[error("cannot be taken: {0}")]
    Denied(io::ErrorKind),
    /// Larger than a message may be. Refuse it unread.
    #[error("has {size} bytes, {limit} are allowed")]
    TooLarge {
        /// Bytes.
        size: u64,
        /// The limit, bytes.
        limit: u64,
    },
}

impl Skipped {
    /// Whether that is the ordinary course of things, which nobody needs to be told of.
    pub fn is_ordinary(self) -> bool {
        matches!(self, Self::Vanished | Self::Busy)
    }
}

/// The directory itself cannot be used. Local or configuration fault: try again at the next poll.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}", path = path.display())]
#[non_exhaustive]
pub struct DirectoryError {
    /// The directory.
    pub path: PathBuf,
    /// Of which kind the fault is.
    pub kind: io::ErrorKind,
    /// What the system said.
    pub reason: String,
}

impl Directory {
    /// Bytes: files larger than this, 128 MiB, are not read unless [`max_file_size`](Self::max_file_size) says otherwise.
    pub const MAX_FILE_SIZE: u64 = 128 * 1024 * 1024;

    /// Watches `path`, which must exist by the time of the first poll. Files of up to 128 MiB, at rest for a second.
    pub fn new(path: impl Into<PathBuf>, dialect: Dialect) -> Self {
        Self {
            path: path.into(),
            dialect,
            max_file_size: Self::MAX_FILE_SIZE,
            quiet_for: Duration::from_secs(1),
            told: HashSet::new(),
            passed: 0,
        }
    }

    /// Files larger than this, bytes, are not read.
    #[must_use]
    pub fn max_file_size(self, limit: u64) -> Self {
        Self { max_file_size: limit, ..self }
    }

    /// Leaves a file alone until its last write is so long ago; zero takes it at once, as Exchange does.
    ///
    /// A file that was written elsewhere and moved in has rested already. A last write in the future, by a clock that
    /// jumped, stops nothing.
    #[must_use]
    pub fn quiet_for(self, span: Duration) -> Self {
        Self { quiet_for: span, ..self }
    }

    /// Where this directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives every left-over `.tmp` its `.eml` name back; call it once, before the first poll. Returns how many.
    ///
    /// Files that another process holds are left to it. Where others watch the same directory, ask the queue first which of
    /// the [left-over files](Self::left_over) it has: those given back are anybody's.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed.
    pub fn recover(&self, now: Timestamp) -> Result<usize, DirectoryError> {
        let names = self.left_over()?;
        let released = names.iter().filter_map(|name| self.reclaim(name).ok()?.release(now).ok());
        Ok(released.count())
    }

    /// The names of all `.tmp` files, those that another process holds among them.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed.
    pub fn left_over(&self) -> Result<Vec<OsString>, DirectoryError> {
        let mut names = Vec::new();
        for entry in self.entries()? {
            let name = entry.map_err(|error| self.error(&error))?.file_name();
            if has_extension(&name, "tmp") {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Makes a left-over `.tmp` ours, under the name it has. One that a crash left with both of its names loses this one, and
    /// counts as [`Skipped::Vanished`]: it waits under the other.
    ///
    /// # Errors
    ///
    /// Why it is not ours; it stays where it was.
    pub fn reclaim(&self, name: &OsStr) -> Result<Claimed, Skipped> {
        let path = self.path.join(name);
        let file = file_system::open(&path).map_err(skipped)?;
        let facts = file_system::look_inside(&file).map_err(skipped)?;
        if facts.is_regular {
            lock(&file)?;
        }
        let stem = Path::new(name).file_stem().unwrap_or(name).to_owned();
        if let Some(why) = unfit(&facts) {
            let first = self.path.join(named(&stem, "", "eml"));
            let same = |other: &Facts| other.identity == facts.identity;
            if facts.links == 2 && file_system::look(&first).is_ok_and(|other| same(&other)) {
                std::fs::remove_file(&path).map_err(skipped)?;
                return Err(Skipped::Vanished);
            }
            return Err(why);
        }
        let max_file_size = self.max_file_size;
        let claimed = Claimed { file, path, stem, name: name.to_owned(), facts, max_file_size };
        // Whoever held it may have let go of it between opening and locking.
        match claimed.is_still_there() {
            Ok(true) => Ok(claimed),
            _ => Err(Skipped::Vanished),
        }
    }

    /// Lists up to `limit` files, the oldest first.
    ///
    /// Costs one look at each name, at most 20,000 looks at files, and memory for `limit` of them. Where so many do not hold
    /// what is wanted, as nobody's links may, the next poll looks at others: [`Poll::more`] says so.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed.
    pub fn poll(&mut self, limit: usize, now: Timestamp) -> Result<Poll, DirectoryError> {
        let mut found = Poll::default();
        let mut oldest: BinaryHeap<Candidate> = BinaryHeap::with_capacity(limit.min(MOST_LOOKED_AT) + 1);
        let mut standing = HashSet::new();
        let (mut looked_at, mut to_pass, mut is_whole) = (0, self.passed, self.passed == 0);
        let mut fault = None;
        for entry in self.entries()? {
            let entry = match entry {
                Ok(entry) => entry,
                // Nothing comes behind it. What stands before it can be taken all the same.
                Err(error) => {
                    (fault, is_whole) = (Some(error), false);
                    break;
                }
            };
            let name = entry.file_name();
            if !self.dialect.takes(&name) {
                continue;
            }
            if to_pass > 0 {
                to_pass -= 1;
                continue;
            }
            if looked_at == MOST_LOOKED_AT {
                (found.more, is_whole) = (true, false);
                break;
            }
            looked_at += 1;
            let Ok(facts) = file_system::look(&self.path.join(&name)) else { continue };
            if let Some(why) = unfit(&facts) {
                if !self.told.contains(&name) {
                    found.oddities.push(Oddity { name: name.clone(), why });
                }
                standing.insert(name);
                continue;
            }
            if self.told.contains(&name) {
                standing.insert(name.clone());
            }
            let rested = self.at_rest(&facts);
            if rested <= now || facts.modified > now {
                oldest.push(Candidate { modified: facts.modified, name, size: facts.size });
            } else if found.next_at_rest.is_none_or(|first| rested < first) {
                found.next_at_rest = Some(rested);
            }
            if oldest.len() > limit {
                oldest.pop();
                found.more = true;
            }
        }
        if let Some(error) = fault.filter(|_| oldest.is_empty()) {
            return Err(self.error(&error));
        }
        let ended_early = looked_at == MOST_LOOKED_AT && found.more;
        self.passed = match ended_early {
            // Those here are enough for now.
            true if oldest.len() >= limit => self.passed,
            true => self.passed + looked_at,
            false => 0,
        };
        if is_whole {
            self.told = standing;
        } else {
            self.told.extend(standing);
        }
        found.candidates = oldest.into_sorted_vec();
        Ok(found)
    }

    /// Whether this is the first time that something about `name` is told, since it stands there.
    pub fn is_news(&mut self, name: &OsStr) -> bool {
        self.told.insert(name.to_owned())
    }

    /// Makes a file ours: locked, and named `.tmp`.
    ///
    /// # Errors
    ///
    /// Why it is not ours; it stays where it was.
    pub fn claim(&self, candidate: &Candidate, now: Timestamp) -> Result<Claimed, Skipped> {
        let path = self.path.join(&candidate.name);
        let file = file_system::open(&path).map_err(|error| match file_system::look(&path) {
            // What the poll saw was replaced by a symbolic link, a socket, ...
            Ok(facts) if !facts.is_regular => Skipped::NotRegular,
            _ => skipped(error),
        })?;
        let facts = file_system::look_inside(&file).map_err(skipped)?;
        if let Some(why) = unfit(&facts) {
            return Err(why);
        }
        lock(&file)?;
        let stem = match self.dialect {
            _ if has_extension(&candidate.name, "eml") => Path::new(&candidate.name).file_stem(),
            _ => None,
        };
        let stem = stem.unwrap_or(&candidate.name).to_owned();
        let path = rename(&path, &stem, "tmp", now).map_err(skipped)?;
        Ok(Claimed {
            file,
            path,
            stem,
            name: candidate.name.clone(),
            facts,
            max_file_size: self.max_file_size,
        })
    }

    fn entries(&self) -> Result<std::fs::ReadDir, DirectoryError> {
        std::fs::read_dir(&self.path).map_err(|error| self.error(&error))
    }

    fn error(&self, error: &io::Error) -> DirectoryError {
        DirectoryError { path: self.path.clone(), kind: error.kind(), reason: error.to_string() }
    }

    /// When a file has been left alone for long enough.
    fn at_rest(&self, facts: &Facts) -> Timestamp {
        let quiet_for = if facts.size == 0 { EMPTY_FOR.max(self.quiet_for) } else { self.quiet_for };
        facts.modified.after(quiet_for)
    }
}

fn unfit(facts: &Facts) -> Option<Skipped> {
    match (facts.is_regular, facts.links) {
        (false, _) => Some(Skipped::NotRegular),
        (true, 0) => Some(Skipped::Vanished),
        (true, 1) => None,
        (true, names) => Some(Skipped::HardLinked(names)),
    }
}

fn lock(file: &File) -> Result<(), Skipped> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(Skipped::Busy),
        // Some file systems know no locks; the rename alone keeps two claimers apart there.
        Err(std::fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(std::fs::TryLockError::Error(error)) => Err(skipped(error)),
    }
}
