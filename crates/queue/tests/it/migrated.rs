//! A store that an older version left behind is taken over with everything in it.

use postroad_message::Content;
use postroad_queue::{Filter, MessageId, QueueStore, Settlement, State};
use rusqlite::Connection;

use crate::mail::{at, claim, list, message, open};

const SENT: u64 = 3_565_158_400_000_000_100;

#[tokio::test]
async fn a_store_of_version_1_keeps_its_mail() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let old = Connection::open(&path).expect("it opens");
    old.execute_batch(include_str!("version_1.sql")).expect("a store of version 1");
    drop(old);

    let store = open(&path);
    assert_eq!(store.start("Hub01", at(0)).await, Ok(1), "what Hub01 held is free");
    let states: Vec<_> = list(&store).await.into_iter().map(|listed| listed.state).collect();
    assert!(
        matches!(states[..], [State::Waiting, State::Waiting, State::Suspended, State::SetAside { .. }]),
        "{states:?}"
    );
    let sent = MessageId::from_u64(SENT);
    assert_eq!(store.content(sent).await, Ok(Content::from(vec![b'x'; 60])));
    let of_message = store.list(Filter::message(sent), crate::mail::at(0)).await.expect("a listing");
    assert_eq!(of_message.len(), 2, "deliveries with numbers of their own are found by their message");

    let retried = claim(&store, "example.net").await.pop().expect("due");
    assert_eq!((retried.attempts, retried.delay_notified, retried.generation), (3, true, 5));
    let first = claim(&store, "example.com").await.pop().expect("due");
    assert_eq!((first.message, first.crashes), (sent, 1));
    for lease in [retried, first] {
        assert!(store.content(sent).await.is_ok(), "content stays until the last has left");
        store.settle(lease, Settlement::all_leave()).await.expect("settled");
    }
    assert!(store.content(sent).await.is_err(), "and goes with it");
    let new = store.enqueue(message("example.com", b"hello")).await.expect("room");
    assert!(new.as_u64() > SENT + 6, "ids go on from where they were");
    store.close();
    let version: i32 = Connection::open(&path)
        .and_then(|connection| connection.pragma_query_value(None, "user_version", |row| row.get(0)))
        .expect("a number");
    assert_eq!(version, 6);
}

#[tokio::test]
async fn a_store_of_version_2_knows_of_trials_from_now_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    open(&path).close();
    let old = Connection::open(&path).expect("it opens");
    old.execute_batch(
        "ALTER TABLE source_key DROP COLUMN seen; ALTER TABLE delivery DROP COLUMN trial; ALTER TABLE counter DROP COLUMN live_epoch; ALTER TABLE counter DROP COLUMN visits;
         ALTER TABLE counter DROP COLUMN visits_answered; DROP TABLE moved;
         PRAGMA user_version = 2;",
    ).expect("version 2");
    drop(old);

    let store = open(&path);
    store.start("Hub01", at(0)).await.expect("it starts");
    store.enqueue(message("example.com", b"hello")).await.expect("room");
    let lease = claim(&store, "example.com").await.pop().expect("due");
    store.begin_trial(&lease).await.expect("a trial");
    store.start("Hub01", at(0)).await.expect("it starts");
    assert_eq!(claim(&store, "example.com").await.pop().map(|lease| lease.crashes), Some(1));
}
