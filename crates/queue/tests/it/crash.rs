//! What was promised is there after a crash, whatever of the log reached the disk.

use std::fs;
use std::path::Path;

use postroad_message::Content;
use postroad_queue::{Kept, MessageId, QueueError, QueueStore, Settlement};

use crate::mail::{at, body, claim, list, message, open};

/// Every state of the log that a power failure can leave behind a sync: the log is cut at each of many lengths,
/// and once more with noise after the cut, as blocks that were never written may hold.
#[tokio::test]
async fn a_log_that_is_torn_anywhere_keeps_what_was_promised_before_the_tear() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let mut promised: Vec<(u64, MessageId, usize)> = Vec::new();
    for number in 0..12 {
        let id = store.enqueue(message("example.com", &body(number, number * 700))).await.expect("room");
        promised.push((length_of_log(&path), id, number));
    }
    let log = fs::read(log_of(&path)).expect("a log");
    let database = fs::read(&path).expect("a database");
    // Around each promise to the byte, with whatever may stand behind the tear, and many lengths between.
    let edges = promised.iter().flat_map(|(length, ..)| [length - 1, *length, length + 1]);
    let noises = [&b""[..], &[0u8; 5000], &[0xa5; 5000]];
    let edges = edges.flat_map(|length| noises.map(|noise| (length, noise)));
    let between = (0..log.len() as u64).step_by(12_345).map(|length| (length, noises[2]));
    for (length, noise) in edges.chain(between).filter(|(length, _)| *length <= log.len() as u64) {
        let mut torn = log[..length as usize].to_vec();
        torn.extend_from_slice(noise);
        opens_with_what_was_promised(&database, &torn, length, &promised).await;
    }
}

async fn opens_with_what_was_promised(
    database: &[u8],
    torn: &[u8],
    length: u64,
    promised: &[(u64, MessageId, usize)],
) {
    let state = tempfile::tempdir().expect("a folder");
    let path = state.path().join("queue.db");
    fs::write(&path, database).expect("room");
    fs::write(log_of(&path), torn).expect("room");
    let store = open(&path);
    for (needed, id, number) in promised {
        match store.content(*id).await {
            Ok(content) => assert_eq!(content, Content::from(body(*number, number * 700)), "at {length}"),
            Err(error) => {
                assert!(*needed > length, "{id} was promised and is lost at {length}");
                assert_eq!(
                    error,
                    QueueError::UnknownMessage { message: *id },
                    "whole or not at all, at {length}"
                );
            }
        }
    }
    let listed = list(&store).await;
    assert!(listed.iter().all(|listed| listed.recipients.len() == 1 && listed.sender.is_some()));
    store.enqueue(message("example.com", b"goes on")).await.expect("a store that was torn takes more");
}

#[tokio::test]
async fn what_is_settled_halfway_is_found_again_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    store.start("Hub01", at(0)).await.expect("it starts");
    let id = store.enqueue(message("example.com", b"hello")).await.expect("room");
    let lease = claim(&store, "example.com").await.pop().expect("due");
    store.settle(lease, Settlement::keep(vec![Kept::waiting(0, at(1))])).await.expect("settled");
    assert_eq!(claim(&store, "example.com").await.len(), 1);
    store.close();

    let store = open(&path);
    assert!(claim(&store, "example.com").await.is_empty(), "still under the old lease");
    assert_eq!(store.start("Hub01", at(0)).await, Ok(1));
    let lease = claim(&store, "example.com").await.pop().expect("free again");
    assert_eq!((lease.message, lease.attempts, lease.crashes), (id, 1, 1));
}

fn log_of(path: &Path) -> std::path::PathBuf {
    path.with_extension("db-wal")
}

fn length_of_log(path: &Path) -> u64 {
    fs::metadata(log_of(path)).map_or(0, |metadata| metadata.len())
}
