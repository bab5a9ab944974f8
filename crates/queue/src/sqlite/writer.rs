//! The writing thread: whoever calls while a commit runs shares the next one, and is answered after it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use tokio::sync::{oneshot, watch};

use super::content_file::ContentFiles;
use super::fault::Fault;
use super::options::SqliteOptions;
use crate::error::QueueError;
use crate::message_id::MessageId;
use crate::store::BoxFuture;

/// Whether the caller was promised that the disk has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    Durable,
    Visible,
    /// Durable, after whatever an earlier process left in the log was carried over: it may have died of a failed sync.
    Afresh,
}

/// What a job works with: the open transaction, and the counter that ids come from.
pub(super) struct Work<'a> {
    pub(super) connection: &'a Connection,
    last_id: &'a mut i64,
    effects: &'a mut Effects,
    owner: &'a str,
    damage: &'a mut Damage,
}

/// What lies on damaged pages, as far as anybody came across it: it is stepped over.
#[derive(Default)]
struct Damage {
    known: BTreeSet<Damaged>,
    /// Whether the job that runs has found more.
    found: bool,
}

/// Something on a damaged page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Damaged {
    Delivery(i64),
    /// Of a delivery with this number: itself, or its message.
    DeliveryOrMessage(i64),
    Message(i64),
    Content(i64),
    /// One of those that are lent.
    Lent,
}

/// What a transaction brings about beside its rows, once it is committed.
#[derive(Default)]
struct Effects {
    wake: bool,
    doomed: Vec<String>,
    owner: Option<String>,
}

impl Work<'_> {
    /// The next id, at least `floor`: greater than any before, whatever the clock says.
    pub(super) fn new_id(&mut self, floor: MessageId) -> i64 {
        *self.last_id = self.last_id.saturating_add(1).max(floor.as_u64().cast_signed());
        *self.last_id
    }

    /// Something may be due that was not: whoever waits in `changed` is woken after the commit.
    pub(super) fn wake(&mut self) {
        self.effects.wake = true;
    }

    /// A content file whose message is gone; it goes after the commit, never before.
    pub(super) fn doom(&mut self, file: String) {
        self.effects.doomed.push(file);
    }

    /// Does what a damaged page may prevent; `None` where it is known that one does.
    ///
    /// Where that turns out now, this fails, the transaction is rolled back (SQLite writes nothing more in one that met
    /// a damaged page), and the whole group is run again, knowing it.
    pub(super) fn beside_damage<T>(
        &mut self,
        what: Damaged,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Fault> {
        if self.damage.known.contains(&what) {
            return Ok(None);
        }
        act(self.connection).map(Some).map_err(|error| {
            let fault = Fault::from(error);
            if fault == Fault(QueueError::Corrupt { message: None }) {
                self.damaged(what);
            }
            fault
        })
    }

    pub(super) fn damaged(&mut self, what: Damaged) {
        self.damage.found |= self.damage.known.insert(what);
    }

    pub(super) fn is_damaged(&self, what: Damaged) -> bool {
        self.damage.known.contains(&what)
    }

    /// How many deliveries are known to be unreadable, at most.
    pub(super) fn count_damaged(&self) -> usize {
        self.damage.known.len()
    }

    /// Under which name leases are taken.
    pub(super) fn owner(&self) -> &str {
        self.owner
    }

    pub(super) fn set_owner(&mut self, owner: &str) {
        self.effects.owner = Some(owner.to_owned());
    }
}

impl Effects {
    fn add(&mut self, other: Self) {
        self.wake |= other.wake;
        self.doomed.extend(other.doomed);
        self.owner = other.owner.or(self.owner.take());
    }
}

/// The way to the writing thread. Dropping the last one ends the thread, after what was sent before.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: SyncSender<Box<dyn Job>>,
    version: watch::Receiver<u64>,
}

impl Writer {
    /// Starts the thread over an open connection.
    pub(super) fn start(
        mut connection: Connection,
        options: SqliteOptions,
        files: ContentFiles,
    ) -> Result<(Self, thread::JoinHandle<()>), Fault> {
        // Deep enough that no caller waits here while a commit runs; back-pressure belongs to the doors above.
        let (jobs, inbox) = sync_channel(65_536);
        let (version_sender, version) = watch::channel(0);
        let data_version = data_version(&connection);
        // Instead of SQLite's own way, which makes the callers wait, and keeps a sync that failed to itself.
        let log_pages = Arc::new(AtomicI32::new(0));
        let count = Arc::clone(&log_pages);
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            count.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        let page_size: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let log_limit = i32::try_from(options.log_size / page_size.max(1) as usize).unwrap_or(i32::MAX);
        let mut desk = Desk {
            connection,
            options,
            files,
            inbox,
            version: version_sender,
            data_version,
            owner: String::new(),
            promise: Promise::Durable,
            suspect: false,
            log_pages,
            log_limit,
            damage: Damage::default(),
        };
        let handle = thread::Builder::new().name("postroad-queue".to_owned()).spawn(move || desk.serve())?;
        Ok((Self { jobs, version }, handle))
    }

    /// Runs `work` in a transaction that others may share; ready when that is committed.
    ///
    /// `weight` is the number of bytes it writes. The job is sent at once, whether or not the future is polled.
    pub(super) fn submit<T, W>(&self, promise: Promise, weight: usize, work: W) -> BoxFuture<'static, T>
    where
        T: Send + 'static,
        W: Labour<T> + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Task { promise, weight, work, result: None, reply };
        let sent = self.jobs.try_send(Box::new(job));
        Box::pin(async move {
            match sent {
                Ok(()) => answer.await.unwrap_or(Err(QueueError::Closed)),
                Err(std::sync::mpsc::TrySendError::Full(_)) => Err(QueueError::Busy { code: 0 }),
                Err(std::sync::mpsc::TrySendError::Disconnected(_)) => Err(QueueError::Closed),
            }
        })
    }

    pub(super) fn version(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }
}

/// Work for the writing thread. It may be run again, after what it did the first time was undone.
pub(super) trait Labour<T>: Send {
    fn run(&mut self, work: &mut Work<'_>) -> Result<T, Fault>;
    /// How it ended: what the caller is told, the value aside.
    fn ended(&mut self, _: Result<(), QueueError>) {}
}

impl<T, F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send> Labour<T> for F {
    fn run(&mut self, work: &mut Work<'_>) -> Result<T, Fault> {
        self(work)
    }
}

trait Job: Send {
    fn promise(&self) -> Promise;
    fn weight(&self) -> usize;
    /// Does the work; gives the error that the work ended with, and keeps it for the answer.
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault>;
    /// Answers the caller: with what the work gave, unless the commit failed.
    fn answer(self: Box<Self>, committed: Result<(), QueueError>);
}

struct Task<T, W> {
    promise: Promise,
    weight: usize,
    work: W,
    result: Option<Result<T, QueueError>>,
    reply: oneshot::Sender<Result<T, QueueError>>,
}

impl<T: Send, W: Labour<T>> Job for Task<T, W> {
    fn promise(&self) -> Promise {
        self.promise
    }

    fn weight(&self) -> usize {
        self.weight
    }

    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault> {
        let result = self.work.run(work);
        let ended = result.as_ref().map(|_| ()).map_err(|fault| *fault);
        self.result = Some(result.map_err(|Fault(error)| error));
        ended
    }

    fn answer(mut self: Box<Self>, committed: Result<(), QueueError>) {
        let result = match (committed, self.result.take()) {
            // What the work itself found wrong is the better answer, also where nothing was committed.
            (_, Some(Err(error))) => Err(error),
            (Err(error), _) => Err(error),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(QueueError::Closed),
        };
        self.work.ended(result.as_ref().map(|_| ()).map_err(|error| *error));
        // A caller that went away has left open whether the call took place.
        let _ = self.reply.send(result);
    }
}

/// How far a group came.
enum Ran {
    All,
    /// A job failed that had already changed something, and there is no savepoint to go back to.
    Halfway,
    /// A job met a damaged page that it can do without, now that it is known.
    MetDamage,
    /// This job cannot do without.
    Damaged(usize),
}

struct Desk {
    connection: Connection,
    options: SqliteOptions,
    files: ContentFiles,
    inbox: Receiver<Box<dyn Job>>,
    version: watch::Sender<u64>,
    data_version: i64,
    owner: String,
    /// What `PRAGMA synchronous` is set to at the moment.
    promise: Promise,
    /// A sync failed: what it should have covered may be lost, whatever a second one says.
    suspect: bool,
    /// How many pages the log has, and with how many it is carried over.
    log_pages: Arc<AtomicI32>,
    log_limit: i32,
    damage: Damage,
}

impl Desk {
    fn serve(&mut self) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                match self.inbox.recv_timeout(self.options.poll_interval.min(Duration::from_secs(1))) {
                    Ok(job) => waiting.push_back(job),
                    Err(RecvTimeoutError::Timeout) => self.idle(),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            self.drain(&mut waiting);
            let group = self.next_group(&mut waiting);
            if !group.is_empty() {
                self.settle(group);
            }
        }
    }

    fn drain(&self, waiting: &mut VecDeque<Box<dyn Job>>) {
        loop {
            match self.inbox.try_recv() {
                Ok(job) => waiting.push_back(job),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn next_group(&self, waiting: &mut VecDeque<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let mut bytes = 0usize;
        let mut group = Vec::new();
        while group.len() < self.options.group_limit.max(1)
            && let Some(job) = waiting.front()
        {
            bytes = bytes.saturating_add(job.weight());
            if !group.is_empty() && bytes > self.options.group_bytes {
                break;
            }
            group.extend(waiting.pop_front());
        }
        group
    }

    /// One transaction for the whole group, then every answer.
    fn settle(&mut self, mut group: Vec<Box<dyn Job>>) {
        let mut effects = Effects::default();
        let committed = self.commit(&mut group, &mut effects).map_err(|Fault(error)| error);
        if matches!(committed, Err(QueueError::Io { .. })) {
            self.suspect = true;
        }
        if committed.is_err() {
            // A rollback that fails leaves the transaction open; the next BEGIN says so and fails its group.
            let _ = self.roll_back();
        }
        for job in group {
            job.answer(committed);
        }
        if committed.is_ok() {
            self.files.remove(effects.doomed);
            if let Some(owner) = effects.owner {
                self.owner = owner;
            }
        }
        self.carry_over();
        let others = self.others_changed();
        if (effects.wake && committed.is_ok()) || others {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// First without savepoints, which cost a copy of every page; where a job fails that has already changed
    /// something, all of it is undone and done again with a savepoint for each.
    fn commit(&mut self, group: &mut [Box<dyn Job>], effects: &mut Effects) -> Result<(), Fault> {
        self.trust_the_log(group.iter().any(|job| job.promise() == Promise::Afresh))?;
        let durable = group.iter().any(|job| job.promise() != Promise::Visible);
        self.synchronise(if durable { Promise::Durable } else { Promise::Visible })?;
        let mut savepoints = false;
        let mut failed = BTreeSet::new();
        loop {
            *effects = Effects::default();
            match self.run_all(group, effects, savepoints, &failed)? {
                Ran::All => break,
                Ran::Halfway => savepoints = true,
                Ran::MetDamage => {}
                Ran::Damaged(job) => {
                    failed.insert(job);
                }
            }
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Runs the jobs that have not failed for good, in a transaction of their own.
    fn run_all(
        &mut self,
        group: &mut [Box<dyn Job>],
        effects: &mut Effects,
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
                owner: effects.owner.as_deref().unwrap_or(&self.owner),
                damage: &mut self.damage,
            });
            if self.connection.is_autocommit() {
                // SQLite undid the whole transaction (disk full, I/O error): nobody's work is there any more.
                return Err(ended.err().unwrap_or(Fault(QueueError::Io { code: 0 })));
            }
            match ended {
                Ok(()) => effects.add(its_effects),
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
        Ok(Ran::All)
    }

    fn roll_back(&self) -> Result<(), Fault> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }

    /// Later commits lean on the earlier ones in the log. After a sync that failed these may never reach the disk, so
    /// all of them are carried over into the database and synced there, and the log is begun anew, before anything is
    /// promised again. At a start it is done to be sure, unless another process is in the way.
    fn trust_the_log(&mut self, afresh: bool) -> Result<(), Fault> {
        if !self.suspect && !afresh {
            return Ok(());
        }
        self.roll_back()?;
        self.synchronise(Promise::Durable)?;
        let busy: bool =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy && self.suspect {
            return Err(QueueError::Busy { code: 0 }.into());
        }
        self.suspect = false;
        Ok(())
    }

    /// Carries a long log over into the database, after the callers have their answers. Where somebody reads the log
    /// at the moment, the rest follows after the next commit.
    fn carry_over(&mut self) {
        if self.log_pages.load(Ordering::Relaxed) < self.log_limit {
            return;
        }
        let done = self
            .connection
            .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
            .and_then(|mut statement| statement.query_row([], |_| Ok(())));
        if let Err(error) = done
            && let Fault(QueueError::Io { .. }) = error.into()
        {
            self.suspect = true;
        }
    }

    /// In WAL mode NORMAL commits without a sync; the next FULL commit syncs what went before as well.
    fn synchronise(&mut self, promise: Promise) -> Result<(), Fault> {
        if self.promise != promise {
            self.connection.execute_batch(match promise {
                Promise::Durable | Promise::Afresh => "PRAGMA synchronous = FULL",
                Promise::Visible => "PRAGMA synchronous = NORMAL",
            })?;
            self.promise = promise;
        }
        Ok(())
    }

    /// Nothing to do: sees whether another process wrote, and gives a little free space back.
    fn idle(&mut self) {
        if self.others_changed() {
            self.version.send_modify(|version| *version += 1);
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
        let now = data_version(&self.connection);
        std::mem::replace(&mut self.data_version, now) != now
    }
}

/// Unreadable counts as unchanged from the last unreadable one.
fn data_version(connection: &Connection) -> i64 {
    let read = |connection: &Connection| {
        connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
    };
    read(connection).unwrap_or(-1)
}
