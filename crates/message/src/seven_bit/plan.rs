//! A content in seven bits as a list of pieces: where in the original each begins, and how it is written whenever it is read.

use std::borrow::Cow;
use std::io::{self, Read as _};
use std::ops::Range;
use std::sync::Arc;

use super::{base64, quoted_printable};
use crate::content::{Content, ContentSource, Rest};
use crate::line_end::{are_crlf, with_crlf};
use crate::shape::Shape;

/// So many bytes of a part are one piece, in whole lines of base64.
const PIECE: usize = base64::LINE * 288;

/// What becomes no longer than this is written at once: its pieces would not be much less.
const AT_ONCE: usize = 128 * 1024;

/// What is to be written, from its start to its end.
pub(super) struct Plan<'a> {
    content: &'a [u8],
    pieces: Vec<Piece>,
    /// What is not of the original.
    ours: String,
    length: usize,
    /// How long the header block of the message becomes.
    header: Option<usize>,
    /// Of what stands behind that.
    shape: Shape,
    /// The last two bytes.
    ends: [u8; 2],
    /// The last piece that is not there to be copied.
    made: Vec<u8>,
}

struct Piece {
    /// Where it begins in what is written.
    at: usize,
    /// Where it stands in the original, or in what is ours.
    from: Range<usize>,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    AsItIs,
    Ours,
    /// Whether it goes on in a line of the text, and ends within one.
    QuotedPrintable {
        goes_on: bool,
        breaks: bool,
    },
    /// Quoted-printable already, but for bytes that have no place in it.
    Mended,
    Base64,
}

impl<'a> Plan<'a> {
    pub(super) fn new(content: &'a [u8]) -> Self {
        Self {
            content,
            pieces: Vec::new(),
            ours: String::new(),
            length: 0,
            header: None,
            shape: Shape::default(),
            ends: *b"\r\n",
            made: Vec::new(),
        }
    }

    /// These bytes of the original.
    pub(super) fn as_it_is(&mut self, range: Range<usize>) {
        self.push(range, How::AsItIs);
    }

    /// Bytes of our own.
    pub(super) fn ours(&mut self, text: &str) {
        let start = self.ours.len();
        self.ours.push_str(text);
        self.push(start..self.ours.len(), How::Ours);
    }

    /// The end of a line, which stands there in the original, perhaps written otherwise.
    pub(super) fn line_end(&mut self, range: Range<usize>) {
        match self.content.get(range.clone()) {
            Some(b"\r\n") => self.as_it_is(range),
            _ => self.ours("\r\n"),
        }
    }

    /// Ends a line where one is not ended.
    pub(super) fn end_line(&mut self) {
        if self.ends != *b"\r\n" {
            self.ours("\r\n");
        }
    }

    /// Whether a line feed is the last byte, or there is none.
    pub(super) fn has_ended_line(&self) -> bool {
        self.ends[1] == b'\n'
    }

    /// The header block of an entity ends here. The first is that of the message.
    pub(super) fn end_header(&mut self) {
        if self.header.is_none() {
            (self.header, self.shape) = (Some(self.length), Shape::default());
        }
    }

    /// Text, in lines.
    pub(super) fn quoted_printable(&mut self, mut range: Range<usize>) {
        let mut goes_on = false;
        while !range.is_empty() {
            let text = self.content.get(range.clone()).unwrap_or_default();
            let (length, is_line) = whole_lines(text);
            let breaks = !is_line && length < text.len();
            self.push(range.start..range.start + length, How::QuotedPrintable { goes_on, breaks });
            (range.start, goes_on) = (range.start + length, breaks);
        }
    }

    /// Text that is quoted-printable, or should be.
    pub(super) fn mended(&mut self, range: Range<usize>) {
        self.in_pieces(range, How::Mended);
    }

    pub(super) fn base64(&mut self, range: Range<usize>) {
        self.in_pieces(range, How::Base64);
    }

    fn in_pieces(&mut self, range: Range<usize>, how: How) {
        for start in range.clone().step_by(PIECE) {
            self.push(start..range.end.min(start + PIECE), how);
        }
    }

    fn push(&mut self, from: Range<usize>, how: How) {
        if from.is_empty() {
            return;
        }
        let original = self.content.get(from.clone()).unwrap_or_default();
        let bytes = match how {
            How::AsItIs => original,
            How::Ours => self.ours.as_bytes().get(from.clone()).unwrap_or_default(),
            _ => {
                self.made.clear();
                how.write(original, &mut self.made);
                &self.made
            }
        };
        if let [.., before, last] = *bytes {
            self.ends = [before, last];
        } else if let [last] = *bytes {
            self.ends = [self.ends[1], last];
        }
        self.shape = self.shape.then(Shape::of(bytes));
        let at = self.length;
        self.length += bytes.len();
        match self.pieces.last_mut() {
            Some(last) if last.how == how && how.is_copied() && last.from.end == from.start => {
                last.from.end = from.end;
            }
            _ => self.pieces.push(Piece { at, from, how }),
        }
    }

    /// What is written of `content`, whose bytes the plan was made of.
    pub(super) fn content(self, content: &Content) -> io::Result<Content> {
        let Self { mut pieces, ours, length, header, shape, .. } = self;
        pieces.shrink_to_fit();
        let source = Arc::new(Written { content: content.clone(), pieces, ours });
        let whole = Rest { source: Arc::clone(&source) as _, start: 0, length, shape: Shape::default() };
        let whole = Content::with_rest(Vec::new(), whole);
        if length <= AT_ONCE {
            return Ok(whole.load()?.into_owned().into());
        }
        let mut head = vec![0; header.unwrap_or(0)];
        whole.read_exact_at(&mut head, 0)?;
        let (start, length) = (head.len() as u64, length - head.len());
        Ok(Content::with_rest(head, Rest { source, start, length, shape }))
    }
}

/// Written anew each time it is read: a piece, with what it is made of, is in memory meanwhile.
struct Written {
    content: Content,
    pieces: Vec<Piece>,
    ours: String,
}

impl ContentSource for Written {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let behind = self.pieces.partition_point(|piece| piece.at <= offset);
        let Some(Piece { at, from, how }) = behind.checked_sub(1).and_then(|last| self.pieces.get(last))
        else {
            return Ok(0);
        };
        let within = offset - at;
        match how {
            How::AsItIs => {
                let count = into.len().min(from.len().saturating_sub(within));
                let into = into.get_mut(..count).unwrap_or_default();
                self.content.read_exact_at(into, from.start + within)?;
                Ok(count)
            }
            How::Ours => {
                let ours = self.ours.as_bytes().get(from.clone()).unwrap_or_default();
                ours.get(within..).unwrap_or_default().read(into)
            }
            _ => {
                let mut bytes = vec![0; from.len()];
                self.content.read_exact_at(&mut bytes, from.start)?;
                let mut made = Vec::with_capacity(bytes.len() * 3 + bytes.len() / 8);
                how.write(&bytes, &mut made);
                made.get(within..).unwrap_or_default().read(into)
            }
        }
    }
}

impl How {
    /// Whether it is written as it stands, so that two that stand behind each other are one.
    fn is_copied(self) -> bool {
        matches!(self, Self::AsItIs | Self::Ours)
    }

    fn write(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::AsItIs | Self::Ours => out.extend_from_slice(bytes),
            Self::QuotedPrintable { goes_on, breaks } => {
                let lines = if are_crlf(bytes) { Cow::Borrowed(bytes) } else { Cow::Owned(with_crlf(bytes)) };
                quoted_printable::encode(&lines, goes_on, breaks, out);
            }
            Self::Mended => mend_quoted_printable(bytes, out),
            Self::Base64 => base64::encode(bytes, out),
        }
    }
}

/// How much of a text is a piece: up to the last end of a line in it, or within a line where that is longer. Whether it is lines.
fn whole_lines(text: &[u8]) -> (usize, bool) {
    let Some(start) = text.get(..PIECE).filter(|_| text.len() > PIECE) else { return (text.len(), true) };
    // A CR and the LF behind it stay together.
    let next = |at: usize| text.get(at + 1);
    let ends = memchr::memrchr2_iter(b'\r', b'\n', start)
        .find(|&at| text.get(at) == Some(&b'\n') || next(at) != Some(&b'\n'));
    match ends {
        Some(at) => (at + 1, true),
        None if start.ends_with(b"\r") => (PIECE - 2, false),
        None => (PIECE, false),
    }
}

/// Bytes above 127 have no place in quoted-printable; each becomes what it should have been.
fn mend_quoted_printable(body: &[u8], out: &mut Vec<u8>) {
    for &byte in body {
        if byte.is_ascii() && byte != 0 {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("={byte:02X}").as_bytes());
        }
    }
}
