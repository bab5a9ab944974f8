//! The way of fresh mail into the database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::enqueue;
use super::super::fault::Fault;
use super::super::schema;
use super::super::source_key;
use super::super::writer::{Labour, Promise, Work, Writer};
use super::format::{Accepted, Lent, Record};
use super::keeper;
use super::log::Folder;
use super::moving::{Moving, Which};
use super::shelf::Shelf;
use crate::error::QueueError;
use crate::message_id::MessageId;
use crate::store::BoxFuture;

/// So much content moves in one transaction, about.
const BYTES: usize = 4 << 20;

/// Moves what `which` names; ready when it is committed, and survives the end of the process. What the caller sends to the
/// writing thread after this call finds it in the database.
pub(in super::super) fn move_out(
    shelf: &Shelf,
    writer: &Writer,
    which: Which,
) -> Vec<BoxFuture<'static, ()>> {
    let mut moves = Vec::new();
    let _sending = shelf.sending();
    while let Some(job) = Transfer::take(shelf, which, BYTES) {
        let (reply, answer) = oneshot::channel();
        let sent = writer.submit_for(reply, Promise::Visible, 0, job);
        // What cannot be sent lies here again, and would be taken again.
        let goes_on = sent.is_ok();
        moves.push(keeper::answered(sent, answer));
        if !goes_on {
            break;
        }
    }
    moves
}

/// What is done with the answer, in the thread that gives it.
pub(super) type Then<T> = Box<dyn FnOnce(Result<T, QueueError>) + Send>;

/// Moves what is left of the segments up to `epoch`, and makes them void; `freed` is the first valid epoch once both is
/// durable, and `then` is told.
pub(super) fn free(shelf: &Shelf, writer: &Writer, epoch: u64, freed: &Arc<AtomicU64>, then: Then<()>) {
    // What these come to the last job sees for itself.
    drop(move_out(shelf, writer, Which::UpToEpoch(epoch)));
    let (shelf, freed) = (shelf.clone(), Arc::clone(freed));
    let job = Freeing { shelf, epoch: epoch + 1, freed, then: Some(then) };
    drop(writer.submit(Promise::Durable, 0, job));
}

/// Looks how many came from other processes; `then` gets their number, and what was answered.
pub(super) fn look_for_visits(writer: &Writer, then: Then<(i64, i64)>) {
    let look = |work: &mut Work<'_>| {
        let mut counts = work.connection.prepare_cached("SELECT visits, visits_answered FROM counter")?;
        Ok(counts.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
    };
    drop(writer.submit(Promise::Visible, 0, Told { run: look, value: None, then: Some(then) }));
}

/// Moves all for the visits up to this number, and says so. What was accepted before one of them is among it.
pub(super) fn answer_visits(shelf: &Shelf, writer: &Writer, number: i64) {
    drop(move_out(shelf, writer, Which::All));
    let shelf = shelf.clone();
    drop(writer.submit(Promise::Visible, 0, move |work: &mut Work<'_>| {
        shelf.store_keys(work, u64::MAX)?;
        work.connection
            .prepare_cached("UPDATE counter SET visits_answered = ?1 WHERE visits_answered < ?1")?
            .execute([number])?;
        Ok(())
    }));
}

/// Comes to see all mail in the database; `then` gets the number of the visit.
pub(super) fn visit(writer: &Writer, then: Then<i64>) {
    let come = |work: &mut Work<'_>| {
        let mut count =
            work.connection.prepare_cached("UPDATE counter SET visits = visits + 1 RETURNING visits")?;
        Ok(count.query_row([], |row| row.get(0))?)
    };
    drop(writer.submit(Promise::Visible, 0, Told { run: come, value: None, then: Some(then) }));
}

/// A job of which somebody is told in the writing thread, also where it never comes to run.
struct Told<T: Send, F> {
    run: F,
    value: Option<T>,
    then: Option<Then<T>>,
}

impl<T, F> Labour<()> for Told<T, F>
where
    T: Send,
    F: FnMut(&mut Work<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault> {
        self.value = Some((self.run)(work)?);
        Ok(())
    }

    fn ended(&mut self, ended: Result<(), QueueError>) {
        let value = ended.and_then(|()| self.value.take().ok_or(QueueError::Closed));
        if let Some(then) = self.then.take() {
            then(value);
        }
    }
}

impl<T: Send, F> Drop for Told<T, F> {
    fn drop(&mut self) {
        if let Some(then) = self.then.take() {
            then(Err(QueueError::Closed));
        }
    }
}

pub(super) fn is_answered(connection: &Connection, visit: i64) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("SELECT visits_answered >= ?1 FROM counter")?;
    Ok(statement.query_row([visit], |row| row.get(0))?)
}

/// Makes segments void.
struct Freeing {
    shelf: Shelf,
    /// The first epoch that stays valid.
    epoch: u64,
    freed: Arc<AtomicU64>,
    then: Option<Then<()>>,
}

impl Labour<()> for Freeing {
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault> {
        for id in self.shelf.in_segments_below(self.epoch) {
            // Something is on its way still, or could not go.
            if !has_moved(work.connection, id)? {
                return Err(QueueError::Busy { code: 0 }.into());
            }
        }
        self.shelf.store_keys(work, self.epoch)?;
        raise(work.connection, self.epoch.cast_signed())
    }

    fn ended(&mut self, ended: Result<(), QueueError>) {
        if ended.is_ok() {
            self.shelf.keys_are_stored(self.epoch);
            self.freed.fetch_max(self.epoch, Ordering::AcqRel);
        }
        if let Some(then) = self.then.take() {
            then(ended);
        }
    }
}

/// Moves all that an earlier process left in the log, which is ours; `then` gets the first epoch that is free, and the
/// highest id in the database.
pub(super) fn recover(writer: &Writer, folder: Folder, then: Then<(u64, MessageId)>) {
    let run = move |work: &mut Work<'_>| move_what_is_left(work, &folder);
    // Whoever had the log may have died of a sync that failed. What was in its segments is written over soon. It is alone in its
    // transaction: where that fails it is run once, and takes nobody along.
    drop(writer.submit(Promise::Afresh, usize::MAX, Told { run, value: None, then: Some(then) }));
}

/// Moves messages.
struct Transfer {
    shelf: Shelf,
    moving: Vec<Moving>,
}

impl Transfer {
    fn take(shelf: &Shelf, which: Which, bytes: usize) -> Option<Self> {
        let moving = shelf.take_for_moving(which, bytes);
        (!moving.is_empty()).then(|| Self { shelf: shelf.clone(), moving })
    }

    fn ids(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.moving.iter().filter_map(|moving| moving.message.id)
    }
}

impl Labour<()> for Transfer {
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault> {
        for moving in &self.moving {
            insert(work, moving)?;
        }
        work.wake();
        Ok(())
    }

    fn ended(&mut self, ended: Result<(), QueueError>) {
        match ended {
            Ok(()) => self.shelf.moved(self.ids()),
            Err(_) => self.shelf.not_moved(self.ids()),
        }
    }
}

impl Drop for Transfer {
    /// It never ran: the store was closed. After its end this changes nothing.
    fn drop(&mut self) {
        self.shelf.not_moved(self.ids());
    }
}

/// Writes a message down as it is, its lease included; gives its number in the database.
fn insert(work: &mut Work<'_>, moving: &Moving) -> Result<i64, Fault> {
    let message = enqueue::insert_as_known(work, &moving.message)?;
    if moving.generation > 0 {
        work.connection
            .prepare_cached(
                "UPDATE delivery SET generation = ?2, lease_until = ?3, lease_owner = ?4 WHERE id = ?1",
            )?
            .execute((
                message,
                moving.generation.cast_signed(),
                moving.lent.map(|until| until.as_unix_millis()),
                moving.lent.map(|_| moving.owner.as_str()),
            ))?;
    }
    if moving.keyed
        && let Some(key) = &moving.message.source_key
    {
        source_key::remember(work, key, &[MessageId::from_u64(message.cast_unsigned())])?;
    }
    work.connection
        .prepare_cached("INSERT OR REPLACE INTO moved (message, epoch) VALUES (?1, ?2)")?
        .execute((
            moving.message.id.map_or(message, |id| id.as_u64().cast_signed()),
            moving.epoch.cast_signed(),
        ))?;
    Ok(message)
}

fn has_moved(connection: &Connection, id: MessageId) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM moved WHERE message = ?1")?;
    Ok(statement.exists([id.as_u64().cast_signed()])?)
}

fn moved(connection: &Connection) -> Result<BTreeSet<MessageId>, Fault> {
    let mut statement = connection.prepare_cached("SELECT message FROM moved")?;
    let ids = statement.query_map([], |row| row.get(0))?;
    ids.map(|id: rusqlite::Result<i64>| Ok(MessageId::from_u64(id?.cast_unsigned()))).collect()
}

fn live_epoch(connection: &Connection) -> Result<i64, Fault> {
    Ok(connection.prepare_cached("SELECT live_epoch FROM counter")?.query_row([], |row| row.get(0))?)
}

/// What moved from segments that are void is forgotten with them. Where that is not synced it stays nevertheless: nobody writes
/// over their files before it is durable.
fn raise(connection: &Connection, epoch: i64) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM moved WHERE epoch < ?1")?.execute([epoch])?;
    connection.prepare_cached("UPDATE counter SET live_epoch = max(live_epoch, ?1)")?.execute([epoch])?;
    Ok(())
}

fn move_what_is_left(work: &mut Work<'_>, folder: &Folder) -> Result<(u64, MessageId), Fault> {
    // A newer program may have come since this one opened the store, and written records that this one cannot read.
    schema::is_still_ours(work.connection)?;
    let live = live_epoch(work.connection)?;
    let segments = folder.read(live.cast_unsigned())?;
    let mut accepted: BTreeMap<MessageId, (u64, Accepted<'_>)> = BTreeMap::new();
    let mut lent: BTreeMap<MessageId, Lent> = BTreeMap::new();
    let mut left: BTreeSet<MessageId> = BTreeSet::new();
    let mut forgotten: BTreeSet<MessageId> = BTreeSet::new();
    let mut next = live;
    for segment in &segments {
        next = next.max(segment.epoch().cast_signed() + 1);
        for record in segment.records()? {
            match record {
                Record::Accepted(message) => {
                    accepted.insert(message.id, (segment.epoch(), message));
                }
                Record::Lent(lending) => {
                    lent.insert(MessageId::from_u64(lending.message), lending);
                }
                Record::Left(id) => {
                    left.insert(id);
                }
                Record::Forgotten(ids) => forgotten.extend(ids),
            }
        }
    }
    let moved = moved(work.connection)?;
    for (id, (epoch, found)) in accepted {
        let key = found.source_key.as_ref().filter(|_| !forgotten.contains(&id));
        if moved.contains(&id) {
            continue;
        }
        if left.contains(&id) {
            key.map_or(Ok(()), |key| source_key::remember(work, key, &[id]))?;
            continue;
        }
        let lending = lent.get(&id);
        let message = found.message().ok_or(QueueError::Corrupt { message: None })?;
        insert(
            work,
            &Moving {
                message: Arc::new(message),
                epoch,
                generation: lending.map_or(0, |lent| lent.generation),
                lent: lending.map(|lent| postroad_message::Timestamp::from_unix_millis(lent.until)),
                owner: lending.map_or_else(String::new, |lent| lent.owner.clone()),
                keyed: key.is_some(),
            },
        )?;
    }
    if next > live {
        raise(work.connection, next)?;
        work.wake();
    }
    let highest: i64 = work
        .connection
        .prepare_cached("SELECT coalesce(max(id), 0) FROM message")?
        .query_row([], |row| row.get(0))?;
    Ok((next.cast_unsigned(), MessageId::from_u64(highest.cast_unsigned())))
}

#[cfg(test)]
mod tests {
    use postroad_message::{Content, Envelope, NextHop, Recipient, ReversePath, Timestamp};

    use super::super::super::content_file::ContentFiles;
    use super::super::super::neighbours::Neighbours;
    use super::super::super::options::SqliteOptions;
    use super::super::scribe::clock;
    use super::*;
    use crate::item::{NewDelivery, NewMessage};

    #[test]
    fn what_cannot_move_because_the_database_is_closed_stays_and_is_tried_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, options) = (folder.path().join("queue.db"), SqliteOptions::default());
        let connection =
            schema::open_writer(&path, &options).map_err(|Fault(error)| error).expect("it opens");
        let (files, _) = ContentFiles::start(&path, 1).map_err(|Fault(error)| error).expect("threads");
        let shelf = Shelf::default();
        let neighbours = Neighbours::enter(&path).map_err(|Fault(error)| error).expect("nobody is there");
        let started = Writer::start((connection, Arc::new(neighbours)), options, files, shelf.clone());
        let (writer, thread) = started.map_err(|Fault(error)| error).expect("a thread");
        drop(
            writer.submit(Promise::Visible, 0, |_: &mut Work<'_>| -> Result<(), Fault> { panic!("its end") }),
        );
        assert!(thread.join().is_err());

        let id = MessageId::from_u64(7);
        let recipient = Recipient::new("jane@example.com".parse().expect("an address"));
        let (next_hop, due) = (NextHop::new("Internet", "example.com"), Timestamp::from_unix_millis(0));
        let delivery = NewDelivery::new(next_hop, vec![recipient], due);
        let (envelope, content) = (Envelope::new(ReversePath::Null, vec![]), Content::from(b"\r\n".to_vec()));
        let mut message = NewMessage::new(envelope, content, due, "test", vec![delivery]);
        message.id = Some(id);
        shelf.open(1 << 20, MessageId::from_u64(0));
        assert!(shelf.announce(id, &Arc::new(message), 100, clock()));
        shelf.arrived([(id, 1)].into_iter());

        assert_eq!(move_out(&shelf, &writer, Which::All).len(), 1);
        assert!(shelf.in_segments_below(2).contains(&id), "it lies where it lay");
    }
}
