//! Lending deliveries and taking them back.

use postroad_message::{NextHop, Timestamp};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, ToSql, params_from_iter};

use super::content_file::Drafts;
use super::enqueue::{self, DeliveryRecord, Intake};
use super::fault::Fault;
use super::recent::Recent;
use super::record::{self, moment};
use super::writer::{Damaged, Labour, Promise, Work};
use super::{result, source_key};
use crate::error::QueueError;
use crate::item::{Claim, Claimed, Eligible, Kept, Lease, Settlement};
use crate::listing::QueuedRecipient;
use crate::message_id::{DeliveryId, MessageId};

/// What `owner` held is free at once, and whoever still believes in such a lease has lost it.
pub(super) fn start(work: &mut Work<'_>, owner: &str, now: Timestamp) -> Result<u64, Fault> {
    let freed = each_lent(
        work,
        "UPDATE delivery SET lease_until = NULL, lease_owner = NULL, generation = generation + 1,
             crashes = CASE trial WHEN 0 THEN max(crashes, 1) ELSE crashes + 1 END, trial = 0
         WHERE lease_until IS NOT NULL AND lease_owner = ?1",
        &owner,
    )?;
    work.beside_damage(Damaged::Lent, |connection| {
        connection.execute(
            "DELETE FROM queue WHERE suspended = 0
             AND NOT EXISTS (SELECT 1 FROM delivery WHERE queue = queue.id AND lease_until IS NULL AND hold = 0)
             AND NOT EXISTS (SELECT 1 FROM delivery WHERE queue = queue.id AND hold <> 0)
             AND id NOT IN (SELECT queue FROM delivery WHERE lease_until IS NOT NULL)",
            [],
        )
    })?;
    result::forget_gone(work)?;
    source_key::forget_old(work, now)?;
    work.set_owner(owner);
    work.wake();
    Ok(freed as u64)
}

/// What this store's server holds is free at once; a command that never declared a start has no name to free by.
pub(super) fn stop(work: &mut Work<'_>) -> Result<u64, Fault> {
    let freed = work.connection.execute(
        "UPDATE delivery SET lease_until = NULL, lease_owner = NULL, generation = generation + 1, trial = 0
         WHERE lease_until IS NOT NULL AND lease_owner = ?1 AND ?1 <> ''",
        [work.owner()],
    )?;
    Ok(freed as u64)
}

pub(super) fn claim(work: &mut Work<'_>, claim: &Claim) -> Result<Claimed, Fault> {
    free_expired(work, claim.now)?;
    let queue = match &claim.next_hop {
        Some(next_hop) => match known_queue(work, next_hop)? {
            Some((_, true)) if claim.eligible != Eligible::Any => return Ok(Claimed::default()),
            Some(queue) => Some(queue),
            None => {
                work.is_not_stored(next_hop);
                return Ok(Claimed::default());
            }
        },
        None => None,
    };
    let mut leases = Vec::new();
    for delivery in candidates(work, claim, queue.map(|(id, _)| id))? {
        if leases.len() < claim.limit
            && !work.is_damaged(Damaged::Delivery(delivery))
            && !work.is_unsynced(delivery)
            && let Some(lease) = lend(work, delivery, claim.lease_until)?
        {
            leases.push(lease);
        }
    }
    let next_due = match queue {
        Some((queue, false)) => next_due(work, queue)?,
        _ => None,
    };
    if let (Some((queue, false)), Some(hop), true, None) =
        (queue, &claim.next_hop, leases.is_empty(), next_due)
        && work.count_damaged() == 0
        && !has_any(work, queue)?
    {
        work.is_not_stored(hop);
    }
    Ok(Claimed { leases, next_due })
}

/// Whether anything of a queue is there, also what somebody has or holds.
fn has_any(work: &Work<'_>, queue: i64) -> Result<bool, Fault> {
    Ok(work
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM delivery WHERE queue = ?1 AND lease_until IS NULL AND hold = 0)
                 OR EXISTS (SELECT 1 FROM delivery WHERE queue = ?1 AND hold <> 0)
                 OR EXISTS (SELECT 1 FROM delivery WHERE lease_until IS NOT NULL AND queue = ?1)",
        )?
        .query_row([queue], |row| row.get(0))?)
}

/// What a settlement does, with the reports it owes.
pub(super) struct Settling {
    lease: Lease,
    settlement: Settlement,
    reports: Intake,
}

impl Settling {
    pub(super) fn new(lease: Lease, mut settlement: Settlement, drafts: Drafts, recent: Recent) -> Self {
        let reports = Intake::new(std::mem::take(&mut settlement.enqueue), drafts, recent);
        Self { lease, settlement, reports }
    }

    pub(super) fn weight(&self) -> usize {
        self.reports.weight() + 256 * (1 + self.settlement.results.len())
    }
}

impl Settling {
    /// A settlement that a power failure undoes is made again, or its mail is delivered twice; a report owed is mail, and
    /// what was promised of it is true.
    pub(super) fn promise(&self) -> Promise {
        if self.reports.is_empty() { Promise::Visible } else { Promise::Durable }
    }
}

impl Labour<Vec<MessageId>> for Settling {
    fn run(&mut self, work: &mut Work<'_>) -> Result<Vec<MessageId>, Fault> {
        settle(work, &self.lease, &self.settlement)?;
        self.reports.enqueue(work)
    }

    fn ended(&mut self, ended: Result<(), QueueError>) {
        self.reports.ended(ended);
    }
}

fn settle(work: &mut Work<'_>, lease: &Lease, settlement: &Settlement) -> Result<(), Fault> {
    let groups = groups(lease, &settlement.keep)?;
    if groups.is_empty() {
        let gone = remove_leased(work, number(lease.delivery), lease.generation.cast_signed())?;
        if gone == 0 {
            return Err(QueueError::LeaseLost { delivery: lease.delivery }.into());
        }
        result::write(work, lease.message, &settlement.results)?;
        return remove_if_done(work, lease.message.as_u64().cast_signed());
    }
    let hold = check(work, lease)?;
    result::write(work, lease.message, &settlement.results)?;
    let mut stayed = false;
    for group in &groups {
        let attempts =
            if group.next_hop.is_some() { 0 } else { lease.attempts + u32::from(settlement.attempted) };
        let delay_notified = lease.delay_notified || settlement.delay_notified;
        if group.next_hop.is_none() && !stayed {
            stayed = true;
            let crashes =
                if settlement.attempted { 0 } else { lease.crashes + u32::from(settlement.crashed) };
            keep_here(work, lease, group, Counts { attempts, crashes, delay_notified })?;
        } else {
            let record = DeliveryRecord {
                message: lease.message.as_u64().cast_signed(),
                next_hop: group.next_hop.unwrap_or(&lease.next_hop),
                received_at: lease.received_at.as_unix_millis(),
                due: group.due.as_unix_millis(),
                attempts,
                delay_notified,
                hold,
                recipients: &group.recipients,
            };
            enqueue::further_delivery(work, &record)?;
        }
        work.wake();
    }
    if !stayed {
        work.connection
            .prepare_cached("DELETE FROM delivery WHERE id = ?1")?
            .execute([number(lease.delivery)])?;
    }
    Ok(())
}

/// Where a damaged neighbour page forbids that it goes, it is suspended in its place: delivered mail must not be
/// delivered again and again.
fn remove_leased(work: &mut Work<'_>, delivery: i64, generation: i64) -> Result<usize, Fault> {
    let gone = work.beside_damage(Damaged::Delivery(delivery), |connection| {
        connection
            .prepare_cached("DELETE FROM delivery WHERE id = ?1 AND generation = ?2")?
            .execute((delivery, generation))
    })?;
    match gone {
        Some(gone) => Ok(gone),
        None => Ok(work
            .connection
            .prepare_cached("UPDATE delivery SET hold = 1 WHERE id = ?1 AND generation = ?2")?
            .execute((delivery, generation))?),
    }
}

pub(super) fn release(work: &mut Work<'_>, lease: &Lease, due: Timestamp) -> Result<(), Fault> {
    check(work, lease)?;
    work.connection
        .prepare_cached(
            "UPDATE delivery SET lease_until = NULL, lease_owner = NULL, generation = generation + 1, due = ?2, trial = 0
             WHERE id = ?1",
        )?
        .execute((number(lease.delivery), due.as_unix_millis()))?;
    work.wake();
    Ok(())
}

pub(super) fn begin_trial(work: &Work<'_>, delivery: DeliveryId, generation: u64) -> Result<(), Fault> {
    let changed = work
        .connection
        .prepare_cached("UPDATE delivery SET trial = 1 WHERE id = ?1 AND generation = ?2")?
        .execute((number(delivery), generation.cast_signed()))?;
    if changed == 0 { Err(QueueError::LeaseLost { delivery }.into()) } else { Ok(()) }
}

pub(super) fn extend(
    work: &mut Work<'_>,
    delivery: DeliveryId,
    generation: u64,
    until: Timestamp,
) -> Result<(), Fault> {
    let changed = work
        .connection
        .prepare_cached(
            "UPDATE delivery SET lease_until = ?3, lease_owner = ?4 WHERE id = ?1 AND generation = ?2",
        )?
        .execute((number(delivery), generation.cast_signed(), until.as_unix_millis(), work.owner()))?;
    if changed == 0 { Err(QueueError::LeaseLost { delivery }.into()) } else { Ok(()) }
}

/// Message and content go when nobody waits for them any more.
pub(super) fn remove_if_done(work: &mut Work<'_>, message: i64) -> Result<(), Fault> {
    // What lies on a damaged page cannot be removed: it stays there, and nobody finds it any more.
    let gone = work.beside_damage(Damaged::Message(message), |connection| {
        connection
            .prepare_cached(
                "DELETE FROM message WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM delivery WHERE id = ?1)
                 AND NOT EXISTS (SELECT 1 FROM delivery WHERE message = ?1 AND id <> message) RETURNING file",
            )?
            .query_row([message], |row| row.get::<_, Option<String>>(0))
            .optional()
    })?;
    if let Some(Some(file)) = gone {
        work.beside_damage(Damaged::Content(message), |connection| {
            connection.prepare_cached("DELETE FROM content WHERE message = ?1")?.execute([message])
        })?;
        if let Some(file) = file {
            work.doom(file);
        }
    }
    Ok(())
}

/// False where there is no such message. The reason stands with the message, if that can be written.
pub(super) fn set_aside(work: &mut Work<'_>, message: i64, reason: &str) -> Result<bool, Fault> {
    let found = work.beside_damage(Damaged::Message(message), |connection| {
        connection
            .prepare_cached("UPDATE message SET set_aside = ?2 WHERE id = ?1")?
            .execute((message, reason))
    })?;
    work.connection
        .prepare_cached(
            "UPDATE delivery SET hold = 2 WHERE id = ?1 AND message = ?1 OR message = ?1 AND id <> message",
        )?
        .execute([message])?;
    Ok(found != Some(0))
}

/// A lease that ran out is free for others; its generation stays, so that it can be settled until then.
fn free_expired(work: &mut Work<'_>, now: Timestamp) -> Result<(), Fault> {
    let sql = "UPDATE delivery SET lease_until = NULL, lease_owner = NULL WHERE lease_until <= ?1";
    each_lent(work, sql, &now.as_unix_millis()).map(|_| ())
}

/// Changes those that are lent, all of them at once, or one by one where some lie on damaged pages.
fn each_lent(work: &mut Work<'_>, sql: &str, value: &dyn ToSql) -> Result<usize, Fault> {
    let all =
        work.beside_damage(Damaged::Lent, |connection| connection.prepare_cached(sql)?.execute([value]))?;
    if let Some(changed) = all {
        return Ok(changed);
    }
    let ids: Vec<i64> = work
        .connection
        .prepare_cached("SELECT id FROM delivery INDEXED BY delivery_leased WHERE lease_until IS NOT NULL")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut changed = 0;
    for id in ids {
        let one = work.beside_damage(Damaged::Delivery(id), |connection| {
            connection.prepare_cached(&format!("{sql} AND id = ?2"))?.execute((value, id))
        })?;
        changed += one.unwrap_or(0);
    }
    Ok(changed)
}

/// The number of a queue, and whether it is suspended.
fn known_queue(work: &Work<'_>, next_hop: &NextHop) -> Result<Option<(i64, bool)>, Fault> {
    Ok(work
        .connection
        .prepare_cached("SELECT id, suspended FROM queue WHERE connector = ?1 AND destination = ?2")?
        .query_row((&next_hop.connector, &next_hop.destination), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// The deliveries that fit a claim. Each condition is written so that one of the partial indexes serves it.
fn candidates(work: &Work<'_>, claim: &Claim, queue: Option<i64>) -> Result<Vec<i64>, Fault> {
    let mut sql = String::from(" AND lease_until IS NULL");
    let mut values: Vec<Value> = Vec::new();
    let mut bind = |value: i64| {
        values.push(Value::Integer(value));
        values.len()
    };
    if let Some(queue) = queue {
        sql.push_str(&format!(" AND queue = ?{}", bind(queue)));
    }
    if let Some(message) = claim.message {
        let message = bind(message.as_u64().cast_signed());
        sql.push_str(&format!(" AND (id = ?{message} OR message = ?{message} AND id <> message)"));
    }
    if let Some(delivery) = claim.delivery {
        sql.push_str(&format!(" AND id = ?{}", bind(number(delivery))));
    }
    if let Some(before) = claim.received_before {
        let flags = if claim.not_delay_notified { "0" } else { "0, 1" };
        let before = bind(before.as_unix_millis());
        sql.push_str(&format!(" AND delay_notified IN ({flags}) AND received_at <= ?{before}"));
    } else if claim.not_delay_notified {
        sql.push_str(" AND delay_notified = 0");
    }
    if claim.eligible == Eligible::Due {
        sql.push_str(&format!(" AND due <= ?{}", bind(claim.now.as_unix_millis())));
    }
    if queue.is_none() && matches!(claim.eligible, Eligible::Due | Eligible::Waiting) {
        sql.push_str(" AND NOT EXISTS (SELECT 1 FROM queue AS q WHERE q.id = d.queue AND q.suspended)");
    }
    let limit = bind(
        i64::try_from(claim.limit.saturating_add(work.count_damaged() + work.count_unsynced()))
            .unwrap_or(i64::MAX),
    );
    let waiting = format!("SELECT id, due FROM delivery AS d WHERE hold = 0{sql}");
    let held = format!("SELECT id, due FROM delivery AS d WHERE hold <> 0 AND hold = 1{sql}");
    let sql = match claim.eligible {
        Eligible::Due | Eligible::Waiting => format!("{waiting} ORDER BY due LIMIT ?{limit}"),
        Eligible::Any => format!("{waiting} UNION ALL {held} ORDER BY due LIMIT ?{limit}"),
        Eligible::Held => {
            format!("SELECT id, due FROM delivery AS d WHERE true{sql} ORDER BY due LIMIT ?{limit}")
        }
    };
    let mut statement = work.connection.prepare_cached(&sql)?;
    let ids = statement.query_map(params_from_iter(values), |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Lends one delivery, or sets its message aside where the record cannot be read.
fn lend(work: &mut Work<'_>, delivery: i64, until: Timestamp) -> Result<Option<Lease>, Fault> {
    let read = work.beside_damage(Damaged::DeliveryOrMessage(delivery), |connection| {
        let mut statement = connection.prepare_cached(
            "SELECT d.id, d.generation, d.message, q.connector, q.destination, m.envelope, d.recipients, d.received_at,
                    m.source, m.size, d.attempts, d.crashes, d.delay_notified, m.watched, d.due
             FROM delivery AS d CROSS JOIN message AS m ON m.id = d.message CROSS JOIN queue AS q ON q.id = d.queue
             WHERE d.id = ?1",
        )?;
        match statement.query_row([delivery], |row| read_lease(row, until)) {
            Ok(Some(lease)) => Ok(Ok(lease)),
            Ok(None) => Ok(Err("the envelope or the recipients cannot be read")),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(Err("the message's record is missing")),
            Err(error @ rusqlite::Error::SqliteFailure(..)) => Err(error),
            Err(_) => Ok(Err("a record of the message is damaged")),
        }
    })?;
    let lease = match read {
        Some(Ok(lease)) => lease,
        Some(Err(reason)) => return damaged(work, delivery, reason),
        None => return on_a_damaged_page(work, delivery),
    };
    let owner = work.owner().to_owned();
    // A page that grows may have to share with a damaged neighbour; what cannot be lent is stepped over.
    let lent = work.beside_damage(Damaged::Delivery(delivery), |connection| {
        connection
            .prepare_cached(
                "UPDATE delivery SET lease_until = ?2, lease_owner = ?3, generation = ?4, trial = 0 WHERE id = ?1",
            )?
            .execute((delivery, until.as_unix_millis(), owner, lease.generation.cast_signed()))
    })?;
    Ok(lent.map(|_| lease))
}

fn damaged(work: &mut Work<'_>, delivery: i64, reason: &str) -> Result<Option<Lease>, Fault> {
    // A delivery that cannot even be marked is stepped over; whoever starts next finds that out anew.
    let message = work.beside_damage(Damaged::Delivery(delivery), |connection| {
        connection
            .prepare_cached("SELECT message FROM delivery WHERE id = ?1")?
            .query_row([delivery], |row| row.get(0))
    })?;
    if let Some(message) = message {
        set_aside(work, message, reason)?;
    }
    Ok(None)
}

/// Its own page, or that of its message: whichever it is, the other may be read.
fn on_a_damaged_page(work: &mut Work<'_>, delivery: i64) -> Result<Option<Lease>, Fault> {
    let message = work.beside_damage(Damaged::Delivery(delivery), |connection| {
        connection
            .prepare_cached("SELECT message FROM delivery WHERE id = ?1")?
            .query_row([delivery], |row| row.get(0))
    })?;
    if let Some(message) = message {
        work.damaged(Damaged::Message(message));
        set_aside(work, message, "")?;
    }
    Ok(None)
}

fn read_lease(row: &Row<'_>, until: Timestamp) -> rusqlite::Result<Option<Lease>> {
    let (envelope, recipients): (String, String) = (row.get(5)?, row.get(6)?);
    let (Some(mut envelope), Some(queued)) =
        (record::read_envelope(&envelope), record::read_recipients(&recipients))
    else {
        return Ok(None);
    };
    let (recipients, last_failures) =
        queued.into_iter().map(|queued| (queued.recipient, queued.last_failure)).unzip();
    envelope.recipients = recipients;
    let delivery = DeliveryId::from_u64(row.get::<_, i64>(0)?.cast_unsigned());
    let generation = row.get::<_, i64>(1)?.cast_unsigned().saturating_add(1);
    let message = MessageId::from_u64(row.get::<_, i64>(2)?.cast_unsigned());
    let next_hop = NextHop::new(row.get::<_, String>(3)?, row.get::<_, String>(4)?);
    let mut lease =
        Lease::new((delivery, generation), message, next_hop, envelope, moment(row.get(7)?), until);
    lease.last_failures = last_failures;
    lease.source = row.get(8)?;
    lease.size = row.get::<_, i64>(9)?.cast_unsigned();
    lease.attempts = row.get(10)?;
    lease.crashes = row.get(11)?;
    lease.delay_notified = row.get(12)?;
    lease.watched = row.get(13)?;
    lease.due = moment(row.get(14)?);
    Ok(Some(lease))
}

fn next_due(work: &Work<'_>, queue: i64) -> Result<Option<Timestamp>, Fault> {
    let mut statement = work.connection.prepare_cached(
        "SELECT id, due FROM delivery WHERE queue = ?1 AND lease_until IS NULL AND hold = 0 ORDER BY due",
    )?;
    let mut rows = statement.query([queue])?;
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        if !work.is_damaged(Damaged::Delivery(id)) && !work.is_unsynced(id) {
            return Ok(Some(moment(row.get(1)?)));
        }
    }
    Ok(None)
}

/// Gives the hold of a delivery whose lease is still good.
fn check(work: &Work<'_>, lease: &Lease) -> Result<i64, Fault> {
    work.connection
        .prepare_cached("SELECT hold FROM delivery WHERE id = ?1 AND generation = ?2")?
        .query_row((number(lease.delivery), lease.generation.cast_signed()), |row| row.get(0))
        .optional()?
        .ok_or(QueueError::LeaseLost { delivery: lease.delivery }.into())
}

/// Recipients that stay together: same next hop, same due time.
struct Group<'a> {
    next_hop: Option<&'a NextHop>,
    due: Timestamp,
    recipients: Vec<QueuedRecipient>,
}

fn groups<'a>(lease: &Lease, keep: &'a [Kept]) -> Result<Vec<Group<'a>>, Fault> {
    let mut named = vec![false; lease.envelope.recipients.len()];
    let mut groups: Vec<Group<'a>> = Vec::new();
    for kept in keep {
        let index = kept.index;
        let (Some(named), Some(recipient)) = (named.get_mut(index), lease.envelope.recipients.get(index))
        else {
            return Err(QueueError::NoSuchRecipient { index }.into());
        };
        if std::mem::replace(named, true) {
            return Err(QueueError::NoSuchRecipient { index }.into());
        }
        let before = lease.last_failures.get(index).cloned().flatten();
        let queued =
            QueuedRecipient { recipient: recipient.clone(), last_failure: kept.failure.clone().or(before) };
        let next_hop = kept.next_hop.as_ref().filter(|next_hop| **next_hop != lease.next_hop);
        match groups.iter_mut().find(|group| group.next_hop == next_hop && group.due == kept.due) {
            Some(group) => group.recipients.push(queued),
            None => groups.push(Group { next_hop, due: kept.due, recipients: vec![queued] }),
        }
    }
    Ok(groups)
}

/// What is counted of a delivery that stays.
struct Counts {
    attempts: u32,
    crashes: u32,
    delay_notified: bool,
}

fn keep_here(work: &Work<'_>, lease: &Lease, group: &Group<'_>, counts: Counts) -> Result<(), Fault> {
    work.connection
        .prepare_cached(
            "UPDATE delivery SET lease_until = NULL, lease_owner = NULL, generation = generation + 1, due = ?2, trial = 0,
                    attempts = ?3, delay_notified = ?4, recipients = ?5, crashes = ?6
             WHERE id = ?1",
        )?
        .execute((
            number(lease.delivery),
            group.due.as_unix_millis(),
            counts.attempts,
            counts.delay_notified,
            record::recipients_text(&group.recipients),
            counts.crashes,
        ))?;
    Ok(())
}

fn number(delivery: DeliveryId) -> i64 {
    delivery.as_u64().cast_signed()
}
