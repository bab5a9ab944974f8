//! Contents that lie elsewhere, whole or damaged.

use std::io;
use std::sync::Arc;

use postroad_message::content::Rest;
use postroad_message::{Content, ContentSource, Shape};

struct Source {
    bytes: Vec<u8>,
    broken_from: usize,
}

impl ContentSource for Source {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).expect("a small one");
        if at >= self.broken_from {
            return Err(io::Error::other("a bad sector"));
        }
        let mut from = self.bytes.get(at..self.bytes.len().min(self.broken_from)).unwrap_or_default();
        io::Read::read(&mut from, into)
    }
}

/// A content of which so much is in memory, and which can be read up to that byte.
pub(crate) fn stored(content: &[u8], head: usize, broken_from: usize) -> Content {
    let head = head.min(content.len());
    let source = Source { bytes: content.to_vec(), broken_from };
    let (length, shape) = (content.len() - head, Shape::of(&content[head..]));
    let rest = Rest { source: Arc::new(source), start: head as u64, length, shape };
    Content::with_rest(content[..head].to_vec(), rest)
}
