//! What was promised is there after a crash, whatever of the log reached the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use postroad_message::Content;
use postroad_queue::{Filter, Kept, MessageId, QueueError, QueueStore, Settlement, SqliteStore};

use crate::dice::Dice;
use crate::mail::{at, body, claim, hop, list, message, open};

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

/// The child queues and settles as fast as it can and prints what it was promised; it is killed in the middle.
#[tokio::test]
async fn kill_9_loses_nothing_that_was_promised_and_doubles_no_report() {
    if let Ok(path) = std::env::var("POSTROAD_QUEUE_CHILD") {
        return work_until_killed(Path::new(&path)).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut queued: Vec<(MessageId, usize)> = Vec::new();
    let mut settled: Vec<MessageId> = Vec::new();
    let mut keyed: BTreeMap<String, MessageId> = BTreeMap::new();
    let (mut leaving, mut left) = (BTreeSet::<MessageId>::new(), BTreeSet::<MessageId>::new());
    // `.ci/long` asks for a thousand of each kind.
    let rounds = std::env::var("POSTROAD_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(40);
    let mut dice = Dice(7);
    for round in 0..rounds {
        let (after, delay) = (20 + dice.below(50), dice.below(if round % 2 == 0 { 3_000 } else { 30_000 }));
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([
                "--exact",
                "crash::kill_9_loses_nothing_that_was_promised_and_doubles_no_report",
                "--nocapture",
            ])
            .env("POSTROAD_QUEUE_CHILD", &path)
            .env("POSTROAD_QUEUE_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut promises = 0;
        for line in lines.map_while(Result::ok) {
            // libtest puts its own words before the first of our lines.
            let Some((_, promise)) = line.split_once('!') else { continue };
            let words: Vec<&str> = promise.split(' ').collect();
            match words[..] {
                ["queued", id, number] => {
                    queued.push((id.parse().expect("an id"), number.parse().expect("a number")));
                }
                ["keyed", id, key] => drop(keyed.insert(key.to_owned(), id.parse().expect("an id"))),
                ["forgetting", _, key] => drop(keyed.remove(key)),
                ["settled", id, _] => settled.push(id.parse().expect("an id")),
                ["leaving", id, _] => {
                    leaving.insert(id.parse().expect("an id"));
                }
                ["left", id, _] => {
                    left.insert(id.parse().expect("an id"));
                }
                _ => continue,
            }
            promises += 1;
            if promises == after {
                // Up to 3 ms after a promise, or at any moment.
                thread::sleep(Duration::from_micros(delay as u64));
                child.kill().expect("it was running");
            }
        }
        child.wait().expect("it ended");
    }
    let store = open(&path);
    let mut reports: BTreeMap<String, usize> = BTreeMap::new();
    for listed in store.list(Filter::next_hop(hop("report.test")), at(0)).await.expect("a listing") {
        for queued in listed.recipients {
            *reports.entry(queued.recipient.address.to_string()).or_default() += 1;
        }
    }
    let reports_of = |id: &MessageId| reports.get(&format!("jane@{id}.test")).copied().unwrap_or(0);
    for (key, id) in &keyed {
        let mut again = message("log.test", b"once more");
        again.source_key = Some(key.clone());
        assert_eq!(store.enqueue(again).await, Ok(*id), "a source came again with {key}, and was not known");
    }
    let settled: BTreeSet<MessageId> = settled.into_iter().collect();
    for (id, number) in &queued {
        let found = store.content(*id).await;
        if settled.contains(id) {
            assert_eq!(found, Err(QueueError::UnknownMessage { message: *id }), "what was settled is gone");
        } else if left.contains(id) {
            let gone = Err(QueueError::UnknownMessage { message: *id });
            assert_eq!(found, gone, "what has left does not come back");
        } else if let Ok(content) = found {
            assert_eq!(content, Content::from(of(*number)));
        } else if leaving.contains(id) {
            assert_eq!(found, Err(QueueError::UnknownMessage { message: *id }));
        } else {
            // Killed between the settlement's commit and our reading of its line: the report is there instead.
            assert_eq!(found, Err(QueueError::UnknownMessage { message: *id }));
            assert!(reports_of(id) == 1, "message {id} was lost");
        }
    }
    for id in &settled {
        assert_eq!(reports_of(id), 1, "one report for {id}, no more and no less");
    }
    assert!(settled.len() > rounds * 5, "the children settled {}", settled.len());
    store.close();
    let files = fs::read_dir(path.with_file_name("queue.db-content")).expect("a folder").count();
    println!("{rounds} kills, {} promises, {files} large contents: lost 0, doubled 0", queued.len());
}

/// One in ten is large.
fn of(number: usize) -> Vec<u8> {
    body(number, if number.is_multiple_of(10) { 300_000 } else { 3000 })
}

/// Queues messages; settles every second one, owing a report that names it.
async fn work_until_killed(path: &Path) {
    let store = open(path);
    store.start("child").await.expect("it starts");
    for number in 0.. {
        let id = store.enqueue(message("example.com", &of(number))).await.expect("room");
        println!("!queued {id} {number}");
        if number.is_multiple_of(2) {
            come_and_go(&store, number).await;
            continue;
        }
        let leases =
            store.claim(postroad_queue::Claim::message(id, at(1), at(60))).await.expect("a claim").leases;
        for lease in leases {
            let mut settlement = Settlement::all_leave();
            let mut report = message(&format!("{id}.test"), b"report");
            for delivery in &mut report.deliveries {
                delivery.next_hop = hop("report.test");
            }
            settlement.enqueue.push(report);
            store.settle(lease, settlement).await.expect("settled");
            println!("!settled {id} {number}");
        }
    }
}

/// Queues a message by the log; settles one of two.
async fn come_and_go(store: &SqliteStore, number: usize) {
    let round: i64 = std::env::var("POSTROAD_QUEUE_ROUND").expect("set").parse().expect("a number");
    let mut message = message("log.test", &of(number + 1));
    message.id = Some(MessageId::ahead(at(1 + round), number as u32));
    let key = format!("{round}.{number}");
    message.source_key = Some(key.clone());
    let id = store.enqueue(message).await.expect("room");
    println!("!queued {id} {}", number + 1);
    println!("!keyed {id} {key}");
    if number.is_multiple_of(3) {
        println!("!forgetting {id} {key}");
        store.forget_source_keys(vec![key]).await.expect("forgotten");
    }
    if number.is_multiple_of(4) {
        let claim = postroad_queue::Claim::due(hop("log.test"), 1, at(1), at(60));
        for lease in store.claim(claim).await.expect("a claim").leases {
            let id = lease.message;
            println!("!leaving {id} {number}");
            store.settle(lease, Settlement::all_leave()).await.expect("settled");
            println!("!left {id} {number}");
        }
    }
}

#[tokio::test]
async fn what_is_settled_halfway_is_found_again_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    store.start("Hub01").await.expect("it starts");
    let id = store.enqueue(message("example.com", b"hello")).await.expect("room");
    let lease = claim(&store, "example.com").await.pop().expect("due");
    store.settle(lease, Settlement::keep(vec![Kept::waiting(0, at(1))])).await.expect("settled");
    assert_eq!(claim(&store, "example.com").await.len(), 1);
    store.close();

    let store = open(&path);
    assert!(claim(&store, "example.com").await.is_empty(), "still under the old lease");
    assert_eq!(store.start("Hub01").await, Ok(1));
    let lease = claim(&store, "example.com").await.pop().expect("free again");
    assert_eq!((lease.message, lease.attempts, lease.crashes), (id, 1, 1));
}

fn log_of(path: &Path) -> std::path::PathBuf {
    path.with_extension("db-wal")
}

fn length_of_log(path: &Path) -> u64 {
    fs::metadata(log_of(path)).map_or(0, |metadata| metadata.len())
}
