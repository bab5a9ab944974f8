//! How the log's records are written, sealed and read.
//!
//! A segment begins with a header: the magic number, its epoch, a key that nobody outside knows, and a seal over
//! these. Records follow without gaps: length, kind, seal, payload. The seal depends on the key and on the place, so that
//! neither what an earlier use of the file left, nor a message that looks like a record, passes for one.

use std::hash::{BuildHasher, Hasher, RandomState};

use postroad_message::{Content, Envelope, NextHop, Recipient, Timestamp};

use super::super::record;
use super::super::schema::VERSION;
use crate::error::QueueError;
use crate::item::{NewDelivery, NewMessage};
use crate::message_id::MessageId;

const MAGIC: u64 = u64::from_le_bytes(*b"postlog1");
pub(super) const HEADER: usize = 32;
const HEAD: usize = 16;

/// What a record tells.
pub(super) enum Record<'a> {
    /// A message was accepted.
    Accepted(Accepted<'a>),
    /// It was lent.
    Lent(Lent),
    /// All of its recipients have left.
    Left(MessageId),
    /// Their sources will not come with them again.
    Forgotten(Vec<MessageId>),
}

/// A message in its record: most of those that are found have left or moved, and are never read.
pub(super) struct Accepted<'a> {
    pub(super) id: MessageId,
    pub(super) source_key: Option<String>,
    line: &'a [u8],
    content: &'a [u8],
}

/// Who has a message, until when (in milliseconds), by which lending.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Lent {
    pub(super) message: u64,
    pub(super) generation: u64,
    pub(super) until: i64,
    pub(super) owner: String,
}

const ACCEPTED: u32 = 1;
const LENT: u32 = 2;
const LEFT: u32 = 3;
const FORGOTTEN: u32 = 4;

/// A message without its content, in its record.
#[derive(serde::Serialize)]
struct Line<'a> {
    id: u64,
    received_at: i64,
    source: &'a str,
    envelope: &'a Envelope,
    connector: &'a str,
    destination: &'a str,
    due: i64,
    recipients: &'a [Recipient],
    #[serde(skip_serializing_if = "Option::is_none")]
    source_key: Option<&'a str>,
}

#[derive(serde::Deserialize)]
struct OwnedLine {
    id: u64,
    received_at: i64,
    source: String,
    envelope: Envelope,
    connector: String,
    destination: String,
    due: i64,
    recipients: Vec<Recipient>,
    /// No record of version 4 has one.
    #[serde(default)]
    source_key: Option<String>,
}

/// What is read of each.
#[derive(serde::Deserialize)]
struct Known {
    id: u64,
    #[serde(default)]
    source_key: Option<String>,
}

/// A segment's identity: what its seals begin with.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) epoch: u64,
    secret: u64,
}

impl Key {
    /// A key for a segment that begins anew. The standard library draws its hash keys from the system's randomness.
    pub(super) fn new(epoch: u64) -> Self {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(epoch);
        Self { epoch, secret: hasher.finish() }
    }

    pub(super) fn write_header(self, to: &mut Vec<u8>) {
        let start = to.len();
        for number in [MAGIC, self.epoch, self.secret] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        let seal = record::seal(0, &[to.get(start..).unwrap_or_default()]);
        to.extend_from_slice(&seal.to_le_bytes());
    }

    /// `None` where this is no header of ours.
    pub(super) fn read_header(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let number = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let whole = number(0)? == MAGIC && number(24)? == record::seal(0, &[header.get(..24)?]);
        whole.then_some(Self { epoch: number(8)?, secret: number(16)? })
    }

    fn seal(self, place: u64, kind: u32, payload: &[&[u8]]) -> u64 {
        let seed = self.secret ^ place.rotate_left(17) ^ u64::from(kind).rotate_left(47);
        record::seal(seed, payload)
    }

    /// Appends a record that will stand at `place` in the file.
    fn push(self, to: &mut Vec<u8>, place: u64, kind: u32, payload: &[&[u8]]) {
        let length: usize = payload.iter().map(|part| part.len()).sum();
        to.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        to.extend_from_slice(&kind.to_le_bytes());
        to.extend_from_slice(&self.seal(place, kind, payload).to_le_bytes());
        for part in payload {
            to.extend_from_slice(part);
        }
    }

    pub(super) fn push_accepted(self, to: &mut Vec<u8>, place: u64, line: &[u8], content: &Content) {
        let length = u32::try_from(line.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.push(to, place, ACCEPTED, &[&length, line, content.head()]);
    }

    pub(super) fn push_lent(self, to: &mut Vec<u8>, place: u64, lent: &Lent) {
        self.push(to, place, LENT, &[&serde_json::to_vec(lent).unwrap_or_default()]);
    }

    pub(super) fn push_left(self, to: &mut Vec<u8>, place: u64, message: MessageId) {
        self.push(to, place, LEFT, &[&message.as_u64().to_le_bytes()]);
    }

    pub(super) fn push_forgotten(self, to: &mut Vec<u8>, place: u64, messages: &[MessageId]) {
        let ids: Vec<u8> = messages.iter().flat_map(|message| message.as_u64().to_le_bytes()).collect();
        self.push(to, place, FORGOTTEN, &[&ids]);
    }

    /// The records of a segment, up to the first that is not whole: it was being written when the machine stopped.
    ///
    /// One that is whole and says nothing to us is of a program that knows more: then nothing of the log is touched.
    pub(super) fn read(self, segment: &[u8]) -> Result<Vec<Record<'_>>, QueueError> {
        let mut records = Vec::new();
        let mut place = HEADER;
        while let Some((kind, payload)) = self.read_whole(segment, place) {
            let newer = QueueError::NewerSchema { found: VERSION + 1, known: VERSION };
            records.push(read_one(kind, payload).ok_or(newer)?);
            place += HEAD + payload.len();
        }
        Ok(records)
    }

    /// The kind and the payload of a record, if it is whole.
    fn read_whole(self, segment: &[u8], place: usize) -> Option<(u32, &[u8])> {
        let head = segment.get(place..place.checked_add(HEAD)?)?;
        let length = u32::from_le_bytes(head.get(..4)?.try_into().ok()?) as usize;
        let kind = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
        let seal = u64::from_le_bytes(head.get(8..16)?.try_into().ok()?);
        let begin = place + HEAD;
        let payload = segment.get(begin..begin.checked_add(length)?)?;
        let sealed = match kind {
            ACCEPTED => {
                let (size, line, content) = parts(payload)?;
                self.seal(place as u64, kind, &[size, line, content])
            }
            _ => self.seal(place as u64, kind, &[payload]),
        };
        (seal == sealed).then_some((kind, payload))
    }
}

/// The length of a message's line, the line, and its content.
fn parts(payload: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (size, rest) = payload.split_at_checked(4)?;
    let (line, content) = rest.split_at_checked(u32::from_le_bytes(size.try_into().ok()?) as usize)?;
    Some((size, line, content))
}

fn read_one(kind: u32, payload: &[u8]) -> Option<Record<'_>> {
    match kind {
        ACCEPTED => {
            let (_, line, content) = parts(payload)?;
            let Known { id, source_key } = serde_json::from_slice(line).ok()?;
            let id = MessageId::from_u64(id);
            Some(Record::Accepted(Accepted { id, source_key, line, content }))
        }
        LENT => serde_json::from_slice(payload).ok().map(Record::Lent),
        LEFT => Some(Record::Left(MessageId::from_u64(u64::from_le_bytes(payload.try_into().ok()?)))),
        FORGOTTEN => {
            let (ids, []) = payload.as_chunks::<8>() else { return None };
            let id = |bytes: &[u8; 8]| MessageId::from_u64(u64::from_le_bytes(*bytes));
            Some(Record::Forgotten(ids.iter().map(id).collect()))
        }
        _ => None,
    }
}

/// About how many bytes a message's record has beside its line and its content.
pub(super) const OVERHEAD: usize = HEAD + 4;

/// What is written of a message beside its content; `None` where it has not exactly one delivery.
pub(super) fn line(id: MessageId, message: &NewMessage) -> Option<Vec<u8>> {
    let [delivery] = message.deliveries.as_slice() else { return None };
    serde_json::to_vec(&Line {
        id: id.as_u64(),
        received_at: message.received_at.as_unix_millis(),
        source: &message.source,
        envelope: &record::bare(&message.envelope),
        connector: &delivery.next_hop.connector,
        destination: &delivery.next_hop.destination,
        due: delivery.due.as_unix_millis(),
        recipients: &delivery.recipients,
        source_key: message.source_key.as_deref(),
    })
    .ok()
}

impl Accepted<'_> {
    /// The message; `None` where it says less or more than we know.
    pub(super) fn message(&self) -> Option<NewMessage> {
        let line: OwnedLine = serde_json::from_slice(self.line).ok()?;
        let mut message = NewMessage::new(
            line.envelope,
            Content::from(self.content.to_vec()),
            Timestamp::from_unix_millis(line.received_at),
            line.source,
            vec![NewDelivery::new(
                NextHop::new(line.connector, line.destination),
                line.recipients,
                Timestamp::from_unix_millis(line.due),
            )],
        );
        message.id = Some(MessageId::from_u64(line.id));
        message.source_key = line.source_key;
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_newer_program_is_no_end_of_the_log() {
        let key = Key::new(7);
        let mut segment = Vec::new();
        key.write_header(&mut segment);
        let place = segment.len() as u64;
        key.push_left(&mut segment, place, MessageId::from_u64(1));
        assert!(matches!(key.read(&segment).as_deref(), Ok([Record::Left(_)])));
        let place = segment.len() as u64;
        key.push(&mut segment, place, 99, &[b"what we do not know"]);
        assert_eq!(
            key.read(&segment).err(),
            Some(QueueError::NewerSchema { found: VERSION + 1, known: VERSION })
        );
        segment.pop();
        assert_eq!(key.read(&segment).map(|records| records.len()), Ok(1), "one that is not whole is");
    }
}
