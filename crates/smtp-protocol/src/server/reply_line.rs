//! A reply on its way out: built only through a check, so that no byte of it can end a line.

use postroad_message::{EnhancedStatus, StatusClass};

/// One line of a reply: code, enhanced status, text.
///
/// Text is printable ASCII and at most 400 bytes: anything else in it becomes `?`, and the rest is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyLine {
    code: u16,
    status: Option<EnhancedStatus>,
    text: String,
}

impl ReplyLine {
    /// Text is cleaned; a code outside 200 to 599 becomes 451.
    pub fn new(code: u16, status: Option<EnhancedStatus>, text: &str) -> Self {
        let clean = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
        let code = if (200..=599).contains(&code) { code } else { 451 };
        Self { code, status, text: text.chars().map(clean).take(400).collect() }
    }

    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The status, which is said where the client knows of such.
    pub fn status(&self) -> Option<EnhancedStatus> {
        self.status
    }

    /// The text, without code and status.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `Reply-line = Reply-code ( SP / "-" ) [ status SP ] text CRLF` (RFC 5321 section 4.2, RFC 2034 section 4)
    pub fn write(&self, last: bool, with_status: bool, wire: &mut Vec<u8>) {
        wire.reserve(self.text.len() + "250-2.000.000 \r\n".len());
        number(self.code, wire);
        wire.push(if last { b' ' } else { b'-' });
        if let Some(status) = self.status.filter(|_| with_status) {
            wire.push(match status.class() {
                StatusClass::Success => b'2',
                StatusClass::Transient => b'4',
                StatusClass::Permanent => b'5',
            });
            for part in [status.subject(), status.detail()] {
                wire.push(b'.');
                number(part, wire);
            }
            wire.push(b' ');
        }
        wire.extend_from_slice(self.text.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
}

fn number(number: u16, wire: &mut Vec<u8>) {
    if number > 9 {
        self::number(number / 10, wire);
    }
    wire.extend(char::from_digit(u32::from(number % 10), 10).map(|digit| digit as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_a_line() {
        let mut wire = Vec::new();
        ReplyLine::new(550, Some(EnhancedStatus::permanent(1, 1)), "no\r\n250 ok\0\x1b[31mé")
            .write(true, true, &mut wire);
        assert_eq!(wire, b"550 5.1.1 no??250 ok??[31m?\r\n");
        wire.clear();
        ReplyLine::new(7, None, &"x".repeat(9000)).write(false, true, &mut wire);
        assert!(wire.starts_with(b"451-xxx") && wire.len() == 406);
    }
}
