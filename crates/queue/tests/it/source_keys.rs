//! A source that comes again with what the log took in is known, until it is forgotten.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use postroad_queue::{Kept, MessageId, NewMessage, QueueError, QueueStore, Settlement, SqliteStore};
use rusqlite::Connection;

use crate::mail::{at, body, claim, list, named, open, open_when_left, started, started_with_log};

/// A message that comes by the log, from a file; it has another name each time.
fn keyed(number: u32) -> NewMessage {
    static NAMED: AtomicU32 = AtomicU32::new(0);
    let name = NAMED.fetch_add(1, Ordering::Relaxed);
    let mut message = named(name, "example.com", &body(number as usize, 700));
    message.source_key = Some(key(number));
    message
}

fn key(number: u32) -> String {
    format!("pickup:{number}")
}

/// How many keys and messages the tables know.
fn stored(path: &Path) -> (i64, i64) {
    let sql = "SELECT (SELECT count(*) FROM source_key), (SELECT count(*) FROM message)";
    let connection = Connection::open(path).expect("it opens");
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("two numbers")
}

async fn come(store: &SqliteStore, number: u32) -> MessageId {
    store.enqueue(keyed(number)).await.expect("room")
}

async fn deliver_all(store: &SqliteStore) {
    for lease in claim(store, "example.com").await {
        store.settle(lease, Settlement::all_leave()).await.expect("settled");
    }
}

/// Its file was not deleted when the machine died.
#[tokio::test]
async fn a_message_that_was_delivered_from_the_log_is_known_after_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    let first = come(&store, 1).await;
    deliver_all(&store).await;
    assert_eq!(come(&store, 1).await, first, "while the log has it");
    assert_eq!(stored(&path), (0, 0), "and the tables have nothing");
    store.close();

    let store = open(&path);
    // At once: the answer waits for the log.
    assert_eq!(store.known_source_keys(vec![key(1), key(2)]).await, Ok(vec![key(1)]));
    assert_eq!(come(&store, 1).await, first, "when the log is read");
    store.start("Hub01", at(0)).await.expect("it starts");
    assert_eq!(come(&store, 1).await, first, "and when it is begun anew");
    assert!(list(&store).await.is_empty());
    store.forget_source_keys(vec![key(1)]).await.expect("forgotten");
    assert_ne!(come(&store, 1).await, first);
    assert_eq!(list(&store).await.len(), 1);
}

/// Its file was deleted, and the machine died before its key was forgotten: nobody asks for it any more.
#[tokio::test]
async fn a_key_that_nobody_forgets_is_forgotten_a_month_after_a_start_has_found_it() {
    const DAY: i64 = 24 * 60;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    come(&store, 1).await;
    deliver_all(&store).await;
    store.close();
    // The relay was off for a year.
    for (day, known) in [(365, 1), (395, 1), (396, 0)] {
        let store = open(&path);
        store.start("Hub01", at(day * DAY)).await.expect("it starts");
        store.close();
        assert_eq!(stored(&path), (known, 0), "day {day}");
    }
}

#[tokio::test]
async fn what_is_forgotten_in_time_never_comes_into_the_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    let waiting = come(&store, 1).await;
    store.forget_source_keys(vec![key(1)]).await.expect("forgotten");
    assert_eq!(list(&store).await.len(), 1);
    assert_eq!(stored(&path), (0, 1), "the message moved, the key did not");
    for number in 2..20 {
        come(&store, number).await;
        deliver_all(&store).await;
        store.forget_source_keys(vec![key(number)]).await.expect("forgotten");
    }
    store.close();
    assert_eq!(stored(&path), (0, 0));
    let store = open(&path);
    assert_eq!(stored(&path), (0, 0), "nor by a start");
    assert_ne!(come(&store, 1).await, waiting);
}

#[tokio::test]
async fn a_key_that_moved_with_its_message_is_forgotten_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    let first = come(&store, 1).await;
    let lease = claim(&store, "example.com").await.pop().expect("due");
    store.settle(lease, Settlement::keep(vec![Kept::waiting(0, at(15))])).await.expect("kept");
    assert_eq!(stored(&path), (1, 1));
    assert_eq!(come(&store, 1).await, first);
    store.forget_source_keys(vec![key(1)]).await.expect("forgotten");
    assert_eq!(stored(&path), (0, 1));
    assert_ne!(come(&store, 1).await, first);
    store.close();
    let store = open(&path);
    assert_eq!(list(&store).await.len(), 2);
    store.forget_source_keys(vec![key(1)]).await.expect("forgotten");
    assert_eq!(stored(&path), (0, 2), "what was forgotten first did not come back");
}

/// The message that first came with it has not left yet.
#[tokio::test]
async fn a_key_that_was_forgotten_and_used_again_is_the_later_messages() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    let first = come(&store, 1).await;
    store.forget_source_keys(vec![key(1)]).await.expect("forgotten");
    let second = come(&store, 1).await;
    for lease in claim(&store, "example.com").await {
        let stays = Settlement::keep(vec![Kept::waiting(0, at(15))]);
        let settlement = if lease.message == first { stays } else { Settlement::all_leave() };
        store.settle(lease, settlement).await.expect("settled");
    }
    store.close();
    let store = open(&path);
    assert_eq!(come(&store, 1).await, second);
    assert_eq!(list(&store).await.len(), 1);
}

/// The segment that remembered it was written over long ago.
#[tokio::test]
async fn a_segment_that_is_used_again_leaves_its_keys_in_the_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started_with_log(&path, 64 << 10).await;
    let mut ids = Vec::new();
    for number in 0..300 {
        ids.push(come(&store, number).await);
        deliver_all(&store).await;
        if !number.is_multiple_of(10) {
            store.forget_source_keys(vec![key(number)]).await.expect("forgotten");
        }
    }
    assert!(stored(&path).0 > 10, "{:?}", stored(&path));
    for number in (0..300).step_by(10) {
        assert_eq!(come(&store, number).await, ids[number as usize]);
    }
    assert_eq!(store.stop().await, Ok(0));
    assert_eq!(stored(&path), (30, 0), "a server that ends leaves all of them there, and no other");
    store.forget_source_keys((0..300).map(key).collect()).await.expect("forgotten");
    assert_eq!(stored(&path), (0, 0));
}

#[tokio::test]
async fn what_another_process_took_in_is_known_by_whoever_has_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let second = open(&path);
    let by_the_tables = come(&second, 1).await;
    let first = started(&path).await;
    assert_eq!(come(&first, 1).await, by_the_tables);
    let by_the_log = come(&first, 2).await;
    deliver_all(&first).await;
    let third = open(&path);
    assert_eq!(stored(&path), (2, 0), "whoever comes finds what the log remembered");
    assert_eq!(first.stop().await, Ok(0));
    assert_eq!(come(&third, 2).await, by_the_log);
    assert_eq!(list(&third).await.len(), 0);
}

/// What the first one's log remembers of its sources only the first one sees.
#[tokio::test]
async fn beside_a_server_that_has_the_log_nobody_takes_in_what_may_come_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let first = started(&path).await;
    let second = open(&path);
    second.start("Hub02", at(0)).await.expect("it starts");
    let id = come(&first, 1).await;
    deliver_all(&first).await;
    for number in [1, 2] {
        let refused = second.enqueue(keyed(number)).await.expect_err("the first one may know it");
        assert!(matches!(refused, QueueError::Busy { .. }) && refused.is_transient(), "{refused}");
    }
    second.enqueue(named(900, "example.com", b"what comes once")).await.expect("room");
    assert_eq!(first.stop().await, Ok(0));
    assert_eq!(come(&second, 1).await, id, "it left its keys in the tables");
    come(&second, 2).await;
    assert_eq!(list(&second).await.len(), 2);
}

/// Whoever comes with one key from many sides at a time is either told of the one message, or to come again.
#[tokio::test]
async fn many_who_come_at_once_queue_it_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    for round in 0..20 {
        let calls: Vec<_> = (0..16)
            .map(|caller| {
                let mut message = keyed(round);
                // One of four by the tables.
                message.id = message.id.filter(|_| caller % 4 != 3);
                store.enqueue(message)
            })
            .collect();
        let mut ids = Vec::new();
        for call in calls {
            match call.await {
                Ok(id) => ids.push(id),
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
    }
    assert_eq!(list(&store).await.len(), 20);
}

/// What version 4 wrote has no keys, and is read as it was.
#[tokio::test]
async fn a_log_of_version_4_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    let waiting = store.enqueue(named(1, "example.com", b"hello")).await.expect("room");
    store.enqueue(named(2, "example.com", b"hello")).await.expect("room");
    let lease = claim(&store, "example.com").await.pop().expect("due");
    store.settle(lease, Settlement::all_leave()).await.expect("settled");
    store.close();
    of_version_4(&Connection::open(&path).expect("it opens"));
    let ids: Vec<_> = list(&open(&path)).await.into_iter().map(|listed| listed.message).collect();
    assert_eq!(ids, [waiting]);
}

/// Makes the tables those of this version.
fn of_version_4(tables: &Connection) {
    let older = "ALTER TABLE source_key DROP COLUMN seen; PRAGMA user_version = 4;";
    tables.execute_batch(older).expect("a store of version 4");
}

/// It would go on writing what the newer one reads otherwise, and read what that one writes to the first strange record.
#[tokio::test]
async fn programs_of_two_versions_do_not_share_a_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    open(&path).close();
    let tables = Connection::open(&path).expect("it opens");
    of_version_4(&tables);
    let server_of_version_4 = File::open(path.with_file_name("queue.db-fresh").join("lock")).expect("a file");
    server_of_version_4.lock().expect("locked");
    let refused = SqliteStore::open(&path).err();
    assert!(matches!(refused, Some(QueueError::Busy { .. })), "{refused:?}");
    drop(server_of_version_4);
    let store = open_when_left(&path).await;
    store.start("Hub01", at(0)).await.expect("it starts");
    store.stop().await.expect("it stops");

    tables.pragma_update(None, "user_version", 99).expect("set");
    let refused = store.start("Hub01", at(0)).await;
    assert!(matches!(refused, Err(QueueError::NewerSchema { found: 99, .. })), "{refused:?}");
}
