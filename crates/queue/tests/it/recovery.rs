//! A log that cannot be taken up now: nothing is promised, no source is told that it is unknown, and nothing is lost.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postroad_queue::{MessageId, NewMessage, QueueError, QueueStore, Settlement, SqliteOptions, SqliteStore};
use rusqlite::{Connection, TransactionBehavior};

use crate::mail::{at, body, claim, list, message, named, open, open_when_left, started};

const KEY: &str = "pickup:1";

/// From a file.
fn keyed(number: u32) -> NewMessage {
    let mut message = named(number, "example.com", &body(1, 700));
    message.source_key = Some(KEY.to_owned());
    message
}

/// A log that holds one message from a file, and a hundred of 10,000 bytes.
async fn left_behind(folder: &Path) -> (PathBuf, MessageId) {
    let path = folder.join("queue.db");
    let store = started(&path).await;
    let first = store.enqueue(keyed(0)).await.expect("room");
    for number in 1..=100 {
        store.enqueue(named(number, "example.com", &body(number as usize, 10_000))).await.expect("room");
    }
    store.close();
    (path, first)
}

/// A store that does not wait long for others, in so many bytes.
fn open_with(path: &Path, max_size: Option<u64>) -> SqliteStore {
    let mut options = SqliteOptions::default();
    options.busy_timeout = Duration::from_millis(20);
    options.max_size = max_size;
    SqliteStore::open_with(path, options).expect("it opens")
}

/// Whoever comes is refused with this fault, whatever he comes with.
async fn refuses_all(store: &SqliteStore, is_expected: impl Fn(&QueueError) -> bool) {
    let refused = [
        store.start("Hub01", at(0)).await.map(|_| ()),
        store.enqueue(keyed(1001)).await.map(|_| ()),
        store.enqueue(message("example.com", b"hello")).await.map(|_| ()),
        store.known_source_keys(vec![KEY.to_owned()]).await.map(|_| ()),
    ];
    for refused in refused {
        assert!(refused.is_err_and(|error| is_expected(&error) && error.is_transient()), "{refused:?}");
    }
}

/// All of it is there, once, and known.
async fn has_all(store: &SqliteStore, first: MessageId) {
    store.start("Hub01", at(0)).await.expect("it starts");
    assert_eq!(store.known_source_keys(vec![KEY.to_owned()]).await, Ok(vec![KEY.to_owned()]));
    assert_eq!(store.enqueue(keyed(1002)).await, Ok(first));
    assert_eq!(list(store).await.len(), 101);
    assert_eq!(claim(store, "example.com").await.len(), 100);
}

#[tokio::test]
async fn before_a_log_that_cannot_be_read_is_read_nothing_is_taken_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, first) = left_behind(folder.path()).await;
    let (segment, aside) = (path.with_file_name("queue.db-fresh").join("1"), folder.path().join("aside"));
    fs::rename(&segment, &aside).expect("moved");
    fs::create_dir(&segment).expect("what cannot be read as a file");
    let store = open_with(&path, None);
    refuses_all(&store, |error| matches!(error, QueueError::Io { .. })).await;
    fs::remove_dir(&segment).expect("empty");
    fs::rename(&aside, &segment).expect("moved");
    has_all(&store, first).await;
}

#[tokio::test]
async fn before_there_is_room_for_what_was_left_nothing_smaller_takes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, first) = left_behind(folder.path()).await;
    let store = open_with(&path, Some(300_000));
    refuses_all(&store, |error| matches!(error, QueueError::DiskFull { .. })).await;
    store.close();
    has_all(&open_when_left(&path).await, first).await;
}

/// Who has no relay beside it waits for its turn as well.
#[tokio::test]
async fn where_another_process_takes_up_what_was_left_whoever_could_not_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, first) = left_behind(folder.path()).await;
    let store = open_with(&path, Some(300_000));
    refuses_all(&store, |error| matches!(error, QueueError::DiskFull { .. })).await;
    let other = open_with(&path, None);
    other.start("Hub02", at(0)).await.expect("it starts");
    // It makes room, and has the log still.
    let lent = async {
        loop {
            let leases = claim(&other, "example.com").await;
            if !leases.is_empty() {
                break leases;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    for lease in tokio::time::timeout(Duration::from_secs(60), lent).await.expect("it never has the log") {
        other.settle(lease, Settlement::all_leave()).await.expect("settled");
    }
    let taken = async {
        while let Err(error) = store.enqueue(message("other.test", b"hello")).await {
            assert!(error.is_transient(), "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), taken).await.expect("its failure is for ever");
    store.start("Hub03", at(0)).await.expect("it starts");
    assert_eq!(store.known_source_keys(vec![KEY.to_owned()]).await, Ok(vec![KEY.to_owned()]));
    assert_eq!(other.enqueue(keyed(1001)).await, Ok(first));
}

/// As `sqlite3` or a long `relay queue remove` does. Nobody calls again: it is tried again all the same.
#[tokio::test]
async fn while_another_process_writes_nothing_is_taken_in_and_then_it_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, first) = left_behind(folder.path()).await;
    let mut other = Connection::open(&path).expect("it opens");
    let writing = other.transaction_with_behavior(TransactionBehavior::Immediate).expect("nobody writes");
    let store = open_with(&path, None);
    refuses_all(&store, |error| matches!(error, QueueError::Busy { .. })).await;
    drop(writing);
    let taken = async {
        while let Err(error) = store.enqueue(message("other.test", b"hello")).await {
            assert!(matches!(error, QueueError::Busy { .. }), "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), taken).await.expect("it is never tried again");
    assert_eq!(store.enqueue(keyed(1001)).await, Ok(first));
    assert_eq!(list(&store).await.len(), 102);
}

/// The tables do as well; and it is had as soon as it can be.
#[tokio::test]
async fn a_log_that_cannot_be_begun_is_done_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, first) = left_behind(folder.path()).await;
    let next = path.with_file_name("queue.db-fresh").join("2");
    symlink(folder.path().join("nowhere"), &next).expect("what is never written to");
    let store = open_with(&path, None);
    has_all(&store, first).await;
    store.enqueue(named(1003, "other.test", b"hello")).await.expect("room");
    let tables = Connection::open(&path).expect("it opens");
    let stored = tables.query_row("SELECT count(*) FROM message", [], |row| row.get(0));
    assert_eq!(stored, Ok(102));
    fs::remove_file(&next).expect("removed");
    let begun = async {
        while fs::metadata(&next).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), begun).await.expect("it is never tried again");
}

#[tokio::test]
async fn a_server_that_could_not_end_has_its_log_still() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open_with(&path, None);
    store.start("Hub01", at(0)).await.expect("it starts");
    store.enqueue(named(1, "example.com", b"hello")).await.expect("room");
    let mut other = Connection::open(&path).expect("it opens");
    let writing = other.transaction_with_behavior(TransactionBehavior::Immediate).expect("nobody writes");
    let refused = store.stop().await;
    assert!(matches!(refused, Err(QueueError::Busy { .. })), "{refused:?}");
    drop(writing);
    store.start("Hub01", at(0)).await.expect("it starts again");
    assert_eq!(list(&store).await.len(), 1);
    store.enqueue(named(2, "example.com", b"hello")).await.expect("room");
    let stored = other.query_row("SELECT count(*) FROM message", [], |row| row.get(0));
    assert_eq!(stored, Ok(1), "the second lies in the log");
    store.stop().await.expect("it ends");
    assert_eq!(open_when_left(&path).await.queues(at(1)).await.expect("known")[0].waiting, 2);
}

/// The process before may have died of a sync that failed: no commit leans on what it wrote before that is written anew.
#[tokio::test]
async fn a_write_ahead_log_that_could_not_be_written_anew_at_the_start_is_before_the_next_promise() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let _has_the_log = started(&path).await;
    let store = open_with(&path, None);
    let mut other = Connection::open(&path).expect("it opens");
    let writing = other.transaction_with_behavior(TransactionBehavior::Immediate).expect("nobody writes");
    let refused = store.start("Hub02", at(0)).await;
    assert!(matches!(refused, Err(QueueError::Busy { .. })), "{refused:?}");
    drop(writing);
    // SQLite has it open; whoever writes it anew looks for it.
    let (log, aside) = (folder.path().join("queue.db-wal"), folder.path().join("aside"));
    fs::rename(&log, &aside).expect("moved");
    let refused = store.enqueue(message("example.com", b"hello")).await;
    assert!(matches!(refused, Err(QueueError::Io { .. })), "{refused:?}");
    fs::rename(&aside, &log).expect("moved");
    store.enqueue(message("example.com", b"hello")).await.expect("it was written anew");
    open(&path).close();
}
