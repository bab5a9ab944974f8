//! A large content that stays in its file: looked at once, and read in pieces by whoever sends it.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use postroad_message::content::{ContentSource, Rest, header_block_within};
use postroad_message::{Content, Shape};

use super::fault::Fault;
use super::file_threads::OpenFile;
use super::record::Checksum;

/// So much is read at first, in which most header blocks end.
const HEAD: usize = 16 * 1024;
/// And so much at a time afterwards.
const PIECE: usize = 64 * 1024;

/// The content in this file, if it is what was queued. The file stays open as long as anybody has the content, and readable even
/// where its message has left meanwhile.
pub(super) fn content(stored: OpenFile, size: u64, checksum: i64) -> Result<Option<Content>, Fault> {
    let file = stored.file()?;
    let (Ok(size), true) = (usize::try_from(size), file.metadata()?.len() == size) else { return Ok(None) };
    let (mut head, mut shape, mut sum) = (Vec::new(), Shape::default(), Checksum::of(size));
    let (mut at, mut piece, mut has_header) = (0, Vec::new(), false);
    while at < size {
        // Twice as much each time, so that no header makes us look often.
        let wanted = if has_header { PIECE } else { head.len().max(HEAD) };
        piece.resize(wanted.min(size - at), 0);
        match file.read_exact_at(&mut piece, at as u64) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        sum.add(&piece);
        at += piece.len();
        if has_header {
            shape = shape.then(Shape::of(&piece));
        } else {
            head.extend_from_slice(&piece);
            has_header = header_block_within(&head).is_some();
        }
    }
    if sum.finish() != checksum {
        return Ok(None);
    }
    let rest =
        Rest { start: head.len() as u64, length: size - head.len(), shape, source: Arc::new(Stored(stored)) };
    Ok(Some(Content::with_rest(head, rest)))
}

struct Stored(OpenFile);

impl ContentSource for Stored {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.file()?.read_at(into, offset)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::sqlite::file_threads::Aside;
    use crate::sqlite::record;

    fn in_file(bytes: &[u8]) -> Content {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("room");
        let file = OpenFile::new(file, &Aside::default());
        let read = content(file, bytes.len() as u64, record::checksum(bytes));
        read.ok().flatten().expect("it is whole")
    }

    #[test]
    fn all_of_a_header_is_in_the_head_however_long_it_is() {
        for fields in [1, 900, 1100, 10_000] {
            for body in [0, 5, 100_000] {
                let bytes = [&b"X: 890123456789\r\n".repeat(fields)[..], b"\r\n", &vec![b'.'; body]].concat();
                let content = in_file(&bytes);
                assert_eq!(content, Content::from(bytes.clone()));
                assert_eq!(content.shape(), Shape::of(&bytes));
                assert!(content.head().len() >= fields * 17, "{fields} {body}");
                assert_eq!(content.in_memory().is_some(), content.head().len() == bytes.len());
            }
        }
        let large = in_file(&[&b"X: y\r\n\r\n"[..], &vec![b'.'; 1 << 20]].concat());
        assert_eq!(large.head().len(), HEAD);
    }
}
