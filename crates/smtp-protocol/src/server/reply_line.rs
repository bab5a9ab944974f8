//! A reply on its way out: built only through a check, so that no byte of it can end a line.

use postroad_message::EnhancedStatus;

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
        let separator = if last { ' ' } else { '-' };
        let line = match self.status.filter(|_| with_status) {
            Some(status) => format!("{}{separator}{status} {}\r\n", self.code, self.text),
            None => format!("{}{separator}{}\r\n", self.code, self.text),
        };
        wire.extend_from_slice(line.as_bytes());
    }
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
