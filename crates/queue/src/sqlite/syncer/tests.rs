//! What the syncing thread makes of the batches it finds, without a database.

use std::fs;
use std::sync::mpsc::sync_channel;

use super::*;
use crate::sqlite::writer::{Promise, Work};

/// Who was told what, in its order.
type Told = Arc<Mutex<Vec<(&'static str, Result<(), QueueError>)>>>;

struct Caller {
    name: &'static str,
    told: Told,
}

impl Job for Caller {
    fn promise(&self) -> Promise {
        Promise::Durable
    }

    fn weight(&self) -> usize {
        0
    }

    fn run(&mut self, _: &mut Work<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn awaits_sync(&self) -> bool {
        true
    }

    fn undo(&mut self, _: &mut Work<'_>) -> Result<bool, Fault> {
        Ok(true)
    }

    fn answer(self: Box<Self>, committed: Result<(), QueueError>) {
        self.told.lock().expect("nobody panicked").push((self.name, committed));
    }
}

const LOST: QueueError = QueueError::Io { code: 5 };

#[test]
fn what_leans_on_a_failed_sync_is_not_synced_with_what_came_after_the_log_was_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("queue.db");
    fs::write(&database, "").expect("a file");
    let told = Told::default();
    let batch = |epoch, name| Batch {
        jobs: vec![Box::new(Caller { name, told: Arc::clone(&told) })],
        epoch,
        ..Batch::default()
    };
    // The writing thread was quick: while this one was about to tell it of the failure, it committed once more, then heard
    // of it, took back, began the log anew and committed again.
    let (batches, inbox) = channel();
    batches.send(batch(0, "before")).expect("a way");
    batches.send(batch(1, "after")).expect("a way");
    drop(batches);
    let failed = Arc::default();
    Bench {
        log: File::open(&database).expect("a log"),
        inbox,
        unsynced: Unsynced::default(),
        version: watch::channel(0).0,
        files: ContentFiles::start(&database, 1).expect("threads").0,
        failed: Arc::clone(&failed),
        busy: Arc::default(),
        alone: Arc::default(),
        desk: sync_channel(9).0,
        bad: Some((0, LOST)),
    }
    .serve();
    assert_eq!(*told.lock().expect("nobody panicked"), [("after", Ok(()))]);
    let Failed { batch, error } = failed.lock().expect("nobody panicked").take().expect("one to take back");
    assert_eq!((batch.jobs.len(), error), (1, LOST));
}

#[test]
fn what_nobody_waits_for_is_synced_in_time_however_much_of_it_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("queue.db");
    fs::write(&database, "").expect("a file");
    // Whose sync fails at once, so that it is seen.
    let log = Path::new("/dev/null");
    let (files, desk) = (ContentFiles::start(&database, 1).expect("threads").0, sync_channel(9).0);
    let syncer = Syncer::start(log, Unsynced::default(), watch::channel(0).0, files, desk).expect("a thread");
    let began = now();
    while syncer.take_failed().is_none() {
        assert!(began.elapsed() < 20 * LAZY, "settlements come in all the time, and none is synced");
        syncer.send(Batch::default());
        thread::sleep(LAZY / 50);
    }
}
