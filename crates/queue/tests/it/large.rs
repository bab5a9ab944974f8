//! Large contents: a file each, there before the message and gone after it, whatever happens in between.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use postroad_message::Content;
use postroad_queue::{Filter, QueueError, QueueStore, Settlement, SqliteOptions, SqliteStore, State};

use crate::mail::{at, body, claim, list, message, named};

const LARGE: usize = 20_000;

#[tokio::test]
async fn large_content_lies_in_a_file_until_its_message_has_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let small = store.enqueue(message("example.com", &body(1, LARGE - 1))).await.expect("room");
    assert!(files(&path).is_empty());
    let large = store.enqueue(message("example.com", &body(2, LARGE))).await.expect("room");
    assert_eq!(files(&path).len(), 1);
    assert_eq!(store.content(small).await, Ok(Content::from(body(1, LARGE - 1))));
    assert_eq!(store.content(large).await, Ok(Content::from(body(2, LARGE))));
    assert_eq!(list(&store).await.iter().map(|listed| listed.size).collect::<Vec<_>>(), [19_999, 20_000]);
    store.close();

    let store = open(&path);
    store.start("Hub01", at(0)).await.expect("it starts");
    for lease in claim(&store, "example.com").await {
        assert!(store.content(lease.message).await.is_ok(), "a start sweeps nothing away that is needed");
        store.settle(lease, Settlement::all_leave()).await.expect("settled");
    }
    assert_eq!(store.content(large).await, Err(QueueError::UnknownMessage { message: large }));
    store.close();
    assert_eq!(files(&path), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_large_message_that_is_removed_takes_its_file_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let id = store.enqueue(message("example.com", &body(1, LARGE))).await.expect("room");
    store.remove(Filter::message(id), at(0)).await.expect("removed");
    store.close();
    assert_eq!(files(&path), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_report_with_a_large_original_lies_in_a_file_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    store.enqueue(message("example.com", b"hello")).await.expect("room");
    let lease = claim(&store, "example.com").await.pop().expect("due");
    let mut settlement = Settlement::all_leave();
    settlement.enqueue.push(message("contoso.com", &body(3, LARGE)));
    let reports = store.settle(lease.clone(), settlement.clone()).await.expect("settled");
    assert_eq!(store.content(reports[0]).await, Ok(Content::from(body(3, LARGE))));
    assert!(store.settle(lease, settlement).await.is_err(), "a lease settles once");
    store.close();
    assert_eq!(files(&path).len(), 1, "what was refused leaves no file behind");
}

/// Whoever settles may be broken off, and the store be closed while the report's file is being written.
#[tokio::test]
async fn a_report_with_a_large_original_is_queued_whole_though_the_store_is_closed_meanwhile() {
    for number in 0..20 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        let store = open(&path);
        if number % 2 == 0 {
            store.start("Hub01", at(0)).await.expect("it starts");
        }
        store.enqueue(named(number, "example.com", b"hello")).await.expect("room");
        let lease = claim(&store, "example.com").await.pop().expect("due");
        let mut settlement = Settlement::all_leave();
        settlement.enqueue.push(message("contoso.com", &body(3, 50 * LARGE)));
        drop(store.settle(lease, settlement));
        if number % 4 == 0 {
            store.stop().await.expect("all moves");
        }
        store.close();
        let store = open(&path);
        let listed = list(&store).await;
        assert_eq!(listed.len(), 1, "the report in the place of the message: {listed:?}");
        assert_eq!(store.content(listed[0].message).await, Ok(Content::from(body(3, 50 * LARGE))));
        assert_eq!(files(&path).len(), 1);
    }
}

#[tokio::test]
async fn a_source_that_comes_again_leaves_no_second_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let mut new = message("example.com", &body(1, LARGE));
    new.source_key = Some("Pickup/letter.eml".to_owned());
    let first = store.enqueue(new.clone()).await;
    assert_eq!(store.enqueue(new).await, first);
    store.close();
    assert_eq!(files(&path).len(), 1);
}

/// One that a crash left behind has no row and no lock; one that is being written is locked.
#[tokio::test]
async fn a_start_sweeps_away_what_no_message_has_and_nobody_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let id = store.enqueue(message("example.com", &body(1, LARGE))).await.expect("room");
    let orphan = content_folder(&path).join("0000000000000000");
    fs::write(&orphan, body(2, LARGE)).expect("room");
    let under_way = content_folder(&path).join("0000000000000001");
    fs::write(&under_way, body(3, 100)).expect("room");
    let writing = File::open(&under_way).expect("it opens");
    writing.lock().expect("locked");
    store.start("Hub01", at(0)).await.expect("it starts");
    store.close();
    assert!(!orphan.exists() && under_way.exists());
    assert_eq!(open(&path).content(id).await, Ok(Content::from(body(1, LARGE))));
}

#[tokio::test]
async fn a_damaged_file_sets_its_message_aside_and_stops_no_other() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("missing", |file| fs::remove_file(file).expect("removed")),
        ("short", |file| File::options().write(true).open(file).expect("open").set_len(19_000).expect("cut")),
        ("longer", |file| fs::write(file, body(1, LARGE + 1)).expect("written")),
        ("other", |file| fs::write(file, body(9, LARGE)).expect("written")),
    ];
    for (name, damage) in damages {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        let store = open(&path);
        let bad = store.enqueue(message("example.com", &body(1, LARGE))).await.expect("room");
        damage(&files(&path)[0]);
        let good = store.enqueue(message("example.com", &body(2, LARGE))).await.expect("room");
        assert_eq!(store.content(bad).await, Err(QueueError::Corrupt { message: Some(bad) }), "{name}");
        assert_eq!(store.content(good).await, Ok(Content::from(body(2, LARGE))), "{name}");
        let listed = list(&store).await;
        assert!(matches!(listed[0].state, State::SetAside { .. }), "{name}: {listed:?}");
        assert_eq!(claim(&store, "example.com").await.len(), 1, "{name}");
        store.remove(Filter::message(bad), at(0)).await.expect("a postmaster can remove it");
    }
}

/// Of another user's, say, or behind a link that leads nowhere for now.
#[tokio::test]
async fn a_file_that_cannot_be_opened_now_waits_and_is_not_taken_for_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let id = store.enqueue(message("example.com", &body(1, LARGE))).await.expect("room");
    let (file, away) = (files(&path)[0].clone(), folder.path().join("away"));
    fs::rename(&file, &away).expect("moved");
    std::os::unix::fs::symlink(&file, &file).expect("a link to itself");
    let error = store.content(id).await.expect_err("it cannot be opened");
    assert!(matches!(error, QueueError::Io { .. }) && error.is_transient(), "{error:?}");
    fs::rename(&away, &file).expect("moved back");
    assert!(matches!(list(&store).await[0].state, State::Waiting), "not set aside");
    assert_eq!(store.content(id).await, Ok(Content::from(body(1, LARGE))));
}

fn open(path: &Path) -> SqliteStore {
    let mut options = SqliteOptions::default();
    options.large_content = LARGE;
    // What is read comes from the disk.
    options.recent_content = 0;
    SqliteStore::open_with(path, options).expect("the store opens")
}

fn content_folder(path: &Path) -> PathBuf {
    path.with_file_name("queue.db-content")
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(content_folder(path)).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}
