//! Watched messages on the disk: results survive, come with the reports or not at all, and are bounded.

use std::path::Path;

use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Receipt, Recipient, Scope};
use postroad_queue::{Lease, NewMessage, QueueError, QueueStore, Settlement, SqliteStore};
use rusqlite::Connection;

use crate::mail::{at, claim, list, message, open};

#[tokio::test]
async fn results_survive_the_end_of_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let id = store.enqueue(watched("example.com")).await.expect("room");
    store.close();

    let store = open(&path);
    let lease = lease(&store, "example.com").await;
    assert!(lease.watched, "the message is still watched");
    let given = results(&lease, refused());
    store.settle(lease, leaving(given.clone())).await.expect("settled");
    store.close();

    let store = open(&path);
    assert_eq!(store.results(id).await, Ok(given));
    store.forget_results(id).await.expect("forgotten");
    store.close();
    assert_eq!(open(&path).results(id).await, Ok(vec![]));
}

#[tokio::test]
async fn a_message_that_nobody_watches_writes_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    store.enqueue(message("example.com", b"hello")).await.expect("room");
    let lease = lease(&store, "example.com").await;
    let given = results(&lease, delivered());
    store.settle(lease, leaving(given)).await.expect("settled");
    assert_eq!(rows(&path), 0);
}

#[tokio::test]
async fn results_and_reports_come_in_one_transaction() {
    for broken in ["result", "delivery"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        let store = open(&path);
        let id = store.enqueue(watched("example.com")).await.expect("room");
        let lease = lease(&store, "example.com").await;
        let mut settlement = leaving(results(&lease, refused()));
        settlement.enqueue.push(message("contoso.com", b"a report"));

        let other = Connection::open(&path).expect("the file opens");
        let breaks =
            format!("CREATE TRIGGER broken BEFORE INSERT ON {broken} BEGIN SELECT RAISE(ABORT, 'no'); END");
        other.execute_batch(&breaks).expect("made");
        store.settle(lease.clone(), settlement.clone()).await.expect_err("a table is broken");
        assert_eq!(rows(&path), 0, "{broken}");
        let waiting: Vec<_> = list(&store).await.iter().map(|listed| listed.message).collect();
        assert_eq!(waiting, [id], "{broken}: still there, and no report");

        other.execute_batch("DROP TRIGGER broken").expect("mended");
        let reports = store.settle(lease, settlement).await.expect("settled");
        assert_eq!(rows(&path), 1);
        let waiting: Vec<_> = list(&store).await.iter().map(|listed| listed.message).collect();
        assert_eq!(waiting, reports);
    }
}

#[tokio::test]
async fn results_that_nobody_fetched_are_gone_with_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    for _ in 0..5 {
        store.enqueue(watched("example.com")).await.expect("room");
        let lease = lease(&store, "example.com").await;
        let given = results(&lease, delivered());
        store.settle(lease, leaving(given)).await.expect("settled");
    }
    assert_eq!(rows(&path), 5);
    store.start("Hub01", at(0)).await.expect("it starts");
    assert_eq!(rows(&path), 0);
}

#[tokio::test]
async fn a_damaged_result_is_told_and_holds_nothing_up() {
    for damage in ["UPDATE result SET outcome = 'perhaps'", "UPDATE result SET recipient = x'00ff'"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        let store = open(&path);
        let id = store.enqueue(watched("example.com")).await.expect("room");
        let lease = lease(&store, "example.com").await;
        let given = results(&lease, delivered());
        store.settle(lease, leaving(given)).await.expect("settled");
        Connection::open(&path).expect("the file opens").execute(damage, []).expect("damaged");
        assert_eq!(store.results(id).await, Err(QueueError::Corrupt { message: Some(id) }), "{damage}");
        store.forget_results(id).await.expect("forgotten");
        assert_eq!(store.results(id).await, Ok(vec![]));
    }
}

fn watched(destination: &str) -> NewMessage {
    let mut message = message(destination, b"hello");
    message.watched = true;
    message
}

async fn lease(store: &SqliteStore, destination: &str) -> Lease {
    claim(store, destination).await.pop().expect("due")
}

fn results(lease: &Lease, outcome: Outcome) -> Vec<(Recipient, Outcome)> {
    lease.envelope.recipients.iter().map(|recipient| (recipient.clone(), outcome.clone())).collect()
}

fn leaving(results: Vec<(Recipient, Outcome)>) -> Settlement {
    let mut settlement = Settlement::all_leave();
    settlement.results = results;
    settlement
}

fn delivered() -> Outcome {
    Outcome::Delivered(Receipt::new("mx.example.com [192.0.2.1]:25"))
}

fn refused() -> Outcome {
    let status = EnhancedStatus::permanent(1, 1);
    Outcome::Failed(Failure::new(status, Fault::Remote, Scope::Recipient, Phase::RcptTo, "no such user"))
}

fn rows(path: &Path) -> i64 {
    let other = Connection::open(path).expect("the file opens");
    other.query_row("SELECT count(*) FROM result", [], |row| row.get(0)).expect("a number")
}
