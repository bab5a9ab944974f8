//! Puts in what every message must have and a hasty writer left out: Date and Message-ID.

use std::fmt::Write;

use jiff::fmt::rfc2822::DateTimeParser;
use postroad_address_space::Domain;

use crate::edits::Edits;
use crate::header::{Field, HeaderBlock};
use crate::timestamp::Timestamp;

/// Puts in `Date:` where it is missing, or in place of one that cannot be read (RFC 5322 section 3.6.1).
///
/// ```
/// use postroad_message::{HeaderBlock, Timestamp, repair};
/// let content = b"Subject: Tea\r\nDate: tomorrow\r\n\r\n";
/// let edits = repair::date(&HeaderBlock::scan(content), Timestamp::from_unix_millis(1_711_903_005_000));
/// assert_eq!(edits.apply(content), b"Subject: Tea\r\nDate: Sun, 31 Mar 2024 16:36:45 +0000\r\n\r\n");
/// ```
pub fn date(header: &HeaderBlock<'_>, now: Timestamp) -> Edits {
    repaired(header, "Date", is_date, || now.to_rfc5322())
}

/// Puts in `Message-ID: <unique@domain>` where it is missing or empty (RFC 5322 section 3.6.4).
///
/// `unique` is printed as a GUID: the caller brings 16 random bytes.
/// What stands there and is merely odd stays: somebody refers to it.
pub fn message_id(header: &HeaderBlock<'_>, unique: [u8; 16], domain: &Domain) -> Edits {
    let present = |field: &Field<'_>| !field.unfolded().is_empty();
    repaired(header, "Message-ID", present, || self::new_message_id(unique, domain))
}

/// `msg-id = "<" id-left "@" id-right ">"` from 16 random bytes.
pub fn new_message_id(unique: [u8; 16], domain: &Domain) -> String {
    let mut id = String::with_capacity(64);
    id.push('<');
    for (at, byte) in unique.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        // Writing into a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    let _ = write!(id, "@{}>", domain.ascii());
    id
}

/// Keeps the field if one of that name satisfies; else takes those there are out and puts one in.
fn repaired(
    header: &HeaderBlock<'_>,
    name: &str,
    satisfies: impl Fn(&Field<'_>) -> bool,
    value: impl FnOnce() -> String,
) -> Edits {
    let mut edits = Edits::of(header);
    if !header.named(name).any(|field| satisfies(&field)) {
        edits.remove_named(header, name);
        edits.add(format!("{name}: {}\r\n", value()));
    }
    edits
}

fn is_date(field: &Field<'_>) -> bool {
    // A wrong day name is told by many clocks in the field and changes no moment.
    static PARSER: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);
    PARSER.parse_timestamp(field.unfolded()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_711_903_005_000);

    fn dated(content: &str) -> String {
        String::from_utf8(date(&HeaderBlock::scan(content.as_bytes()), NOW).apply(content.as_bytes()))
            .unwrap()
    }

    #[test]
    fn a_readable_date_stays_byte_for_byte() {
        for value in [
            "Sun, 31 Mar 2024 16:36:45 +0000",
            "31 Mar 2024 16:36 +0200",
            "Mon, 31 Mar 2024 16:36:45 -0700 (PDT)",
            "31 Mar 24 16:36:45 GMT",
            "Sun,\r\n 31 Mar 2024 16:36:45 +0000",
        ] {
            let content = format!("Date: {value}\r\n\r\n");
            assert_eq!(dated(&content), content);
        }
    }

    #[test]
    fn no_date_and_no_readable_date_get_the_moment_of_processing() {
        for content in
            ["A: 1\r\n\r\n", "Date:\r\nA: 1\r\n\r\n", "Date: 2024-03-31\r\nA: 1\r\nDate: soon\r\n\r\n"]
        {
            assert_eq!(dated(content), "A: 1\r\nDate: Sun, 31 Mar 2024 16:36:45 +0000\r\n\r\n");
        }
    }

    #[test]
    fn an_empty_message_id_is_none_and_an_odd_one_stays() {
        let domain = Domain::parse("Contoso.com").unwrap();
        let repaired = |content: &str| {
            let edits = message_id(&HeaderBlock::scan(content.as_bytes()), [0xab; 16], &domain);
            String::from_utf8(edits.apply(content.as_bytes())).unwrap()
        };
        let id = "Message-ID: <abababab-abab-abab-abab-abababababab@contoso.com>\r\n";
        assert_eq!(repaired("A: 1\r\n\r\n"), format!("A: 1\r\n{id}\r\n"));
        assert_eq!(repaired("Message-Id: \r\n\r\n"), format!("{id}\r\n"));
        assert_eq!(repaired("Message-Id: odd\r\n\r\n"), "Message-Id: odd\r\n\r\n");
    }
}
