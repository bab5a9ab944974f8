//! Finds the bytes that seven bits cannot carry, looking at each but once.

use std::ops::Range;

/// So many bytes are judged in one go.
const BLOCK: usize = 4096;

/// Bytes above 127, and NUL, of one content, asked for from its start to its end.
pub(super) struct WideBytes<'a> {
    content: &'a [u8],
    asked: usize,
    /// The first at or behind `asked`; the length of the content where there is none.
    next: usize,
}

impl<'a> WideBytes<'a> {
    pub(super) fn of(content: &'a [u8]) -> Self {
        Self { content, asked: 0, next: find(content, 0) }
    }

    /// Whether there is one in the range. What was looked at for an earlier range that began no later is not looked at again.
    pub(super) fn are_in(&mut self, range: &Range<usize>) -> bool {
        if range.start > self.next {
            self.next = find(self.content, range.start);
        } else if range.start < self.asked {
            self.next = find(self.content.get(..self.next).unwrap_or(self.content), range.start);
        }
        self.asked = range.start;
        self.next < range.end
    }
}

fn find(content: &[u8], from: usize) -> usize {
    let mut at = from;
    for block in content.get(from..).unwrap_or_default().chunks(BLOCK) {
        if !is_seven_bit(block) {
            return at + block.iter().position(|&byte| !byte.is_ascii() || byte == 0).unwrap_or(0);
        }
        at += block.len();
    }
    at.max(content.len())
}

pub(super) fn is_seven_bit(bytes: &[u8]) -> bool {
    bytes.is_ascii() && memchr::memchr(0, bytes).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_in_any_order() {
        let mut content = vec![b'x'; 3 * BLOCK];
        for at in [5, BLOCK - 1, BLOCK, 2 * BLOCK + 7] {
            content[at] = if at % 2 == 0 { 0 } else { 0xe4 };
        }
        let edges = [0, 5, 6, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7, 2 * BLOCK + 8, 3 * BLOCK];
        let mut forwards = WideBytes::of(&content);
        let mut backwards = WideBytes::of(&content);
        let all = || edges.iter().flat_map(|&start| edges.map(|end| start..end.max(start)));
        let wanted = |range: &Range<usize>| !is_seven_bit(&content[range.clone()]);
        for (range, back) in all().zip(all().collect::<Vec<_>>().into_iter().rev()) {
            assert_eq!(forwards.are_in(&range), wanted(&range), "{range:?}");
            assert_eq!(backwards.are_in(&back), wanted(&back), "{back:?}");
        }
    }
}
