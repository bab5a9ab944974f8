//! The text of relay.toml, and where in it a byte stands.

use std::sync::Arc;

use crate::problem::Place;

/// The file's name and the offsets at which its lines begin.
pub(crate) struct Source<'t> {
    file: Arc<str>,
    text: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> Source<'t> {
    pub(crate) fn new(file: &str, text: &'t str) -> Self {
        let after_newlines =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { file: file.into(), text, line_starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    pub(crate) fn file(&self) -> Arc<str> {
        Arc::clone(&self.file)
    }

    /// Line and column of a byte offset; an offset beyond the end is the end.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied().unwrap_or(0);
        let characters = self.text.get(start..offset).map_or(offset - start, |before| before.chars().count());
        Place { line, column: characters + 1 }
    }

    /// The byte range of the line in which `offset` stands, without its line end.
    pub(crate) fn line_at(&self, offset: usize) -> std::ops::Range<usize> {
        let line = self.place(offset).line;
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        start..end.max(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let source = Source::new("relay.toml", "a\nbé = 1\r\n\nend");
        let table =
            [(0, (1, 1)), (1, (1, 2)), (2, (2, 1)), (6, (2, 4)), (11, (3, 1)), (12, (4, 1)), (99, (4, 4))];
        for (offset, (line, column)) in table {
            assert_eq!(source.place(offset), Place { line, column }, "offset {offset}");
        }
        assert_eq!(source.line_at(6), 2..10);
        assert_eq!(source.line_at(11), 11..11);
        assert_eq!(source.line_at(12), 12..15);
    }
}
