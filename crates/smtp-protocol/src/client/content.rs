//! The content on its way out, in pieces that bound the memory it takes.

use postroad_message::Content;

use crate::data;

/// Content bytes encoded at a time: large enough that a usual message leaves in one write with its final dot.
const PIECE: usize = 256 * 1024;

/// `.` CRLF, behind every encoded piece and kept behind the last alone.
const FINAL_DOT: usize = 3;

/// Where in the content we are: always at the start of a line.
pub(super) struct Outgoing {
    content: Content,
    at: usize,
}

impl Outgoing {
    pub(super) fn new(content: Content) -> Self {
        Self { content, at: 0 }
    }

    /// Writes the next piece, and the final dot behind the last. Whether that was the last.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> bool {
        let rest = self.content.as_bytes().get(self.at..).unwrap_or_default();
        let piece = rest.get(..whole_lines(rest)).unwrap_or(rest);
        self.at += piece.len();
        data::encode(piece, out);
        let is_last = self.at == self.content.len();
        if !is_last {
            out.truncate(out.len() - FINAL_DOT);
        }
        is_last
    }
}

/// The length of a piece that ends after CRLF, or of everything.
fn whole_lines(rest: &[u8]) -> usize {
    let Some((head, tail)) = rest.split_at_checked(PIECE) else { return rest.len() };
    if let Some(at) = memchr::memmem::rfind(head, b"\r\n") {
        return at + 2;
    }
    // The CR may be the last byte of the head.
    let from = PIECE - 1;
    memchr::memmem::find(rest.get(from..).unwrap_or(tail), b"\r\n").map_or(rest.len(), |at| from + at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_pieces(content: &[u8]) -> (Vec<u8>, usize) {
        let mut outgoing = Outgoing::new(Content::from(content.to_vec()));
        let (mut wire, mut pieces) = (Vec::new(), 1);
        while !outgoing.write(&mut wire) {
            pieces += 1;
        }
        (wire, pieces)
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
        for content in [lines, long_line, no_line_end, Vec::new(), b".".to_vec()] {
            let (wire, pieces) = in_pieces(&content);
            assert!(wire == at_once(&content), "{} bytes in {pieces} pieces", content.len());
        }
        assert!(in_pieces(&b"a line\r\n".repeat(100_000)).1 > 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn whatever_stands_at_the_cut(around in "[.\r\na]{0,40}", before in PIECE - 40..PIECE + 5) {
            let content = [&b"x".repeat(before)[..], around.as_bytes(), &b"z".repeat(100)].concat();
            prop_assert!(in_pieces(&content).0 == at_once(&content));
        }
    }
}
