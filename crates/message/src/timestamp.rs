//! A moment that survives a restart: UTC milliseconds since 1970.

use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::tz::Offset;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

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
        let utc = Offset::UTC.to_datetime(self.jiff());
        let name =
            |names: &'static [&'static str], at: i8| names.get(usize::from(at.unsigned_abs()) - 1).copied();
        let mut text = String::with_capacity("Sun, 31 Mar 2024 16:36:45 +0000".len());
        text.push_str(name(&DAYS, utc.weekday().to_monday_one_offset()).unwrap_or("Mon"));
        text.push_str(", ");
        two_digits(&mut text, utc.day());
        text.push(' ');
        text.push_str(name(&MONTHS, utc.month()).unwrap_or("Jan"));
        let _ = write!(text, " {:04} ", utc.year());
        for (number, after) in [(utc.hour(), ":"), (utc.minute(), ":"), (utc.second(), " +0000")] {
            two_digits(&mut text, number);
            text.push_str(after);
        }
        text
    }

    /// `yyyyMMddHHmmssfff`, the suffix of Pickup's second-choice file names.
    pub fn to_compact(self) -> String {
        self.jiff().strftime("%Y%m%d%H%M%S%3f").to_string()
    }

    fn jiff(self) -> jiff::Timestamp {
        // Outside years -9999..=9999 there is no calendar date to print; the epoch stands in.
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// Of a day, an hour, a minute or a second.
fn two_digits(text: &mut String, number: i8) {
    let number = number.unsigned_abs();
    text.push(char::from(b'0' + number / 10 % 10));
    text.push(char::from(b'0' + number % 10));
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
    use proptest::prelude::*;

    #[test]
    fn prints_in_the_three_forms_of_the_trade() {
        let moment = Timestamp::from_unix_millis(1_711_903_005_042);
        assert_eq!(moment.to_string(), "2024-03-31T16:36:45.042Z");
        assert_eq!(moment.to_compact(), "20240331163645042");
        assert_eq!(moment.to_rfc5322(), "Sun, 31 Mar 2024 16:36:45 +0000");
    }

    proptest! {
        #[test]
        fn a_date_field_is_what_strftime_makes_of_it(millis in -300_000_000_000_000i64..250_000_000_000_000) {
            let moment = Timestamp::from_unix_millis(millis);
            let oracle = moment.jiff().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
            prop_assert_eq!(moment.to_rfc5322(), oracle);
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
