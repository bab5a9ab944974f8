//! The syncing thread: while it waits for the disk the writing thread goes on, and all that was committed meanwhile
//! shares the next sync.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

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
    /// How often the log had been begun anew after a sync that failed.
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
    thread: thread::JoinHandle<()>,
}

impl Syncer {
    /// Starts the thread for the log of the database at `path`, which must be there.
    pub(super) fn start(
        path: &Path,
        unsynced: Unsynced,
        version: watch::Sender<u64>,
        files: ContentFiles,
        desk: SyncSender<Letter>,
    ) -> Result<Self, Fault> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let (batches, inbox) = channel();
        let (failed, busy) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let bench = Bench {
            log: File::open(log)?,
            inbox,
            unsynced,
            version,
            files,
            failed: Arc::clone(&failed),
            busy: Arc::clone(&busy),
            desk,
            bad: None,
        };
        let thread =
            thread::Builder::new().name("postroad-queue-sync".to_owned()).spawn(move || bench.serve())?;
        Ok(Self { batches, failed, busy, thread })
    }

    /// Hands a batch over; an empty one asks for a sync some time.
    pub(super) fn send(&self, batch: Batch) {
        if !batch.is_empty() {
            self.busy.store(true, Ordering::Release);
        }
        // The thread ends only after this way to it.
        let _ = self.batches.send(batch);
    }

    /// Whether a sync is on its way that somebody waits for; [`Letter::Synced`] tells of its end.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
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
    desk: SyncSender<Letter>,
    /// The epoch whose sync failed, and how: nothing of it is synced any more, for later commits lean on earlier ones.
    bad: Option<(u64, QueueError)>,
}

impl Bench {
    fn serve(mut self) {
        let mut lazy = None;
        loop {
            let next = match lazy {
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => self.inbox.recv_timeout(LAZY),
            };
            let mut batch = match (next, lazy) {
                (Ok(batch), _) => batch,
                (Err(RecvTimeoutError::Timeout), Some(epoch)) => {
                    lazy = None;
                    self.sync(Batch { epoch, ..Batch::default() });
                    continue;
                }
                (Err(_), Some(epoch)) => return self.sync(Batch { epoch, ..Batch::default() }),
                (Err(_), None) => return,
            };
            while let Ok(more) = self.inbox.try_recv() {
                batch.add(more);
            }
            if batch.is_empty() {
                lazy = Some(batch.epoch);
            } else {
                lazy = None;
                self.sync(batch);
                self.busy.store(false, Ordering::Release);
                // Where its box is full it has enough to do, and sees for itself.
                let _ = self.desk.try_send(Letter::Synced);
            }
        }
    }

    fn sync(&mut self, batch: Batch) {
        let error = match self.bad {
            Some((epoch, error)) if batch.epoch <= epoch => Some(error),
            _ => self
                .log
                .sync_data()
                .err()
                .map(|error| QueueError::Io { code: error.raw_os_error().unwrap_or(0) }),
        };
        if let Some(error) = error {
            self.bad = Some((batch.epoch, error));
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            match failed.as_mut() {
                Some(failed) => failed.batch.add(batch),
                None => *failed = Some(Failed { batch, error }),
            }
            return;
        }
        self.unsynced.remove(&batch.new);
        for job in batch.jobs {
            job.answer(Ok(()));
        }
        self.files.remove(batch.doomed);
        if batch.wake {
            self.version.send_modify(|version| *version += 1);
        }
    }
}
