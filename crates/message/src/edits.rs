//! Changes to a header block as a value: what to remove, what to put before and after the fields.

use std::ops::Range;

use crate::header::{Field, HeaderBlock, HeaderEnd};

/// Changes to the header block of one content, made together when they are applied.
///
/// Every other room that wants a header changed returns one of these, so that the content is copied once
/// however many rooms have a wish. Body bytes are never touched.
///
/// ```
/// use postroad_message::{Edits, HeaderBlock};
/// let content = b"Bcc: boss@contoso.com\r\nSubject: Tea\r\n\r\nAt four.\r\n";
/// let header = HeaderBlock::scan(content);
/// let mut edits = Edits::of(&header);
/// edits.remove_named(&header, "Bcc");
/// edits.prepend("Received: from Pickup by hub01.contoso.com; Sun, 31 Mar 2024 16:36:45 +0000\r\n");
/// edits.add("To: Undisclosed recipients:;\r\n");
/// assert_eq!(
///     edits.apply(content),
///     b"Received: from Pickup by hub01.contoso.com; Sun, 31 Mar 2024 16:36:45 +0000\r\n\
///       Subject: Tea\r\nTo: Undisclosed recipients:;\r\n\r\nAt four.\r\n",
/// );
/// ```
///
/// Where the content has no blank line after its fields and a field is put in, the blank line is put in too:
/// otherwise the first body line, which may start with a blank or hold a colon, would join the header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Edits {
    remove: Vec<Range<usize>>,
    prepend: Vec<u8>,
    add: Vec<u8>,
    fields_end: usize,
    blank_line: bool,
}

impl Edits {
    /// No changes yet, to the content that `header` was found in.
    pub fn of(header: &HeaderBlock<'_>) -> Self {
        Self {
            remove: Vec::new(),
            prepend: Vec::new(),
            add: Vec::new(),
            fields_end: header.fields_end(),
            blank_line: header.end() == HeaderEnd::BlankLine,
        }
    }

    /// Whether applying would change nothing.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.prepend.is_empty() && self.add.is_empty()
    }

    /// Takes one field out.
    pub fn remove(&mut self, field: Field<'_>) {
        self.remove.push(field.range());
    }

    /// Takes out every field of that name.
    pub fn remove_named(&mut self, header: &HeaderBlock<'_>, name: &str) {
        self.remove_where(header, |field| field.is(name));
    }

    /// Takes out every field that `condemned` says yes to.
    pub fn remove_where(&mut self, header: &HeaderBlock<'_>, condemned: impl Fn(&Field<'_>) -> bool) {
        self.remove.extend(header.fields().filter(condemned).map(|field| field.range()));
    }

    /// Puts `field`, complete with name and CRLF, before all others and before what was prepended earlier:
    /// the latest hop stands on top (RFC 5321 section 4.4).
    pub fn prepend(&mut self, field: impl AsRef<[u8]>) {
        let mut first = field.as_ref().to_vec();
        first.append(&mut self.prepend);
        self.prepend = first;
    }

    /// Puts `field`, complete with name and CRLF, after all others.
    pub fn add(&mut self, field: impl AsRef<[u8]>) {
        self.add.extend_from_slice(field.as_ref());
    }

    /// Makes these changes and `other`'s; what `other` prepends comes on top.
    pub fn merge(&mut self, other: Self) {
        self.remove.extend(other.remove);
        if !other.prepend.is_empty() {
            self.prepend(other.prepend);
        }
        self.add.extend_from_slice(&other.add);
    }

    /// The content with the changes made. `content` is what the header block was scanned in.
    pub fn apply(&self, content: &[u8]) -> Vec<u8> {
        if self.is_empty() {
            return content.to_vec();
        }
        let mut result = Vec::with_capacity(content.len() + self.prepend.len() + self.add.len() + 4);
        self.write_header(content, &mut result);
        result.extend_from_slice(content.get(self.fields_end..).unwrap_or_default());
        result
    }

    /// The same in place: nothing is copied but the header, where `content` has room for what is added.
    pub fn apply_to(&self, mut content: Vec<u8>) -> Vec<u8> {
        if !self.is_empty() {
            let end = self.fields_end.min(content.len());
            let mut header = Vec::with_capacity(end + self.prepend.len() + self.add.len() + 4);
            self.write_header(&content, &mut header);
            let (length, rest) = (header.len() + content.len() - end, end..content.len());
            // `Vec::splice` would move the header byte by byte.
            content.resize(length.max(content.len()), 0);
            content.copy_within(rest, header.len());
            content.truncate(length);
            if let Some(start) = content.get_mut(..header.len()) {
                start.copy_from_slice(&header);
            }
        }
        content
    }

    /// All fields, and the blank line where the content has none.
    fn write_header(&self, content: &[u8], result: &mut Vec<u8>) {
        result.extend_from_slice(&self.prepend);
        self.copy_kept_fields(content, result);
        if !result.is_empty() && !result.ends_with(b"\n") {
            result.extend_from_slice(b"\r\n");
        }
        result.extend_from_slice(&self.add);
        if !self.blank_line {
            result.extend_from_slice(b"\r\n");
        }
    }

    fn copy_kept_fields(&self, content: &[u8], result: &mut Vec<u8>) {
        let mut condemned = self.remove.clone();
        condemned.sort_unstable_by_key(|range| range.start);
        let mut at = 0;
        for range in condemned {
            result.extend_from_slice(content.get(at..range.start).unwrap_or_default());
            at = at.max(range.end);
        }
        result.extend_from_slice(content.get(at..self.fields_end).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(content: &str, change: impl Fn(&HeaderBlock<'_>, &mut Edits)) -> String {
        let header = HeaderBlock::scan(content.as_bytes());
        let mut edits = Edits::of(&header);
        change(&header, &mut edits);
        let edited = edits.apply(content.as_bytes());
        assert_eq!(edits.apply_to(content.as_bytes().to_vec()), edited);
        String::from_utf8(edited).unwrap()
    }

    #[test]
    fn no_change_leaves_every_byte() {
        for content in ["", "A: 1", "no header", " x\r\n", "A: 1\n\nbody", "A: 1\r\n\r\n"] {
            assert_eq!(edited(content, |_, _| ()), content);
        }
    }

    #[test]
    fn a_removed_field_goes_with_its_folds_once() {
        let content = "A: 1\r\nB: 2\r\n 3\r\nA: 4\r\n\r\nA: body\r\n";
        let both = edited(content, |header, edits| {
            edits.remove_named(header, "b");
            edits.remove_named(header, "B");
        });
        assert_eq!(both, "A: 1\r\nA: 4\r\n\r\nA: body\r\n");
        let all = edited(content, |header, edits| edits.remove_where(header, |_| true));
        assert_eq!(all, "\r\nA: body\r\n");
    }

    #[test]
    fn the_latest_prepended_stands_on_top() {
        let got = edited("A: 1\r\n\r\n", |_, edits| {
            edits.prepend("R: first\r\n");
            edits.prepend("R: second\r\n");
            edits.add("Z: last\r\n");
        });
        assert_eq!(got, "R: second\r\nR: first\r\nA: 1\r\nZ: last\r\n\r\n");
    }

    #[test]
    fn a_missing_blank_line_is_put_in_so_that_the_body_stays_body() {
        let prepend = |content: &str| edited(content, |_, edits| edits.prepend("R: x\r\n"));
        assert_eq!(prepend(" folded into what?\r\n"), "R: x\r\n\r\n folded into what?\r\n");
        assert_eq!(prepend("A: 1\r\nnot a field\r\nB: 2\r\n"), "R: x\r\nA: 1\r\n\r\nnot a field\r\nB: 2\r\n");
        assert_eq!(prepend("A: 1"), "R: x\r\nA: 1\r\n\r\n");
        assert_eq!(prepend(""), "R: x\r\n\r\n");
    }
}
