//! What waits, as a dispatcher and a postmaster see it, also beside damaged pages.

use std::collections::BTreeMap;

use postroad_message::{NextHop, ReversePath, Timestamp};
use rusqlite::{Connection, Row, params_from_iter};

use super::fault::Fault;
use super::filter::{Conditions, FREE, TABLES};
use super::record::{self, moment};
use crate::error::QueueError;
use crate::listing::{Filter, Listed, QueueSummary, State, StateKind};
use crate::message_id::{DeliveryId, MessageId};

/// For each queue, when the first delivery that nobody works on is due.
pub(super) fn due(connection: &Connection, now: Timestamp) -> Result<Vec<(NextHop, Timestamp)>, Fault> {
    const FREE_AND_WAITING: &str = "SELECT q.connector, q.destination,
            (SELECT min(due) FROM delivery WHERE queue = q.id AND lease_until IS NULL AND hold = 0) AS due
         FROM queue AS q WHERE q.suspended = 0";
    const RAN_OUT: &str = "SELECT q.connector, q.destination, d.due
         FROM delivery AS d JOIN queue AS q ON q.id = d.queue
         WHERE d.lease_until <= ?1 AND d.hold = 0 AND q.suspended = 0";
    let earliest = |of: &str| -> Result<Vec<(NextHop, Timestamp)>, Fault> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT connector, destination, min(due) FROM ({of})
             WHERE due IS NOT NULL AND ?1 IS NOT NULL GROUP BY connector, destination"
        ))?;
        let rows = statement
            .query_map([now.as_unix_millis()], |row| Ok((next_hop(row, 0)?, moment(row.get(2)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    match earliest(&format!("{FREE_AND_WAITING} UNION ALL {RAN_OUT}")) {
        // A lease on a damaged page: the others are found by their index alone.
        Err(Fault(QueueError::Corrupt { .. })) => earliest(FREE_AND_WAITING),
        due => due,
    }
}

pub(super) fn list(connection: &Connection, filter: &Filter, now: Timestamp) -> Result<Vec<Listed>, Fault> {
    match list_all(connection, filter, now) {
        Err(Fault(QueueError::Corrupt { .. })) => list_beside_damage(connection, filter, now),
        listed => listed,
    }
}

fn list_all(connection: &Connection, filter: &Filter, now: Timestamp) -> Result<Vec<Listed>, Fault> {
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

/// One by one, by an index that has all of them; those on damaged pages are listed as set aside.
fn list_beside_damage(
    connection: &Connection,
    filter: &Filter,
    now: Timestamp,
) -> Result<Vec<Listed>, Fault> {
    let mut statement =
        connection.prepare("SELECT id, received_at FROM delivery INDEXED BY delivery_age ORDER BY id")?;
    let all: Vec<(i64, i64)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut listed = Vec::new();
    for (id, received_at) in all {
        let delivery = DeliveryId::from_u64(id.cast_unsigned());
        let fits = filter.delivery.is_none_or(|wanted| wanted == delivery)
            && filter.after.is_none_or(|after| after < delivery);
        if !fits || filter.limit.is_some_and(|limit| listed.len() >= limit) {
            continue;
        }
        match list_all(connection, &Filter { delivery: Some(delivery), ..filter.clone() }, now) {
            Err(Fault(QueueError::Corrupt { .. })) => {
                listed.extend(damaged(delivery, moment(received_at), filter));
            }
            one => listed.extend(one?),
        }
    }
    Ok(listed)
}

/// What can be said of a delivery whose page is damaged, where the filter does not ask for more than that.
fn damaged(delivery: DeliveryId, received_at: Timestamp, filter: &Filter) -> Option<Listed> {
    let message = MessageId::from_u64(delivery.as_u64());
    let mut listed = Listed::new(delivery, message, NextHop::new("", ""), received_at, received_at);
    listed.state = State::SetAside { reason: "a page of the queue is damaged".to_owned() };
    let asks_for_more = filter.next_hop.is_some()
        || filter.connector.is_some()
        || filter.sender.is_some()
        || filter.recipient.is_some()
        || filter.state.is_some_and(|state| state != StateKind::SetAside)
        || filter.message.is_some_and(|wanted| wanted != message)
        || filter.received_before.is_some_and(|before| received_at > before);
    (!asks_for_more).then_some(listed)
}

pub(super) fn queues(connection: &Connection, now: Timestamp) -> Result<Vec<QueueSummary>, Fault> {
    match count_all(connection, now) {
        Err(Fault(QueueError::Corrupt { .. })) => count_beside_damage(connection, now),
        queues => queues,
    }
}

/// Counts what can be listed; queues that are suspended and empty are left out.
fn count_beside_damage(connection: &Connection, now: Timestamp) -> Result<Vec<QueueSummary>, Fault> {
    let mut queues: BTreeMap<NextHop, QueueSummary> = BTreeMap::new();
    for listed in list_beside_damage(connection, &Filter::all(), now)? {
        let queue = queues
            .entry(listed.next_hop.clone())
            .or_insert_with(|| QueueSummary::new(listed.next_hop.clone()));
        queue.oldest = Some(queue.oldest.map_or(listed.received_at, |oldest| oldest.min(listed.received_at)));
        match listed.state {
            State::Waiting => {
                queue.waiting += 1;
                queue.next_due = Some(queue.next_due.map_or(listed.due, |due| due.min(listed.due)));
            }
            State::Active { .. } => queue.active += 1,
            State::Suspended => queue.suspended += 1,
            State::SetAside { .. } => queue.set_aside += 1,
        }
    }
    Ok(queues.into_values().collect())
}

fn count_all(connection: &Connection, now: Timestamp) -> Result<Vec<QueueSummary>, Fault> {
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

pub(super) fn next_hop(row: &Row<'_>, first: usize) -> rusqlite::Result<NextHop> {
    Ok(NextHop::new(row.get::<_, String>(first)?, row.get::<_, String>(first + 1)?))
}
