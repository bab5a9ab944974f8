//! A content of which only the head is in memory is what it would be if all of it were.

use std::io;
use std::sync::Arc;

use postroad_message::content::{Rest, header_block_within};
use postroad_message::{Content, ContentSource, Edits, HeaderBlock, Shape};
use proptest::prelude::*;

/// Reads few bytes at a time, and none from `broken_from` on.
struct Reluctant {
    bytes: Vec<u8>,
    at_once: usize,
    broken_from: usize,
}

impl ContentSource for Reluctant {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).expect("a small one");
        if at >= self.broken_from {
            return Err(io::ErrorKind::Other.into());
        }
        let from = self.bytes.get(at..self.bytes.len().min(self.broken_from)).unwrap_or_default();
        let count = from.len().min(into.len()).min(self.at_once);
        into[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }
}

/// The same bytes, but for `head` of them in a source, which has others before and behind them.
pub(crate) fn stored(bytes: &[u8], head: usize, at_once: usize, broken_from: usize) -> Content {
    let (head, rest) = bytes.split_at(head.min(bytes.len()));
    let source = Reluctant {
        bytes: [b"before", rest, b"behind"].concat(),
        at_once,
        broken_from: broken_from.saturating_add(6),
    };
    let (length, shape) = (rest.len(), Shape::of(rest));
    Content::with_rest(head.to_vec(), Rest { source: Arc::new(source), start: 6, length, shape })
}

#[test]
fn what_cannot_be_read_is_an_error_and_equals_itself_alone() {
    let bytes = vec![b'x'; 200_000];
    for broken_from in [0, 1, 65_536, 199_989] {
        let broken = stored(&bytes, 10, usize::MAX, broken_from);
        assert!(broken.load().is_err(), "{broken_from}");
        assert_eq!(broken, broken.clone());
        assert_ne!(broken, Content::from(bytes.clone()));
        assert_ne!(Content::from(bytes.clone()), broken);
    }
    assert_eq!(stored(&bytes, 10, usize::MAX, 199_990), Content::from(bytes.clone()));
    let short = Reluctant { bytes: bytes.clone(), at_once: 7, broken_from: usize::MAX };
    let rest = Rest { source: Arc::new(short), start: 0, length: bytes.len() + 1, shape: Shape::of(&bytes) };
    let short = Content::with_rest(Vec::new(), rest);
    assert_eq!(short.load().map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
}

#[test]
fn a_source_that_has_nothing_is_no_rest() {
    assert!(stored(b"all of it", 9, 1, 0).in_memory().is_some());
}

#[test]
fn a_header_block_is_known_as_soon_as_nothing_that_follows_can_change_it() {
    let content = b"A: 1\r\n folded\r\nB: 2\r\n\r\nC: body\r\n";
    for end in 0..=content.len() {
        let expected = (end >= 23).then_some(23);
        assert_eq!(header_block_within(&content[..end]), expected, "{end}");
    }
    let no_blank_line = b"A: 1\r\nno field\r\nB: 2\r\n\r\n";
    for end in 0..=no_blank_line.len() {
        let expected = (end >= 16).then_some(6);
        assert_eq!(header_block_within(&no_blank_line[..end]), expected, "{end}");
    }
    let no_line = [&b"A: 1\r\n"[..], &[b'x'; 100_000]].concat();
    assert_eq!(header_block_within(&no_line[..60_000]), None);
    assert_eq!(header_block_within(&no_line), Some(6));
}

proptest! {
    #[test]
    fn it_reads_as_the_same_in_memory(
        content in "(A: b\r\n){0,3}(\r\n)?[.a\r\n\0\u{e9}]{0,30}",
        other in "[.a\r\n]{0,30}",
        cut in 0..80_usize,
        at_once in 1..9_usize,
    ) {
        let bytes = content.as_bytes();
        let whole = Content::from(bytes.to_vec());
        let content = stored(bytes, cut, at_once, usize::MAX);
        prop_assert_eq!(content.len(), whole.len());
        prop_assert_eq!(content.shape(), whole.shape());
        prop_assert_eq!(content.load().unwrap(), bytes);
        prop_assert_eq!(&content, &whole);
        prop_assert_eq!(&whole, &content);
        let other = Content::from(other.into_bytes());
        prop_assert_eq!(content == other, whole == other);
        let mut shown = Vec::new();
        content.pieces(|piece| { shown.extend_from_slice(piece); Ok(()) }).unwrap();
        prop_assert_eq!(shown, bytes);
        let mut middle = vec![0; bytes.len() / 2];
        content.read_exact_at(&mut middle, bytes.len() / 3).unwrap();
        prop_assert_eq!(&middle, &bytes[bytes.len() / 3..][..bytes.len() / 2]);
    }

    #[test]
    fn its_header_is_edited_as_the_same_in_memory(content in "(A: b\r\n|B: c\r\n d\r\n){0,4}(\r\n|no field\r\n)[.a\r\n]{0,30}", more in 0..9_usize) {
        let bytes = content.as_bytes();
        let header = HeaderBlock::scan(bytes);
        let mut edits = Edits::of(&header);
        edits.remove_named(&header, "A");
        edits.prepend("Received: here\r\n");
        let expected = edits.apply(bytes);
        let whole = Content::from(bytes.to_vec());
        // As somebody else's, and as one's own.
        for whole in [whole.clone(), whole] {
            prop_assert!(whole.edited(&edits).in_memory() == Some(expected.as_slice()));
        }
        let content = stored(bytes, header.body_start() + more, 3, usize::MAX);
        let mut edits = Edits::of(&HeaderBlock::scan(content.head()));
        edits.remove_named(&HeaderBlock::scan(content.head()), "A");
        edits.prepend("Received: here\r\n");
        let edited = content.edited(&edits);
        prop_assert!(edited.load().unwrap() == expected);
        prop_assert_eq!(edited.shape(), Shape::of(&expected));
        let after = edited.after(b"X: y\r\n".to_vec());
        prop_assert!(after.load().unwrap() == [b"X: y\r\n", expected.as_slice()].concat());
    }
}
