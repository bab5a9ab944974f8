//! The content that BDAT brings: its line ends are judged while it comes, so that it may be taken out before its end.

use postroad_message::line_end::{are_crlf, with_crlf};

use crate::data::BareLineEnds;

/// The chunks of one message, put together.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Chunks {
    bare: BareLineEnds,
    lines: Lines,
    /// Octets that came.
    octets: u64,
    content: Vec<u8>,
    taken: u64,
    /// There was a CR, LF or (in the header of binary content) NUL where none may stand.
    faulty: bool,
}

/// What of it is lines, and where the last look at them ended.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
enum Lines {
    /// The next octet is not behind a CR.
    #[default]
    All,
    /// Behind a CR, which is not in the content yet.
    CarriageReturn,
    /// The header of binary content, which has no end yet.
    Header,
    /// The body of binary content: those are no lines, and nobody may change them.
    None,
}

impl Chunks {
    pub(super) fn new(bare: BareLineEnds, binary: bool) -> Self {
        let lines = if binary { Lines::Header } else { Lines::All };
        Self { bare, lines, ..Self::default() }
    }

    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    pub(super) fn held(&self) -> usize {
        self.content.len()
    }

    /// What may be taken: of binary content nothing before its header was judged.
    pub(super) fn ready(&self) -> &[u8] {
        if self.lines == Lines::Header { &[] } else { &self.content }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        if self.lines == Lines::Header {
            return Vec::new();
        }
        self.taken += self.content.len() as u64;
        std::mem::take(&mut self.content)
    }

    /// Bytes that were taken; 0 once no message can come of them.
    pub(super) fn taken(&self) -> u64 {
        if self.faulty { 0 } else { self.taken }
    }

    pub(super) fn add(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        if self.faulty {
            self.content = Vec::new();
            return;
        }
        match self.lines {
            Lines::All | Lines::CarriageReturn => self.add_lines(octets),
            Lines::Header => self.add_to_header(octets),
            Lines::None => self.content.extend_from_slice(octets),
        }
    }

    /// A CR waits for what follows it: each piece can be judged alone.
    fn add_lines(&mut self, mut octets: &[u8]) {
        let Some((first, after)) = octets.split_first() else { return };
        if std::mem::take(&mut self.lines) == Lines::CarriageReturn {
            if *first == b'\n' {
                self.content.extend_from_slice(b"\r\n");
                octets = after;
            } else {
                self.bare_carriage_return();
            }
        }
        if let [before @ .., b'\r'] = octets {
            self.lines = Lines::CarriageReturn;
            octets = before;
        }
        if are_crlf(octets) {
            return self.content.extend_from_slice(octets);
        }
        match self.bare {
            BareLineEnds::Keep => self.faulty = true,
            BareLineEnds::MakeCrlf => self.content.extend(with_crlf(octets)),
        }
    }

    fn bare_carriage_return(&mut self) {
        match self.bare {
            BareLineEnds::Keep => self.faulty = true,
            BareLineEnds::MakeCrlf => self.content.extend_from_slice(b"\r\n"),
        }
    }

    fn add_to_header(&mut self, octets: &[u8]) {
        const BLANK_LINE: &[u8] = b"\r\n\r\n";
        // It may have begun before these octets.
        let from = self.content.len().saturating_sub(BLANK_LINE.len() - 1);
        self.content.extend_from_slice(octets);
        if self.content.starts_with(b"\r\n") {
            self.lines = Lines::None;
            return;
        }
        let fresh = self.content.get(from..).unwrap_or_default();
        if let Some(at) = memchr::memmem::find(fresh, BLANK_LINE) {
            self.end_header(from + at + 2);
        }
    }

    /// Mending what is declared binary would change what nobody may change.
    fn end_header(&mut self, end: usize) {
        let header = self.content.get(..end).unwrap_or_default();
        self.faulty |= !are_crlf(header) || header.contains(&0);
        self.lines = Lines::None;
    }

    /// What was not taken; `None` where a line end stands alone where none may.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        match self.lines {
            Lines::CarriageReturn => self.bare_carriage_return(),
            Lines::Header => self.end_header(self.content.len()),
            Lines::All | Lines::None => {}
        }
        (!self.faulty).then_some(self.content)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As plain as it can be: all of it, at the end.
    fn naive(bare: BareLineEnds, binary: bool, octets: &[u8]) -> Option<Vec<u8>> {
        let mut lines = octets;
        if binary {
            let end =
                octets.windows(4).position(|four| four == b"\r\n\r\n").map_or(octets.len(), |at| at + 2);
            lines = if octets.starts_with(b"\r\n") { &[] } else { &octets[..end] };
        }
        let faulty = !are_crlf(lines) || binary && lines.contains(&0);
        match (faulty, binary || bare == BareLineEnds::Keep) {
            (true, true) => None,
            (true, false) => Some(with_crlf(octets)),
            (false, _) => Some(octets.to_vec()),
        }
    }

    proptest! {
        #[test]
        fn the_content_is_the_same_however_it_is_cut_and_taken(
            text in "(a|\r\n|\r|\n|\r\n\r\n|\0|xyz){0,16}",
            cuts in proptest::collection::vec((1usize..6, any::<bool>()), 1..6),
            mend in any::<bool>(),
            binary in any::<bool>(),
        ) {
            let bare = if mend { BareLineEnds::MakeCrlf } else { BareLineEnds::Keep };
            let (mut chunks, mut rest) = (Chunks::new(bare, binary), text.as_bytes());
            let mut taken = Vec::new();
            for &(cut, take) in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                rest = after;
                chunks.add(piece);
                if take {
                    taken.extend(chunks.take());
                }
                prop_assert!(chunks.taken() == taken.len() as u64 || chunks.taken() == 0);
            }
            prop_assert_eq!(chunks.octets(), text.len() as u64);
            let content = chunks.finish().map(|rest| [taken, rest].concat());
            prop_assert_eq!(content, naive(bare, binary, text.as_bytes()));
        }
    }
}
