//! What goes to the writing thread, what it works with there, and how its caller is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;

use postroad_message::NextHop;
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::content_file::ContentFiles;
use super::desk::Desk;
use super::fault::Fault;
use super::fresh::Shelf;
use super::neighbours::Neighbours;
use super::options::SqliteOptions;
use super::syncer::Unsynced;
use crate::error::QueueError;
use crate::message_id::MessageId;
use crate::store::BoxFuture;

/// What the caller is promised when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// The disk has it, synced.
    Durable,
    /// It is committed: it survives the end of the process, and is synced with what comes after it.
    Visible,
    /// Durable, after whatever an earlier process left in the log was written anew: it may have died of a failed sync.
    Afresh,
}

/// What a job works with: the open transaction, and the counter that ids come from.
pub(super) struct Work<'a> {
    pub(super) connection: &'a Connection,
    pub(super) last_id: &'a mut i64,
    pub(super) effects: &'a mut Effects,
    pub(super) owner: &'a str,
    pub(super) damage: &'a mut Damage,
    pub(super) unsynced: &'a Unsynced,
    pub(super) shelf: &'a Shelf,
    /// The next hops that something was written for, and those of which nothing is left: true and false.
    pub(super) hops: &'a mut BTreeMap<NextHop, bool>,
}

/// What lies on damaged pages, as far as anybody came across it: it is stepped over.
#[derive(Default)]
pub(super) struct Damage {
    known: BTreeSet<Damaged>,
    /// Whether the job that runs has found more.
    pub(super) found: bool,
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
    /// Something that a source knows messages by.
    SourceKey,
}

/// What a transaction brings about beside its rows, once it is committed.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) wake: bool,
    /// Deliveries that are new: nobody gets them before they are synced.
    pub(super) new: Vec<i64>,
    pub(super) doomed: Vec<String>,
    pub(super) owner: Option<String>,
}

impl Work<'_> {
    /// The next id, at least `floor`: greater than any before, whatever the clock says.
    pub(super) fn new_id(&mut self, floor: MessageId) -> i64 {
        *self.last_id = self.last_id.saturating_add(1).max(floor.as_u64().cast_signed());
        *self.last_id
    }

    /// Something may be due that was not: whoever waits in `changed` is woken when the job is answered.
    pub(super) fn wake(&mut self) {
        self.effects.wake = true;
    }

    /// A delivery of this transaction: it is lent to nobody before it is durable.
    pub(super) fn is_new(&mut self, delivery: i64) {
        self.effects.new.push(delivery);
    }

    /// Something for this next hop is in the database from this job on.
    pub(super) fn is_stored(&mut self, hop: &NextHop) {
        self.shelf.is_stored(hop);
        if let Some(stored) = self.hops.get_mut(hop) {
            *stored = true;
        }
    }

    /// Nothing is, unless a later job of the transaction writes something.
    pub(super) fn is_not_stored(&mut self, hop: &NextHop) {
        self.hops.insert(hop.clone(), false);
    }

    /// Whether a delivery is committed and not synced yet.
    pub(super) fn is_unsynced(&self, delivery: i64) -> bool {
        self.unsynced.contains(delivery)
    }

    /// How many are.
    pub(super) fn count_unsynced(&self) -> usize {
        self.unsynced.count()
    }

    /// A content file whose message is gone; it goes after the sync, never before.
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

/// What the writing thread is sent.
pub(super) enum Letter {
    Job(Box<dyn Job>),
    /// A sync has ended.
    Synced,
    /// The last [`Writer`] is gone.
    Close,
}

/// The way to the writing thread. Dropping the last one ends the thread, after what was sent before.
#[derive(Clone)]
pub(super) struct Writer {
    way: Arc<Way>,
    version: watch::Receiver<u64>,
    version_sender: Weak<watch::Sender<u64>>,
}

struct Way {
    letters: SyncSender<Letter>,
}

impl Drop for Way {
    fn drop(&mut self) {
        let _ = self.letters.send(Letter::Close);
    }
}

impl Writer {
    /// Starts the thread over an open connection.
    pub(super) fn start(
        open: (Connection, Arc<Neighbours>),
        options: SqliteOptions,
        files: ContentFiles,
        shelf: Shelf,
    ) -> Result<(Self, thread::JoinHandle<()>), Fault> {
        // Deep enough that no caller waits here while a commit runs; back-pressure belongs to the doors above. Each place takes
        // memory from the beginning.
        let (letters, inbox) = sync_channel(16_384);
        let (version_sender, version) = watch::channel(0);
        let version_sender = Arc::new(version_sender);
        let weak = Arc::downgrade(&version_sender);
        let mut desk =
            Desk::new(open, options, (files, shelf), (letters.clone(), inbox), Arc::clone(&version_sender))?;
        let handle = thread::Builder::new().name("postroad-queue".to_owned()).spawn(move || desk.serve())?;
        Ok((Self { way: Arc::new(Way { letters }), version, version_sender: weak }, handle))
    }

    /// Runs `work` in a transaction that others may share; ready when what is promised is true.
    ///
    /// `weight` is the number of bytes it writes. The job is sent at once, whether or not the future is polled.
    pub(super) fn submit<T, W>(&self, promise: Promise, weight: usize, work: W) -> BoxFuture<'static, T>
    where
        T: Send + 'static,
        W: Labour<T> + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let sent = self.submit_for(reply, promise, weight, work);
        Box::pin(async move {
            sent?;
            answer.await.unwrap_or(Err(QueueError::Closed))
        })
    }

    /// The same for somebody who waits already; an error tells that he gets no answer.
    pub(super) fn submit_for<T, W>(
        &self,
        reply: oneshot::Sender<Result<T, QueueError>>,
        promise: Promise,
        weight: usize,
        work: W,
    ) -> Result<(), QueueError>
    where
        T: Send + 'static,
        W: Labour<T> + 'static,
    {
        let job = Task::new(promise, weight, work, reply);
        self.way.letters.try_send(Letter::Job(Box::new(job))).map_err(|error| match error {
            TrySendError::Full(_) => QueueError::Busy { code: 0 },
            TrySendError::Disconnected(_) => QueueError::Closed,
        })
    }

    /// Ends the thread, after what was sent before.
    pub(super) fn close(&self) {
        let _ = self.way.letters.send(Letter::Close);
    }

    /// Tells whoever waits that something may be due, as long as the thread lives.
    pub(super) fn version_sender(&self) -> Weak<watch::Sender<u64>> {
        Weak::clone(&self.version_sender)
    }

    pub(super) fn version(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }
}

/// Work for the writing thread. It may be run again, after what it did the first time was undone.
pub(super) trait Labour<T>: Send {
    fn run(&mut self, work: &mut Work<'_>) -> Result<T, Fault>;
    /// Takes back, in a later transaction, what was committed and could not be synced; false where that stays.
    fn undo(&mut self, _: &mut Work<'_>, _done: &T) -> Result<bool, Fault> {
        Ok(false)
    }
    /// How it ended: what the caller is told, the value aside.
    fn ended(&mut self, _: Result<(), QueueError>) {}
}

impl<T, F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send> Labour<T> for F {
    fn run(&mut self, work: &mut Work<'_>) -> Result<T, Fault> {
        self(work)
    }
}

/// A call on its way through the threads, whatever it gives.
pub(super) trait Job: Send {
    fn promise(&self) -> Promise;
    fn weight(&self) -> usize;
    /// Does the work; gives the error that the work ended with, and keeps it for the answer.
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault>;
    /// Whether the last run ended well and its promise asks for a sync.
    fn awaits_sync(&self) -> bool;
    /// See [`Labour::undo`].
    fn undo(&mut self, work: &mut Work<'_>) -> Result<bool, Fault>;
    /// Answers the caller: with what the work gave, unless that came to nothing.
    fn answer(self: Box<Self>, committed: Result<(), QueueError>);
}

pub(super) struct Task<T, W> {
    promise: Promise,
    weight: usize,
    work: W,
    result: Option<Result<T, QueueError>>,
    reply: oneshot::Sender<Result<T, QueueError>>,
}

impl<T, W> Task<T, W> {
    pub(super) fn new(
        promise: Promise,
        weight: usize,
        work: W,
        reply: oneshot::Sender<Result<T, QueueError>>,
    ) -> Self {
        Self { promise, weight, work, result: None, reply }
    }
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

    fn awaits_sync(&self) -> bool {
        self.promise != Promise::Visible && matches!(self.result, Some(Ok(_)))
    }

    fn undo(&mut self, work: &mut Work<'_>) -> Result<bool, Fault> {
        match &self.result {
            Some(Ok(done)) => self.work.undo(work, done),
            _ => Ok(true),
        }
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
