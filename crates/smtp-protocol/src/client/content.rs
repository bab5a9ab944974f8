//! The content on its way out, in pieces that bound the memory it takes.

use std::io::Write as _;

use postroad_message::Content;
use postroad_message::line_end::{crlf_length, with_crlf};

use crate::data;

/// Content bytes encoded at a time: large enough that a usual message leaves in one write with its final dot.
const PIECE: usize = 256 * 1024;

/// Behind every encoded piece, and kept behind the last alone.
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

/// Where in the content we are: with a dot to end it always at the start of a line.
pub(super) struct Outgoing {
    content: Content,
    at: usize,
    framing: Framing,
    /// Nothing in it has to be changed: it leaves from where it lies, and is not copied.
    as_it_is: bool,
    /// Its line ends have to be mended on the way, since none but CRLF may leave. [`data::encode`] does so by itself.
    mends: bool,
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
            mends: framing == Framing::Length && !as_it_is,
        }
    }

    /// Writes the next piece; before the first what announces it, behind the last what ends it. Whether nothing is left to be
    /// written: content that leaves as it is follows by itself, as [`rest`](Self::rest).
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> bool {
        if self.at == 0 && self.framing != Framing::Dot {
            // One chunk: there is nothing to learn between two. Writing to a Vec can't fail.
            let _ = write!(out, "BDAT {} LAST\r\n", self.length());
        }
        if self.as_it_is {
            return true;
        }
        let rest = self.content.head().get(self.at..).unwrap_or_default();
        let piece = rest.get(..whole_lines(rest)).unwrap_or(rest);
        self.at += piece.len();
        let is_last = self.at == self.content.len();
        if self.mends {
            out.extend_from_slice(&with_crlf(piece));
            if is_last && self.lacks_last_end() {
                out.extend_from_slice(b"\r\n");
            }
        } else {
            data::encode(piece, out);
            if !is_last {
                out.truncate(out.len() - FINAL_DOT.len());
            }
        }
        is_last
    }

    /// What is still to leave as it is, and what ends it.
    pub(super) fn rest(&self) -> [&[u8]; 2] {
        if !self.as_it_is {
            return [&[]; 2];
        }
        let content = self.content.head();
        let end = if self.framing == Framing::Dot { FINAL_DOT } else { &[] };
        let of_end = self.at.saturating_sub(content.len());
        [content.get(self.at..).unwrap_or_default(), end.get(of_end..).unwrap_or_default()]
    }

    /// So many bytes of the rest have left.
    pub(super) fn advance(&mut self, count: usize) {
        self.at += count;
    }

    /// How long the chunk will be.
    fn length(&self) -> usize {
        let content = self.content.head();
        if !self.mends {
            return content.len();
        }
        crlf_length(content) + if self.lacks_last_end() { 2 } else { 0 }
    }

    /// Mending makes a line end of any CR or LF.
    fn lacks_last_end(&self) -> bool {
        !matches!(self.content.head().last(), None | Some(b'\r' | b'\n'))
    }
}

/// The length of a piece that ends after a line, or of everything.
fn whole_lines(rest: &[u8]) -> usize {
    let Some((head, tail)) = rest.split_at_checked(PIECE) else { return rest.len() };
    match memchr::memrchr(b'\n', head) {
        Some(at) => at + 1,
        None => memchr::memchr(b'\n', tail).map_or(rest.len(), |at| PIECE + at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All that leaves, and in how many pieces.
    fn leaves(content: &[u8], framing: Framing) -> (Vec<u8>, usize) {
        let mut outgoing = Outgoing::new(&Content::from(content.to_vec()), framing);
        let (mut wire, mut pieces) = (Vec::new(), 1);
        while !outgoing.write(&mut wire) {
            pieces += 1;
        }
        // Uneven, so that one begins in the content and ends in what follows it.
        while let Some(step) = outgoing.rest().concat().chunks(99_991).next().map(<[u8]>::to_vec) {
            outgoing.advance(step.len());
            wire.extend(step);
        }
        (wire, pieces)
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
}
