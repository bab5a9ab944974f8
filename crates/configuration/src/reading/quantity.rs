//! Spans and sizes as relay.toml writes them.

use std::time::Duration;

/// Why a text is no span or no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// Not a number followed by a span's unit, nor `[d.]hh:mm:ss`.
    #[error("a span is a whole number and one of ms, s, m, h, d (\"30s\"), or [d.]hh:mm:ss (\"1.00:00:00\")")]
    NotASpan,
    /// Hours above 23, or minutes or seconds above 59, in `[d.]hh:mm:ss`.
    #[error("in [d.]hh:mm:ss hours end at 23, minutes and seconds at 59; write days as \"1.00:00:00\"")]
    ClockPart,
    /// Not a number, with or without a size's unit.
    #[error("a size is a whole number of bytes, or one with B, KB, MB, GB or TB (powers of 1024): \"35MB\"")]
    NotASize,
    /// More than 2^64 - 1 bytes or milliseconds.
    #[error("this is more than can be counted")]
    TooMuch,
}

/// `span = 1*DIGIT ("ms" / "s" / "m" / "h" / "d") / [1*DIGIT "."] 2DIGIT ":" 2DIGIT ":" 2DIGIT`
///
/// ```
/// use std::time::Duration;
/// use postroad_configuration::parse_span;
/// assert_eq!(parse_span("15m"), Ok(Duration::from_secs(900)));
/// assert_eq!(parse_span("1.00:00:30"), Ok(Duration::from_secs(86_430)));
/// assert!(parse_span("15").is_err());
/// ```
///
/// # Errors
/// The text is no span, or one of more than can be counted.
pub fn parse_span(text: &str) -> Result<Duration, QuantityError> {
    let text = text.trim();
    if text.contains(':') { clock_span(text) } else { unit_span(text) }
}

/// `size = 1*DIGIT ["B" / "KB" / "MB" / "GB" / "TB"]`, in bytes, units in either case, powers of 1024, never rounded.
///
/// ```
/// use postroad_configuration::parse_size;
/// assert_eq!(parse_size("35MB"), Ok(36_700_160));
/// assert_eq!(parse_size("64 KB"), Ok(65_536));
/// assert_eq!(parse_size("1234567"), Ok(1_234_567));
/// ```
///
/// # Errors
/// The text is no size, or one of more than can be counted.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    let (number, unit) = number_and_unit(text.trim());
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "KB" => 10,
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        _ => return Err(QuantityError::NotASize),
    };
    let number = whole(number, QuantityError::NotASize)?;
    number.checked_mul(1_u64 << shift).ok_or(QuantityError::TooMuch)
}

/// A size as a postmaster would write it: the largest unit that divides it.
pub(crate) fn size_text(bytes: u64) -> String {
    let units = [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")];
    for (shift, unit) in units {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    if bytes == 1 { "1 byte".into() } else { format!("{bytes} bytes") }
}

/// A span as a postmaster would write it: the largest unit that divides it.
pub(crate) fn span_text(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    for (length, unit) in units {
        if millis > 0 && millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    if millis == 0 { "0s".into() } else { format!("{millis}ms") }
}

fn unit_span(text: &str) -> Result<Duration, QuantityError> {
    let (number, unit) = number_and_unit(text);
    let millis_each: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(QuantityError::NotASpan),
    };
    let number = whole(number, QuantityError::NotASpan)?;
    number.checked_mul(millis_each).map(Duration::from_millis).ok_or(QuantityError::TooMuch)
}

fn clock_span(text: &str) -> Result<Duration, QuantityError> {
    let (days, clock) = text.split_once('.').unwrap_or(("0", text));
    let mut parts = clock.split(':');
    let mut two_digits = |most: u64| -> Result<u64, QuantityError> {
        let part =
            parts.next().filter(|part| (1..=2).contains(&part.len())).ok_or(QuantityError::NotASpan)?;
        let number = whole(part, QuantityError::NotASpan)?;
        if number > most { Err(QuantityError::ClockPart) } else { Ok(number) }
    };
    let (hours, minutes, seconds) = (two_digits(23)?, two_digits(59)?, two_digits(59)?);
    if parts.next().is_some() {
        return Err(QuantityError::NotASpan);
    }
    let days = whole(days, QuantityError::NotASpan)?;
    let seconds =
        days.checked_mul(86_400).and_then(|s| s.checked_add(hours * 3_600 + minutes * 60 + seconds));
    // Milliseconds must fit too: that is what a queue writes down.
    seconds.filter(|s| s.checked_mul(1_000).is_some()).map(Duration::from_secs).ok_or(QuantityError::TooMuch)
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

fn whole(digits: &str, otherwise: QuantityError) -> Result<u64, QuantityError> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(otherwise);
    }
    // Only digits are left, so that the one way to fail is to be too long.
    digits.parse().map_err(|_| QuantityError::TooMuch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans() {
        let day = 86_400_000;
        let table: &[(&str, Result<u64, QuantityError>)] = &[
            ("0s", Ok(0)),
            ("250ms", Ok(250)),
            ("30s", Ok(30_000)),
            ("15m", Ok(900_000)),
            ("4h", Ok(14_400_000)),
            ("2d", Ok(2 * day)),
            ("30 s", Ok(30_000)),
            ("00:10:00", Ok(600_000)),
            ("1.00:00:00", Ok(day)),
            ("0:0:1", Ok(1_000)),
            ("24:00:00", Err(QuantityError::ClockPart)),
            ("00:60:00", Err(QuantityError::ClockPart)),
            ("00:00", Err(QuantityError::NotASpan)),
            ("00:00:00:00", Err(QuantityError::NotASpan)),
            ("x.00:00:00", Err(QuantityError::NotASpan)),
            ("30", Err(QuantityError::NotASpan)),
            ("", Err(QuantityError::NotASpan)),
            ("s", Err(QuantityError::NotASpan)),
            ("-1s", Err(QuantityError::NotASpan)),
            ("+1s", Err(QuantityError::NotASpan)),
            ("1.5h", Err(QuantityError::NotASpan)),
            ("30S", Err(QuantityError::NotASpan)),
            ("99999999999999999999s", Err(QuantityError::TooMuch)),
            ("18446744073709551615d", Err(QuantityError::TooMuch)),
            ("18446744073709551615.00:00:00", Err(QuantityError::TooMuch)),
        ];
        for (text, millis) in table {
            assert_eq!(parse_span(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn sizes() {
        let table: &[(&str, Result<u64, QuantityError>)] = &[
            ("0", Ok(0)),
            ("0B", Ok(0)),
            ("1B", Ok(1)),
            ("1KB", Ok(1_024)),
            ("35MB", Ok(36_700_160)),
            ("35 mb", Ok(36_700_160)),
            ("1GB", Ok(1 << 30)),
            ("1TB", Ok(1 << 40)),
            ("1025", Ok(1_025)),
            ("1.5MB", Err(QuantityError::NotASize)),
            ("MB", Err(QuantityError::NotASize)),
            ("-1", Err(QuantityError::NotASize)),
            ("35M", Err(QuantityError::NotASize)),
            ("35MiB", Err(QuantityError::NotASize)),
            ("", Err(QuantityError::NotASize)),
            ("18446744073709551616", Err(QuantityError::TooMuch)),
            ("16777216TB", Err(QuantityError::TooMuch)),
        ];
        for (text, bytes) in table {
            assert_eq!(parse_size(text), *bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millis in 0..u64::from(u32::MAX) * 1_000, bytes: u64) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(parse_span(&span_text(span)), Ok(span));
            prop_assert_eq!(parse_size(size_text(bytes).trim_end_matches(" bytes").trim_end_matches(" byte")), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            let _ = (parse_span(&text), parse_size(&text));
        }
    }
}
