//! The content on its way out, in pieces that bound the memory it takes.

use std::io::Write as _;

use postroad_message::Content;
use postroad_message::line_end::with_crlf;

use crate::client::content_task::ContentTask;
use crate::data;

/// Content bytes encoded at a time: large enough that a usual message leaves in one write with its final dot.
const PIECE: usize = 256 * 1024;

/// Content bytes read at a time where they are not in memory.
const READ: usize = 128 * 1024;

const FINAL_DOT: &[u8] = b".\r\n";

/// How the server knows where the content ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// DATA: at a lone dot.
    Dot,
    /// BDAT: after so many bytes (RFC 3030 section 2). Lines end with CRLF all the same.
    Length,
    /// BDAT, and not a byte is changed: the sender declared it binary (RFC 3030 section 3).
    Binary,
}

/// Where in the content we are.
pub(super) struct Outgoing {
    content: Content,
    /// So much of it has left, or is written; beyond its length, so much of what ends it.
    at: usize,
    framing: Framing,
    /// Nothing in it has to be changed: it leaves from where it lies, and is not copied.
    as_it_is: bool,
    /// Up to here it is queued to leave as it is, and at the end with what ends it.
    queued: usize,
    written: Written,
    is_announced: bool,
    /// What was written last ended a line, or was nothing.
    opens_line: bool,
    /// What was read of a content that is not in memory, and where it stands there.
    read: Vec<u8>,
    read_at: usize,
    reading: Reading,
}

#[derive(PartialEq, Eq)]
enum Reading {
    Idle,
    Wanted,
    Asked,
}

/// How much is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Not the end.
    Some,
    /// Everything.
    All,
}

impl Outgoing {
    pub(super) fn new(content: &Content, framing: Framing) -> Self {
        let shape = content.shape();
        let as_it_is = match framing {
            Framing::Dot => shape.is_whole_lines() && !shape.has_dot_lines(),
            Framing::Length => shape.is_whole_lines(),
            Framing::Binary => true,
        };
        Self {
            content: content.clone(),
            at: 0,
            framing,
            as_it_is,
            queued: 0,
            written: Written::Some,
            is_announced: framing == Framing::Dot,
            opens_line: true,
            read: Vec::new(),
            read_at: 0,
            reading: Reading::Idle,
        }
    }

    /// Writes the next piece; before the first what announces it, behind the last what ends it. Content that leaves as it is
    /// follows by itself, as [`rest`](Self::rest). Where neither is to be had it wants to [read](Self::task).
    ///
    /// To be called when all that was written before has left.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> Written {
        if !self.is_announced {
            self.is_announced = true;
            // One chunk: there is nothing to learn between two. Writing to a Vec can't fail.
            let _ = write!(out, "BDAT {} LAST\r\n", self.length());
        }
        let (content, read) = (self.content.clone(), std::mem::take(&mut self.read));
        let there = window(&content, &read, self.read_at, self.at);
        let piece =
            if self.as_it_is { there } else { whole_pairs(there, self.at + there.len() == content.len()) };
        let is_last = self.at + piece.len() == content.len();
        if piece.is_empty() && !is_last && self.reading == Reading::Idle {
            self.reading = Reading::Wanted;
        }
        if self.as_it_is {
            self.queued = self.at + piece.len();
        } else if is_last || !piece.is_empty() {
            self.encode(piece, is_last, out);
        }
        self.read = read;
        self.written = if is_last { Written::All } else { Written::Some };
        self.written
    }

    fn encode(&mut self, piece: &[u8], is_last: bool, out: &mut Vec<u8>) {
        if self.framing == Framing::Dot {
            data::encode_piece(piece, self.opens_line, out);
        } else {
            out.extend_from_slice(&with_crlf(piece));
        }
        self.at += piece.len();
        if let Some(last) = piece.last() {
            // Mending makes a line end of any CR or LF.
            self.opens_line = matches!(last, b'\r' | b'\n');
        }
        if is_last {
            out.extend_from_slice(if self.opens_line { b"" } else { b"\r\n" });
            out.extend_from_slice(self.end());
        }
    }

    /// What is still to leave as it is, and what ends it.
    pub(super) fn rest(&self) -> [&[u8]; 2] {
        if !self.as_it_is {
            return [&[]; 2];
        }
        let there = window(&self.content, &self.read, self.read_at, self.at);
        let end = if self.written == Written::All { self.end() } else { &[] };
        let of_end = self.at.saturating_sub(self.content.len());
        [
            there.get(..self.queued.saturating_sub(self.at)).unwrap_or_default(),
            end.get(of_end..).unwrap_or_default(),
        ]
    }

    fn end(&self) -> &'static [u8] {
        if self.framing == Framing::Dot { FINAL_DOT } else { &[] }
    }

    /// So many bytes of the rest have left.
    pub(super) fn advance(&mut self, count: usize) {
        self.at += count;
    }

    /// What is to be read before there is more to write; asked for once.
    pub(super) fn task(&mut self) -> Option<ContentTask> {
        if self.reading != Reading::Wanted {
            return None;
        }
        self.reading = Reading::Asked;
        let mut buffer = std::mem::take(&mut self.read);
        buffer.resize(READ.min(self.content.len() - self.at), 0);
        Some(ContentTask::read(&self.content, self.at, buffer))
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, offset: usize, bytes: Vec<u8>) {
        if self.reading == Reading::Asked {
            (self.read, self.read_at, self.reading) = (bytes, offset, Reading::Idle);
        }
    }

    /// How long the chunk will be.
    fn length(&self) -> u64 {
        let mending = if self.as_it_is { 0 } else { self.content.shape().mending() };
        self.content.len() as u64 + mending
    }
}

/// What is in memory from `at` on.
fn window<'a>(content: &'a Content, read: &'a [u8], read_at: usize, at: usize) -> &'a [u8] {
    // What was read comes first: it begins in the head where that ends in a CR.
    match at.checked_sub(read_at).and_then(|from| read.get(from..)) {
        Some(there @ [_, ..]) => there,
        _ => content.head().get(at..).unwrap_or_default(),
    }
}

/// A piece that does not part CR from LF.
fn whole_pairs(there: &[u8], is_last: bool) -> &[u8] {
    match there.split_at_checked(PIECE) {
        None if is_last => there,
        cut => {
            let piece = cut.map_or(there, |(piece, _)| piece);
            piece.strip_suffix(b"\r").unwrap_or(piece)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use postroad_message::content::Rest;
    use postroad_message::{ContentSource, Shape};
    use proptest::prelude::*;

    use super::*;
    use crate::client::content_task::Done;

    /// All that leaves, and in how many pieces.
    fn leaves(content: &[u8], framing: Framing) -> (Vec<u8>, usize) {
        all_of(Outgoing::new(&Content::from(content.to_vec()), framing), usize::MAX)
    }

    /// The same where no more is read than so many bytes at a time.
    fn all_of(mut outgoing: Outgoing, at_once: usize) -> (Vec<u8>, usize) {
        let (mut wire, mut pieces) = (Vec::new(), 0);
        loop {
            let before = wire.len();
            let written = outgoing.write(&mut wire);
            pieces += usize::from(wire.len() > before);
            // Uneven, so that one begins in the content and ends in what follows it.
            while let Some(step) = outgoing.rest().concat().chunks(99_991).next().map(<[u8]>::to_vec) {
                outgoing.advance(step.len());
                wire.extend(step);
            }
            if written == Written::All {
                return (wire, pieces);
            }
            if let Some(task) = outgoing.task() {
                assert!(outgoing.task().is_none(), "asked for once");
                let Ok(Done::Read { offset, mut bytes }) = task.run().0 else { panic!("it can be read") };
                bytes.truncate(at_once);
                outgoing.take(offset, bytes);
            }
        }
    }

    struct Source(Vec<u8>);

    impl ContentSource for Source {
        fn read_at(&self, into: &mut [u8], offset: u64) -> std::io::Result<usize> {
            let mut from = self.0.get(usize::try_from(offset).expect("a small one")..).unwrap_or_default();
            std::io::Read::read(&mut from, into)
        }
    }

    fn stored(content: &[u8], head: usize) -> Content {
        let (head, rest) = content.split_at(head.min(content.len()));
        let (length, shape) = (rest.len(), Shape::of(rest));
        Content::with_rest(
            head.to_vec(),
            Rest { source: Arc::new(Source(rest.to_vec())), start: 0, length, shape },
        )
    }

    fn in_pieces(content: &[u8]) -> (Vec<u8>, usize) {
        leaves(content, Framing::Dot)
    }

    fn at_once(content: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        data::encode(content, &mut wire);
        wire
    }

    #[test]
    fn a_large_message_goes_in_pieces_and_reads_as_one() {
        let lines = b".stuffed line with some text in it, as it is usual\r\n".repeat(20_000);
        let long_line = [&b"x".repeat(PIECE - 1)[..], b"\r\n.\r\nend"].concat();
        let no_line_end = b"y".repeat(PIECE * 2);
        let plain = b"a line without any dot at its start, which is not copied\r\n".repeat(20_000);
        for content in [lines, long_line, no_line_end, plain, Vec::new(), b".".to_vec()] {
            let (wire, pieces) = in_pieces(&content);
            assert!(wire == at_once(&content), "{} bytes in {pieces} pieces", content.len());
        }
        for line in [".a line\r\n", "a line\n"] {
            assert!(in_pieces(&line.repeat(100_000).into_bytes()).1 > 2, "{line:?}");
        }
    }

    #[test]
    fn a_chunk_is_announced_with_the_length_it_has() {
        for (framing, content, wire) in [
            (Framing::Length, &b".a\r\n"[..], &b"BDAT 4 LAST\r\n.a\r\n"[..]),
            (Framing::Length, b"a\n.\nb", b"BDAT 9 LAST\r\na\r\n.\r\nb\r\n"),
            (Framing::Length, b"a\r\r\n\rb\r", b"BDAT 10 LAST\r\na\r\n\r\n\r\nb\r\n"),
            (Framing::Length, b"", b"BDAT 0 LAST\r\n"),
            (Framing::Binary, b"a\n.\n\0b", b"BDAT 6 LAST\r\na\n.\n\0b"),
        ] {
            let (out, _) = leaves(content, framing);
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(wire));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn whatever_stands_at_the_cut(around in "[.\r\na]{0,40}", before in PIECE - 40..PIECE + 5) {
            let content = [&b"x".repeat(before)[..], around.as_bytes(), &b"z".repeat(100)].concat();
            prop_assert!(in_pieces(&content).0 == at_once(&content));
            let (out, _) = leaves(&content, Framing::Length);
            let mended = [&with_crlf(&content)[..], b"\r\n"].concat();
            let announced = format!("BDAT {} LAST\r\n", mended.len());
            prop_assert!(out == [announced.as_bytes(), &mended].concat());
        }
    }

    proptest! {
        #[test]
        fn wherever_it_lies_the_same_leaves(
            content in "(\r\n|\r|\n|\\.|a|a line\r\n|\r\n\\.){0,30}",
            head in 0..60_usize,
            at_once in 2..9_usize,
        ) {
            for framing in [Framing::Dot, Framing::Length, Framing::Binary] {
                let outgoing = Outgoing::new(&stored(content.as_bytes(), head), framing);
                prop_assert_eq!(all_of(outgoing, at_once).0, leaves(content.as_bytes(), framing).0);
            }
        }
    }
}
