//! A moment that survives a restart: UTC milliseconds since 1970.

use std::fmt;
use std::time::Duration;

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
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
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
    fn a_jumping_clock_saturates() {
        let late = Timestamp::from_unix_millis(i64::MAX);
        assert_eq!(late.after(Duration::from_secs(1)), late);
        assert_eq!(Timestamp::from_unix_millis(0).since(late), Duration::ZERO);
        assert!(!late.to_string().is_empty());
    }
}
