//! Damaged records, foreign files, newer versions, a full disk: typed, local, and the rest goes on.

use std::fs;

use postroad_queue::{QueueError, QueueStore, Settlement, SqliteOptions, SqliteStore, State};
use rusqlite::Connection;

use crate::mail::{at, body, claim, list, message, open};

#[tokio::test]
async fn a_damaged_record_sets_its_message_aside_and_stops_no_other() {
    for damage in [
        "UPDATE message SET envelope = 'scrambled' WHERE id = ?1",
        "UPDATE message SET envelope = x'00ff' WHERE id = ?1",
        "UPDATE delivery SET recipients = '[{\"recipient\":' WHERE message = ?1",
        "UPDATE delivery SET recipients = '[]' WHERE message = ?1",
        "DELETE FROM message WHERE id = ?1",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        let store = open(&path);
        let bad = store.enqueue(message("example.com", b"bad")).await.expect("room");
        let good = store.enqueue(message("example.com", b"good")).await.expect("room");
        let other = Connection::open(&path).expect("the file opens");
        other.execute(damage, [bad.as_u64().cast_signed()]).expect("damaged");

        let leases = claim(&store, "example.com").await;
        let lent: Vec<_> = leases.iter().map(|lease| lease.message).collect();
        assert_eq!(lent, [good], "{damage}");
        let listed = list(&store).await;
        let aside: Vec<_> = listed.iter().filter(|listed| listed.message == bad).collect();
        assert!(
            matches!(aside[..], [listed] if matches!(listed.state, State::SetAside { .. })),
            "{damage}: {aside:?}"
        );
        for lease in leases {
            store.settle(lease, Settlement::all_leave()).await.expect("settled");
        }
    }
}

#[tokio::test]
async fn damaged_content_is_found_by_its_checksum() {
    for damage in [
        "UPDATE content SET body = zeroblob(length(body)) WHERE message = ?1",
        "UPDATE content SET body = substr(body, 2) WHERE message = ?1",
        "DELETE FROM content WHERE message = ?1",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        let mut options = SqliteOptions::default();
        options.recent_content = 0;
        let store = SqliteStore::open_with(&path, options).expect("the store opens");
        let id = store.enqueue(message("example.com", &body(1, 5000))).await.expect("room");
        let other = Connection::open(&path).expect("the file opens");
        other.execute(damage, [id.as_u64().cast_signed()]).expect("damaged");

        let corrupt = QueueError::Corrupt { message: Some(id) };
        assert_eq!(store.content(id).await, Err(corrupt), "{damage}");
        assert!(corrupt.is_transient(), "a damaged disk is no reason to bounce");
        assert!(claim(&store, "example.com").await.is_empty(), "set aside: {damage}");
    }
}

#[test]
fn a_newer_store_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    open(&path).close();
    Connection::open(&path).expect("it opens").pragma_update(None, "user_version", 99).expect("set");
    let before = fs::read(&path).expect("it is there");
    let refused = SqliteStore::open(&path).err();
    assert_eq!(refused, Some(QueueError::NewerSchema { found: 99, known: 6 }));
    assert_eq!(fs::read(&path).expect("it is there"), before);
}

#[test]
fn a_file_that_is_no_queue_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("notes.txt");
    fs::write(&text, "Dear diary,\n".repeat(100)).expect("room");
    assert_eq!(SqliteStore::open(&text).err(), Some(QueueError::NotAQueue));
    assert!(fs::read_to_string(&text).expect("it is there").starts_with("Dear diary"));

    let database = folder.path().join("other.db");
    let other = Connection::open(&database).expect("it opens");
    other.execute_batch("CREATE TABLE diary (day TEXT)").expect("made");
    drop(other);
    assert_eq!(SqliteStore::open(&database).err(), Some(QueueError::NotAQueue));

    let missing = folder.path().join("no such folder").join("queue.db");
    assert!(matches!(SqliteStore::open(&missing).err(), Some(QueueError::Io { .. })));
}

#[tokio::test]
async fn a_full_disk_refuses_new_mail_for_now_and_lets_the_rest_leave() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = SqliteOptions::default();
    options.max_size = Some(400_000);
    let store = SqliteStore::open_with(folder.path().join("queue.db"), options).expect("it opens");
    let mut queued = 0;
    let full = loop {
        match store.enqueue(message("example.com", &body(queued, 10_000))).await {
            Ok(_) => queued += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, QueueError::DiskFull { .. }), "{full}");
    assert!(full.is_transient());
    assert!(queued > 10);
    assert_eq!(list(&store).await.len(), queued, "nothing of the refused one is visible");
    let lease = claim(&store, "example.com").await.pop().expect("due");
    store.settle(lease, Settlement::all_leave()).await.expect("a delivery needs no room");
    store.enqueue(message("example.com", &body(queued, 9_000))).await.expect("there is room again");
}

/// Another process holds the store for longer than we wait.
#[tokio::test]
async fn a_store_held_by_another_is_busy_and_then_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut options = SqliteOptions::default();
    options.busy_timeout = std::time::Duration::from_millis(20);
    let store = SqliteStore::open_with(&path, options).expect("it opens");
    assert!(list(&store).await.is_empty(), "it has looked at what an earlier process left");
    let other = Connection::open(&path).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    let busy = store.enqueue(message("example.com", b"hello")).await.expect_err("held by another");
    assert!(matches!(busy, QueueError::Busy { .. }) && busy.is_transient(), "{busy}");
    assert!(list(&store).await.is_empty(), "reading goes on, and shows nothing of it");
    other.execute_batch("ROLLBACK").expect("let go");
    store.enqueue(message("example.com", b"hello")).await.expect("free again");
    assert_eq!(store.due(at(0)).await.map(|due| due.len()), Ok(1));
}

#[tokio::test]
async fn one_message_for_which_there_is_no_room_fails_nobody_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut options = SqliteOptions::default();
    options.max_size = Some(1_000_000);
    let store = SqliteStore::open_with(&path, options).expect("the store opens");
    for number in 0..4 {
        store.enqueue(message("example.com", &body(number, 1000))).await.expect("room");
    }
    let leases = claim(&store, "example.com").await;
    // While another process writes, all that is called waits, and then shares one commit.
    let other = Connection::open(&path).expect("the file opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("it writes");
    let first = store.forget_source_keys(vec!["nobody".to_owned()]);
    let settled: Vec<_> =
        leases.into_iter().map(|lease| store.settle(lease, Settlement::all_leave())).collect();
    let large: Vec<_> =
        (0..16).map(|number| store.enqueue(message("example.com", &body(number, 120_000)))).collect();
    let small = store.enqueue(message("example.net", b"small"));
    other.execute_batch("ROLLBACK").expect("it ends");
    first.await.expect("forgotten");
    for settled in settled {
        assert_eq!(settled.await, Ok(vec![]), "what was delivered leaves");
    }
    assert!(small.await.is_ok(), "what fits is taken in");
    let mut refused = 0;
    for large in large {
        match large.await {
            Ok(_) => {}
            Err(QueueError::DiskFull { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!((1..16).contains(&refused), "{refused} of 16 find no room");
}
