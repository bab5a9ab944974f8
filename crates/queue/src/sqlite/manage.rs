//! What a postmaster looks at and does: listings, suspend, resume, retry, remove; and contents.

use postroad_message::{Content, Envelope, NextHop, ReversePath, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::fault::Fault;
use super::filter::{Conditions, FREE, TABLES};
use super::record::{self, moment};
use super::writer::Work;
use super::{enqueue, lease};
use crate::error::QueueError;
use crate::listing::{Changed, Filter, Listed, QueueSummary, State};
use crate::message_id::{DeliveryId, MessageId};

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
        Ok(Some((Stored::Inline(content), checksum, size)))
            if !is_whole(content.as_bytes(), checksum, size) =>
        {
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
pub(super) fn is_whole(bytes: &[u8], checksum: i64, size: u64) -> bool {
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
    let mut statement =
        connection.prepare_cached(
            "SELECT recipients FROM delivery WHERE id = ?1 AND message = ?1 OR message = ?1 AND id <> message ORDER BY id",
        )?;
    for text in statement.query_map([number(message)], |row| row.get::<_, String>(0))? {
        let text = text.map_err(|error| named(error.into()))?;
        let queued = record::read_recipients(&text).ok_or(corrupt)?;
        envelope.recipients.extend(queued.into_iter().map(|queued| queued.recipient));
    }
    Ok(envelope)
}

/// For each queue, when the first delivery that nobody works on is due.
pub(super) fn due(connection: &Connection, now: Timestamp) -> Result<Vec<(NextHop, Timestamp)>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT connector, destination, min(due) FROM (
             SELECT q.connector, q.destination,
                    (SELECT min(due) FROM delivery WHERE queue = q.id AND lease_until IS NULL AND hold = 0) AS due
             FROM queue AS q WHERE q.suspended = 0
             UNION ALL
             SELECT q.connector, q.destination, d.due FROM delivery AS d JOIN queue AS q ON q.id = d.queue
             WHERE d.lease_until <= ?1 AND d.hold = 0 AND q.suspended = 0
         ) WHERE due IS NOT NULL GROUP BY connector, destination",
    )?;
    let rows =
        statement.query_map([now.as_unix_millis()], |row| Ok((next_hop(row, 0)?, moment(row.get(2)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn list(connection: &Connection, filter: &Filter, now: Timestamp) -> Result<Vec<Listed>, Fault> {
    let conditions = Conditions::new(filter, now);
    let limit = filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT d.id, d.message, q.connector, q.destination, m.sender, d.recipients, m.size, d.received_at, m.source,
                d.due, d.attempts, d.delay_notified, d.hold, q.suspended, d.lease_until, m.set_aside, {FREE}
         FROM {TABLES} WHERE {} ORDER BY d.id LIMIT {limit}",
        conditions.sql
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params_from_iter(conditions.values), read_listed)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn queues(connection: &Connection, now: Timestamp) -> Result<Vec<QueueSummary>, Fault> {
    let sql = format!(
        "SELECT q.connector, q.destination, q.suspended, n.deliveries, n.active, n.held, n.aside, n.due, n.oldest
         FROM queue AS q LEFT JOIN (
             SELECT d.queue AS queue, count(*) AS deliveries, sum(d.hold <> 2 AND NOT {FREE}) AS active,
                    sum(d.hold = 1 AND {FREE}) AS held, sum(d.hold = 2) AS aside,
                    min(CASE WHEN d.hold = 0 AND {FREE} THEN d.due END) AS due, min(d.received_at) AS oldest
             FROM delivery AS d GROUP BY d.queue
         ) AS n ON n.queue = q.id
         WHERE n.deliveries > 0 OR q.suspended ORDER BY q.connector, q.destination"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([now.as_unix_millis()], |row| {
        let count = |index| row.get::<_, Option<i64>>(index).map(|count| count.unwrap_or(0).cast_unsigned());
        let mut summary = QueueSummary::new(next_hop(row, 0)?);
        summary.suspended_as_a_whole = row.get(2)?;
        summary.active = count(4)?;
        summary.suspended = count(5)?;
        summary.set_aside = count(6)?;
        summary.waiting = count(3)?
            .saturating_sub(summary.active)
            .saturating_sub(summary.suspended)
            .saturating_sub(summary.set_aside);
        summary.next_due = row.get::<_, Option<i64>>(7)?.map(moment);
        if summary.suspended_as_a_whole {
            summary.suspended += std::mem::take(&mut summary.waiting);
            summary.next_due = None;
        }
        summary.oldest = row.get::<_, Option<i64>>(8)?.map(moment);
        Ok(summary)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
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

fn read_listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    let id = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
    let mut listed = Listed::new(
        DeliveryId::from_u64(id(0)?),
        MessageId::from_u64(id(1)?),
        next_hop(row, 2)?,
        moment(row.get(7)?),
        moment(row.get(9)?),
    );
    // What is damaged in one record must not hide the others: it is listed with what can be read.
    let text = |index| row.get::<_, Option<String>>(index).ok().flatten();
    listed.sender = text(4).and_then(|sender| ReversePath::try_from(sender).ok());
    listed.recipients =
        text(5).and_then(|recipients| record::read_recipients(&recipients)).unwrap_or_default();
    listed.size = row.get::<_, Option<i64>>(6)?.unwrap_or(0).cast_unsigned();
    listed.source = text(8).unwrap_or_default();
    listed.attempts = row.get(10)?;
    listed.delay_notified = row.get(11)?;
    let (hold, queue_suspended, lease_until, free): (i64, bool, Option<i64>, bool) =
        (row.get(12)?, row.get(13)?, row.get(14)?, row.get(16)?);
    listed.state = match (hold, free, lease_until) {
        (2, _, _) => {
            State::SetAside { reason: text(15).unwrap_or_else(|| "its record is missing".to_owned()) }
        }
        (_, false, Some(until)) => State::Active { until: moment(until) },
        (1, _, _) => State::Suspended,
        _ if queue_suspended => State::Suspended,
        _ => State::Waiting,
    };
    Ok(listed)
}

fn next_hop(row: &Row<'_>, first: usize) -> rusqlite::Result<NextHop> {
    Ok(NextHop::new(row.get::<_, String>(first)?, row.get::<_, String>(first + 1)?))
}

fn number(message: MessageId) -> i64 {
    message.as_u64().cast_signed()
}
