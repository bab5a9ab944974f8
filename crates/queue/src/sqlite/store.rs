//! [`SqliteStore`]: the contract, kept by a few threads over a database, a log and a folder of large contents.

mod large;

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use postroad_message::{Content, Envelope, NextHop, Outcome, Recipient, Timestamp};

use rusqlite::Connection;

use super::content_file::ContentFiles;
use super::draft::Incoming;
use super::enqueue::Intake;
use super::fault::Fault;
use super::fresh::{Asked, Finish, Keeper, Lending, Lookup, Shelf, Which, move_out};
use super::lease::Settling;
use super::manage::Stored;
use super::neighbours::Neighbours;
use super::options::SqliteOptions;
use super::owner;
use super::reader::Reader;
use super::recent::Recent;
use super::writer::{Promise, Work, Writer};
use super::{lease, manage, result, schema, source_key, view};
use crate::draft::ContentDraft;
use crate::error::QueueError;
use crate::item::{Claim, Claimed, Eligible, Lease, NewMessage, Settlement};
use crate::listing::{Changed, Filter, Listed, QueueSummary};
use crate::message_id::{DeliveryId, MessageId};
use crate::store::{BoxFuture, QueueStore};

/// A queue in one SQLite file (with its `-wal` and `-shm` beside it), durable and readable with `sqlite3`; large
/// contents lie in files of their own, in the folder of the same name with `-content`, and what was accepted a moment ago in a
/// log, in that with `-fresh`. A copy of the queue is one of all of these, made while nobody has it open.
///
/// A durable call is answered after a sync of the write-ahead log that holds it. One thread writes; whoever calls while it
/// commits shares the next commit. Another one syncs what was committed meanwhile, and the writing one does not wait
/// for it, so that many callers cost few syncs. Others read, write the log, and large contents. It needs no runtime: its futures can be awaited on any.
///
/// A clone is another handle to the same store. When the last handle is dropped, what was submitted before is
/// finished first; nothing is lost where that does not happen (kill -9), for nothing was promised yet.
///
/// A sync that failed is never asked for again and believed: the log is written anew first, and a sync of the database that
/// fails closes the store for good, in every process that has it open. Whoever opens it next, once all have closed it (until
/// then that fails), finds all that was promised in the log. On Linux one moment of a bad disk may do that: each descriptor
/// hears of it once, SQLite's own when the log is carried over. A disk that only cannot be written to is asked again.
///
/// Any number of processes may have the same file open on one machine. The file must not lie on a network share.
#[derive(Clone)]
pub struct SqliteStore {
    // Dropped before `threads`, so that the threads see the end of their inboxes.
    keeper: Keeper,
    shelf: Shelf,
    writer: Writer,
    reader: Reader,
    files: ContentFiles,
    recent: Recent,
    neighbours: Arc<Neighbours>,
    path: Arc<Path>,
    options: SqliteOptions,
    threads: Arc<Threads>,
}

impl SqliteStore {
    /// Opens the store in the file at `path`, and makes it where there is none; its folder must exist.
    ///
    /// Blocks while it reads; less than a second with 100,000 messages, but [`SqliteOptions::busy_timeout`] and a second at most
    /// beside others. Where what was left in the log cannot move, nothing is taken in before a later try succeeds. An older store is
    /// migrated.
    ///
    /// # Errors
    ///
    /// [`QueueError::NewerSchema`] and [`QueueError::NotAQueue`], and nothing is touched. [`QueueError::Busy`] where somebody writes for
    /// long, or a server of an older version has the older store open. [`QueueError::Io`] also where a sync of the database failed and
    /// not all have closed it since. Else what the disk says: [`QueueError::DiskFull`], [`QueueError::ReadOnly`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, QueueError> {
        Self::open_with(path, SqliteOptions::default())
    }

    /// The same with other options.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, QueueError> {
        open(path.as_ref(), options).map_err(|Fault(error)| error)
    }
}

fn open(path: &Path, options: SqliteOptions) -> Result<SqliteStore, Fault> {
    owner::make(path);
    let neighbours = Neighbours::enter(path)?;
    let writing = match schema::open_writer(path, &options) {
        Err(fault @ Fault(QueueError::NotAQueue)) => {
            neighbours.never_mind(path);
            return Err(fault);
        }
        opened => opened?,
    };
    owner::keep_private(path);
    let neighbours = Arc::new(neighbours);
    let reading = schema::open_reader(path, options.busy_timeout)?;
    let (files, filing) = ContentFiles::start(path, options.large_content)?;
    sync_folder(path)?;
    let shelf = Shelf::default();
    let (writer, writing) =
        Writer::start((writing, Arc::clone(&neighbours)), options, files.clone(), shelf.clone())?;
    let recent = Recent::new(options.recent_content);
    let lookup = Lookup::new(path, options.busy_timeout, Arc::clone(&neighbours));
    let (keeper, keeping) =
        Keeper::start(path, &options, shelf.clone(), (writer.clone(), recent.clone(), lookup), &reading)?;
    let (reader, reading) = Reader::start(reading, Arc::clone(&neighbours))?;
    Ok(SqliteStore {
        keeper,
        shelf,
        writer,
        reader,
        files,
        recent,
        neighbours,
        path: path.into(),
        options,
        threads: Arc::new(Threads { reading, others: [filing, keeping, writing] }),
    })
}

/// A file that was made is only there after a power failure once its folder was synced.
fn sync_folder(path: &Path) -> Result<(), Fault> {
    Ok(File::open(owner::folder(path))?.sync_all()?)
}

impl SqliteStore {
    /// Finishes what was submitted and waits until the files are closed; does nothing while other handles exist. Blocks for as long
    /// as the disk takes to sync the rest.
    pub fn close(self) {
        let Self { keeper, writer, reader, files, threads, .. } = self;
        drop((reader, keeper));
        let Some(Threads { reading, others }) = Arc::into_inner(threads) else { return };
        // A thread that panicked answers its callers with `Closed`; there is nobody to tell here. The reading one goes
        // first: whoever closes the database last carries the log over.
        let _ = reading.join();
        drop((writer, files));
        for handle in others {
            let _ = handle.join();
        }
    }

    /// Gives what was read; a message that turned out damaged is set aside first.
    fn or_set_aside<'a, T: Send + 'static>(
        &'a self,
        read: BoxFuture<'a, T>,
        reason: &'static str,
    ) -> BoxFuture<'a, T> {
        Box::pin(async move {
            let result = read.await;
            if let Err(QueueError::Corrupt { message: Some(message) }) = result {
                self.set_aside(message, reason).await?;
            }
            result
        })
    }
}

/// Which lease is meant.
#[derive(Clone, Copy)]
struct Lent {
    message: MessageId,
    delivery: DeliveryId,
    generation: u64,
}

impl Lent {
    fn of(lease: &Lease) -> Self {
        Self { message: lease.message, delivery: lease.delivery, generation: lease.generation }
    }
}

struct Threads {
    reading: JoinHandle<()>,
    others: [JoinHandle<()>; 3],
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("threads", &(1 + self.threads.others.len()))
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Sends fresh mail on its way into the database: what is sent to the writing thread after this call finds it there.
    fn settle_in(&self, which: Which) -> Vec<BoxFuture<'static, ()>> {
        move_out(&self.shelf, &self.writer, which)
    }

    /// Reads once all fresh mail is in the database.
    fn read_all<'a, T, F>(&'a self, read: F) -> BoxFuture<'a, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        drop(self.settle_in(Which::All));
        // Behind these, and behind what somebody else sent on its way.
        let moved = self
            .shelf
            .is_any_moving()
            .then(|| self.writer.submit(Promise::Visible, 0, |_: &mut Work<'_>| Ok(())));
        Box::pin(async move {
            self.shelf.recovered().await;
            if let Some(moved) = moved {
                // What could not move is delivered from where it is, and cannot be shown.
                let _ = moved.await;
            }
            self.reader.submit(read).await
        })
    }

    /// What is asked of a lease whose message moves into the database first. Where that fails the lease is as good as before, and
    /// whoever asked hears of the fault, so that he asks again: the loss of the lease would have his mail delivered twice.
    fn of_lease<'a, T: Send + 'a>(
        &'a self,
        lent: Lent,
        moved: Vec<BoxFuture<'static, ()>>,
        asked: BoxFuture<'a, T>,
    ) -> BoxFuture<'a, T> {
        Box::pin(async move {
            match asked.await {
                Err(QueueError::LeaseLost { .. }) if self.shelf.lends(lent.message, lent.generation) => {
                    for moved in moved {
                        moved.await?;
                    }
                    Err(QueueError::Busy { code: 0 })
                }
                answer => answer,
            }
        })
    }

    fn settle_stored(&self, lease: Lease, settlement: Settlement) -> BoxFuture<'_, Vec<MessageId>> {
        if settlement.keep.is_empty() {
            self.recent.forget(lease.message);
        }
        let large = self.files.large(&settlement.enqueue);
        let recent = self.recent.clone();
        self.write_with(
            large,
            move |drafts| Settling::new(lease, settlement, drafts, recent),
            |settling| (settling.promise(), settling.weight()),
        )
    }
}

impl QueueStore for SqliteStore {
    fn start(&self, owner: &str, now: Timestamp) -> BoxFuture<'_, u64> {
        let owner = owner.to_owned();
        Box::pin(async move {
            self.keeper.begin().await?;
            drop(self.settle_in(Which::All));
            self.shelf.set_owner(&owner);
            let start = move |work: &mut Work<'_>| lease::start(work, &owner, now);
            // Whoever took the log has looked after what an earlier process left.
            let promise = if self.shelf.is_open() { Promise::Durable } else { Promise::Afresh };
            let freed = self.writer.submit(promise, 0, start).await?;
            self.sweep();
            Ok(freed)
        })
    }

    fn stop(&self) -> BoxFuture<'_, u64> {
        let ended = self.keeper.end();
        Box::pin(async move {
            // What could not move is in the log, and moves at the next start.
            let moved = ended.await;
            // A settlement whose report is being written comes before the end of its lease.
            self.files.written().await;
            let freed = self.writer.submit(Promise::Visible, 0, lease::stop).await?;
            moved.map(|()| freed)
        })
    }

    fn enqueue_all(&self, mut messages: Vec<NewMessage>) -> BoxFuture<'_, Vec<MessageId>> {
        let mut reserved = match self.keeper.reserve(&messages) {
            Ok(Asked::New(reserved)) => reserved,
            Ok(Asked::Earlier(message)) => return Box::pin(std::future::ready(Ok(vec![message]))),
            Ok(Asked::NotNow) => return Box::pin(std::future::ready(Err(QueueError::Busy { code: 0 }))),
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        if let Some(accepted) = self.keeper.accept(&mut messages, &mut reserved) {
            return accepted;
        }
        let (large, recent) = (self.files.large(&messages), self.recent.clone());
        self.write_with(
            large,
            move |drafts| Intake::new(messages, drafts, recent).with(reserved),
            |intake| (Promise::Durable, intake.weight()),
        )
    }

    fn known_source_keys(&self, source_keys: Vec<String>) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async move {
            // What an earlier process left in the log is on its way into the tables.
            self.shelf.recovered().await;
            self.shelf.is_taken_up().map_err(|Fault(error)| error)?;
            // In this order: what moves into the tables meanwhile is found there.
            let (mut known, others) = self.shelf.known(source_keys);
            if !others.is_empty() {
                let stored = self.reader.submit(|connection| source_key::known(connection, others)).await?;
                let seen: Vec<_> =
                    stored.iter().filter(|(_, seen)| *seen).map(|(key, _)| key.clone()).collect();
                if !seen.is_empty() {
                    let come = move |work: &mut Work<'_>| {
                        seen.iter().try_for_each(|key| source_key::came(work, key))
                    };
                    self.writer.submit(Promise::Visible, 0, come).await?;
                }
                known.extend(stored.into_iter().map(|(key, _)| key));
            }
            Ok(known)
        })
    }

    fn large_content(&self) -> Option<usize> {
        Some(self.options.large_content)
    }

    fn draft(&self, head: Vec<u8>) -> Option<Box<dyn ContentDraft>> {
        let threads = Arc::clone(&self.threads) as Arc<dyn Any + Send + Sync>;
        Some(Box::new(Incoming::new(self.files.clone(), threads, head)))
    }

    fn forget_source_keys(&self, source_keys: Vec<String>) -> BoxFuture<'_, ()> {
        let source_keys = self.shelf.forget(source_keys);
        if source_keys.is_empty() {
            return Box::pin(std::future::ready(Ok(())));
        }
        // Behind those that move there now.
        drop(self.shelf.sending());
        self.writer.submit(Promise::Visible, 0, move |work: &mut Work<'_>| {
            source_keys.iter().try_for_each(|key| source_key::forget(work, key))
        })
    }

    fn due(&self, now: Timestamp) -> BoxFuture<'_, Vec<(NextHop, Timestamp)>> {
        // In this order: what moves meanwhile is found twice rather than not at all.
        let fresh = self.shelf.due(now);
        if !self.shelf.has_stored() {
            return Box::pin(std::future::ready(Ok(fresh)));
        }
        Box::pin(async move {
            self.shelf.recovered().await;
            let stored = self.reader.submit(move |connection| view::due(connection, now));
            let mut all: BTreeMap<_, _> = fresh.into_iter().collect();
            for (next_hop, due) in stored.await? {
                all.entry(next_hop)
                    .and_modify(|first: &mut Timestamp| *first = due.min(*first))
                    .or_insert(due);
            }
            Ok(all.into_iter().collect())
        })
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Claimed> {
        if let Lending::All(claimed) = self.shelf.claim(&claim) {
            return Box::pin(std::future::ready(Ok(claimed)));
        }
        if claim.eligible != Eligible::Due {
            drop(self.settle_in(Which::All));
        }
        let stored = claim.clone();
        let claimed =
            self.writer.submit(Promise::Visible, 0, move |work: &mut Work<'_>| lease::claim(work, &stored));
        Box::pin(async move {
            let mut claimed = claimed.await?;
            self.shelf.add_to(&mut claimed, &claim);
            Ok(claimed)
        })
    }

    fn content(&self, message: MessageId) -> BoxFuture<'_, Content> {
        if let Some(content) = self.shelf.content(message).or_else(|| self.recent.get(message)) {
            return Box::pin(std::future::ready(Ok(content)));
        }
        let read = Box::pin(async move {
            self.shelf.recovered().await;
            let stored = self.reader.submit(move |connection| manage::content(connection, message));
            match stored.await? {
                Stored::Inline(content) => Ok(content),
                Stored::InFile { name, checksum, size } => {
                    self.read_file(message, name, checksum, size).await
                }
            }
        });
        self.or_set_aside(read, "its content is damaged")
    }

    fn envelope(&self, message: MessageId) -> BoxFuture<'_, Envelope> {
        let read = self.read_all(move |connection| manage::envelope(connection, message));
        self.or_set_aside(read, "the envelope or the recipients cannot be read")
    }

    fn settle(&self, lease: Lease, settlement: Settlement) -> BoxFuture<'_, Vec<MessageId>> {
        let lent = Lent::of(&lease);
        if !settlement.keep.is_empty() || !settlement.enqueue.is_empty() {
            let moved = self.settle_in(Which::One(lease.message));
            return self.of_lease(lent, moved, self.settle_stored(lease, settlement));
        }
        match self.shelf.finish(&lease) {
            Finish::Left(left) => self.keeper.leave(left),
            Finish::Lost => {
                Box::pin(std::future::ready(Err(QueueError::LeaseLost { delivery: lease.delivery })))
            }
            Finish::Elsewhere => {
                drop(self.shelf.sending());
                self.of_lease(lent, Vec::new(), self.settle_stored(lease, settlement))
            }
        }
    }

    fn results(&self, message: MessageId) -> BoxFuture<'_, Vec<(Recipient, Outcome)>> {
        self.reader.submit(move |connection| result::read(connection, message))
    }

    fn forget_results(&self, message: MessageId) -> BoxFuture<'_, ()> {
        self.writer.submit(Promise::Visible, 0, move |work: &mut Work<'_>| result::forget(work, message))
    }

    fn release(&self, lease: Lease, due: Timestamp) -> BoxFuture<'_, ()> {
        let (lent, moved) = (Lent::of(&lease), self.settle_in(Which::One(lease.message)));
        let release = move |work: &mut Work<'_>| lease::release(work, &lease, due);
        self.of_lease(lent, moved, self.writer.submit(Promise::Visible, 0, release))
    }

    fn begin_trial(&self, lease: &Lease) -> BoxFuture<'_, ()> {
        let (lent, moved) = (Lent::of(lease), self.settle_in(Which::One(lease.message)));
        let begin = move |work: &mut Work<'_>| lease::begin_trial(work, lent.delivery, lent.generation);
        self.of_lease(lent, moved, self.writer.submit(Promise::Visible, 0, begin))
    }

    fn extend(&self, lease: &Lease, until: Timestamp) -> BoxFuture<'_, ()> {
        let (lent, moved) = (Lent::of(lease), self.settle_in(Which::One(lease.message)));
        let extend = move |work: &mut Work<'_>| lease::extend(work, lent.delivery, lent.generation, until);
        self.of_lease(lent, moved, self.writer.submit(Promise::Visible, 0, extend))
    }

    fn list(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Vec<Listed>> {
        self.read_all(move |connection| view::list(connection, &filter, now))
    }

    fn queues(&self, now: Timestamp) -> BoxFuture<'_, Vec<QueueSummary>> {
        self.read_all(move |connection| view::queues(connection, now))
    }

    fn suspend(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        drop(self.settle_in(Which::All));
        self.writer
            .submit(Promise::Durable, 0, move |work: &mut Work<'_>| manage::suspend(work, &filter, now))
    }

    fn resume(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        drop(self.settle_in(Which::All));
        self.writer.submit(Promise::Durable, 0, move |work: &mut Work<'_>| manage::resume(work, &filter, now))
    }

    fn suspend_queue(&self, next_hop: &NextHop, suspended: bool) -> BoxFuture<'_, ()> {
        self.shelf.suspend(next_hop, suspended);
        drop(self.settle_in(Which::All));
        let next_hop = next_hop.clone();
        self.writer.submit(Promise::Durable, 0, move |work: &mut Work<'_>| {
            manage::suspend_queue(work, &next_hop, suspended)
        })
    }

    fn retry_now(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        drop(self.settle_in(Which::All));
        self.writer
            .submit(Promise::Durable, 0, move |work: &mut Work<'_>| manage::retry_now(work, &filter, now))
    }

    fn take_retries(&self) -> BoxFuture<'_, Vec<NextHop>> {
        if !self.shelf.take_asked_for_retries() {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        let any = self.reader.submit(manage::has_retries);
        Box::pin(async move {
            match any.await {
                Ok(false) => return Ok(Vec::new()),
                Ok(true) => {}
                Err(error) => {
                    self.shelf.asked_for_retries();
                    return Err(error);
                }
            }
            self.writer.submit(Promise::Visible, 0, |work: &mut Work<'_>| manage::take_retries(work)).await
        })
    }

    fn remove(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        drop(self.settle_in(Which::All));
        let removed = self
            .writer
            .submit(Promise::Durable, 0, move |work: &mut Work<'_>| manage::remove(work, &filter, now));
        Box::pin(async move {
            let changed = removed.await?;
            self.recent.clear();
            Ok(changed)
        })
    }

    fn set_aside(&self, message: MessageId, reason: &str) -> BoxFuture<'_, ()> {
        drop(self.settle_in(Which::One(message)));
        let reason = reason.to_owned();
        self.writer.submit(Promise::Durable, 0, move |work: &mut Work<'_>| {
            let found = lease::set_aside(work, message.as_u64().cast_signed(), &reason)?;
            if found { Ok(()) } else { Err(QueueError::UnknownMessage { message }.into()) }
        })
    }

    fn version(&self) -> u64 {
        *self.writer.version().borrow()
    }

    fn changed(&self, seen: u64) -> BoxFuture<'_, u64> {
        let mut version = self.writer.version();
        Box::pin(async move {
            version
                .wait_for(|version| *version != seen)
                .await
                .map(|version| *version)
                .map_err(|_| QueueError::Closed)
        })
    }
}
