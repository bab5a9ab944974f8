//! How records are written: JSON text that a postmaster can read with `sqlite3`, and a checksum for content.

use postroad_message::{Envelope, Outcome, Recipient, Timestamp};

use crate::listing::QueuedRecipient;

/// The envelope without its recipients, which stand with each delivery.
pub(super) fn envelope_text(envelope: &Envelope) -> String {
    text(&bare(envelope))
}

pub(super) fn bare(envelope: &Envelope) -> Envelope {
    let mut bare = Envelope::new(envelope.reverse_path.clone(), Vec::new());
    bare.ret = envelope.ret;
    bare.envelope_id = envelope.envelope_id.clone();
    bare.body = envelope.body;
    bare.smtputf8 = envelope.smtputf8;
    bare.require_tls = envelope.require_tls;
    bare.deliver_by = envelope.deliver_by;
    bare.priority = envelope.priority;
    bare
}

/// `None` where the text is not an envelope.
pub(super) fn read_envelope(text: &str) -> Option<Envelope> {
    serde_json::from_str(text).ok()
}

pub(super) fn recipients_text(recipients: &[QueuedRecipient]) -> String {
    text(&recipients)
}

/// `None` where the text is not a list of recipients, or an empty one.
pub(super) fn read_recipients(text: &str) -> Option<Vec<QueuedRecipient>> {
    serde_json::from_str(text).ok().filter(|list: &Vec<_>| !list.is_empty())
}

/// A recipient that left, and its final outcome.
pub(super) fn result_texts((recipient, outcome): &(Recipient, Outcome)) -> (String, String) {
    (text(recipient), text(outcome))
}

/// `None` where the texts are not a recipient and an outcome.
pub(super) fn read_result(recipient: &str, outcome: &str) -> Option<(Recipient, Outcome)> {
    Some((serde_json::from_str(recipient).ok()?, serde_json::from_str(outcome).ok()?))
}

/// Our types have no map with keys other than strings and no failing `Serialize`, so this never gives "".
fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Finds damage (a zeroed page, a flipped bit), not malice: eight bytes at a time, the length mixed in.
pub(super) fn checksum(bytes: &[u8]) -> i64 {
    seal(0, &[bytes]).cast_signed()
}

/// The same of several pieces, beginning with a number: whoever does not know it does not hit the sum.
pub(super) fn seal(seed: u64, parts: &[&[u8]]) -> u64 {
    parts.iter().fold(seed, |sum, part| {
        let mut checksum = Checksum::beginning(sum, part.len());
        checksum.add(part);
        checksum.sum()
    })
}

/// The checksum of bytes that come in pieces.
pub(super) struct Checksum {
    sum: u64,
    /// The word that is not full yet.
    word: [u8; 8],
    filled: usize,
}

impl Checksum {
    /// Of so many bytes.
    pub(super) fn of(length: usize) -> Self {
        Self::beginning(0, length)
    }

    fn beginning(seed: u64, length: usize) -> Self {
        Self { sum: seed ^ (length as u64).wrapping_mul(ODD), word: [0; 8], filled: 0 }
    }

    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        if self.filled > 0 {
            let (fits, after) = bytes.split_at(bytes.len().min(8 - self.filled));
            self.fill(fits);
            if self.filled < 8 {
                return;
            }
            self.sum = mixed(self.sum, self.word);
            (self.word, self.filled, bytes) = ([0; 8], 0, after);
        }
        let (words, rest) = bytes.as_chunks::<8>();
        self.sum = words.iter().fold(self.sum, |sum, word| mixed(sum, *word));
        self.fill(rest);
    }

    fn fill(&mut self, bytes: &[u8]) {
        let free = self.word.iter_mut().skip(self.filled);
        free.zip(bytes).for_each(|(to, from)| *to = *from);
        self.filled += bytes.len();
    }

    /// As it stands in the tables.
    pub(super) fn finish(&self) -> i64 {
        self.sum().cast_signed()
    }

    fn sum(&self) -> u64 {
        mixed(self.sum, self.word)
    }
}

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

fn mixed(sum: u64, word: [u8; 8]) -> u64 {
    (sum ^ u64::from_le_bytes(word)).wrapping_mul(ODD).rotate_left(29)
}

pub(super) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_lost_byte_changes_the_checksum() {
        let bytes: Vec<u8> = (0..61).collect();
        let whole = checksum(&bytes);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(checksum(&flipped), whole);
        }
        for end in 0..bytes.len() {
            assert_ne!(checksum(&bytes[..end]), whole);
        }
        assert_ne!(checksum(&[0; 8]), checksum(&[0; 9]));
    }

    #[test]
    fn in_pieces_it_is_the_same_and_what_it_was_in_queues_that_exist() {
        let bytes: Vec<u8> = (0..61).collect();
        assert_eq!(checksum(&bytes), -2061474509251820970);
        for cut in 1..=bytes.len() {
            let mut checksum_of = Checksum::of(bytes.len());
            bytes.chunks(cut).for_each(|piece| checksum_of.add(piece));
            assert_eq!(checksum_of.finish(), checksum(&bytes), "{cut}");
        }
    }
}
