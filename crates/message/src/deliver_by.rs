//! The sender's deadline (DELIVERBY, RFC 2852), and the priority he gives a message (MT-PRIORITY, RFC 6710).

use crate::timestamp::Timestamp;

/// `BY=`: by when a message has to be delivered. It is a moment here, which survives a queue, and seconds on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DeliverBy {
    /// The moment.
    pub deadline: Timestamp,
    /// What becomes of the message if that passes.
    pub when_late: WhenLate,
    /// `T`: the sender wants to hear of every relay that it passes.
    #[cfg_attr(feature = "serde", serde(default))]
    pub trace: bool,
}

/// `by-mode = "N" / "R"` (RFC 2852 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum WhenLate {
    /// `N`: the sender hears of it, and delivery is tried on.
    Notify,
    /// `R`: it goes back to him undelivered.
    Return,
}

impl DeliverBy {
    /// The most seconds that fit `by-time = ["-" / "+"] 1*9DIGIT`.
    const MOST_SECONDS: i64 = 999_999_999;

    /// That deadline; the sender does not want to hear of every relay.
    pub fn new(deadline: Timestamp, when_late: WhenLate) -> Self {
        Self { deadline, when_late, trace: false }
    }

    /// Whole seconds from `now` to the deadline, negative behind it, as far as they can be written.
    pub fn seconds_left(self, now: Timestamp) -> i64 {
        let millis = self.deadline.as_unix_millis().saturating_sub(now.as_unix_millis());
        millis.div_euclid(1000).clamp(-Self::MOST_SECONDS, Self::MOST_SECONDS)
    }

    /// Whether it has to go back by now. The last second counts as gone: `R` cannot be said with none left.
    pub fn is_to_return(self, now: Timestamp) -> bool {
        self.when_late == WhenLate::Return && self.seconds_left(now) <= 0
    }
}

/// `priority-value = ["-"] NZDIGIT / "0"`: -9 to 9, the greater the more urgent (RFC 6710 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "i8", try_from = "i8")
)]
pub struct Priority(i8);

impl Priority {
    /// That priority, if there is one.
    pub fn new(value: i8) -> Option<Self> {
        (-9..=9).contains(&value).then_some(Self(value))
    }

    /// -9 to 9.
    pub fn value(self) -> i8 {
        self.0
    }
}

impl From<Priority> for i8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

impl TryFrom<i8> for Priority {
    type Error = NoSuchPriority;

    fn try_from(value: i8) -> Result<Self, Self::Error> {
        Self::new(value).ok_or(NoSuchPriority(value))
    }
}

/// A number outside -9 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no priority: it takes -9 to 9")]
pub struct NoSuchPriority(pub i8);

#[cfg(test)]
mod tests {
    use super::*;

    fn returned_at(millis: i64) -> DeliverBy {
        let deadline = Timestamp::from_unix_millis(millis);
        DeliverBy::new(deadline, WhenLate::Return)
    }

    #[test]
    fn the_seconds_left_are_whole_ones_and_never_more_than_there_are() {
        let by = returned_at(10_000);
        for (now, left) in
            [(0, 10), (1, 9), (9_000, 1), (9_001, 0), (10_000, 0), (10_001, -1), (i64::MAX, -999_999_999)]
        {
            assert_eq!(by.seconds_left(Timestamp::from_unix_millis(now)), left, "{now}");
        }
        assert_eq!(returned_at(i64::MAX).seconds_left(Timestamp::from_unix_millis(i64::MIN)), 999_999_999);
    }

    #[test]
    fn only_what_is_to_be_returned_is_ever_too_late() {
        let (by, late) = (returned_at(10_000), Timestamp::from_unix_millis(9_001));
        assert!(by.is_to_return(late) && !by.is_to_return(Timestamp::from_unix_millis(9_000)));
        assert!(!DeliverBy { when_late: WhenLate::Notify, ..by }.is_to_return(late));
    }

    #[test]
    fn a_priority_is_one_of_nineteen() {
        let all: Vec<i8> = (i8::MIN..=i8::MAX).filter_map(Priority::new).map(Priority::value).collect();
        assert_eq!(all, (-9..=9).collect::<Vec<i8>>());
        assert_eq!(Priority::try_from(10), Err(NoSuchPriority(10)));
    }
}
