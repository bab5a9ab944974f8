//! What the writing thread makes of a commit or a sync that failed, and of a log that others wrote to.

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use postroad_message::{Content, Envelope, Recipient, ReversePath, Timestamp};
use tokio::sync::oneshot;

use super::*;
use crate::item::{Claim, NewDelivery, NewMessage};
use crate::message_id::MessageId;
use crate::sqlite::content_file::Drafts;
use crate::sqlite::enqueue::Intake;
use crate::sqlite::lease;
use crate::sqlite::recent::Recent;
use crate::sqlite::schema;
use crate::sqlite::writer::{Labour, Task};

/// A message that is queued, and cannot be taken out again.
struct Stubborn(Intake);

impl Labour<Vec<MessageId>> for Stubborn {
    fn run(&mut self, work: &mut Work<'_>) -> Result<Vec<MessageId>, Fault> {
        self.0.run(work)
    }

    fn undo(&mut self, work: &mut Work<'_>, done: &Vec<MessageId>) -> Result<bool, Fault> {
        self.0.undo(work, done)?;
        Err(QueueError::Io { code: 10 }.into())
    }
}

const START: Timestamp = Timestamp::from_unix_millis(1_700_000_000_000);

fn hop() -> NextHop {
    NextHop::new("Internet", "example.com")
}

/// With so many bytes.
fn intake(length: usize) -> Intake {
    let recipient = Recipient::new("jane@example.com".parse().expect("an address"));
    let delivery = NewDelivery::new(hop(), vec![recipient], START);
    let (envelope, content) = (Envelope::new(ReversePath::Null, vec![]), Content::from(vec![b'x'; length]));
    let message = NewMessage::new(envelope, content, START, "test", vec![delivery]);
    Intake::new(vec![message], Drafts::default(), Recent::new(0))
}

fn connect(path: &Path) -> Connection {
    schema::open_writer(path, &SqliteOptions::default()).map_err(|Fault(error)| error).expect("it opens")
}

/// Of a store at `path`.
fn desk(path: &Path) -> Desk {
    let options = SqliteOptions::default();
    let connection = connect(path);
    let neighbours = Neighbours::enter(path).map_err(|Fault(error)| error).expect("nobody is there");
    let open = (connection, Arc::new(neighbours));
    let (files, _) = ContentFiles::start(path, 1).map_err(|Fault(error)| error).expect("threads");
    let version = Arc::new(watch::channel(0).0);
    let desk = Desk::new(open, options, (files, Shelf::default()), sync_channel(9), version);
    desk.map_err(|Fault(error)| error).expect("a desk")
}

/// What the caller hears.
fn settled<T, W>(desk: &mut Desk, promise: Promise, work: W) -> Result<T, QueueError>
where
    T: Send + 'static,
    W: Labour<T> + 'static,
{
    let (reply, answer) = oneshot::channel();
    desk.settle(vec![Box::new(Task::new(promise, 0, work, reply))]);
    answer.blocking_recv().expect("an answer")
}

/// How many the desk lends.
fn lent(desk: &mut Desk) -> usize {
    let claim = Claim::due(hop(), 9, START, START);
    let claimed = settled(desk, Promise::Visible, move |work: &mut Work<'_>| lease::claim(work, &claim));
    claimed.expect("a claim").leases.len()
}

#[test]
fn what_can_neither_be_synced_nor_taken_back_is_refused_and_lent_to_nobody_before_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut desk = desk(&path);
    // Its sync fails at once.
    let (files, _) = ContentFiles::start(&path, 1).map_err(|Fault(error)| error).expect("threads");
    let (version, letters) = (watch::channel(0).0, sync_channel(9).0);
    let failing = Syncer::start(Path::new("/dev/null"), desk.unsynced.clone(), version, files, letters);
    desk.syncer = Some(failing.map_err(|Fault(error)| error).expect("a thread"));

    let (reply, answer) = oneshot::channel();
    desk.settle(vec![Box::new(Task::new(Promise::Durable, 0, Stubborn(intake(2)), reply))]);
    let failed = loop {
        match desk.syncer.as_ref().and_then(Syncer::take_failed) {
            Some(failed) => break failed,
            None => thread::yield_now(),
        }
    };
    desk.take_back(failed);
    let refused = answer.blocking_recv().expect("an answer").expect_err("it is not durable");
    assert!(matches!(refused, QueueError::Io { .. }) && refused.is_transient(), "{refused}");
    assert_eq!(lent(&mut desk), 0);
    let count = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM message", [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(count(&desk.connection), Ok(1), "it is there still");
    // The log was written anew meanwhile: what comes now is not lost with it.
    assert!(!desk.suspect && !desk.forsaken);
    drop(desk);
    assert_eq!(count(&connect(&path)), Ok(1), "and whoever comes again may come twice");
}

/// Another process carried all of it over, and began it anew.
#[test]
fn a_log_that_others_began_anew_is_whole_though_it_was_longer_after_our_last_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut desk = desk(&path);
    settled(&mut desk, Promise::Visible, intake(100_000)).expect("room");
    let other = connect(&path);
    let truncated = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    assert_eq!(truncated, Ok(0));
    other.execute("UPDATE counter SET visits = visits + 1", []).expect("written");
    assert!(desk.others_changed(), "an idle moment later");
    let trusted = desk.trust_the_log(true);
    assert_eq!((trusted, desk.forsaken), (Ok(()), false));
    settled(&mut desk, Promise::Durable, intake(2)).expect("it goes on");
}

#[test]
fn a_log_that_is_not_whole_is_found_out_also_where_others_wrote_to_it_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut desk = desk(&path);
    settled(&mut desk, Promise::Visible, intake(100_000)).expect("room");
    connect(&path).execute("UPDATE counter SET visits = visits + 1", []).expect("written");
    let mut log = fs::read(&desk.log).expect("a log");
    log[50_000] ^= 1;
    fs::write(&desk.log, log).expect("room");
    let trusted = desk.trust_the_log(true);
    assert!(matches!(trusted, Err(Fault(QueueError::Io { .. }))) && desk.forsaken, "{trusted:?}");
}

/// Whatever it fails of: SQLite refuses it here as for want of memory.
#[test]
fn what_a_failed_commit_left_in_the_log_is_struck_out_or_its_caller_hears_that_it_may_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut desk = desk(&path);
    let (before, after) = with_another_commit_behind(&mut desk, &path);

    desk.connection.commit_hook(Some(|| true)).expect("hooked");
    let refused = settled(&mut desk, Promise::Visible, intake(2)).expect_err("refused");
    assert!(matches!(refused, QueueError::Engine { .. }), "{refused}");
    let log = fs::read(&desk.log).expect("a log");
    assert_eq!(log.len(), after.len());
    let (kept, struck) = log.split_at(before.len());
    assert!(kept == before && struck.starts_with(&[0; 24]), "its first frame is void");

    let aside = folder.path().join("aside");
    fs::rename(&desk.log, &aside).expect("moved");
    let refused = settled(&mut desk, Promise::Visible, intake(2)).expect_err("refused");
    assert!(matches!(refused, QueueError::Io { .. }), "{refused}");
    fs::rename(&aside, &desk.log).expect("moved");
    desk.connection.commit_hook(None::<fn() -> bool>).expect("let go");
    settled(&mut desk, Promise::Durable, intake(2)).expect("it goes on");
}

/// A long `relay queue remove`, or `sqlite3`.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long the caller waits is what this is about")]
fn a_commit_that_failed_is_answered_at_once_though_somebody_else_writes_by_then() {
    for left_something in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        let mut desk = desk(&path);
        if left_something {
            with_another_commit_behind(&mut desk, &path);
        }
        let other = Arc::new(Mutex::new(connect(&path)));
        let begins = Arc::clone(&other);
        desk.connection.commit_hook(Some(|| true)).expect("hooked");
        let begin = move || drop(begins.lock().expect("alone").execute_batch("BEGIN IMMEDIATE"));
        desk.connection.rollback_hook(Some(begin)).expect("hooked");
        let begun = Instant::now();
        let refused = settled(&mut desk, Promise::Visible, intake(2)).expect_err("refused");
        assert!(begun.elapsed() < desk.options.busy_timeout / 2, "everybody waits behind it");
        let may_be_there = matches!(refused, QueueError::Io { .. });
        assert_eq!(may_be_there, left_something, "{refused}");
        assert!(!other.lock().expect("alone").is_autocommit(), "he writes still");
    }
}

/// What the log was, and what it is: another commit like ours, of which SQLite does not know, lies behind the last.
fn with_another_commit_behind(desk: &mut Desk, path: &Path) -> (Vec<u8>, Vec<u8>) {
    settled(desk, Promise::Visible, intake(2)).expect("room");
    let copy = path.with_file_name("copy.db");
    let copied = |suffix: &str| {
        let [from, to] = [path, &copy].map(|path| format!("{}{suffix}", path.display()));
        fs::copy(from, &to).expect("room");
        to
    };
    copied("");
    let longer = copied("-wal");
    let other = connect(&copy);
    other.execute("UPDATE counter SET visits = visits + 1", []).expect("written");
    let (before, after) = (fs::read(&desk.log).expect("a log"), fs::read(longer).expect("a log"));
    assert!(after.len() > before.len() && after.starts_with(&before));
    fs::write(&desk.log, &after).expect("room");
    (before, after)
}

#[test]
fn after_any_commit_it_is_worth_while_to_carry_the_log_over_once_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut desk = desk(&path);
    settled(&mut desk, Promise::Visible, intake(2)).expect("room");
    assert!(desk.carry_over() && desk.is_futile());
    desk.connection.execute("UPDATE counter SET visits = visits + 1", []).expect("no job's");
    assert!(!desk.is_futile());
}
