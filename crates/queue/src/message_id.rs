//! The names of messages and deliveries in a queue: short, and sorted by age.

use std::fmt;
use std::str::FromStr;

use postroad_message::Timestamp;

/// Milliseconds take the upper bits; 2²¹ ids fit in each.
const MILLIS_SHIFT: u32 = 21;

/// A message in the queue, as logs, replies and listings show it: 16 hexadecimal digits, older ones first.
///
/// The store makes it, or the door that brings the message. It is never used twice, also after the message is gone.
///
/// ```
/// use postroad_queue::MessageId;
/// let id: MessageId = "031d7de1a5a00000".parse()?;
/// assert_eq!(id.to_string(), "031d7de1a5a00000");
/// # Ok::<(), postroad_queue::InvalidId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

/// One message's recipients at one next hop; 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(u64);

/// The text is not 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a queue id: expected 16 hexadecimal digits")]
pub struct InvalidId;

impl MessageId {
    /// For stores: the lowest id that a message received at `at` may have, so that ids sort by age.
    ///
    /// Always below 2⁶³. Times before 1970 count as 1970, those after 2108 as 2108.
    pub fn earliest_at(at: Timestamp) -> Self {
        let millis = u64::try_from(at.as_unix_millis()).unwrap_or(0).min((1 << 42) - (1 << 32));
        Self(millis << MILLIS_SHIFT)
    }

    /// For doors: the id of a message received at `at` that must be known before it is queued, because it stands in its
    /// `Received` field: see [`NewMessage::id`](crate::NewMessage::id).
    ///
    /// `number` tells apart what came within a millisecond: its lower 20 bits count. Stores begin in the other half.
    pub fn ahead(at: Timestamp, number: u32) -> Self {
        const UPPER_HALF: u64 = 1 << (MILLIS_SHIFT - 1);
        Self(Self::earliest_at(at).0 | UPPER_HALF | (u64::from(number) % UPPER_HALF))
    }
}

macro_rules! id {
    ($name:ident) => {
        impl $name {
            /// The id with this number.
            pub const fn from_u64(number: u64) -> Self {
                Self(number)
            }

            /// Its number.
            pub const fn as_u64(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(InvalidId);
                }
                u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidId)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id!(MessageId);
id!(DeliveryId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_age_as_numbers_and_as_text() {
        let ids: Vec<MessageId> = [i64::MIN, 0, 1, 1_700_000_000_000, 1_700_000_000_001, i64::MAX]
            .map(|millis| MessageId::earliest_at(Timestamp::from_unix_millis(millis)))
            .to_vec();
        assert!(ids.is_sorted());
        assert!(ids.iter().map(MessageId::to_string).is_sorted());
        assert!(ids.iter().all(|id| id.as_u64() < 1 << 63));
    }

    #[test]
    fn reads_what_it_prints_and_nothing_else() {
        for text in ["", "0", "+31d7de1a5a00000", "031d7de1a5a0000g", "031d7de1a5a000000"] {
            assert_eq!(text.parse::<MessageId>(), Err(InvalidId), "{text:?}");
        }
        let id = MessageId::from_u64(u64::MAX);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
