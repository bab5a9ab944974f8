//! What in a content's bytes decides how it may leave, learnt by looking at each of them once.

/// What one look at a content tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// A byte is above 127.
    pub(crate) has_8bit: bool,
    /// Every line ends with CRLF, the last one too, and no CR or LF stands anywhere else.
    pub(crate) is_whole_lines: bool,
    /// A dot opens a line, or follows a LF that ends none.
    pub(crate) has_dot_lines: bool,
}

impl Shape {
    pub(crate) fn of(content: &[u8]) -> Self {
        let (first, last) = (content.first().copied(), content.last().copied());
        let mut seen = Seen { wide: last.unwrap_or(0), ..Seen::default() };
        let followers = content.get(1..).unwrap_or_default();
        // No byte stops it and none is branched on, so that it is compiled to wide instructions.
        for (&byte, &next) in content.iter().zip(followers) {
            seen.wide |= byte;
            seen.odd |= u8::from(byte == b'\r') ^ u8::from(next == b'\n');
            seen.dots |= u8::from(byte == b'\n') & u8::from(next == b'.');
        }
        Self {
            has_8bit: seen.wide > 127,
            is_whole_lines: seen.odd == 0 && first != Some(b'\n') && matches!(last, None | Some(b'\n')),
            has_dot_lines: seen.dots != 0 || first == Some(b'.'),
        }
    }
}

/// Every byte, or every pair, laid over each other.
#[derive(Default)]
struct Seen {
    wide: u8,
    odd: u8,
    dots: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use postroad_message::line_end::are_crlf;
    use proptest::prelude::*;

    #[test]
    fn one_look_tells_all() {
        let shape =
            |has_8bit, is_whole_lines, has_dot_lines| Shape { has_8bit, is_whole_lines, has_dot_lines };
        for (content, expected) in [
            (&b""[..], shape(false, true, false)),
            (b"a\r\n", shape(false, true, false)),
            (b"a", shape(false, false, false)),
            (b"\n", shape(false, false, false)),
            (b"\r", shape(false, false, false)),
            (b"a\r\nb\r", shape(false, false, false)),
            (b"a\n", shape(false, false, false)),
            (b".", shape(false, false, true)),
            (b"a\r\n.\r\n", shape(false, true, true)),
            (b"a\n.\r\n", shape(false, false, true)),
            (b"a.b\r\n", shape(false, true, false)),
            (b"\x80\r\n", shape(true, true, false)),
            (b"\r\n\xff", shape(true, false, false)),
        ] {
            assert_eq!(Shape::of(content), expected, "{:?}", content.escape_ascii().to_string());
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_three_plain_looks(content in proptest::collection::vec(
            prop_oneof![8 => Just(b"\r\n".to_vec()), 8 => Just(b"ab".to_vec()), 2 => Just(b".".to_vec()),
                        1 => Just(b"\r".to_vec()), 1 => Just(b"\n".to_vec()), 1 => Just(b"\xe9".to_vec())], 0..80)) {
            let content = content.concat();
            let shape = Shape::of(&content);
            prop_assert_eq!(shape.has_8bit, !content.is_ascii());
            let ended = content.is_empty() || content.ends_with(b"\r\n");
            prop_assert_eq!(shape.is_whole_lines, ended && are_crlf(&content));
            prop_assert_eq!(shape.has_dot_lines, content.starts_with(b".") || content.windows(2).any(|pair| pair == b"\n."));
        }
    }
}
