//! Many callers at once, and other processes on the same file.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use postroad_message::Content;
use postroad_queue::{Filter, QueueStore, Settlement, SqliteStore, contract};

use crate::door::Door;
use crate::mail::{at, body, claim, hop, list, message, open};

#[tokio::test]
async fn the_embedded_store_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let checked =
        contract::check(async || Ok(Box::new(SqliteStore::open(&path)?) as Box<dyn QueueStore>)).await;
    assert_eq!(checked, Ok(()));
}

#[tokio::test]
async fn the_embedded_store_keeps_it_with_mail_in_its_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let checked = contract::check(async || {
        let store = SqliteStore::open(&path)?;
        store.start("Hub00", at(0)).await?;
        Ok(Box::new(Door::before(store)) as Box<dyn QueueStore>)
    })
    .await;
    assert_eq!(checked, Ok(()));
}

#[tokio::test]
async fn many_submitters_each_get_an_id_of_their_own_and_share_few_commits() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let tasks: Vec<_> = (0..400)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let body = body(number, 200);
                let id = store.enqueue(message("example.com", &body)).await.expect("room");
                assert_eq!(store.content(id).await, Ok(Content::from(body)));
                id
            })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for task in tasks {
        ids.insert(task.await.expect("no panic"));
    }
    assert_eq!(ids.len(), 400);
    assert_eq!(list(&store).await.len(), 400);
    assert!(store.version() < 200, "400 callers took {} commits", store.version());
}

#[tokio::test]
async fn of_many_claims_at_once_each_delivery_is_lent_to_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("queue.db"));
    let other = open(&folder.path().join("queue.db"));
    let messages = (0..60).map(|number| message("example.com", &body(number, 10))).collect();
    store.enqueue_all(messages).await.expect("room");
    let tasks: Vec<_> = (0..12)
        .map(|number| {
            let store = if number % 2 == 0 { store.clone() } else { other.clone() };
            tokio::spawn(async move {
                let claim = postroad_queue::Claim::due(hop("example.com"), 10, at(1), at(60));
                let leases = store.claim(claim).await.expect("a claim").leases;
                for lease in leases.clone() {
                    store
                        .settle(lease, Settlement::all_leave())
                        .await
                        .expect("settled by the one who has it");
                }
                leases.len()
            })
        })
        .collect();
    let mut lent = 0;
    for task in tasks {
        lent += task.await.expect("no panic");
    }
    assert_eq!(lent, 60);
    assert!(list(&store).await.is_empty());
}

/// `relay queue` opens the store while the relay runs.
#[tokio::test]
async fn another_process_works_beside_and_is_noticed_within_a_second() {
    if let Ok(path) = std::env::var("POSTROAD_QUEUE_COMPANY") {
        let store = open(Path::new(&path));
        store.enqueue(message("beside.test", b"from beside")).await.expect("room");
        store.suspend(Filter::next_hop(hop("example.com")), at(0)).await.expect("suspended");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    store.start("Hub01", at(0)).await.expect("it starts");
    store.enqueue(message("example.com", b"hello")).await.expect("room");
    let seen = store.version();
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "company::another_process_works_beside_and_is_noticed_within_a_second"])
        .env("POSTROAD_QUEUE_COMPANY", &path)
        .spawn();
    let busy = store.enqueue(message("third.test", b"meanwhile")).await;
    assert!(busy.is_ok());
    assert!(child.expect("a child").wait().expect("it ends").success());
    let there = async {
        let mut seen = seen;
        while claim(&store, "beside.test").await.is_empty() {
            seen = store.changed(seen).await.expect("it is open");
        }
    };
    tokio::time::timeout(Duration::from_secs(1), there).await.expect("noticed within a second");
    assert!(claim(&store, "example.com").await.is_empty(), "suspended by the other process");
}

#[tokio::test]
async fn whoever_waits_for_a_change_is_told_when_the_store_closes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("queue.db"));
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changed(store.version()).await }
    });
    store.enqueue(message("example.com", b"hello")).await.expect("room");
    assert!(waiting.await.expect("no panic").is_ok());
}
