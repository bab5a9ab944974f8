//! The one judge of line ends, and the steps that mend them: in content that came by length (a file, an API) and on the
//! wire, where smuggling begins as soon as two parts of a program disagree.

use std::borrow::Cow;

use memchr::{memchr, memchr2_iter};

/// What in a content would not survive SMTP, each with the offset of its first byte.
///
/// `\r\n` is the only line end (RFC 5321 section 2.3.8). A `\n` after one or more `\r` counts as one line
/// end written clumsily (`\r\r\n` comes from text-mode writers); it is a bare CR here and mended by [`normalise`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LineEnds {
    /// First LF without CR before it.
    pub bare_linefeed: Option<usize>,
    /// First CR without LF after it.
    pub bare_carriage_return: Option<usize>,
    /// First NUL, which no mail may hold (RFC 5322 section 4).
    pub nul: Option<usize>,
}

impl LineEnds {
    /// Reads all of `content`.
    pub fn judge(content: &[u8]) -> Self {
        let nul = memchr(0, content);
        // Nearly always, and many times quicker than to stop at each line.
        if are_crlf(content) {
            Self { nul, ..Self::default() }
        } else {
            Self { nul, ..Self::line_by_line(content) }
        }
    }

    fn line_by_line(content: &[u8]) -> Self {
        let mut found = Self::default();
        for at in memchr2_iter(b'\r', b'\n', content) {
            let linefeed = content.get(at) == Some(&b'\n');
            if linefeed && !(at > 0 && content.get(at - 1) == Some(&b'\r')) {
                found.bare_linefeed.get_or_insert(at);
            } else if !linefeed && content.get(at + 1) != Some(&b'\n') {
                found.bare_carriage_return.get_or_insert(at);
            }
        }
        found
    }

    /// Whether the content may go out as it is.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// The content with every line ended by CRLF: LF alone, CR alone and `\r\r\n` become one CRLF each.
///
/// The last line gets an end where it has none. A clean content is borrowed, not copied.
/// NUL stays: the caller refuses it.
///
/// ```
/// use postroad_message::line_end::normalise;
/// assert_eq!(normalise(b"To: a\n\nTea\r\n").as_ref(), b"To: a\r\n\r\nTea\r\n");
/// ```
pub fn normalise(content: &[u8]) -> Cow<'_, [u8]> {
    let ended = content.is_empty() || content.ends_with(b"\r\n");
    if ended && are_crlf(content) {
        return Cow::Borrowed(content);
    }
    let mut lines = Vec::with_capacity(content.len() + content.len() / 32 + 2);
    let mut rest = content;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        let (line, end) = rest.split_at(at);
        lines.extend_from_slice(line);
        lines.extend_from_slice(b"\r\n");
        rest = end.get(line_end_length(end)..).unwrap_or_default();
    }
    if !rest.is_empty() {
        lines.extend_from_slice(rest);
        lines.extend_from_slice(b"\r\n");
    }
    Cow::Owned(lines)
}

/// Whether every LF follows a CR, and every CR stands before a LF.
pub fn are_crlf(bytes: &[u8]) -> bool {
    if bytes.first() == Some(&b'\n') || bytes.last() == Some(&b'\r') {
        return false;
    }
    // In pieces, so that the branch-free inner loop is compiled to wide instructions and a fault still stops early.
    let followers = bytes.get(1..).unwrap_or_default();
    bytes.chunks(4096).zip(followers.chunks(4096)).all(|(before, after)| {
        before
            .iter()
            .zip(after)
            .fold(0u8, |odd, (&b, &a)| odd | (u8::from(b == b'\r') ^ u8::from(a == b'\n')))
            == 0
    })
}

/// The bytes with CRLF in place of every CR or LF that stands alone: what came over the wire, where CR CR LF is a CR that
/// stands alone and a line end. A last line without an end stays so, for there may be more to come.
pub fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(bytes.len() + bytes.len() / 32 + 2);
    let mut from = 0;
    for at in memchr2_iter(b'\r', b'\n', bytes) {
        if at < from {
            continue;
        }
        made.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        made.extend_from_slice(b"\r\n");
        let pair = bytes.get(at..at + 2) == Some(b"\r\n");
        from = at + 1 + usize::from(pair);
    }
    made.extend_from_slice(bytes.get(from..).unwrap_or_default());
    made
}

/// How many bytes [`with_crlf`] makes of these.
pub fn crlf_length(bytes: &[u8]) -> usize {
    let alone = |&at: &usize| {
        if bytes.get(at) == Some(&b'\r') {
            bytes.get(at + 1) != Some(&b'\n')
        } else {
            at == 0 || bytes.get(at - 1) != Some(&b'\r')
        }
    };
    bytes.len() + memchr2_iter(b'\r', b'\n', bytes).filter(alone).count()
}

/// How many bytes the line end at the start of `rest` has: `\n`, `\r` or `1*CR LF`.
fn line_end_length(rest: &[u8]) -> usize {
    let returns = rest.iter().take_while(|&&byte| byte == b'\r').count();
    match rest.get(returns) {
        Some(b'\n') => returns + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_clumsy_line_end_becomes_one_crlf() {
        for (content, mended) in [
            ("", ""),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\nb", "a\r\nb\r\n"),
            ("a\rb\r", "a\r\nb\r\n"),
            ("a\r\r\nb\r\n", "a\r\nb\r\n"),
            ("a\n\nb\n", "a\r\n\r\nb\r\n"),
            ("a\r\rb\r\n", "a\r\n\r\nb\r\n"),
            ("a\n.\nQUIT\n", "a\r\n.\r\nQUIT\r\n"),
            ("\n\r\n\r", "\r\n\r\n\r\n"),
        ] {
            assert_eq!(normalise(content.as_bytes()), mended.as_bytes(), "{content:?}");
        }
    }

    #[test]
    fn says_where() {
        let ends = LineEnds::judge(b"a\r\nb\nc\rd\0");
        assert_eq!(ends.bare_linefeed, Some(4));
        assert_eq!(ends.bare_carriage_return, Some(6));
        assert_eq!(ends.nul, Some(8));
        assert!(LineEnds::judge(b"a\r\n").is_clean());
    }

    proptest! {
        #[test]
        fn what_is_mended_is_clean_and_stays(content in "[ab\r\n.]{0,40}") {
            let mended = normalise(content.as_bytes()).into_owned();
            prop_assert!(LineEnds::judge(&mended).is_clean());
            prop_assert_eq!(normalise(&mended).into_owned(), mended);
        }

        #[test]
        fn the_quick_look_and_the_report_are_of_one_mind(content in "[ab\r\n]{0,40}") {
            let ends = LineEnds::line_by_line(content.as_bytes());
            prop_assert_eq!(are_crlf(content.as_bytes()), ends.is_clean());
            prop_assert_eq!(LineEnds::judge(content.as_bytes()), ends);
            let mended = with_crlf(content.as_bytes());
            prop_assert!(are_crlf(&mended));
            prop_assert_eq!(mended.len(), crlf_length(content.as_bytes()));
        }
    }
}
