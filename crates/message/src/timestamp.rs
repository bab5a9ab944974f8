//! A moment that survives a restart: UTC milliseconds since 1970.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// UTC milliseconds since 1970-01-01, leap seconds not counted.
///
/// Session timers are [`std::time::Instant`]; whatever is written to disk is a `Timestamp`.
/// Arithmetic saturates: a clock that jumps can make a message late, never make us panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment so many milliseconds after (or, negative, before) 1970-01-01T00:00:00Z.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// This moment and `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As the `Date:` and `Received:` fields write it (RFC 5322 section 3.3), always in UTC.
    ///
    /// ```
    /// use postroad_message::Timestamp;
    /// let moment = Timestamp::from_unix_millis(1_711_903_005_000);
    /// assert_eq!(moment.to_rfc5322(), "Sun, 31 Mar 2024 16:36:45 +0000");
    /// ```
    pub fn to_rfc5322(self) -> String {
        self.jiff().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }

    /// `yyyyMMddHHmmssfff`, the suffix of Pickup's second-choice file names.
    pub fn to_compact(self) -> String {
        self.jiff().strftime("%Y%m%d%H%M%S%3f").to_string()
    }

    /// Reads `yyyyMMddHHmmss`, fourteen digits, in UTC, up to 30 December 9999; `None` where there is no such moment.
    pub fn from_compact(text: &str) -> Option<Self> {
        let is_one = text.len() == 14 && text.bytes().all(|byte| byte.is_ascii_digit());
        let read = jiff::fmt::strtime::parse("%Y%m%d%H%M%S", text).ok().filter(|_| is_one)?;
        let moment = jiff::tz::TimeZone::UTC.to_timestamp(read.to_datetime().ok()?).ok()?;
        Some(Self(moment.as_millisecond()))
    }

    fn jiff(self) -> jiff::Timestamp {
        // Outside years -9999..=9999 there is no calendar date to print; the epoch stands in.
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// To the millisecond. The clock is the caller's to ask: `Timestamp::from(SystemTime::now())`.
impl From<SystemTime> for Timestamp {
    fn from(moment: SystemTime) -> Self {
        match moment.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(millis(since)),
            Err(before) => Self(-millis(before.duration())),
        }
    }
}

/// 1970 itself, where the system has no such moment.
impl From<Timestamp> for SystemTime {
    fn from(moment: Timestamp) -> Self {
        let span = Duration::from_millis(moment.0.unsigned_abs());
        let there = if moment.0 < 0 {
            Self::UNIX_EPOCH.checked_sub(span)
        } else {
            Self::UNIX_EPOCH.checked_add(span)
        };
        there.unwrap_or(Self::UNIX_EPOCH)
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The text is no moment as RFC 3339 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a moment: expected date, time and offset as RFC 3339 writes them, such as 2024-03-31T16:36:45.042Z"
)]
pub struct InvalidTimestamp;

/// `date-time = full-date "T" full-time` (RFC 3339 section 5.6), of any offset; what is finer than a millisecond is cut off.
impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Ok(Self(moment.as_millisecond()))
    }
}

/// RFC 3339 in UTC with milliseconds, as logs and `--json` show it.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.jiff().strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_in_the_three_forms_of_the_trade() {
        let moment = Timestamp::from_unix_millis(1_711_903_005_042);
        assert_eq!(moment.to_string(), "2024-03-31T16:36:45.042Z");
        assert_eq!(moment.to_compact(), "20240331163645042");
        assert_eq!(moment.to_rfc5322(), "Sun, 31 Mar 2024 16:36:45 +0000");
    }

    #[test]
    fn the_compact_form_is_read_back() {
        let of = |text: &str| Timestamp::from_compact(text).map(Timestamp::to_compact);
        for text in ["19700101000000", "20240229235959", "20500101000000", "99991230000000"] {
            assert_eq!(of(text), Some(format!("{text}000")));
        }
        for text in ["20230229000000", "20241301000000", "2024010100000", "+2024010100000", "202401010000000"]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for (text, printed) in [
            ("2024-03-31T16:36:45.042Z", Ok("2024-03-31T16:36:45.042Z")),
            ("2024-03-31T18:36:45.0429+02:00", Ok("2024-03-31T16:36:45.042Z")),
            ("1969-12-31T23:59:59Z", Ok("1969-12-31T23:59:59.000Z")),
            ("2024-03-31T16:36:45", Err(InvalidTimestamp)),
            ("2024-02-30T16:36:45Z", Err(InvalidTimestamp)),
            ("", Err(InvalidTimestamp)),
        ] {
            let read = text.parse::<Timestamp>().map(|moment| moment.to_string());
            assert_eq!(read, printed.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn the_systems_time_goes_there_and_back() {
        for millis in [0, 1, 1_711_903_005_042, -1, -86_400_000] {
            let moment = Timestamp::from_unix_millis(millis);
            assert_eq!(Timestamp::from(SystemTime::from(moment)), moment);
        }
        let odd = SystemTime::UNIX_EPOCH + Duration::from_micros(1_500);
        assert_eq!(Timestamp::from(odd), Timestamp::from_unix_millis(1));
    }

    #[test]
    fn a_jumping_clock_saturates() {
        let late = Timestamp::from_unix_millis(i64::MAX);
        assert_eq!(late.after(Duration::from_secs(1)), late);
        assert_eq!(Timestamp::from_unix_millis(0).since(late), Duration::ZERO);
        assert!(!late.to_string().is_empty());
    }
}
