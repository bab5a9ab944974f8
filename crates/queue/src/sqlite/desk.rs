//! The writing thread: whoever calls while a commit runs shares the next one.

mod log;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use postroad_message::NextHop;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use tokio::sync::watch;

use super::content_file::ContentFiles;
use super::fault::Fault;
use super::fresh::Shelf;
use super::neighbours::{Neighbours, Turn};
use super::options::SqliteOptions;
use super::syncer::{Batch, Failed, Syncer, Unsynced};
use super::writer::{Damage, Effects, Job, Letter, Promise, Work};
use crate::error::QueueError;

/// As many of those who need no sync share a commit while one is on its way.
const FEW: usize = 8;

/// After so many idle moments nobody is likely to come while the log is carried over.
const QUIET: u32 = 8;

/// How far a group came.
enum Ran {
    /// It is committed.
    All,
    /// A job failed that had already changed something, and there is no savepoint to go back to.
    Halfway,
    /// A job met a damaged page that it can do without, now that it is known.
    MetDamage,
    /// This job cannot do without.
    Damaged(usize),
}

/// What a group brings about once it is committed.
#[derive(Default)]
struct Brought {
    at_once: Effects,
    after_the_sync: Effects,
    hops: BTreeMap<NextHop, bool>,
}

pub(super) struct Desk {
    connection: Connection,
    /// While the connection is closed, which may carry the log over.
    closing: Option<Turn>,
    neighbours: Arc<Neighbours>,
    options: SqliteOptions,
    inbox: Receiver<Letter>,
    /// In the order in which they came.
    waiting: VecDeque<Box<dyn Job>>,
    closed: bool,
    version: Arc<watch::Sender<u64>>,
    data_version: i64,
    owner: String,
    /// `None` once it has ended.
    syncer: Option<Syncer>,
    unsynced: Unsynced,
    /// A sync failed: what it should have covered may be lost, whatever a second one says.
    suspect: bool,
    /// How often the log was written anew, for that reason or at a start.
    epoch: u64,
    /// SQLite could not sync what it carried over: see [`carry`](Self::carry).
    forsaken: bool,
    log: PathBuf,
    /// How many pages the log has, and with how many it is carried over.
    log_pages: Arc<AtomicI32>,
    log_limit: i32,
    /// How many pages the log had when it was carried over, or there was no room for that: with as many it is futile.
    futile_at: Option<i32>,
    /// How many idle moments there were since the last commit.
    quiet: u32,
    damage: Damage,
    shelf: Shelf,
}

impl Desk {
    pub(super) fn new(
        (mut connection, neighbours): (Connection, Arc<Neighbours>),
        options: SqliteOptions,
        (files, shelf): (ContentFiles, Shelf),
        (letters, inbox): (SyncSender<Letter>, Receiver<Letter>),
        version: Arc<watch::Sender<u64>>,
    ) -> Result<Self, Fault> {
        let data_version = data_version(&connection)?;
        shelf.look(&connection);
        // Instead of SQLite's own way, which makes the callers wait, and keeps a sync that failed to itself.
        let log_pages = Arc::new(AtomicI32::new(0));
        let count = Arc::clone(&log_pages);
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            count.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        let page_size: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let log_limit = i32::try_from(options.log_size / page_size.max(1) as usize).unwrap_or(i32::MAX);
        // As SQLite resolved it: its log lies beside what a link points to.
        let path = Path::new(connection.path().ok_or(QueueError::Io { code: 0 })?);
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        let unsynced = Unsynced::default();
        let syncer = Syncer::start(&log, unsynced.clone(), watch::Sender::clone(&version), files, letters)?;
        Ok(Self {
            connection,
            closing: None,
            neighbours,
            options,
            inbox,
            waiting: VecDeque::new(),
            closed: false,
            version,
            data_version,
            owner: String::new(),
            syncer: Some(syncer),
            unsynced,
            suspect: false,
            epoch: 0,
            forsaken: false,
            log,
            log_pages,
            log_limit,
            futile_at: None,
            quiet: 0,
            damage: Damage::default(),
            shelf,
        })
    }

    pub(super) fn serve(&mut self) {
        let pause = self.options.poll_interval.min(Duration::from_secs(1));
        // Without syncs nothing can be promised: whoever waits then, or comes later, is told that the store is closed.
        while !(self.forsaken || self.closed && self.waiting.is_empty())
            && self.syncer.as_ref().is_some_and(Syncer::is_running)
        {
            match self.inbox.recv_timeout(pause) {
                Ok(letter) => self.take(letter),
                Err(_) => self.idle(),
            }
            while !self.forsaken {
                while let Ok(letter) = self.inbox.try_recv() {
                    self.take(letter);
                }
                if let Some(failed) = self.syncer.as_ref().and_then(Syncer::take_failed) {
                    self.take_back(failed);
                }
                if self.log_pages.load(Ordering::Relaxed) >= self.log_limit {
                    self.carry_over();
                }
                let group = self.next_group();
                if group.is_empty() {
                    break;
                }
                self.settle(group);
            }
        }
        if let Some(failed) = self.syncer.take().and_then(Syncer::finish) {
            self.take_back(failed);
        }
        self.closing = self.neighbours.turn();
        if self.closing.is_some() && !self.suspect && !self.forsaken && !self.neighbours.is_forsaken() {
            // Where this is the last who closes it.
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
    }

    fn take(&mut self, letter: Letter) {
        match letter {
            Letter::Job(job) => self.waiting.push_back(job),
            Letter::Synced => {}
            Letter::Close => self.closed = true,
        }
    }

    /// Who shares the next commit: nobody where it is better to wait for more.
    ///
    /// While a sync is on its way, whoever needs one would only wait for the next after it. So they wait together and
    /// share one commit; the others go on, a few at a time.
    fn next_group(&mut self) -> Vec<Box<dyn Job>> {
        let busy = self.syncer.as_ref().is_some_and(Syncer::is_busy);
        let may_go = |job: &dyn Job| !busy || job.promise() == Promise::Visible;
        if busy && self.waiting.iter().filter(|job| may_go(&***job)).count() < FEW {
            return Vec::new();
        }
        let (mut bytes, mut group) = (0usize, Vec::new());
        let mut others = VecDeque::new();
        while let Some(job) = self.waiting.pop_front() {
            if !may_go(&*job) {
                others.push_back(job);
                continue;
            }
            bytes = bytes.saturating_add(job.weight());
            if !group.is_empty()
                && (bytes > self.options.group_bytes || group.len() >= self.options.group_limit)
            {
                self.waiting.push_front(job);
                break;
            }
            group.push(job);
        }
        others.append(&mut self.waiting);
        self.waiting = others;
        group
    }

    /// One transaction for the whole group. Whoever was promised no more is answered now, the others after the sync.
    fn settle(&mut self, mut group: Vec<Box<dyn Job>>) {
        let mut brought = Brought::default();
        let committed = self.commit(&mut group, &mut brought).map_err(|Fault(error)| error);
        if let Err(error) = committed {
            // A rollback that fails leaves the transaction open; the next BEGIN says so and fails its group.
            let _ = self.roll_back();
            if matches!(error, QueueError::DiskFull { .. }) && group.len() > 1 {
                return self.settle_in_parts(group);
            }
            self.suspect |= matches!(error, QueueError::Io { .. });
            self.shelf.look(&self.connection);
            for job in group {
                job.answer(committed);
            }
        } else {
            self.hand_over(group, &mut brought);
        }
        self.quiet = 0;
        let others = self.others_changed();
        if (brought.at_once.wake && committed.is_ok()) || others {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// There is no room for all of them; those that need least are tried first, for what leaves makes room. In the end
    /// only whoever finds none alone is refused.
    fn settle_in_parts(&mut self, mut group: Vec<Box<dyn Job>>) {
        group.sort_by_key(|job| job.weight());
        let heavier = group.split_off(group.len() / 2);
        self.settle(group);
        self.settle(heavier);
    }

    fn hand_over(&mut self, group: Vec<Box<dyn Job>>, brought: &mut Brought) {
        let Brought { at_once, after_the_sync, hops } = brought;
        if at_once.wake || after_the_sync.wake {
            self.shelf.asked_for_retries();
        }
        let gone = std::mem::take(hops).into_iter().filter(|(_, stored)| !stored);
        self.shelf.is_not_stored(gone.map(|(hop, _)| hop));
        self.unsynced.add(&after_the_sync.new);
        if let Some(owner) = after_the_sync.owner.take().or(at_once.owner.take()) {
            self.owner = owner;
        }
        let mut batch = Batch {
            jobs: Vec::new(),
            new: std::mem::take(&mut after_the_sync.new),
            wake: after_the_sync.wake,
            doomed: std::mem::take(&mut at_once.doomed),
            epoch: self.epoch,
        };
        batch.doomed.append(&mut after_the_sync.doomed);
        for job in group {
            match job.awaits_sync() {
                true => batch.jobs.push(job),
                false => job.answer(Ok(())),
            }
        }
        if let Some(syncer) = &self.syncer {
            syncer.send(batch);
        }
    }

    /// What was committed and could not be synced is undone where it can be. The log is written anew, and with it what
    /// stays is durable after all.
    fn take_back(&mut self, Failed { mut batch, error }: Failed) {
        self.suspect = true;
        let undone = self.undo(&mut batch.jobs);
        let is_whole = self.trust_the_log(false).is_ok();
        if undone.is_err() {
            let _ = self.roll_back();
        } else {
            self.unsynced.remove(&batch.new);
        }
        for (index, job) in batch.jobs.into_iter().enumerate() {
            let undone = undone.as_ref().map_or(true, |undone| undone.get(index) == Some(&true));
            job.answer(if undone || !is_whole { Err(error) } else { Ok(()) });
        }
        if batch.wake {
            self.version.send_modify(|version| *version += 1);
        }
        // Doomed files are swept at the next start: their rows may be there again by then.
    }

    /// Gives whether each was undone. Where this fails they stay, and are lent to nobody before the next start.
    fn undo(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<Vec<bool>, Fault> {
        self.roll_back()?;
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut undone = Vec::with_capacity(jobs.len());
        let (mut last_id, mut effects, mut hops) = (0, Effects::default(), BTreeMap::new());
        for job in jobs {
            undone.push(job.undo(&mut Work {
                connection: &self.connection,
                last_id: &mut last_id,
                effects: &mut effects,
                owner: &self.owner,
                damage: &mut self.damage,
                unsynced: &self.unsynced,
                shelf: &self.shelf,
                hops: &mut hops,
            })?);
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(undone)
    }

    /// First without savepoints, which cost a copy of every page; where a job fails that has already changed
    /// something, all of it is undone and done again with a savepoint for each.
    fn commit(&mut self, group: &mut [Box<dyn Job>], brought: &mut Brought) -> Result<(), Fault> {
        self.trust_the_log(group.iter().any(|job| job.promise() == Promise::Afresh))?;
        let mut savepoints = false;
        let mut failed = BTreeSet::new();
        loop {
            *brought = Brought::default();
            match self.run_all(group, brought, savepoints, &failed) {
                // Begun anew, the log needs no room on the disk that it has not.
                Err(Fault(QueueError::DiskFull { .. })) if !self.is_futile() && self.carry_over() => {}
                Err(fault) => return Err(fault),
                Ok(Ran::All) => return Ok(()),
                Ok(Ran::Halfway) => savepoints = true,
                Ok(Ran::MetDamage) => {}
                Ok(Ran::Damaged(job)) => {
                    failed.insert(job);
                }
            }
        }
    }

    /// Runs the jobs that have not failed for good, in a transaction of their own.
    fn run_all(
        &mut self,
        group: &mut [Box<dyn Job>],
        brought: &mut Brought,
        savepoints: bool,
        failed: &BTreeSet<usize>,
    ) -> Result<Ran, Fault> {
        self.roll_back()?;
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let before: i64 =
            self.connection.prepare_cached("SELECT last FROM counter")?.query_row([], |row| row.get(0))?;
        let mut last_id = before;
        for (index, job) in group.iter_mut().enumerate().filter(|(index, _)| !failed.contains(index)) {
            if savepoints {
                self.connection.prepare_cached("SAVEPOINT job")?.execute([])?;
            }
            let changes = self.connection.total_changes();
            let mut its_effects = Effects::default();
            self.damage.found = false;
            let ended = job.run(&mut Work {
                connection: &self.connection,
                last_id: &mut last_id,
                effects: &mut its_effects,
                owner: brought.after_the_sync.owner.as_deref().unwrap_or(&self.owner),
                damage: &mut self.damage,
                unsynced: &self.unsynced,
                shelf: &self.shelf,
                hops: &mut brought.hops,
            });
            if self.connection.is_autocommit() {
                // SQLite undid the whole transaction (disk full, I/O error): nobody's work is there any more.
                return Err(ended.err().unwrap_or(Fault(QueueError::Io { code: 0 })));
            }
            match ended {
                Ok(()) if job.promise() == Promise::Visible => brought.at_once.add(its_effects),
                Ok(()) => brought.after_the_sync.add(its_effects),
                Err(Fault(QueueError::Corrupt { .. })) if self.damage.found => return Ok(Ran::MetDamage),
                Err(Fault(QueueError::Corrupt { .. })) => return Ok(Ran::Damaged(index)),
                Err(_) if savepoints => {
                    self.connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
                }
                Err(_) if self.connection.total_changes() != changes => return Ok(Ran::Halfway),
                Err(_) => {}
            }
            if savepoints {
                self.connection.prepare_cached("RELEASE job")?.execute([])?;
            }
        }
        if last_id != before {
            self.connection.prepare_cached("UPDATE counter SET last = ?1")?.execute([last_id])?;
        }
        self.end_transaction()?;
        Ok(Ran::All)
    }

    fn end_transaction(&mut self) -> Result<(), Fault> {
        let committed = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        committed.map(drop).map_err(|error| match self.roll_back().and_then(|()| self.strike_what_failed()) {
            Ok(()) => error.into(),
            // Nobody knows what the next start finds.
            Err(fault @ Fault(QueueError::Io { .. })) => fault,
            Err(_) => QueueError::Io { code: 0 }.into(),
        })
    }

    fn roll_back(&self) -> Result<(), Fault> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }

    /// Nothing to do: sees whether another process wrote, carries the log over, and gives a little free space back.
    fn idle(&mut self) {
        if self.others_changed() {
            self.version.send_modify(|version| *version += 1);
        }
        self.quiet = self.quiet.saturating_add(1);
        let pages = self.log_pages.load(Ordering::Relaxed);
        if self.quiet >= QUIET && pages > 0 && pages >= self.log_limit / 16 {
            self.carry_over();
        }
        // At most 2 MiB at a time, so that whoever comes meanwhile waits a few milliseconds.
        // Where it fails (another process writes) the next idle moment does it.
        let _ = self.give_space_back();
    }

    fn give_space_back(&self) -> Result<(), Fault> {
        let free: i64 = self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if free > 1024 {
            self.connection.execute_batch("PRAGMA incremental_vacuum(256)")?;
        }
        Ok(())
    }

    /// `PRAGMA data_version` differs only after a commit by another connection; ours that read never commit.
    fn others_changed(&mut self) -> bool {
        // Where it cannot be seen, the next look may.
        let Ok(now) = data_version(&self.connection) else { return false };
        let changed = std::mem::replace(&mut self.data_version, now) != now;
        if changed {
            self.futile_at = None;
            self.shelf.look(&self.connection);
            self.shelf.visited();
        }
        changed
    }
}

impl Effects {
    fn add(&mut self, other: Self) {
        self.wake |= other.wake;
        self.new.extend(other.new);
        self.doomed.extend(other.doomed);
        self.owner = other.owner.or(self.owner.take());
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
