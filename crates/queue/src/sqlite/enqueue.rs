//! Writing new messages.

use postroad_message::NextHop;
use rusqlite::OptionalExtension;

use super::content_file::Drafts;
use super::fault::Fault;
use super::fresh::Reserved;
use super::lease;
use super::recent::Recent;
use super::record;
use super::source_key;
use super::writer::{Labour, Work};
use crate::error::QueueError;
use crate::item::{NewDelivery, NewMessage};
use crate::listing::QueuedRecipient;
use crate::message_id::MessageId;

/// Messages to be queued, and the files that hold the large contents among them already.
pub(super) struct Intake {
    messages: Vec<NewMessage>,
    drafts: Drafts,
    /// What the last run queued; nothing where one was known before.
    new: Vec<MessageId>,
    recent: Recent,
    /// Nobody else comes with their keys meanwhile.
    reserved: Option<Reserved>,
}

impl Intake {
    pub(super) fn new(messages: Vec<NewMessage>, drafts: Drafts, recent: Recent) -> Self {
        Self { messages, drafts, new: Vec::new(), recent, reserved: None }
    }

    pub(super) fn with(self, reserved: Option<Reserved>) -> Self {
        Self { reserved, ..self }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn weight(&self) -> usize {
        let of = |message: &NewMessage| {
            let recipients: usize = message.deliveries.iter().map(|delivery| delivery.recipients.len()).sum();
            512 + recipients * 96
        };
        let inline = self.messages.iter().enumerate().filter(|(index, _)| self.drafts.file(*index).is_none());
        let inline: usize = inline.map(|(_, message)| message.content.len()).sum();
        inline + self.messages.iter().map(of).sum::<usize>()
    }

    /// All of them or none; the earlier ids where the source came with one of them before.
    pub(super) fn enqueue(&mut self, work: &mut Work<'_>) -> Result<Vec<MessageId>, Fault> {
        self.drafts.wanted(false);
        let (ids, new) = enqueue_all(work, &self.messages, &self.drafts)?;
        self.drafts.wanted(new);
        self.new = if new { ids.clone() } else { Vec::new() };
        Ok(ids)
    }

    /// Takes all of it out again; what was queued before stays.
    fn take_out(&self, work: &mut Work<'_>) -> Result<(), Fault> {
        for id in &self.new {
            take_out(work, id.as_u64().cast_signed())?;
        }
        let keys = self.messages.iter().filter_map(|message| message.source_key.as_ref());
        for key in keys.filter(|_| !self.new.is_empty()) {
            source_key::forget(work, key)?;
        }
        Ok(())
    }

    /// See [`Labour::ended`].
    pub(super) fn ended(&mut self, ended: Result<(), QueueError>) {
        if ended.is_ok() {
            // A large one is read from its file, where its pages are still: it would be as long in memory as many others.
            for (index, (id, message)) in self.new.iter().zip(&self.messages).enumerate() {
                if self.drafts.file(index).is_none() {
                    self.recent.put(*id, &message.content);
                }
            }
        }
        self.drafts.ended(ended);
        self.reserved = None;
    }
}

impl Labour<Vec<MessageId>> for Intake {
    fn run(&mut self, work: &mut Work<'_>) -> Result<Vec<MessageId>, Fault> {
        work.shelf.is_taken_up()?;
        self.enqueue(work)
    }

    fn undo(&mut self, work: &mut Work<'_>, _: &Vec<MessageId>) -> Result<bool, Fault> {
        self.take_out(work)?;
        Ok(true)
    }

    fn ended(&mut self, ended: Result<(), QueueError>) {
        Self::ended(self, ended);
    }
}

/// Removes a message with all of its deliveries.
pub(super) fn take_out(work: &mut Work<'_>, id: i64) -> Result<(), Fault> {
    work.connection
        .prepare_cached(
            "DELETE FROM delivery WHERE id = ?1 AND message = ?1 OR message = ?1 AND id <> message",
        )?
        .execute([id])?;
    lease::remove_if_done(work, id)
}

/// Writes a message down that was accepted before, under its id; where another one has it, under one of its own.
pub(super) fn insert_as_known(work: &mut Work<'_>, message: &NewMessage) -> Result<i64, Fault> {
    let id = message.id.map_or(0, |id| id.as_u64().cast_signed());
    let is_taken = work.connection.prepare_cached("SELECT 1 FROM message WHERE id = ?1")?.exists([id])?;
    let inserted = match is_taken || id == 0 {
        false => insert(work, message, None)?,
        true => {
            let mut message = message.clone();
            message.id = None;
            insert(work, &message, None)?
        }
    };
    Ok(inserted.as_u64().cast_signed())
}

fn enqueue_all(
    work: &mut Work<'_>,
    messages: &[NewMessage],
    drafts: &Drafts,
) -> Result<(Vec<MessageId>, bool), Fault> {
    if messages.iter().any(has_nothing_to_deliver) {
        return Err(QueueError::NothingToDeliver.into());
    }
    let keys = || messages.iter().filter_map(|message| message.source_key.as_deref());
    for key in keys() {
        if let Some(ids) = source_key::earlier(work, key)? {
            return Ok((ids, false));
        }
    }
    let mut ids = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        ids.push(insert(work, message, drafts.file(index))?);
    }
    for key in keys() {
        source_key::remember(work, key, &ids)?;
    }
    work.wake();
    Ok((ids, true))
}

/// Another delivery of a message: at once for a new one, later for recipients that part ways.
pub(super) struct DeliveryRecord<'a> {
    pub(super) message: i64,
    pub(super) next_hop: &'a NextHop,
    pub(super) received_at: i64,
    pub(super) due: i64,
    pub(super) attempts: u32,
    pub(super) delay_notified: bool,
    pub(super) hold: i64,
    pub(super) recipients: &'a [QueuedRecipient],
}

/// A delivery beside the message's first.
pub(super) fn further_delivery(work: &mut Work<'_>, record: &DeliveryRecord<'_>) -> Result<(), Fault> {
    let id = work.new_id(MessageId::from_u64(0));
    insert_delivery(work, id, record)
}

fn insert_delivery(work: &mut Work<'_>, id: i64, record: &DeliveryRecord<'_>) -> Result<(), Fault> {
    let queue = queue_id(work, record.next_hop)?;
    work.is_stored(record.next_hop);
    work.connection
        .prepare_cached(
            "INSERT INTO delivery (id, message, queue, received_at, due, attempts, delay_notified, hold, recipients)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            id,
            record.message,
            queue,
            record.received_at,
            record.due,
            record.attempts,
            record.delay_notified,
            record.hold,
            record::recipients_text(record.recipients),
        ))?;
    work.is_new(id);
    Ok(())
}

/// The number of a queue, which is made where there is none of that name.
pub(super) fn queue_id(work: &Work<'_>, next_hop: &NextHop) -> Result<i64, Fault> {
    let name = (&next_hop.connector, &next_hop.destination);
    let known = work
        .connection
        .prepare_cached("SELECT id FROM queue WHERE connector = ?1 AND destination = ?2")?
        .query_row(name, |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    work.connection
        .prepare_cached("INSERT INTO queue (connector, destination) VALUES (?1, ?2)")?
        .execute(name)?;
    Ok(work.connection.last_insert_rowid())
}

fn has_nothing_to_deliver(message: &NewMessage) -> bool {
    message.deliveries.is_empty() || message.deliveries.iter().any(|delivery| delivery.recipients.is_empty())
}

fn insert(work: &mut Work<'_>, message: &NewMessage, file: Option<(&str, i64)>) -> Result<MessageId, Fault> {
    let id = match message.id {
        Some(id) => {
            work.shelf.is_known(id);
            id.as_u64().cast_signed()
        }
        None => work.new_id(MessageId::earliest_at(message.received_at)),
    };
    let received_at = message.received_at.as_unix_millis();
    work.connection
        .prepare_cached(
            "INSERT INTO message (id, received_at, source, sender, size, watched, envelope, file)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            id,
            received_at,
            &message.source,
            message.envelope.reverse_path.to_string(),
            i64::try_from(message.content.len()).unwrap_or(i64::MAX),
            message.watched,
            record::envelope_text(&message.envelope),
            file.map(|(name, _)| name),
        ))?;
    let (body, checksum) = match (file, message.content.in_memory()) {
        (Some((_, checksum)), _) => (&[][..], checksum),
        (None, Some(bytes)) => (bytes, record::checksum(bytes)),
        // Never a part of it: who is not in memory is in a file by now.
        (None, None) => return Err(QueueError::Io { code: 0 }.into()),
    };
    work.connection
        .prepare_cached("INSERT INTO content (message, checksum, body) VALUES (?1, ?2, ?3)")?
        .execute((id, checksum, body))?;
    for (index, NewDelivery { next_hop, recipients, due }) in message.deliveries.iter().enumerate() {
        let recipients: Vec<_> =
            recipients.iter().map(|recipient| QueuedRecipient::new(recipient.clone())).collect();
        let record = DeliveryRecord {
            message: id,
            next_hop,
            received_at,
            due: due.as_unix_millis(),
            attempts: 0,
            delay_notified: false,
            hold: 0,
            recipients: &recipients,
        };
        // The first bears the message's number: it is found without an index.
        match index {
            0 => insert_delivery(work, id, &record)?,
            _ => further_delivery(work, &record)?,
        }
    }
    Ok(MessageId::from_u64(id.cast_unsigned()))
}
