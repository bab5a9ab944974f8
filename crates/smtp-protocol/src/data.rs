//! The content between DATA and its final dot: stuffing, unstuffing, and the one judgement of line ends.
//!
//! Only `CRLF . CRLF` ends content. A CR or LF that stands alone is never a line end: servers that thought otherwise let one
//! message smuggle another. The decoder says that it met one; the encoder makes CRLF of it *before* it stuffs dots.
//!
//! ```
//! use postroad_smtp_protocol::data::{BareLineEnds, Decoder, encode};
//! let mut decoder = Decoder::new(BareLineEnds::Keep, 1_000_000);
//! let read = decoder.decode(b"Subject: dots\r\n\r\n..one\r\n.\r\nNOOP\r\n");
//! assert!(read.ended);
//! assert_eq!(read.used, 27);
//! let content = decoder.finish();
//! assert_eq!(content.bytes, b"Subject: dots\r\n\r\n.one\r\n");
//! assert!(!content.bare_line_ends && !content.too_large);
//!
//! let mut wire = Vec::new();
//! encode(&content.bytes, &mut wire);
//! assert_eq!(wire, b"Subject: dots\r\n\r\n..one\r\n.\r\n");
//! ```

use std::sync::LazyLock;

use memchr::memmem::Finder;
use postroad_message::line_end::{are_crlf, with_crlf};

/// What becomes of a CR or LF that stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BareLineEnds {
    /// It stays as it is, and [`Decoded::bare_line_ends`] tells of it.
    #[default]
    Keep,
    /// It becomes CRLF.
    MakeCrlf,
}

/// Takes dot-stuffed content apart, cut into pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    bare: BareLineEnds,
    limit: usize,
    state: State,
    content: Vec<u8>,
    taken: u64,
    bare_seen: bool,
    total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of content or after CRLF.
    LineStart,
    /// After a dot that opened a line; it is not content.
    Dot,
    /// After such a dot and CR.
    DotCarriageReturn,
    /// Inside a line, the byte before being no CR.
    Line,
    /// After a CR that is not in the content yet.
    CarriageReturn,
    /// After the final dot.
    Ended,
}

/// How far a piece was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken; what follows belongs to the next command.
    pub used: usize,
    /// Whether the final dot has come.
    pub ended: bool,
}

/// Content, and what was found wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Decoded {
    /// The bytes that were not [taken](Decoder::take) before, unstuffed; empty when `too_large`.
    pub bytes: Vec<u8>,
    /// Whether there was a CR or LF that stood alone.
    pub bare_line_ends: bool,
    /// Whether there was more than the limit.
    pub too_large: bool,
}

impl Decoder {
    /// A decoder that holds at most `limit` bytes and lets the rest pass by.
    pub fn new(bare: BareLineEnds, limit: usize) -> Self {
        let content = Vec::new();
        Self { bare, limit, state: State::LineStart, content, taken: 0, bare_seen: false, total: 0 }
    }

    /// What is held.
    pub fn held(&self) -> &[u8] {
        &self.content
    }

    /// Gives out what is held, so that it need not be held any longer. It counts as before: towards the limit, and in the
    /// judgement of line ends.
    pub fn take(&mut self) -> Vec<u8> {
        self.taken += self.content.len() as u64;
        std::mem::take(&mut self.content)
    }

    /// Bytes that were taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether there was a CR or LF that stood alone so far.
    pub fn bare_line_ends(&self) -> bool {
        self.bare_seen
    }

    /// Whether there was more than the limit so far.
    pub fn too_large(&self) -> bool {
        self.total > self.limit as u64
    }

    /// Bytes of content seen so far, held or taken or neither.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Holds nothing from here on; the final dot is still found.
    pub fn discard(&mut self) {
        self.limit = 0;
        self.content = Vec::new();
    }

    /// Reads a piece, up to the final dot.
    pub fn decode(&mut self, input: &[u8]) -> Progress {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            match (self.state, byte) {
                (State::Ended, _) => break,
                (State::LineStart, b'.') => {
                    self.state = State::Dot;
                    used += 1;
                }
                (State::Dot, b'\r') => {
                    self.state = State::DotCarriageReturn;
                    used += 1;
                }
                (State::DotCarriageReturn, b'\n') => {
                    self.state = State::Ended;
                    used += 1;
                }
                (State::CarriageReturn, b'\n') => {
                    self.push(b"\r\n");
                    self.state = State::LineStart;
                    used += 1;
                }
                (State::DotCarriageReturn | State::CarriageReturn, _) => {
                    self.bare(b'\r');
                    self.state = State::Line;
                }
                (State::LineStart | State::Dot | State::Line, _) => {
                    used += self.lines(input.get(used..).unwrap_or_default())
                }
            }
        }
        Progress { used, ended: self.state == State::Ended }
    }

    /// Gives the content out. Without a final dot before it there is no message: drop what this returns.
    pub fn finish(self) -> Decoded {
        Decoded { bare_line_ends: self.bare_seen, too_large: self.too_large(), bytes: self.content }
    }

    /// Takes everything up to the final dot, or up to the last byte that can be judged without its successor; at least one
    /// byte. The byte before `input` is no CR.
    fn lines(&mut self, input: &[u8]) -> usize {
        let mut from = 0;
        let mut hits = DotLines { input, at: 0 };
        // Where a line opens with a dot the content before it goes on, and the dot stays behind.
        for dot in &mut hits {
            self.part(input.get(from..dot).unwrap_or_default());
            from = dot + 1;
            let state = match (input.get(from), input.get(from + 1)) {
                (None, _) => State::Dot,
                (Some(b'\r'), None) => State::DotCarriageReturn,
                (Some(b'\r'), Some(b'\n')) => State::Ended,
                _ => continue,
            };
            self.state = state;
            self.bare_seen |= !are_crlf(input.get(..dot).unwrap_or_default());
            return (from + 2).min(input.len());
        }
        let (end, state) = match input {
            [.., b'\r', b'\n'] => (input.len(), State::LineStart),
            [.., b'\r'] => (input.len() - 1, State::CarriageReturn),
            _ => (input.len(), State::Line),
        };
        self.part(input.get(from..end).unwrap_or_default());
        self.state = state;
        self.bare_seen |= !are_crlf(input.get(..end).unwrap_or_default());
        input.len()
    }

    /// A part of the content, its line ends not judged yet.
    fn part(&mut self, part: &[u8]) {
        match self.bare {
            BareLineEnds::MakeCrlf if !are_crlf(part) => self.push(&with_crlf(part)),
            BareLineEnds::MakeCrlf | BareLineEnds::Keep => self.push(part),
        }
    }

    fn bare(&mut self, byte: u8) {
        self.bare_seen = true;
        match self.bare {
            BareLineEnds::Keep => self.push(&[byte]),
            BareLineEnds::MakeCrlf => self.push(b"\r\n"),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        if !self.too_large() {
            if self.content.capacity() - self.content.len() < bytes.len() {
                self.grow(bytes.len());
            }
            self.content.extend_from_slice(bytes);
        } else if !self.content.is_empty() {
            self.content = Vec::new();
        }
    }
}

impl Decoder {
    /// Fourfold: each step leaves a block behind. With room for the fields that this hop puts before the content, so that it
    /// need not be copied once more.
    #[cold]
    fn grow(&mut self, more: usize) {
        const FIELDS: usize = 1024;
        let most = self.limit.saturating_add(FIELDS);
        let needed = (self.content.len() + more).saturating_add(FIELDS);
        let capacity = needed.max(self.content.capacity().saturating_mul(4)).min(most.max(needed));
        self.content.reserve_exact(capacity - self.content.len());
    }
}

/// The offsets of the dots that follow CRLF.
struct DotLines<'a> {
    input: &'a [u8],
    at: usize,
}

impl Iterator for DotLines<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        // Two bytes are found without a false alarm; a searcher is not made anew for each line.
        static DOT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n."));
        loop {
            let hit = self.at + DOT.find(self.input.get(self.at..)?)?;
            self.at = hit + 1;
            if hit > 0 && self.input.get(hit - 1) == Some(&b'\r') {
                return Some(hit + 1);
            }
        }
    }
}

/// Writes content as it follows 354: every line end CRLF, leading dots doubled, a last CRLF where it is missing, and the final dot.
///
/// It makes CRLF of bare CR and LF first and stuffs then, so that nothing it writes can be read as an earlier end.
pub fn encode(content: &[u8], wire: &mut Vec<u8>) {
    encode_piece(content, true, wire);
    if !matches!(content.last(), None | Some(b'\r' | b'\n')) {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
}

/// Writes a part of content that does not end between CR and LF, and opens a line or not.
pub(crate) fn encode_piece(piece: &[u8], opens_line: bool, wire: &mut Vec<u8>) {
    wire.reserve(piece.len() + piece.len() / 64 + 5);
    if opens_line && piece.first() == Some(&b'.') {
        wire.push(b'.');
    }
    if are_crlf(piece) {
        stuff(piece, wire);
    } else {
        stuff(&with_crlf(piece), wire);
    }
}

/// `content` has CRLF line ends only.
fn stuff(content: &[u8], wire: &mut Vec<u8>) {
    let mut from = 0;
    for dot in (DotLines { input: content, at: 0 }) {
        wire.extend_from_slice(content.get(from..dot).unwrap_or_default());
        wire.push(b'.');
        from = dot;
    }
    wire.extend_from_slice(content.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(bare: BareLineEnds, input: &[u8], cut: usize) -> (usize, bool, Decoded) {
        let mut decoder = Decoder::new(bare, 1 << 20);
        let (mut used, mut ended) = (0, false);
        for piece in input.chunks(cut) {
            let progress = decoder.decode(piece);
            used += progress.used;
            ended = progress.ended;
            if ended {
                break;
            }
        }
        (used, ended, decoder.finish())
    }

    #[test]
    fn only_crlf_dot_crlf_ends_content() {
        for almost in [
            "\n.\n",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r",
            "\r\n.\r",
            "\r.\r\n",
            "\n.\r",
            "\r.\n",
            "\r\r\n.\r\r\n",
            "\r\n.\r\r\n",
            "\r\n\0.\r\n",
            "\r\n.\0\r\n",
            "\r\n. \r\n",
            "\r\n .\r\n",
            "\r\n..\r\n",
        ] {
            for cut in [1, 2, 3, usize::MAX] {
                let wire = format!("one{almost}MAIL FROM:<evil@contoso.com>\r\n.\r\n");
                let (used, ended, content) = decode(BareLineEnds::Keep, wire.as_bytes(), cut);
                assert!(ended && used == wire.len(), "{almost:?} ended content, cut by {cut}");
                assert!(content.bytes.ends_with(b"MAIL FROM:<evil@contoso.com>\r\n"), "{almost:?}");
                let has_bare = !are_crlf(almost.as_bytes());
                assert_eq!(content.bare_line_ends, has_bare, "{almost:?}");
            }
        }
    }

    #[test]
    fn cr_cr_lf_dot_cr_lf_holds_a_true_end_and_is_marked() {
        let (used, ended, content) = decode(BareLineEnds::Keep, b"a\r\r\n.\r\nMAIL", 1);
        assert!(ended && content.bare_line_ends);
        assert_eq!(used, 7);
    }

    #[test]
    fn a_lone_dot_at_once_is_an_empty_message() {
        assert_eq!(decode(BareLineEnds::Keep, b".\r\n", 1), (3, true, Decoded::default()));
        let mut wire = Vec::new();
        encode(b"", &mut wire);
        assert_eq!(wire, b".\r\n");
    }

    #[test]
    fn an_end_that_lacks_its_last_byte_is_none() {
        for wire in [&b"a\r\n.\r"[..], b"a\r\n.", b"a\r\n", b"a", b""] {
            assert!(!decode(BareLineEnds::Keep, wire, 1).1, "{wire:?}");
        }
    }

    #[test]
    fn what_exceeds_the_limit_is_not_held() {
        let mut decoder = Decoder::new(BareLineEnds::Keep, 10);
        for _ in 0..1000 {
            decoder.decode(b"0123456789\r\n");
            assert!(decoder.held().len() <= 10);
        }
        assert!(decoder.decode(b".\r\n").ended);
        let content = decoder.finish();
        assert!(content.too_large && content.bytes.is_empty());
        let mut exact = Decoder::new(BareLineEnds::Keep, 10);
        assert!(exact.decode(b"01234567\r\n.\r\n").ended);
        assert!(!exact.finish().too_large);
    }

    #[test]
    fn stuffs_after_making_crlf() {
        for (content, wire) in [
            (&b"a"[..], &b"a\r\n.\r\n"[..]),
            (b".", b"..\r\n.\r\n"),
            (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r.\rb\r", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r\n.\r\n", b"a\r\n..\r\n.\r\n"),
            (b"\r\r\n\n", b"\r\n\r\n\r\n.\r\n"),
        ] {
            let mut written = Vec::new();
            encode(content, &mut written);
            assert_eq!(written, wire, "{content:?}");
        }
    }

    /// As slow and as plain as it can be: split at CRLF, look at each line.
    fn naive(wire: &str) -> Option<(usize, String)> {
        let mut content = String::new();
        let mut used = 0;
        loop {
            let end = wire[used..].find("\r\n")? + used;
            let line = &wire[used..end];
            used = end + 2;
            if line == "." {
                return Some((used, content));
            }
            content.push_str(line.strip_prefix('.').unwrap_or(line));
            content.push_str("\r\n");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_reading_however_it_is_cut(wire in "(a|\\.|\r\n|\r|\n|\r\n\\.|\r\n\\.\r\n|xyz){0,24}", cut in 1usize..9) {
            let whole = decode(BareLineEnds::Keep, wire.as_bytes(), usize::MAX);
            prop_assert_eq!(&decode(BareLineEnds::Keep, wire.as_bytes(), cut), &whole);
            match naive(&wire) {
                Some((used, content)) => {
                    prop_assert!(whole.1);
                    prop_assert_eq!(whole.0, used);
                    prop_assert_eq!(&whole.2.bytes, content.as_bytes());
                    prop_assert_eq!(whole.2.bare_line_ends, !are_crlf(&wire.as_bytes()[..used]));
                    let made = decode(BareLineEnds::MakeCrlf, wire.as_bytes(), cut);
                    prop_assert_eq!(made.0, used);
                    prop_assert_eq!(made.2.bytes, with_crlf(content.as_bytes()));
                }
                None => prop_assert!(!whole.1),
            }
        }

        #[test]
        fn what_is_encoded_is_decoded_to_the_same(content in "(a|\\.|\r\n|\r|\n|xyz){0,24}") {
            let mut wire = Vec::new();
            encode(content.as_bytes(), &mut wire);
            prop_assert!(are_crlf(&wire));
            let (used, ended, decoded) = decode(BareLineEnds::Keep, &wire, usize::MAX);
            prop_assert!(ended && used == wire.len());
            let mut expected = with_crlf(content.as_bytes());
            if !expected.is_empty() && !expected.ends_with(b"\r\n") { expected.extend_from_slice(b"\r\n"); }
            prop_assert_eq!(decoded.bytes, expected);
        }
    }
}
