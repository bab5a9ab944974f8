//! What a postmaster does: suspend, resume, retry, remove; and contents.

use postroad_message::{Content, Envelope, NextHop, Timestamp};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::fault::Fault;
use super::filter::{Conditions, FREE, TABLES};
use super::record;
use super::view::next_hop;
use super::writer::Work;
use super::{enqueue, lease};
use crate::error::QueueError;
use crate::listing::{Changed, Filter};
use crate::message_id::MessageId;

/// Where a content lies.
pub(super) enum Stored {
    Inline(Content),
    InFile { name: String, checksum: i64, size: u64 },
}

pub(super) fn content(connection: &Connection, message: MessageId) -> Result<Stored, Fault> {
    let found = connection
        .prepare_cached(
            "SELECT c.checksum, c.body, m.size, m.file FROM message AS m JOIN content AS c ON c.message = m.id
             WHERE m.id = ?1",
        )?
        .query_row([number(message)], |row| {
            let (checksum, size, file) = (row.get(0)?, row.get::<_, i64>(2)?.cast_unsigned(), row.get(3)?);
            Ok(match file {
                Some(name) => Stored::InFile { name, checksum, size },
                None => Stored::Inline(Content::from(row.get::<_, Vec<u8>>(1)?)),
            })
            .map(|stored| (stored, checksum, size))
        })
        .optional();
    let corrupt = QueueError::Corrupt { message: Some(message) };
    match found {
        Ok(Some((Stored::Inline(content), checksum, size))) if !is_whole(content.head(), checksum, size) => {
            Err(corrupt.into())
        }
        Ok(Some((stored, ..))) => Ok(stored),
        Ok(None) if is_known(connection, message)? => Err(corrupt.into()),
        Ok(None) => Err(QueueError::UnknownMessage { message }.into()),
        Err(error) => match Fault::from(error) {
            Fault(QueueError::Corrupt { .. }) => Err(corrupt.into()),
            fault => Err(fault),
        },
    }
}

/// Whether these bytes are what was queued.
fn is_whole(bytes: &[u8], checksum: i64, size: u64) -> bool {
    bytes.len() as u64 == size && record::checksum(bytes) == checksum
}

pub(super) fn is_known(connection: &Connection, message: MessageId) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("SELECT 1 FROM message WHERE id = ?1")?.exists([number(message)])?)
}

/// Whether a message has this content file.
pub(super) fn has_file(connection: &Connection, name: &str) -> Result<bool, Fault> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM message WHERE file = ?1 AND file IS NOT NULL")?
        .exists([name])?)
}

/// The envelope with everyone who still waits.
pub(super) fn envelope(connection: &Connection, message: MessageId) -> Result<Envelope, Fault> {
    let corrupt = Fault(QueueError::Corrupt { message: Some(message) });
    let named =
        |fault: Fault| if fault == Fault(QueueError::Corrupt { message: None }) { corrupt } else { fault };
    let text: Option<String> = connection
        .prepare_cached("SELECT envelope FROM message WHERE id = ?1")?
        .query_row([number(message)], |row| row.get(0))
        .optional()
        .map_err(|error| named(error.into()))?;
    let text = text.ok_or(QueueError::UnknownMessage { message })?;
    let mut envelope = record::read_envelope(&text).ok_or(corrupt)?;
    let mut statement = connection.prepare_cached(
        "SELECT recipients FROM delivery WHERE id = ?1 AND message = ?1 OR message = ?1 AND id <> message
             ORDER BY id <> message, id",
    )?;
    for text in statement.query_map([number(message)], |row| row.get::<_, String>(0))? {
        let text = text.map_err(|error| named(error.into()))?;
        let queued = record::read_recipients(&text).ok_or(corrupt)?;
        envelope.recipients.extend(queued.into_iter().map(|queued| queued.recipient));
    }
    Ok(envelope)
}

pub(super) fn suspend(work: &mut Work<'_>, filter: &Filter, now: Timestamp) -> Result<Changed, Fault> {
    let active = active(work, filter, now)?;
    let all = update(work, filter, now, "SET hold = 1", "d.hold = 0")?;
    Ok(Changed { deliveries: all, active })
}

pub(super) fn resume(work: &mut Work<'_>, filter: &Filter, now: Timestamp) -> Result<Changed, Fault> {
    let conditions = Conditions::new(filter, now);
    work.connection.execute(
        &format!(
            "UPDATE message SET set_aside = NULL WHERE set_aside IS NOT NULL
             AND id IN (SELECT d.message FROM {TABLES} WHERE {})",
            conditions.sql
        ),
        params_from_iter(conditions.values),
    )?;
    let deliveries = update(work, filter, now, "SET hold = 0, crashes = 0", "d.hold <> 0")?;
    work.wake();
    Ok(Changed { deliveries, active: 0 })
}

pub(super) fn retry_now(work: &mut Work<'_>, filter: &Filter, now: Timestamp) -> Result<Changed, Fault> {
    let active = active(work, filter, now)?;
    let conditions = Conditions::new(filter, now);
    work.connection.execute(
        &format!(
            "UPDATE queue SET retry_asked = 1 WHERE id IN (SELECT d.queue FROM {TABLES} WHERE {})",
            conditions.sql
        ),
        params_from_iter(conditions.values),
    )?;
    let deliveries = update(work, filter, now, "SET due = ?1", &format!("d.due > ?1 AND {FREE}"))?;
    work.wake();
    Ok(Changed { deliveries, active })
}

/// Whether there is anything for [`take_retries`] to take.
pub(super) fn has_retries(connection: &Connection) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("SELECT 1 FROM queue WHERE retry_asked = 1")?.exists([])?)
}

pub(super) fn take_retries(work: &Work<'_>) -> Result<Vec<NextHop>, Fault> {
    let mut statement = work.connection.prepare_cached(
        "UPDATE queue SET retry_asked = 0 WHERE retry_asked = 1 RETURNING connector, destination",
    )?;
    let taken = statement.query_map([], |row| next_hop(row, 0))?;
    Ok(taken.collect::<Result<_, _>>()?)
}

pub(super) fn suspend_queue(work: &mut Work<'_>, next_hop: &NextHop, suspended: bool) -> Result<(), Fault> {
    let queue = enqueue::queue_id(work, next_hop)?;
    work.connection.execute("UPDATE queue SET suspended = ?2 WHERE id = ?1", (queue, suspended))?;
    work.wake();
    Ok(())
}

pub(super) fn remove(work: &mut Work<'_>, filter: &Filter, now: Timestamp) -> Result<Changed, Fault> {
    let active = active(work, filter, now)?;
    let conditions = Conditions::new(filter, now);
    let pairs: Vec<(i64, i64)> = work
        .connection
        .prepare(&format!("SELECT d.id, d.message FROM {TABLES} WHERE {} AND {FREE}", conditions.sql))?
        .query_map(params_from_iter(conditions.values), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (delivery, message) in &pairs {
        work.connection.prepare_cached("DELETE FROM delivery WHERE id = ?1")?.execute([delivery])?;
        lease::remove_if_done(work, *message)?;
    }
    Ok(Changed { deliveries: pairs.len() as u64, active })
}

/// Changes the deliveries that fit the filter and `also`; gives how many.
fn update(work: &Work<'_>, filter: &Filter, now: Timestamp, set: &str, also: &str) -> Result<u64, Fault> {
    let conditions = Conditions::new(filter, now);
    let sql = format!(
        "UPDATE delivery {set} WHERE id IN (SELECT d.id FROM {TABLES} WHERE {} AND {also})",
        conditions.sql
    );
    Ok(work.connection.execute(&sql, params_from_iter(conditions.values))? as u64)
}

/// How many of those that fit someone works on.
fn active(work: &Work<'_>, filter: &Filter, now: Timestamp) -> Result<u64, Fault> {
    let conditions = Conditions::new(filter, now);
    let count: i64 = work.connection.query_row(
        &format!("SELECT count(*) FROM {TABLES} WHERE {} AND NOT {FREE}", conditions.sql),
        params_from_iter(conditions.values),
        |row| row.get(0),
    )?;
    Ok(count.cast_unsigned())
}

fn number(message: MessageId) -> i64 {
    message.as_u64().cast_signed()
}
