//! What the writing thread makes of a sync that failed, where not even taking back succeeds.

use std::sync::mpsc::sync_channel;
use std::thread;

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

fn intake() -> Intake {
    let recipient = Recipient::new("jane@example.com".parse().expect("an address"));
    let delivery = NewDelivery { next_hop: hop(), recipients: vec![recipient], due: START };
    let (envelope, content) = (Envelope::new(ReversePath::Null, vec![]), Content::from(b"\r\n".to_vec()));
    let message = NewMessage::new(envelope, content, START, "test", vec![delivery]);
    Intake::new(vec![message], Drafts::default(), Recent::new(0))
}

/// How many the desk lends.
fn lent(desk: &mut Desk) -> usize {
    let (reply, answer) = oneshot::channel();
    let claim = Claim::due(hop(), 9, START, START);
    let claimed = move |work: &mut Work<'_>| lease::claim(work, &claim);
    desk.settle(vec![Box::new(Task::new(Promise::Visible, 0, claimed, reply))]);
    answer.blocking_recv().expect("an answer").expect("a claim").leases.len()
}

#[test]
fn what_can_neither_be_synced_nor_taken_back_is_refused_and_lent_to_nobody_before_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let options = SqliteOptions::default();
    let open = || schema::open_writer(&path, &options).map_err(|Fault(error)| error).expect("it opens");
    let connection = open();
    let neighbours =
        Arc::new(Neighbours::enter(&path).map_err(|Fault(error)| error).expect("nobody is there"));
    let (files, _) = ContentFiles::start(&path, 1).map_err(|Fault(error)| error).expect("threads");
    let (letters, inbox) = sync_channel(9);
    let (version, _) = watch::channel(0);
    let ways = ((files.clone(), Shelf::default()), (letters.clone(), inbox));
    let desk = Desk::new((connection, neighbours), options, ways.0, ways.1, Arc::new(version.clone()));
    let mut desk = desk.map_err(|Fault(error)| error).expect("a desk");
    // Its sync fails at once.
    let failing = Syncer::start(Path::new("/dev/null"), desk.unsynced.clone(), version, files, letters);
    desk.syncer = Some(failing.map_err(|Fault(error)| error).expect("a thread"));

    let (reply, answer) = oneshot::channel();
    desk.settle(vec![Box::new(Task::new(Promise::Durable, 0, Stubborn(intake()), reply))]);
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
    assert_eq!(count(&open()), Ok(1), "and whoever comes again may come twice");
}
