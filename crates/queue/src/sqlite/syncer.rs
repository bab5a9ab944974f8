//! The syncing thread: while it waits for the disk the writing thread goes on, and all that was committed meanwhile
//! shares the next sync.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::content_file::ContentFiles;
use super::fault::Fault;
use super::writer::{Job, Letter};
use crate::error::QueueError;

/// How long a commit that nobody waits for stays unsynced, at most, when nothing else is synced.
const LAZY: Duration = Duration::from_millis(500);

/// What one transaction left to be synced.
#[derive(Default)]
pub(super) struct Batch {
    /// Answered after the sync.
    pub(super) jobs: Vec<Box<dyn Job>>,
    /// Deliveries that may be lent from then on.
    pub(super) new: Vec<i64>,
    /// Whether something is due from then on.
    pub(super) wake: bool,
    /// Content files whose messages are gone.
    pub(super) doomed: Vec<String>,
    /// How often the log had been written anew after a sync that failed.
    pub(super) epoch: u64,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.new.is_empty() && self.doomed.is_empty()
    }

    fn add(&mut self, other: Self) {
        self.jobs.extend(other.jobs);
        self.new.extend(other.new);
        self.wake |= other.wake;
        self.doomed.extend(other.doomed);
        self.epoch = self.epoch.max(other.epoch);
    }
}

/// The deliveries that are committed and not synced: nobody may have them yet.
#[derive(Clone, Default)]
pub(super) struct Unsynced {
    deliveries: Arc<Mutex<BTreeSet<i64>>>,
    /// So that the common answer needs no lock.
    count: Arc<AtomicUsize>,
}

impl Unsynced {
    pub(super) fn contains(&self, delivery: i64) -> bool {
        self.count() > 0 && self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).contains(&delivery)
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(super) fn add(&self, deliveries: &[i64]) {
        if !deliveries.is_empty() {
            let mut all = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(deliveries);
            self.count.store(all.len(), Ordering::Release);
        }
    }

    pub(super) fn remove(&self, deliveries: &[i64]) {
        if !deliveries.is_empty() {
            let mut all = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
            deliveries.iter().for_each(|delivery| {
                all.remove(delivery);
            });
            self.count.store(all.len(), Ordering::Release);
        }
    }
}

/// A sync that failed, and everything that leans on it.
pub(super) struct Failed {
    pub(super) batch: Batch,
    pub(super) error: QueueError,
}

/// The writing thread's way to the syncing one. Dropping it ends the thread, after what was sent before.
pub(super) struct Syncer {
    batches: Sender<Batch>,
    failed: Arc<Mutex<Option<Failed>>>,
    /// Whether somebody waits for a sync that is on its way.
    busy: Arc<AtomicBool>,
    alone: Arc<Mutex<()>>,
    thread: thread::JoinHandle<()>,
}

impl Syncer {
    /// Starts the thread for the log, which must be there.
    pub(super) fn start(
        log: &Path,
        unsynced: Unsynced,
        version: watch::Sender<u64>,
        files: ContentFiles,
        desk: SyncSender<Letter>,
    ) -> Result<Self, Fault> {
        let (batches, inbox) = channel();
        let (failed, busy) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let alone = Arc::new(Mutex::new(()));
        let bench = Bench {
            log: File::open(log)?,
            inbox,
            unsynced,
            version,
            files,
            failed: Arc::clone(&failed),
            busy: Arc::clone(&busy),
            alone: Arc::clone(&alone),
            desk,
            bad: None,
        };
        let thread =
            thread::Builder::new().name("postroad-queue-sync".to_owned()).spawn(move || bench.serve())?;
        Ok(Self { batches, failed, busy, alone, thread })
    }

    /// Hands a batch over; an empty one asks for a sync some time.
    pub(super) fn send(&self, batch: Batch) {
        if !batch.is_empty() {
            self.busy.store(true, Ordering::Release);
        }
        // The thread ends only after this way to it, or by a panic: then whoever waits is told as the batch is dropped.
        let _ = self.batches.send(batch);
    }

    /// False after a panic; it ends only after the way to it.
    pub(super) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Whether a sync is on its way that somebody waits for; [`Letter::Synced`] tells of its end.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Nothing is synced while this is locked.
    pub(super) fn alone(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.alone)
    }

    /// Whether there is something to take back.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What could not be synced, for the writing thread to take back.
    pub(super) fn take_failed(&self) -> Option<Failed> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until all that was sent is synced; gives what could not be.
    pub(super) fn finish(self) -> Option<Failed> {
        drop(self.batches);
        let _ = self.thread.join();
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Bench {
    log: File,
    inbox: Receiver<Batch>,
    unsynced: Unsynced,
    version: watch::Sender<u64>,
    files: ContentFiles,
    failed: Arc<Mutex<Option<Failed>>>,
    busy: Arc<AtomicBool>,
    alone: Arc<Mutex<()>>,
    desk: SyncSender<Letter>,
    /// The epoch whose sync failed, and how: nothing of it is synced any more, for later commits lean on earlier ones.
    bad: Option<(u64, QueueError)>,
}

impl Bench {
    fn serve(mut self) {
        // What is to be synced, and by when.
        let (mut pending, mut until) = (Batch::default(), None::<Instant>);
        loop {
            let come = match until {
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(until) => self.inbox.recv_timeout(until.saturating_duration_since(now())),
            };
            let ended = matches!(come, Err(RecvTimeoutError::Disconnected));
            let mut awaited = false;
            for batch in come.into_iter().chain(self.inbox.try_iter()) {
                awaited |= !batch.is_empty();
                match self.bad {
                    // Beside one of a later epoch it would count as synced with that.
                    Some((epoch, _)) if batch.epoch <= epoch && batch.is_empty() => {}
                    Some((epoch, error)) if batch.epoch <= epoch => self.fail(batch, error),
                    _ => {
                        until.get_or_insert_with(|| now() + LAZY);
                        pending.add(batch);
                    }
                }
            }
            if until.is_some_and(|until| ended || !pending.is_empty() || until <= now()) {
                until = None;
                self.sync(std::mem::take(&mut pending));
            }
            if awaited {
                self.busy.store(false, Ordering::Release);
                // Where its box is full it has enough to do, and sees for itself.
                let _ = self.desk.try_send(Letter::Synced);
            }
            if ended {
                return;
            }
        }
    }

    fn sync(&mut self, batch: Batch) {
        let alone = Arc::clone(&self.alone);
        let alone = alone.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.log.sync_data() {
            let error = QueueError::Io { code: error.raw_os_error().unwrap_or(0) };
            self.bad = Some((batch.epoch, error));
            return self.fail(batch, error);
        }
        drop(alone);
        self.unsynced.remove(&batch.new);
        for job in batch.jobs {
            job.answer(Ok(()));
        }
        self.files.remove(batch.doomed);
        if batch.wake {
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn fail(&self, batch: Batch, error: QueueError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match failed.as_mut() {
            Some(failed) => failed.batch.add(batch),
            None => *failed = Some(Failed { batch, error }),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "when to sync is this thread's own affair; no caller has a time to give it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
