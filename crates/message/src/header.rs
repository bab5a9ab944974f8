//! Finds the fields of a header block and where the body starts, without changing or re-folding a byte.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

/// `fields = *field` up to the blank line (RFC 5322 section 2.2), as byte ranges of the content.
///
/// The scan reads the header block only: a 1 MiB body costs nothing. It never fails:
///
/// * a block ends at the first blank line, at the first line that is neither a field nor a
///   continuation (the blank line was forgotten: the body starts with that line), or at the end of the bytes;
/// * lines end at LF; one without CR before it is reported by [`bare_linefeed`](Self::bare_linefeed);
/// * a field's name is `1*ftext` (printable ASCII without `:`), with blanks allowed before the colon as
///   obsolete syntax has it;
/// * a line that starts with a blank belongs to the field before it, even when it holds nothing else.
///
/// ```
/// use postroad_message::HeaderBlock;
/// let content = b"Subject: a long\r\n story\r\nTo: jane@contoso.com\r\n\r\nHello\r\n";
/// let header = HeaderBlock::scan(content);
/// assert_eq!(header.len(), 2);
/// let subject = header.field("subject").ok_or("there is none")?;
/// assert_eq!(subject.value(), b" a long\r\n story");
/// assert_eq!(subject.unfolded().as_ref(), b"a long story");
/// assert_eq!(&content[header.body_start()..], b"Hello\r\n");
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeaderBlock<'a> {
    bytes: &'a [u8],
    fields: Vec<Span>,
    fields_end: usize,
    body_start: usize,
    end: HeaderEnd,
    bare_linefeed: Option<usize>,
    bare_carriage_return: Option<usize>,
}

/// How a header block came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderEnd {
    /// With a blank line, as it should.
    BlankLine,
    /// At a line that is neither field nor continuation; the body starts with it.
    NotAField,
    /// At the end of the bytes: there is no body.
    EndOfInput,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    name_end: usize,
    value_start: usize,
    value_end: usize,
    end: usize,
}

impl<'a> HeaderBlock<'a> {
    /// Reads the header block at the start of `bytes`.
    pub fn scan(bytes: &'a [u8]) -> Self {
        let mut block = Self::new(bytes);
        block.read(usize::MAX);
        block
    }

    /// The same, giving up with `None` once the fields take more than `limit` bytes: what a hostile file costs is bounded.
    pub fn scan_within(bytes: &'a [u8], limit: usize) -> Option<Self> {
        let mut block = Self::new(bytes);
        block.read(limit).then_some(block)
    }

    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            fields: Vec::with_capacity(24),
            fields_end: 0,
            body_start: 0,
            end: HeaderEnd::EndOfInput,
            bare_linefeed: None,
            bare_carriage_return: None,
        }
    }

    /// Reads line after line; false where the fields take more than `limit` bytes.
    fn read(&mut self, limit: usize) -> bool {
        let mut linefeeds = memchr_iter(b'\n', self.bytes);
        let mut clean = 0;
        while self.fields_end < self.bytes.len() {
            let line = Line::new(self.bytes, self.fields_end, linefeeds.next());
            let is_blank = line.text_end == line.start && line.next > line.text_end;
            if !is_blank && !self.take(&line) {
                self.end = HeaderEnd::NotAField;
                break;
            }
            match line.next - line.text_end {
                1 if self.bare_linefeed.is_none() => self.bare_linefeed = Some(line.text_end),
                2 => clean += 1,
                _ => {}
            }
            self.body_start = line.next;
            if is_blank {
                self.end = HeaderEnd::BlankLine;
                break;
            }
            self.fields_end = line.next;
            if self.fields_end > limit {
                return false;
            }
        }
        self.note_bare_carriage_return(clean);
        true
    }

    /// `clean` lines end in CRLF: where there are no other CRs, which is nearly always, there is nothing to find.
    fn note_bare_carriage_return(&mut self, clean: usize) {
        let header = self.bytes.get(..self.body_start).unwrap_or_default();
        if memchr_iter(b'\r', header).count() != clean {
            self.bare_carriage_return =
                memchr_iter(b'\r', header).find(|&at| header.get(at + 1) != Some(&b'\n'));
        }
    }

    /// The content this block was found in, body included.
    pub fn content(&self) -> &'a [u8] {
        self.bytes
    }

    /// The body: what follows the blank line.
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(self.body_start..).unwrap_or_default()
    }

    /// Offset of the body's first byte; the length of the content where there is none.
    pub fn body_start(&self) -> usize {
        self.body_start
    }

    /// Offset right after the last field: of the blank line, where there is one.
    pub fn fields_end(&self) -> usize {
        self.fields_end
    }

    /// How the block came to its end.
    pub fn end(&self) -> HeaderEnd {
        self.end
    }

    /// Offset of the first LF without CR before it, within the header block and its blank line.
    pub fn bare_linefeed(&self) -> Option<usize> {
        self.bare_linefeed
    }

    /// Offset of the first CR that does not stand right before LF, within the header block.
    pub fn bare_carriage_return(&self) -> Option<usize> {
        self.bare_carriage_return
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields in their order.
    #[inline]
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'a>> + ExactSizeIterator + '_ {
        self.fields.iter().map(|&span| Field { bytes: self.bytes, span })
    }

    /// The fields of that name, in their order; letter case does not matter.
    pub fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = Field<'a>> + 's {
        self.fields().filter(move |field| field.is(name))
    }

    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<Field<'a>> {
        self.named(name).next()
    }

    /// How many hops the content has behind it: its `Received` fields (RFC 5321 section 6.3).
    pub fn hop_count(&self) -> usize {
        self.named("Received").count()
    }

    /// Adds `line` to the block; false when it belongs to the body.
    #[inline]
    fn take(&mut self, line: &Line) -> bool {
        let text = self.bytes.get(line.start..line.text_end).unwrap_or_default();
        if matches!(text.first(), Some(b' ' | b'\t')) {
            let Some(last) = self.fields.last_mut() else { return false };
            last.value_end = line.text_end;
            last.end = line.next;
            return true;
        }
        let Some((name, colon)) = name(text) else { return false };
        self.fields.push(Span {
            start: line.start,
            name_end: line.start + name,
            value_start: line.start + colon + 1,
            value_end: line.text_end,
            end: line.next,
        });
        true
    }
}

/// `1*ftext *WSP ":"`: how long the name is, and where the colon stands.
#[inline]
fn name(text: &[u8]) -> Option<(usize, usize)> {
    let end = text.iter().position(|&byte| byte == b':' || !byte.is_ascii_graphic())?;
    let blanks = text.get(end..)?.iter().position(|byte| !byte.is_ascii_whitespace())?;
    (end > 0 && text.get(end + blanks) == Some(&b':')).then_some((end, end + blanks))
}

struct Line {
    start: usize,
    /// Where the line end begins.
    text_end: usize,
    /// Where the next line starts.
    next: usize,
}

impl Line {
    /// The line from `start` to the LF at `linefeed`, or to the end of the bytes.
    #[inline]
    fn new(bytes: &[u8], start: usize, linefeed: Option<usize>) -> Self {
        let Some(linefeed) = linefeed else {
            return Self { start, text_end: bytes.len(), next: bytes.len() };
        };
        let returned = linefeed > start && bytes.get(linefeed - 1) == Some(&b'\r');
        Self { start, text_end: linefeed - usize::from(returned), next: linefeed + 1 }
    }
}

/// `field = field-name ":" unstructured CRLF` (RFC 5322 section 2.2): one field, continuation lines included.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    bytes: &'a [u8],
    span: Span,
}

impl<'a> Field<'a> {
    /// The name as written, without the colon: printable ASCII.
    pub fn name(&self) -> &'a str {
        std::str::from_utf8(self.slice(self.span.start, self.span.name_end)).unwrap_or_default()
    }

    /// Whether the name is `name`; letter case does not matter.
    #[inline]
    pub fn is(&self, name: &str) -> bool {
        self.slice(self.span.start, self.span.name_end).eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether the name starts with `prefix`; letter case does not matter.
    #[inline]
    pub fn starts_with(&self, prefix: &str) -> bool {
        let name = self.slice(self.span.start, self.span.name_end);
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    }

    /// Everything between the colon and the last line's end, folds as they stand.
    pub fn value(&self) -> &'a [u8] {
        self.slice(self.span.value_start, self.span.value_end)
    }

    /// The value on one line: line ends taken out (RFC 5322 section 2.2.3), blanks trimmed at both ends.
    ///
    /// Allocates only where the value is folded.
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        let value = self.value().trim_ascii();
        if memchr(b'\n', value).is_none() {
            return Cow::Borrowed(value);
        }
        let mut line = Vec::with_capacity(value.len());
        for part in value.split(|&byte| byte == b'\n') {
            line.extend_from_slice(part.strip_suffix(b"\r").unwrap_or(part));
        }
        Cow::Owned(line)
    }

    /// The whole field with its line end: what is removed to remove it.
    pub fn range(&self) -> Range<usize> {
        self.span.start..self.span.end
    }

    /// Where [`value`](Self::value) stands in the content.
    pub fn value_range(&self) -> Range<usize> {
        self.span.value_start..self.span.value_end
    }

    /// The bytes of [`range`](Self::range).
    pub fn full(&self) -> &'a [u8] {
        self.slice(self.span.start, self.span.end)
    }

    #[inline]
    fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// The name only: values are message content, which is never logged.
impl std::fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Field({} at {})", self.name(), self.span.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Content; names joined by commas; how the block ends; the body.
    const CASES: &[(&str, &str, HeaderEnd, &str)] = &[
        ("", "", HeaderEnd::EndOfInput, ""),
        ("\r\n", "", HeaderEnd::BlankLine, ""),
        ("\r\nbody", "", HeaderEnd::BlankLine, "body"),
        ("\nbody", "", HeaderEnd::BlankLine, "body"),
        ("A: 1\r\n\r\nbody\r\n", "A", HeaderEnd::BlankLine, "body\r\n"),
        ("A: 1\n\nbody\n", "A", HeaderEnd::BlankLine, "body\n"),
        ("A: 1\r\nB:2\r\n", "A,B", HeaderEnd::EndOfInput, ""),
        ("A: 1", "A", HeaderEnd::EndOfInput, ""),
        ("A: 1\r", "A", HeaderEnd::EndOfInput, ""),
        ("A: 1\r\nno field\r\nB: 2\r\n", "A", HeaderEnd::NotAField, "no field\r\nB: 2\r\n"),
        ("A: 1\r\n folded: on\r\n\tand on\r\nB: 2\r\n\r\n", "A,B", HeaderEnd::BlankLine, ""),
        ("A: 1\r\n \r\nB: 2\r\n\r\nx", "A,B", HeaderEnd::BlankLine, "x"),
        (" starts folded\r\nA: 1\r\n\r\n", "", HeaderEnd::NotAField, " starts folded\r\nA: 1\r\n\r\n"),
        ("A : obsolete blanks\r\n\r\n", "A", HeaderEnd::BlankLine, ""),
        ("A b: two words\r\n\r\n", "", HeaderEnd::NotAField, "A b: two words\r\n\r\n"),
        (": nameless\r\n\r\n", "", HeaderEnd::NotAField, ": nameless\r\n\r\n"),
        (
            "From jane Mon Jan  1 00:00:00 2024\r\nA: 1\r\n",
            "",
            HeaderEnd::NotAField,
            "From jane Mon Jan  1 00:00:00 2024\r\nA: 1\r\n",
        ),
        ("\u{e9}: not ASCII\r\n\r\n", "", HeaderEnd::NotAField, "\u{e9}: not ASCII\r\n\r\n"),
    ];

    #[test]
    fn finds_the_fields_and_where_the_body_starts() {
        for (content, names, end, body) in CASES {
            let header = HeaderBlock::scan(content.as_bytes());
            let found: Vec<_> = header.fields().map(|field| field.name()).collect();
            assert_eq!(found.join(","), *names, "{content:?}");
            assert_eq!(header.end(), *end, "{content:?}");
            assert_eq!(header.body(), body.as_bytes(), "{content:?}");
        }
    }

    #[test]
    fn reports_bare_line_ends_and_where() {
        let header = HeaderBlock::scan(b"A: 1\r\nB: 2\nC: x\ry\r\n\r\n\n");
        assert_eq!(header.bare_linefeed(), Some(10));
        assert_eq!(header.bare_carriage_return(), Some(15));
        let clean = HeaderBlock::scan(b"A: 1\r\n\r\nbody\n\r");
        assert_eq!((clean.bare_linefeed(), clean.bare_carriage_return()), (None, None));
    }

    #[test]
    fn a_limit_counts_the_fields_and_not_the_body() {
        let content = b"A: 1\r\nB: 2\r\n\r\na long body";
        assert!(HeaderBlock::scan_within(content, 12).is_some());
        assert!(HeaderBlock::scan_within(content, 11).is_none());
    }

    #[test]
    fn compares_names_without_letter_case() {
        let header =
            HeaderBlock::scan(b"x-ms-Exchange-Organization-SCL: 5\r\nRECEIVED: a\r\nReceived: b\r\n\r\n");
        assert!(header.fields().next().is_some_and(|field| field.starts_with("X-MS-Exchange-Organization-")));
        assert_eq!(header.hop_count(), 2);
        assert_eq!(header.field("received").map(|field| field.value()), Some(&b" a"[..]));
    }

    /// The same rules, said line by line and slowly.
    fn oracle(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        let mut offset = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let text = line.strip_suffix(b"\n").map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text));
            if text.is_empty() && line.ends_with(b"\n") {
                return (fields, offset + line.len());
            }
            let name: Vec<u8> = text.iter().copied().take_while(|&byte| byte != b':').collect();
            let named = name.len() < text.len()
                && !name.trim_ascii_end().is_empty()
                && name.trim_ascii_end().iter().all(u8::is_ascii_graphic);
            match (text.first(), fields.last_mut()) {
                (Some(b' ' | b'\t'), Some(last)) => last.extend_from_slice(line),
                (Some(b' ' | b'\t'), None) => return (fields, offset),
                _ if named => fields.push(line.to_vec()),
                _ => return (fields, offset),
            }
            offset += line.len();
        }
        (fields, offset)
    }

    proptest! {
        #[test]
        fn agrees_with_the_slow_reading(content in "([A-C: \t\r\n\u{e9}]|\r\n|A: x\r\n){0,40}") {
            let header = HeaderBlock::scan(content.as_bytes());
            let (fields, body_start) = oracle(content.as_bytes());
            let found: Vec<Vec<u8>> = header.fields().map(|field| field.full().to_vec()).collect();
            let (mut at, mut linefeed, mut carriage_return) = (0, None, None);
            for line in content.as_bytes()[..body_start].split_inclusive(|&byte| byte == b'\n') {
                let ended = line.strip_suffix(b"\n");
                let text = ended.map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text));
                if ended == Some(text) {
                    linefeed.get_or_insert(at + text.len());
                }
                if let Some(bare) = text.iter().position(|&byte| byte == b'\r') {
                    carriage_return.get_or_insert(at + bare);
                }
                at += line.len();
            }
            prop_assert_eq!((header.bare_linefeed(), header.bare_carriage_return()), (linefeed, carriage_return));
            prop_assert_eq!(found, fields);
            prop_assert_eq!(header.body_start(), body_start);
        }

        #[test]
        fn unfolding_leaves_no_line_end(content in "A: [a \r\n\t]{0,30}\r\n\r\n") {
            let header = HeaderBlock::scan(content.as_bytes());
            for field in header.fields() {
                prop_assert!(!field.unfolded().contains(&b'\n'));
            }
        }
    }
}
