//! Mail that lies in the log: it is lent, delivered, found after a crash, and moves when it has to.

use std::fs;
use std::future::poll_fn;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use postroad_message::Content;
use postroad_queue::{
    Claim, Filter, Kept, QueueError, QueueStore, Settlement, SqliteOptions, SqliteStore, State,
};
use rusqlite::{Connection, TransactionBehavior};

use crate::crash_states::memory;
use crate::mail::{at, body, claim, hop, list, message, named, open, started, started_with_log};

/// How many messages the tables hold.
fn stored(path: &Path) -> i64 {
    let connection = Connection::open(path).expect("it opens");
    connection.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).expect("a number")
}

#[tokio::test]
async fn what_is_delivered_at_once_never_comes_into_the_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    for number in 0..50 {
        let sent = named(number, "example.com", &body(number as usize, 900));
        let id = store.enqueue(sent.clone()).await.expect("room");
        assert_eq!(store.due(at(0)).await.expect("known"), [(hop("example.com"), at(0))]);
        let lease = claim(&store, "example.com").await.pop().expect("due");
        assert_eq!((lease.message, lease.size, lease.generation), (id, 900, 1));
        assert_eq!(lease.envelope.recipients, sent.deliveries[0].recipients);
        assert_eq!(store.content(id).await, Ok(sent.content));
        assert!(claim(&store, "example.com").await.is_empty(), "it is lent once");
        assert_eq!(store.settle(lease.clone(), Settlement::all_leave()).await, Ok(vec![]));
        let again = store.settle(lease, Settlement::all_leave()).await;
        assert!(matches!(again, Err(QueueError::LeaseLost { .. })), "{again:?}");
        assert_eq!(store.content(id).await, Err(QueueError::UnknownMessage { message: id }));
    }
    let moved: i64 = Connection::open(&path)
        .and_then(|connection| connection.query_row("SELECT count(*) FROM moved", [], |row| row.get(0)))
        .expect("a number");
    assert_eq!((stored(&path), moved), (0, 0));
    store.close();
    assert!(list(&open(&path)).await.is_empty(), "and what has left stays away");
}

#[tokio::test]
async fn what_waits_is_there_at_the_next_start_and_what_was_lent_is_suspected() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    for number in 0..3 {
        store.enqueue(named(number, "example.com", &body(number as usize, 100))).await.expect("room");
    }
    let lent = store.claim(Claim::due(hop("example.com"), 1, at(1), at(60))).await.expect("a claim").leases;
    store.close();
    assert_eq!(stored(&path), 0);

    let store = open(&path);
    let states: Vec<_> = list(&store).await.into_iter().map(|listed| listed.state).collect();
    assert_eq!(stored(&path), 3, "whoever opens it next finds it in the tables");
    assert_eq!(states, [State::Active { until: at(60) }, State::Waiting, State::Waiting]);
    assert_eq!(store.start("Hub01", at(0)).await, Ok(1));
    let leases = claim(&store, "example.com").await;
    let crashes: Vec<_> =
        leases.iter().map(|lease| (lease.message == lent[0].message, lease.crashes)).collect();
    assert_eq!(crashes, [(true, 1), (false, 0), (false, 0)]);
    let late = store.settle(lent[0].clone(), Settlement::all_leave()).await;
    assert!(matches!(late, Err(QueueError::LeaseLost { .. })), "{late:?}");
}

#[tokio::test]
async fn whatever_does_not_go_well_goes_on_in_the_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    store.enqueue(named(1, "example.com", b"one")).await.expect("room");
    store.enqueue(named(2, "example.com", b"two")).await.expect("room");
    let mut leases = claim(&store, "example.com").await;
    let (second, first) = (leases.pop().expect("lent"), leases.pop().expect("lent"));
    store.settle(first.clone(), Settlement::keep(vec![Kept::waiting(0, at(15))])).await.expect("kept");
    assert_eq!(stored(&path), 1, "only the one that stays");
    let mut settlement = Settlement::all_leave();
    settlement.enqueue.push(message("report.test", b"report"));
    store.settle(second, settlement).await.expect("settled");
    let listed = list(&store).await;
    let hops: Vec<_> = listed.iter().map(|listed| listed.next_hop.destination.to_string()).collect();
    assert_eq!(hops, ["report.test", "example.com"]);
    assert_eq!((listed[1].message, listed[1].attempts, listed[1].due), (first.message, 1, at(15)));
    let lease = store.claim(Claim::due(hop("example.com"), 9, at(15), at(60))).await.expect("due").leases;
    assert_eq!(lease.len(), 1);
    assert_eq!(store.content(lease[0].message).await, Ok(Content::from(b"one".to_vec())));
}

#[tokio::test]
async fn a_postmaster_finds_all_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    for number in 0..4 {
        store.enqueue(named(number, "example.com", b"hello")).await.expect("room");
    }
    assert_eq!(list(&store).await.len(), 4);
    store.enqueue(named(4, "example.com", b"hello")).await.expect("room");
    assert_eq!(
        store.suspend(Filter::next_hop(hop("example.com")), at(0)).await.map(|done| done.deliveries),
        Ok(5)
    );
    assert!(claim(&store, "example.com").await.is_empty());
    store.enqueue(named(5, "example.com", b"hello")).await.expect("room");
    store.suspend_queue(&hop("example.com"), true).await.expect("held");
    store.enqueue(named(6, "example.com", b"hello")).await.expect("room");
    assert!(claim(&store, "example.com").await.is_empty(), "of a queue that is held nothing is lent");
    store.suspend_queue(&hop("example.com"), false).await.expect("it goes on");
    assert_eq!(claim(&store, "example.com").await.len(), 2);
}

/// Far more than the log holds, with much of it still waiting when its segment is used again.
#[tokio::test]
async fn a_log_that_is_full_makes_room_by_moving_what_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started_with_log(&path, 64 << 10).await;
    let mut waiting = Vec::new();
    for number in 0..400_u32 {
        let hop = if number.is_multiple_of(3) { "slow.test" } else { "example.com" };
        let id = store.enqueue(named(number, hop, &body(number as usize, 1500))).await.expect("room");
        match number % 3 {
            0 => waiting.push((id, number)),
            _ => {
                for lease in claim(&store, "example.com").await {
                    store.settle(lease, Settlement::all_leave()).await.expect("settled");
                }
            }
        }
    }
    let size: u64 = fs::read_dir(path.with_file_name("queue.db-fresh"))
        .expect("a folder")
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file").len())
        .sum();
    assert!(size <= 64 << 10, "the log has {size} bytes");
    store.close();
    let store = open(&path);
    assert_eq!(list(&store).await.len(), waiting.len());
    for (id, number) in waiting {
        assert_eq!(store.content(id).await, Ok(Content::from(body(number as usize, 1500))));
    }
}

/// A message that looks like a record of the log, in a segment that is used again.
#[tokio::test]
async fn a_log_that_is_torn_anywhere_keeps_what_was_promised_before_the_tear() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    let segment = path.with_file_name("queue.db-fresh").join("1");
    let mut promised = Vec::new();
    for number in 0..8 {
        let content = body(number as usize, 200);
        let id = store.enqueue(named(number, "example.com", &content)).await.expect("room");
        promised.push((fs::metadata(&segment).expect("a segment").len(), id, content));
    }
    store.close();
    let whole = fs::read(&segment).expect("a segment");
    let edges = promised.iter().map(|(length, ..)| *length as usize);
    let lengths = edges.flat_map(|edge| [edge - 1, edge, (edge + 1).min(whole.len())]);
    for length in (0..=whole.len()).step_by(97).chain(lengths) {
        for noise in [vec![], vec![0; 600], vec![0xa5; 600], whole[32..632].to_vec()] {
            let state = tempfile::tempdir_in(memory()).expect("a folder");
            let path = state.path().join("queue.db");
            open(&path).close();
            let torn = path.with_file_name("queue.db-fresh").join("1");
            fs::write(&torn, [&whole[..length], &noise].concat()).expect("room");
            let store = open(&path);
            for (needed, id, content) in &promised {
                let expected = match *needed <= length as u64 {
                    true => Ok(Content::from(content.clone())),
                    false => Err(QueueError::UnknownMessage { message: *id }),
                };
                assert_eq!(store.content(*id).await, expected, "at {length}");
            }
            store.close();
        }
    }
}

/// Who sends to many, or sends nothing to anybody, fills the memory as well as who sends much.
#[tokio::test]
async fn without_content_memory_is_bounded_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut options = SqliteOptions::default();
    options.fresh_log = 400_000;
    let store = SqliteStore::open_with(&path, options).expect("it opens");
    store.start("Hub01", at(0)).await.expect("it starts");
    for number in 0..300 {
        store.enqueue(named(number, "example.com", b"")).await.expect("room");
    }
    let stored = stored(&path);
    assert!((1..300).contains(&stored), "100,000 bytes of memory hold {} empty messages", 300 - stored);
    assert_eq!(list(&store).await.len(), 300);
}

/// `relay queue` sees and holds what was accepted the moment before.
#[tokio::test]
async fn another_process_that_opens_the_store_finds_all_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    for number in 0..3 {
        store.enqueue(named(number, "example.com", b"hello")).await.expect("room");
    }
    let lent = store.claim(Claim::due(hop("example.com"), 1, at(1), at(60))).await.expect("a claim").leases;
    let visitor = open(&path);
    assert_eq!(stored(&path), 3);
    let held = visitor.suspend(Filter::all(), at(1)).await.expect("suspended");
    assert_eq!((held.deliveries, held.active), (3, 1));
    assert!(claim(&store, "example.com").await.is_empty());
    for lease in lent {
        store.settle(lease, Settlement::all_leave()).await.expect("what was lent can be settled");
    }
    assert_eq!(list(&visitor).await.len(), 2);
}

/// Whoever lists waits for what somebody else sent on its way, too.
#[tokio::test]
async fn what_is_on_its_way_into_the_tables_is_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    store.enqueue(named(0, "example.com", b"hello")).await.expect("room");
    let lease = claim(&store, "example.com").await.pop().expect("due");
    let mut other = Connection::open(&path).expect("it opens");
    let writing = other.transaction_with_behavior(TransactionBehavior::Immediate).expect("nobody writes");
    let mut extended = store.extend(&lease, at(120));
    let mut listed = store.list(Filter::all(), at(1));
    let early = |context: &mut Context<'_>| {
        Poll::Ready((extended.as_mut().poll(context).is_ready(), listed.as_mut().poll(context).is_ready()))
    };
    assert_eq!(poll_fn(early).await, (false, false));
    // The one who reads has answered everything before this.
    store.results(lease.message).await.expect("nothing");
    let again = |context: &mut Context<'_>| Poll::Ready(listed.as_mut().poll(context).is_ready());
    assert!(!poll_fn(again).await, "listed while it is in neither place");
    drop(writing);
    extended.await.expect("it is lent");
    assert_eq!(listed.await.expect("listed").len(), 1);
}

#[tokio::test]
async fn one_server_has_the_log_and_the_others_do_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let first = started(&path).await;
    let second = open(&path);
    second.start("Hub02", at(0)).await.expect("it starts");
    first.enqueue(named(1, "example.com", b"one")).await.expect("room");
    second.enqueue(named(2, "example.com", b"two")).await.expect("room");
    assert_eq!(stored(&path), 1, "the second one's");
    assert_eq!(first.stop().await, Ok(0));
    assert_eq!(stored(&path), 2, "a server that ends leaves nothing in the log");
    second.start("Hub02", at(0)).await.expect("it starts");
    second.enqueue(named(3, "example.com", b"three")).await.expect("room");
    assert_eq!((stored(&path), list(&second).await.len(), stored(&path)), (2, 3, 3));
}

/// Opening does not wait for what moves; what is asked does.
#[tokio::test]
async fn whatever_is_asked_first_finds_what_an_earlier_process_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    let mut ids = Vec::new();
    for number in 0..400 {
        ids.push(
            store.enqueue(named(number, "example.com", &body(number as usize, 900))).await.expect("room"),
        );
    }
    store.close();
    let copy = |name: &str| {
        let to = folder.path().join(name);
        fs::create_dir_all(to.join("queue.db-fresh")).expect("a folder");
        fs::copy(&path, to.join("queue.db")).expect("copied");
        for segment in fs::read_dir(path.with_file_name("queue.db-fresh")).expect("a folder") {
            let segment = segment.expect("a file");
            fs::copy(segment.path(), to.join("queue.db-fresh").join(segment.file_name())).expect("copied");
        }
        open(&to.join("queue.db"))
    };
    assert_eq!(copy("due").due(at(1)).await.expect("known"), [(hop("example.com"), at(0))]);
    assert_eq!(claim(&copy("claim"), "example.com").await.len(), 100);
    assert_eq!(copy("content").content(ids[399]).await, Ok(Content::from(body(399, 900))));
    assert_eq!(list(&copy("list")).await.len(), 400);
    assert_eq!(copy("queues").queues(at(1)).await.expect("known")[0].waiting, 400);
    assert_eq!(copy("start").start("Hub01", at(0)).await, Ok(0));
}

/// What has left long ago is not read again at the next start.
#[tokio::test]
async fn a_log_that_nobody_writes_to_is_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    for number in 0..40 {
        store.enqueue(named(number, "example.com", &body(number as usize, 10_000))).await.expect("room");
    }
    for lease in claim(&store, "example.com").await {
        store.settle(lease, Settlement::all_leave()).await.expect("settled");
    }
    let tables = Connection::open(&path).expect("it opens");
    let live = || tables.query_row("SELECT live_epoch FROM counter", [], |row| row.get::<_, i64>(0));
    until(|| live() == Ok(2)).await;
    store.enqueue(named(40, "example.com", b"one more")).await.expect("room");
    assert_eq!(stored(&path), 0, "it goes on in the next segment");
    store.close();
    assert_eq!(list(&open(&path)).await.len(), 1);
}

#[tokio::test]
async fn an_idle_store_carries_its_write_ahead_log_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    for number in 0..30 {
        store.enqueue(message("example.com", &body(number, 100_000))).await.expect("room");
    }
    let length = || fs::metadata(&path).expect("a file").len();
    assert!(length() < 1 << 20);
    until(|| length() > 3_000_000).await;
}

/// Looks again and again, for a minute at most.
async fn until(holds: impl Fn() -> bool) {
    let looking = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looking).await.expect("it never comes about");
}

/// A lease that is not lost is not called lost: whoever delivered asks again, instead of delivering twice.
#[tokio::test]
async fn what_cannot_move_for_want_of_room_is_settled_when_there_is_room_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut options = SqliteOptions::default();
    options.max_size = Some(1 << 20);
    let store = SqliteStore::open_with(&path, options).expect("it opens");
    store.start("Hub01", at(0)).await.expect("it starts");
    let mut filling = Vec::new();
    let full = loop {
        match store.enqueue(message("elsewhere.test", &body(filling.len(), 50_000))).await {
            Ok(id) => filling.push(id),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, QueueError::DiskFull { .. }), "{full}");
    for number in 0..5 {
        store.enqueue(named(number, "example.com", &body(7, 60_000))).await.expect("the log has room");
    }
    let mut leases = claim(&store, "example.com").await.into_iter();
    let mut next = || leases.next().expect("five are lent");
    let is_full = |answer: Option<QueueError>| {
        assert!(matches!(answer, Some(QueueError::DiskFull { .. })), "{answer:?}");
    };
    let waits = next();
    let keep = Settlement::keep(vec![Kept::waiting(0, at(9))]);
    is_full(store.settle(waits.clone(), keep.clone()).await.err());
    let reported = next();
    let mut report = Settlement::all_leave();
    report.enqueue.push(message("contoso.com", b"report"));
    is_full(store.settle(reported.clone(), report.clone()).await.err());
    let (released, extended) = (next(), next());
    is_full(store.release(released.clone(), at(9)).await.err());
    is_full(store.begin_trial(&extended).await.err());
    is_full(store.extend(&extended, at(90)).await.err());
    store.settle(next(), Settlement::all_leave()).await.expect("what leaves needs no room");

    for id in filling {
        store.remove(Filter::message(id), at(0)).await.expect("removed");
    }
    store.settle(waits, keep).await.expect("there is room");
    assert_eq!(store.settle(reported, report).await.map(|reports| reports.len()), Ok(1));
    store.release(released, at(9)).await.expect("it is lent still");
    store.begin_trial(&extended).await.expect("it is lent still");
    store.extend(&extended, at(90)).await.expect("it is lent still");
    store.settle(extended, Settlement::all_leave()).await.expect("it is lent still");
    let listed = list(&store).await;
    let waiting = listed.iter().filter(|listed| listed.next_hop == hop("example.com")).count();
    assert_eq!((listed.len(), waiting), (3, 2), "{listed:?}");
}
