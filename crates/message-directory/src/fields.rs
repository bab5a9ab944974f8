//! Reads the address fields of a header; the only file that knows which mail parser we use.
//!
//! A list is split here, so that one bad address spoils itself only and can be named in a report. Display names,
//! encoded words among them, are passed over and never decoded: what `=?utf-8?q?...?=` hides is no address.
//! What is left (comments, obsolete blanks) `mail-parser` reads. Every result goes through `Mailbox::parse`,
//! so nothing gets into an envelope that could not stand in a command line.

use std::borrow::Cow;

use mail_parser::parsers::MessageStream;
use mail_parser::{Address as ParsedAddress, HeaderValue};
use postroad_address_space::Mailbox;
use postroad_message::Field;

/// `address-list = (address *("," address))` (RFC 5322 section 3.4): mailboxes in their order, members of groups
/// included. An empty group (`undisclosed-recipients:;`) holds none. A semicolon separates as well as a comma.
///
/// The error is the text that is no mailbox, with anything unprintable in it replaced.
pub(crate) fn each_mailbox(field: Field<'_>, mut found: impl FnMut(Result<Mailbox, String>)) {
    each_element(field, |element| found(read(&element)));
}

/// The same for a list that should have one entry: the first, and how many there are.
#[derive(Debug, Default)]
pub(crate) struct Only {
    pub(crate) count: usize,
    pub(crate) first: Option<Result<Mailbox, String>>,
}

impl Only {
    pub(crate) fn add(&mut self, field: Field<'_>) {
        each_element(field, |element| {
            self.count += 1;
            if self.first.is_none() {
                self.first = Some(read(&element));
            }
        });
    }
}

fn read(element: &Element<'_>) -> Result<Mailbox, String> {
    mailbox(element).ok_or_else(|| printable(element.text))
}

/// One entry of a list.
struct Element<'a> {
    text: &'a str,
    /// What stands between angle brackets.
    angle: Option<&'a str>,
    /// There is a second pair, or one left open.
    broken: bool,
}

fn each_element(field: Field<'_>, found: impl FnMut(Element<'_>)) {
    let value = field.unfolded();
    let text = String::from_utf8_lossy(&value);
    let mut scan = Splitter { text: &text, start: 0, angle_start: None, angle: None, broken: false, found };
    let (mut quoted, mut escaped, mut comment, mut literal) = (false, false, 0_usize, false);
    // Whatever is looked for is ASCII, and never part of a longer character.
    for (at, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() {
            escaped = false;
            continue;
        }
        if std::mem::take(&mut escaped) {
            continue;
        }
        match byte {
            b'\\' if quoted || comment > 0 => escaped = true,
            b'"' if comment == 0 => quoted = !quoted,
            _ if quoted => (),
            b'(' => comment += 1,
            b')' if comment > 0 => comment -= 1,
            _ if comment > 0 => (),
            b'[' => literal = true,
            b']' => literal = false,
            _ if literal => (),
            b'<' => scan.open(at),
            b'>' => scan.close(at),
            _ if scan.angle_start.is_some() => (),
            // The name of a group ends here.
            b':' => scan.restart(at + 1),
            b',' | b';' => scan.end(at),
            _ => (),
        }
    }
    scan.broken |= quoted || comment > 0 || literal;
    scan.end(text.len());
}

struct Splitter<'a, F> {
    text: &'a str,
    start: usize,
    angle_start: Option<usize>,
    angle: Option<&'a str>,
    broken: bool,
    found: F,
}

impl<F: FnMut(Element<'_>)> Splitter<'_, F> {
    fn open(&mut self, at: usize) {
        self.broken |= self.angle.is_some() || self.angle_start.is_some();
        self.angle_start = Some(at + 1);
    }

    fn close(&mut self, at: usize) {
        match self.angle_start.take() {
            Some(start) => self.angle = self.text.get(start..at),
            None => self.broken = true,
        }
    }

    fn end(&mut self, at: usize) {
        let text = self.text.get(self.start..at).unwrap_or_default().trim();
        if !text.is_empty() {
            let broken = self.broken || self.angle_start.is_some();
            (self.found)(Element { text, angle: self.angle, broken });
        }
        self.restart(at + 1);
    }

    fn restart(&mut self, at: usize) {
        self.start = at;
        self.angle_start = None;
        self.angle = None;
        self.broken = false;
    }
}

fn mailbox(element: &Element<'_>) -> Option<Mailbox> {
    let text = element.angle.unwrap_or(element.text).trim();
    // A byte that is no UTF-8 was replaced: we do not know the address that was meant.
    if element.broken || text.contains(char::REPLACEMENT_CHARACTER) {
        return None;
    }
    Mailbox::parse(text).ok().or_else(|| {
        // Never let a parser decode an encoded word into an address.
        let parsed = if text.contains("=?") { None } else { parsed_address(text) };
        parsed.and_then(|address| Mailbox::parse(&address).ok())
    })
}

/// The one address that the parser sees in `text` once comments and blanks are gone.
fn parsed_address(text: &str) -> Option<String> {
    let line = format!("<{text}>\n");
    let HeaderValue::Address(ParsedAddress::List(list)) = MessageStream::new(line.as_bytes()).parse_address()
    else {
        return None;
    };
    match list.as_slice() {
        [one] => one.address.as_deref().map(without_blanks_at_sign),
        _ => None,
    }
}

/// `jane @ contoso.com`, as obsolete syntax allows (RFC 5322 section 4.4).
fn without_blanks_at_sign(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{}", local.trim_end(), domain.trim_start()),
        None => address.to_owned(),
    }
}

/// The text on one line, shortened, without control characters: fit for a report or a log line.
pub(crate) fn printable(text: &str) -> String {
    let cut: Cow<'_, str> = text.chars().take(320).collect();
    cut.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postroad_message::HeaderBlock;
    use proptest::prelude::*;

    fn mailboxes(field: Field<'_>) -> Vec<Result<Mailbox, String>> {
        let mut list = Vec::new();
        each_mailbox(field, |entry| list.push(entry));
        list
    }

    fn read(value: &str) -> String {
        let content = format!("To: {value}\r\n\r\n");
        let header = HeaderBlock::scan(content.as_bytes());
        let list = header.field("To").map(mailboxes).unwrap_or_default();
        let shown: Vec<_> = list
            .into_iter()
            .map(|entry| entry.map_or_else(|bad| format!("!{bad}"), |good| good.to_string()))
            .collect();
        shown.join(" ; ")
    }

    #[test]
    fn reads_lists_as_they_are_written_in_the_field() {
        for (value, mailboxes) in [
            ("jane@contoso.com", "jane@contoso.com"),
            ("Jane Doe <jane@contoso.com>, <joe@contoso.com>", "jane@contoso.com ; joe@contoso.com"),
            ("\"Doe, Jane\" <jane@contoso.com>", "jane@contoso.com"),
            ("\"evil@x.example\" <jane@contoso.com>", "jane@contoso.com"),
            ("evil@x.example <jane@contoso.com>", "jane@contoso.com"),
            ("jane@contoso.com (Jane, <evil@x.example>)", "jane@contoso.com"),
            ("=?utf-8?q?Jane_=3Cevil=40x=2Eexample=3E?= <jane@contoso.com>", "jane@contoso.com"),
            ("Jane\r\n Doe\r\n <jane@contoso.com>", "jane@contoso.com"),
            ("\"john doe\"@contoso.com", "\"john doe\"@contoso.com"),
            ("<\"a>b\"@contoso.com>", "\"a>b\"@contoso.com"),
            ("jane@[192.0.2.1]", "jane@[192.0.2.1]"),
            ("jane@[IPv6:2001:db8::1]", "jane@[IPv6:2001:db8::1]"),
            ("undisclosed-recipients:;", ""),
            ("", ""),
            (" , ,", ""),
            (
                "Team: jane@contoso.com, Joe <joe@contoso.com>;, ann@contoso.com",
                "jane@contoso.com ; joe@contoso.com ; ann@contoso.com",
            ),
            ("jane@contoso.com; joe@contoso.com;", "jane@contoso.com ; joe@contoso.com"),
            ("jane @ contoso.com", "jane@contoso.com"),
            ("<jane(the boss)@contoso.com>", "jane@contoso.com"),
        ] {
            assert_eq!(read(value), mailboxes, "{value:?}");
        }
    }

    #[test]
    fn names_what_is_no_mailbox_and_keeps_the_rest() {
        for (value, mailboxes) in [
            ("jane, joe@contoso.com", "!jane ; joe@contoso.com"),
            ("<>", "!<>"),
            ("<a@b.example> <c@d.example>", "!<a@b.example> <c@d.example>"),
            ("<@relay.example:a@b.example>", "!<@relay.example:a@b.example>"),
            ("a@b@c.example", "!a@b@c.example"),
            ("\"unfinished <a@b.example>, c@d.example", "!\"unfinished <a@b.example>, c@d.example"),
            ("=?utf-8?q?a=40b.example?=", "!=?utf-8?q?a=40b.example?="),
            ("=?utf-8?q?a=40b.example?= (comment)", "!=?utf-8?q?a=40b.example?= (comment)"),
            ("<=?x?q?a=40b.example=3e=00?=@c.example>", "=?x?q?a=40b.example=3e=00?=@c.example"),
            ("a\0b@c.example", "!a?b@c.example"),
        ] {
            assert_eq!(read(value), mailboxes, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_nothing_unsafe_passes(value in "[a@<>,;:()\\[\\]\"\\\\ .=?\u{e9}\t]{0,60}|\\PC{0,60}") {
            let content = format!("To: {value}\r\n\r\n");
            let header = HeaderBlock::scan(content.as_bytes());
            for mailbox in header.fields().flat_map(mailboxes).flatten() {
                let text = mailbox.to_string();
                prop_assert_eq!(Mailbox::parse(&text), Ok(mailbox));
                prop_assert!(!text.chars().any(char::is_control));
            }
        }
    }
}
