//! The write-ahead log in the writing thread's hands: when it is trusted, written anew, and carried over.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Row;
use rusqlite::ffi::SQLITE_IOERR_FSYNC;

use super::super::fault::Fault;
use super::super::syncer::Syncer;
use super::super::write_ahead_log;
use super::{Desk, data_version};
use crate::error::QueueError;

/// How often the log is looked at that others write to meanwhile.
const LOOKS: u32 = 8;

impl Desk {
    /// Later commits lean on the earlier ones in the log. After a sync that failed these may never reach the disk, so all of it
    /// is written anew before anything is promised again; and at a start, to be sure.
    pub(super) fn trust_the_log(&mut self, afresh: bool) -> Result<(), Fault> {
        // Stays so where this comes to nothing.
        self.suspect |= afresh;
        if self.suspect {
            self.roll_back()?;
            let alone = self.syncer.as_ref().map(Syncer::alone);
            let _alone = alone.as_ref().map(|alone| alone.lock().unwrap_or_else(PoisonError::into_inner));
            self.write_the_log_anew()?;
            self.suspect = false;
            self.epoch += 1;
        }
        Ok(())
    }

    /// After a sync that failed the kernel takes for written what is not. All of the log is written over itself and synced: it is
    /// whole on the disk then, for whoever reads it after a crash, and while it is carried over.
    ///
    /// Where it is not whole in memory either, what was written after that sync is nowhere: this ends the store as a failed sync of
    /// the database does, for SQLite counts on it still, in every process.
    fn write_the_log_anew(&mut self) -> Result<(), Fault> {
        let (log, mut is_whole) = (self.open_log()?, true);
        let written = self.while_nobody_writes(|frames| {
            let frames = usize::try_from(frames.unwrap_or(0)).unwrap_or(usize::MAX);
            write_ahead_log::write_anew(&log, frames).map_err(|error| {
                is_whole = error.kind() != ErrorKind::InvalidData;
                Fault(QueueError::Io { code: error.raw_os_error().unwrap_or(0) })
            })
        });
        if !is_whole {
            self.forsake();
        }
        written.map(drop)
    }

    /// A commit that fails behind its writing, for want of room for SQLite's index of the log, is refused; and the next start would
    /// find it whole. So it is struck out, and only where that fails it is left open whether it took place. Where somebody else has
    /// committed since, his frames are in its place.
    ///
    /// Most fail in the middle, and leave nothing whole: nobody has to be kept from writing for that. Nor is somebody waited for who
    /// writes by now.
    pub(super) fn strike_what_failed(&self) -> Result<(), Fault> {
        let log = self.open_log()?;
        if !write_ahead_log::is_followed(&log, self.count_frames()?)? {
            return Ok(());
        }
        self.connection.busy_timeout(Duration::ZERO)?;
        let struck = self.while_nobody_writes(|frames| match frames {
            Some(frames) => Ok(write_ahead_log::strike(&log, frames)?),
            None => Ok(false),
        });
        self.connection.busy_timeout(self.options.busy_timeout)?;
        struck.map(drop)
    }

    fn open_log(&self) -> Result<File, Fault> {
        Ok(File::options().read(true).write(true).open(&self.log)?)
    }

    /// Works on the log's file, in which so many frames are known to be: those that SQLite counts on now, whoever committed them. Not
    /// known where others commit all the time.
    fn while_nobody_writes<T>(&self, work: impl FnOnce(Option<u32>) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut looks = 0;
        let frames = loop {
            let before = data_version(&self.connection)?;
            // Not to be had within a transaction.
            let frames = self.count_frames()?;
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            looks += 1;
            if data_version(&self.connection)? == before {
                break Some(frames);
            }
            if looks == LOOKS {
                break None;
            }
            self.roll_back()?;
        };
        let done = work(frames);
        self.roll_back()?;
        done
    }

    /// How many frames of the log SQLite counts on now.
    fn count_frames(&self) -> Result<u32, Fault> {
        Ok(self.connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], |row| row.get(1))?)
    }

    /// Ends the store, here and for all who have it open.
    fn forsake(&mut self) {
        self.forsaken = true;
        self.neighbours.forsake();
    }

    /// Carries a long log over into the database, once those who waited for a sync have their answers. Where somebody reads
    /// the log at the moment, the rest follows after the next commit, or in an idle moment. Gives whether nothing is left in it.
    ///
    /// Never beside a sync, nor before it is known that the last one succeeded: SQLite syncs the log first, and where the kernel
    /// has told the other thread that it could not write, and forgotten it, that may succeed.
    pub(super) fn carry_over(&mut self) -> bool {
        let Some(syncer) = self.syncer.as_ref().filter(|syncer| !syncer.is_busy()) else { return false };
        let alone = syncer.alone();
        let _alone = alone.lock().unwrap_or_else(PoisonError::into_inner);
        if self.suspect || self.syncer.as_ref().is_none_or(Syncer::has_failed) {
            return false;
        }
        let carried = self.carry();
        match carried {
            Ok(true) => self.log_pages.store(0, Ordering::Relaxed),
            Err(Fault(QueueError::Io { .. })) => self.suspect = true,
            Ok(false) | Err(_) => {}
        }
        let is_futile = matches!(carried, Ok(true) | Err(Fault(QueueError::DiskFull { .. })));
        self.futile_at = is_futile.then(|| self.log_pages.load(Ordering::Relaxed));
        carried == Ok(true)
    }

    /// Whether to carry it over once more changes nothing: nobody has committed since.
    pub(super) fn is_futile(&self) -> bool {
        self.futile_at == Some(self.log_pages.load(Ordering::Relaxed))
    }

    /// Gives whether all of it was carried over.
    ///
    /// A sync that fails here ends the store. SQLite counts pages as carried over before they are synced where somebody reads
    /// the rest, and the kernel tells once of those that it could not write and forgets them: the next sync would succeed, and
    /// the log be written over that alone has them. So nothing is carried over any more, not at the end either, and whoever
    /// opens the store next, when all have closed it, finds the log whole and carries all of it over anew.
    fn carry(&mut self) -> Result<bool, Fault> {
        let Some(_turn) = self.neighbours.turn() else { return Ok(false) };
        self.forsaken |= self.neighbours.is_forsaken();
        if self.forsaken {
            return Err(QueueError::Io { code: SQLITE_IOERR_FSYNC }.into());
        }
        let number = |row: &Row<'_>, column| row.get::<_, i64>(column);
        // Not where somebody else, who is none of ours, does the same.
        let all = |row: &Row<'_>| Ok(number(row, 0)? == 0 && number(row, 1)? == number(row, 2)?);
        let carried = self.connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], all);
        let carried = carried.map_err(Fault::from);
        if let Err(Fault(QueueError::Io { code: SQLITE_IOERR_FSYNC })) = carried {
            self.forsake();
        }
        carried
    }
}
