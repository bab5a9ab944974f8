//! Cuts the command stream into lines: only CRLF ends one, and no more than a bounded part is ever held.

use zeroize::Zeroize;

/// Collects bytes and gives out whole lines.
///
/// ```
/// use postroad_smtp_protocol::line::{Line, LineBuffer};
/// let mut buffer = LineBuffer::new(512);
/// buffer.push(b"NOOP\r\nQU");
/// assert_eq!(buffer.next_line(), Line::Complete(b"NOOP".to_vec()));
/// assert_eq!(buffer.next_line(), Line::Incomplete);
/// buffer.push(b"IT\r\n");
/// assert_eq!(buffer.next_line(), Line::Complete(b"QUIT".to_vec()));
/// ```
pub struct LineBuffer {
    bytes: Vec<u8>,
    start: usize,
    limit: usize,
    dropped: Option<usize>,
}

/// What stands at the front of a [`LineBuffer`].
#[derive(Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its CRLF. It holds no LF; a CR in it stands alone, and is for the caller to refuse.
    Complete(Vec<u8>),
    /// No CRLF yet.
    Incomplete,
    /// A line above the limit has ended; all of it is gone.
    TooLong,
    /// A line went on for [`LineBuffer::ENDLESS`] bytes; nothing useful will come.
    Endless,
    /// A LF without CR before it: not a line end, but some would take it for one.
    BareLineFeed,
}

/// The length only: a line may be a password.
impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Complete(line) => write!(f, "Complete({} bytes)", line.len()),
            Self::Incomplete => f.write_str("Incomplete"),
            Self::TooLong => f.write_str("TooLong"),
            Self::Endless => f.write_str("Endless"),
            Self::BareLineFeed => f.write_str("BareLineFeed"),
        }
    }
}

/// Of bytes the number: they may be a password.
impl std::fmt::Debug for LineBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineBuffer")
            .field("held", &self.rest().len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl LineBuffer {
    /// From here on a line is not waited for any more.
    pub const ENDLESS: usize = 65_536;

    /// Lines of at most `limit` bytes, CRLF included.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, limit, dropped: None }
    }

    /// Takes bytes as they come.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes that are not given out yet, for content that follows a command.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty() && self.dropped.is_none()
    }

    /// Takes `count` bytes away from the front.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.clear();
        }
    }

    /// Forgets, and wipes, everything.
    pub fn clear(&mut self) {
        self.bytes.zeroize();
        self.start = 0;
        self.dropped = None;
        // An idle connection keeps no large buffer.
        self.bytes.shrink_to(1024);
    }

    /// Takes the next line, if it has come.
    pub fn next_line(&mut self) -> Line {
        let Some(line_feed) = memchr::memchr(b'\n', self.rest()) else { return self.unfinished() };
        let end = self.start + line_feed;
        let Some(text) = self.bytes.get(self.start..end).and_then(|line| line.strip_suffix(b"\r")) else {
            // The CR may be the last byte of a part that was dropped.
            if self.dropped_carriage_return(line_feed) {
                return self.end_dropped(end);
            }
            return Line::BareLineFeed;
        };
        if self.dropped.is_some() || text.len() + 2 > self.limit {
            return self.end_dropped(end);
        }
        let line = text.to_vec();
        self.consume(line_feed + 1);
        Line::Complete(line)
    }

    fn unfinished(&mut self) -> Line {
        let held = self.rest().len();
        if held <= self.limit {
            return Line::Incomplete;
        }
        let dropped = self.dropped.unwrap_or(0) + held - 1;
        // The last byte stays: it may be the CR of the CRLF.
        self.bytes.drain(..self.bytes.len() - 1);
        self.start = 0;
        self.dropped = Some(dropped);
        if dropped >= Self::ENDLESS { Line::Endless } else { Line::Incomplete }
    }

    fn dropped_carriage_return(&self, line_feed: usize) -> bool {
        line_feed == 1 && self.dropped.is_some() && self.rest().first() == Some(&b'\r')
    }

    fn end_dropped(&mut self, end: usize) -> Line {
        let count = end + 1 - self.start;
        self.dropped = None;
        self.consume(count);
        Line::TooLong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(input: &[u8], cut: usize) -> Vec<Line> {
        let mut buffer = LineBuffer::new(10);
        let mut found = Vec::new();
        for piece in input.chunks(cut) {
            buffer.push(piece);
            loop {
                match buffer.next_line() {
                    Line::Incomplete => break,
                    last @ (Line::BareLineFeed | Line::Endless) => {
                        found.push(last);
                        return found;
                    }
                    line => found.push(line),
                }
            }
        }
        found
    }

    #[test]
    fn only_crlf_ends_a_line() {
        let complete = |text: &[u8]| Line::Complete(text.to_vec());
        assert_eq!(lines(b"A\r\n\r\nB\rC\r\nD", 99), [complete(b"A"), complete(b""), complete(b"B\rC")]);
        assert_eq!(lines(b"A\nB\r\n", 99), [Line::BareLineFeed]);
        assert_eq!(lines(b"\n", 99), [Line::BareLineFeed]);
    }

    #[test]
    fn a_long_line_is_dropped_whole_and_the_next_one_read() {
        assert_eq!(lines(b"123456789\r\nA\r\n", 99), [Line::TooLong, Line::Complete(b"A".to_vec())]);
        assert_eq!(lines(b"12345678\r\n", 99), [Line::Complete(b"12345678".to_vec())]);
        let gigabyte_like = vec![b'x'; LineBuffer::ENDLESS + 100];
        let mut buffer = LineBuffer::new(512);
        let mut most = 0;
        let ends = gigabyte_like.chunks(1000).map(|piece| {
            buffer.push(piece);
            let line = buffer.next_line();
            most = most.max(buffer.rest().len());
            line
        });
        assert_eq!(ends.last(), Some(Line::Endless));
        assert!(most <= 1001);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(input in "[ab\r\n]{0,40}|([a-c]{0,12}\r\n){0,5}", cut in 1usize..20) {
            prop_assert_eq!(lines(input.as_bytes(), cut), lines(input.as_bytes(), usize::MAX));
        }
    }
}
