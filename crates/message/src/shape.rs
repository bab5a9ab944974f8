//! What in a content's bytes decides how it may leave, learnt by looking at each of them once.

/// What one look at a content, or at a part of it, tells.
///
/// Of parts it is put together without a second look:
///
/// ```
/// use postroad_message::Shape;
/// let [first, second] = [&b"At four\r"[..], b"\n.\r\n"];
/// assert_eq!(Shape::of(first).then(Shape::of(second)), Shape::of(&[first, second].concat()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Shape {
    /// The first byte and the last; of no bytes, none.
    ends: Option<[u8; 2]>,
    wide: bool,
    nul: bool,
    /// A dot follows a LF.
    dots: bool,
    /// CR and LF that stand alone, as far as their neighbours are known.
    lone: u64,
}

impl Shape {
    /// Looks at all of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let ([first, ..], [.., last]) = (bytes, bytes) else { return Self::default() };
        let followers = bytes.get(1..).unwrap_or_default();
        let mut seen = Seen { highest: *last, lowest: *last, odd: 0, dots: 0 };
        // No byte stops it and none is branched on, so that it is compiled to wide instructions.
        for (&byte, &next) in bytes.iter().zip(followers) {
            seen.highest |= byte;
            seen.lowest = seen.lowest.min(byte);
            seen.odd |= is_odd(byte, next);
            seen.dots |= u8::from(byte == b'\n') & u8::from(next == b'.');
        }
        let pairs = bytes.iter().zip(followers);
        let lone = match seen.odd {
            0 => 0,
            _ => pairs.map(|(&byte, &next)| u64::from(is_odd(byte, next))).sum(),
        };
        Self {
            ends: Some([*first, *last]),
            wide: seen.highest > 127,
            nul: seen.lowest == 0,
            dots: seen.dots != 0,
            lone,
        }
    }

    /// The shape of these bytes and those of `next` behind them.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        let (Some([first, before]), Some([after, last])) = (self.ends, next.ends) else {
            return if self.ends.is_some() { self } else { next };
        };
        Self {
            ends: Some([first, last]),
            wide: self.wide || next.wide,
            nul: self.nul || next.nul,
            dots: self.dots || next.dots || (before == b'\n' && after == b'.'),
            lone: self.lone + next.lone + u64::from(is_odd(before, after)),
        }
    }

    /// Whether a byte is above 127, so that a peer without 8BITMIME cannot take it.
    pub fn has_8bit(&self) -> bool {
        self.wide
    }

    /// Whether every line ends with CRLF, the last one too, and no CR or LF stands anywhere else.
    pub fn is_whole_lines(&self) -> bool {
        self.mending() == 0
    }

    /// Whether a dot opens a line, or follows a LF that ends none.
    pub fn has_dot_lines(&self) -> bool {
        self.dots || self.ends.is_some_and(|[first, _]| first == b'.')
    }

    /// Whether it could go by DATA and come out as it was, but for the end that a last line may lack: neither NUL nor a CR or
    /// LF that stands alone.
    pub fn is_text(&self) -> bool {
        !self.nul && self.lone() == 0
    }

    /// How many bytes it grows by where CRLF is made of every CR and LF that stands alone, and the last line gets an end.
    pub fn mending(&self) -> u64 {
        let lacks_end = self.ends.is_some_and(|[_, last]| !matches!(last, b'\r' | b'\n'));
        self.lone() + if lacks_end { 2 } else { 0 }
    }

    /// With those whose neighbours would be beyond the first byte and the last.
    fn lone(&self) -> u64 {
        let [first, last] = self.ends.unwrap_or_default();
        self.lone + u64::from(first == b'\n') + u64::from(last == b'\r')
    }
}

/// One for a CR or a LF that stands alone: every one that has two neighbours belongs to exactly one such pair.
fn is_odd(byte: u8, next: u8) -> u8 {
    u8::from(byte == b'\r') ^ u8::from(next == b'\n')
}

/// Every byte, or every pair, laid over each other.
struct Seen {
    highest: u8,
    lowest: u8,
    odd: u8,
    dots: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line_end::{are_crlf, crlf_length};
    use proptest::prelude::*;

    #[test]
    fn one_look_tells_all() {
        for (content, has_8bit, is_whole_lines, has_dot_lines, is_text) in [
            (&b""[..], false, true, false, true),
            (b"a\r\n", false, true, false, true),
            (b"a", false, false, false, true),
            (b"\n", false, false, false, false),
            (b"\r", false, false, false, false),
            (b"a\r\nb\r", false, false, false, false),
            (b"a\n", false, false, false, false),
            (b".", false, false, true, true),
            (b"a\r\n.\r\n", false, true, true, true),
            (b"a\n.\r\n", false, false, true, false),
            (b"a.b\r\n", false, true, false, true),
            (b"\x80\r\n", true, true, false, true),
            (b"\r\n\xff", true, false, false, true),
            (b"a\0\r\n", false, true, false, false),
            (b"a\r\n\0", false, false, false, false),
        ] {
            let shape = Shape::of(content);
            let told = (shape.has_8bit(), shape.is_whole_lines(), shape.has_dot_lines(), shape.is_text());
            let expected = (has_8bit, is_whole_lines, has_dot_lines, is_text);
            assert_eq!(told, expected, "{:?}", content.escape_ascii().to_string());
        }
    }

    fn contents() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            prop_oneof![8 => Just(b"\r\n".to_vec()), 8 => Just(b"ab".to_vec()), 2 => Just(b".".to_vec()),
                        1 => Just(b"\r".to_vec()), 1 => Just(b"\n".to_vec()), 1 => Just(b"\xe9".to_vec()),
                        1 => Just(b"\0".to_vec())],
            0..80,
        )
        .prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn it_agrees_with_plain_looks(content in contents()) {
            let shape = Shape::of(&content);
            prop_assert_eq!(shape.has_8bit(), !content.is_ascii());
            let ended = content.is_empty() || content.ends_with(b"\r\n");
            prop_assert_eq!(shape.is_whole_lines(), ended && are_crlf(&content));
            prop_assert_eq!(shape.has_dot_lines(), content.starts_with(b".") || content.windows(2).any(|pair| pair == b"\n."));
            prop_assert_eq!(shape.is_text(), !content.contains(&0) && are_crlf(&content));
            let lacks_end = !matches!(content.last(), None | Some(b'\r' | b'\n'));
            let mended = crlf_length(&content) + if lacks_end { 2 } else { 0 };
            prop_assert_eq!(content.len() as u64 + shape.mending(), mended as u64);
        }

        #[test]
        fn parts_tell_what_the_whole_tells(content in contents(), cut in 1_usize..7) {
            let parts = content.chunks(cut).map(Shape::of).fold(Shape::default(), Shape::then);
            prop_assert_eq!(parts, Shape::of(&content));
            let halves = content.split_at(cut.min(content.len()));
            prop_assert_eq!(Shape::of(halves.0).then(Shape::of(halves.1)), Shape::of(&content));
        }
    }
}
