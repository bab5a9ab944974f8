//! Walks through the parts of a message and plans how each is written as seven bits can carry it.

use std::io;
use std::ops::Range;

use memchr::memmem;

use super::content_type::ContentType;
use super::plan::Plan;
use super::wide::{WideBytes, is_seven_bit};
use crate::content::Content;
use crate::header::{Field, HeaderBlock};
use crate::line_end::are_crlf;

/// Parts within parts; what nests deeper is no mail that anybody reads.
const DEEPEST: usize = 50;
/// Parts in all. A part may be an empty line: millions of them fit into a message, and each costs more than its bytes.
const MOST: usize = 10_000;
/// Parts that are written otherwise than they are: what is to be written is remembered for each.
const MOST_CHANGED: usize = 1_000;
/// A part is searched for the ends of its parts, and each of these again: so often all of a large message may be looked at,
const SEARCHES: usize = 16;
/// and a small one as often as parts may nest.
const SMALL: usize = 1 << 20;

/// What is done with a message whose signature covers the bytes that would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// It is left alone: [`Unconvertible::Signed`].
    Spare,
    /// It is converted, and whoever checks the signature finds it broken.
    Break,
}

/// Why a message can't be written in seven bits without harm. For good: the same message meets the same end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unconvertible {
    /// A DKIM, S/MIME or PGP signature covers the bytes that would change.
    #[error("it is signed, and would not be any more")]
    Signed,
    /// Its parts can't be told apart, or are of a kind that may not be encoded.
    #[error("the structure of its parts can't be read")]
    Structure,
    /// It has more than 10,000 parts, more than 1,000 that would change, or more than 50 within each other; of a large message, more than 16 that are nearly as large as it is.
    #[error("it has too many parts, or parts within parts")]
    TooManyParts,
    /// A part is declared to be in an encoding that it is not in.
    #[error("a part is not in the encoding that it declares")]
    Encoding,
}

/// The message with every body in seven bits, which any SMTP host takes.
///
/// Lines that end otherwise than with CRLF are mended, as DATA would, except in what becomes base64. Whatever is long is written as it
/// is [read](Content::read_exact_at), piece by piece; until this returns all of the original is in memory.
///
/// # Errors
///
/// The content cannot be read. Within: why it can't be converted.
pub fn to_seven_bit(content: &Content, signatures: Signatures) -> io::Result<Result<Content, Unconvertible>> {
    let bytes = content.load()?;
    match plan(&bytes, signatures) {
        Ok(Some(plan)) => plan.content(content).map(Ok),
        Ok(None) => Ok(Ok(content.clone())),
        Err(why) => Ok(Err(why)),
    }
}

/// What is to be written, unless that is all as it is.
fn plan(content: &[u8], signatures: Signatures) -> Result<Option<Plan<'_>>, Unconvertible> {
    let header = HeaderBlock::scan(content);
    if is_seven_bit(header.body()) {
        return Ok(None);
    }
    let spare = signatures == Signatures::Spare;
    let fields = ["dkim-signature", "domainkey-signature", "arc-message-signature"];
    if spare && header.fields().any(|field| fields.iter().any(|name| field.is(name))) {
        return Err(Unconvertible::Signed);
    }
    let mut conversion = Conversion {
        content,
        wide: WideBytes::of(content),
        parts: 0,
        changed: 0,
        to_search: content.len().saturating_mul(SEARCHES).max(SMALL * DEEPEST),
        spare,
        out: Plan::new(content),
    };
    conversion.write_entity(0..content.len(), Kind::Message, 0)?;
    conversion.out.end_line();
    Ok(Some(conversion.out))
}

/// Where an entity stands: a message says for itself that it is MIME, a part needn't.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Part,
    DigestPart,
}

impl Kind {
    /// What it is without a Content-Type field (RFC 2045 section 5.2, RFC 2046 section 5.1.5).
    fn default_type(self) -> &'static str {
        match self {
            Self::Message | Self::Part => "text/plain",
            Self::DigestPart => "message/rfc822",
        }
    }
}

/// How a part is declared to be encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// 7bit, 8bit, binary or nothing.
    Identity,
    QuotedPrintable,
    Other,
}

/// A message or a part of one.
struct Entity<'a> {
    header: HeaderBlock<'a>,
    /// Where in the content it begins.
    start: usize,
    encoding: Option<Field<'a>>,
    kind: Kind,
    /// Whether seven bits can carry its body.
    is_narrow: bool,
}

/// One message on its way into seven bits, part by part, from its start to its end.
struct Conversion<'a> {
    content: &'a [u8],
    wide: WideBytes<'a>,
    parts: usize,
    changed: usize,
    /// How many bytes may still be looked at for the ends of parts.
    to_search: usize,
    /// Whether what is signed is left alone.
    spare: bool,
    out: Plan<'a>,
}

impl<'a> Conversion<'a> {
    fn write_entity(&mut self, range: Range<usize>, kind: Kind, depth: usize) -> Result<(), Unconvertible> {
        self.parts += 1;
        if self.parts > MOST {
            return Err(Unconvertible::TooManyParts);
        }
        let header = HeaderBlock::scan(self.content.get(range.clone()).unwrap_or_default());
        let body = range.start + header.body_start()..range.end;
        let is_narrow = !self.wide.are_in(&body);
        let content_type = one(&header, "content-type")?;
        let parsed = content_type.as_ref().map(|field| ContentType::parse(&field.unfolded()));
        let media_type = parsed.as_ref().map_or(kind.default_type(), |parsed| parsed.media_type.as_str());
        let encoding = one(&header, "content-transfer-encoding")?;
        let is_composite =
            media_type.starts_with("multipart/") || matches!(media_type, "message/rfc822" | "message/global");
        if is_narrow && !declares_wide(encoding.as_ref()) {
            self.out.as_it_is(range);
            return Ok(());
        }
        self.changed += 1;
        if depth == DEEPEST || self.changed > MOST_CHANGED {
            return Err(Unconvertible::TooManyParts);
        }
        let entity = Entity { header, start: range.start, encoding, kind, is_narrow };
        if !is_composite {
            return self.write_leaf(&entity, body, content_type.is_none(), media_type);
        }
        if declared(entity.encoding.as_ref()) != Encoding::Identity {
            return Err(Unconvertible::Encoding);
        }
        self.write_header(&entity, "7bit", None);
        if media_type == "multipart/signed" && self.spare {
            // Its field stands outside, what it signs does not.
            self.out.as_it_is(body);
            if is_narrow { Ok(()) } else { Err(Unconvertible::Signed) }
        } else if media_type.starts_with("multipart/") {
            let parts = if media_type == "multipart/digest" { Kind::DigestPart } else { Kind::Part };
            let boundary = parsed.and_then(|parsed| parsed.boundary).ok_or(Unconvertible::Structure)?;
            self.write_parts(body, &boundary, parts, depth + 1)
        } else {
            self.write_entity(body, Kind::Message, depth + 1)
        }
    }

    /// A part that holds no others.
    fn write_leaf(
        &mut self,
        entity: &Entity<'_>,
        body: Range<usize>,
        is_untyped: bool,
        media_type: &str,
    ) -> Result<(), Unconvertible> {
        let (bytes, encoding) = (entity.header.body(), entity.encoding.as_ref());
        // Its line ends are data, if they are line ends at all (charset=utf-16): mending them would be its end.
        let is_raw = is_binary(encoding) && !are_crlf(bytes);
        if entity.is_narrow && !is_raw {
            // 8bit or binary in name only.
            self.write_header(entity, "7bit", None);
            self.out.as_it_is(body);
            return Ok(());
        }
        if matches!(media_type, "message/partial" | "message/external-body") {
            return Err(Unconvertible::Structure);
        }
        match declared(encoding) {
            Encoding::Other => return Err(Unconvertible::Encoding),
            Encoding::QuotedPrintable => {
                self.out.as_it_is(entity.start..body.start);
                self.out.end_header();
                self.out.mended(body);
            }
            Encoding::Identity
                if !is_raw && (media_type.starts_with("text/") || media_type.starts_with("message/")) =>
            {
                let charset = is_untyped.then(|| charset_of(bytes));
                self.write_header(entity, "quoted-printable", charset);
                self.out.quoted_printable(body);
            }
            Encoding::Identity => {
                self.write_header(entity, "base64", None);
                self.out.base64(body);
            }
        }
        Ok(())
    }

    /// The fields with another encoding; those that a message lacks to be MIME behind them.
    fn write_header(&mut self, entity: &Entity<'_>, becomes: &str, charset: Option<&str>) {
        let Entity { header, start, encoding, kind, .. } = entity;
        let (out, fields_end) = (&mut self.out, start + header.fields_end());
        match encoding {
            Some(field) => {
                out.as_it_is(*start..start + field.range().start);
                out.ours(&format!("{}: {becomes}\r\n", field.name()));
                out.as_it_is(start + field.range().end..fields_end);
            }
            None => out.as_it_is(*start..fields_end),
        }
        if !out.has_ended_line() {
            out.ours("\r\n");
        }
        if *kind == Kind::Message && header.field("mime-version").is_none() {
            out.ours("MIME-Version: 1.0\r\n");
        }
        if let Some(charset) = charset {
            out.ours(&format!("Content-Type: text/plain; charset={charset}\r\n"));
        }
        if encoding.is_none() && becomes != "7bit" {
            out.ours(&format!("Content-Transfer-Encoding: {becomes}\r\n"));
        }
        out.line_end(fields_end..start + header.body_start());
        out.end_header();
    }

    /// `multipart-body` (RFC 2046 section 5.1.1): what stands before the first and behind the last part is for nobody.
    fn write_parts(
        &mut self,
        range: Range<usize>,
        boundary: &str,
        kind: Kind,
        depth: usize,
    ) -> Result<(), Unconvertible> {
        let body = self.content.get(range.clone()).unwrap_or_default();
        let delimiter = format!("--{boundary}");
        let mut part_start = None;
        let mut searched = 0;
        for line in delimiter_lines(body, delimiter.as_bytes()) {
            let looked_at = line.end - searched;
            self.to_search = self.to_search.checked_sub(looked_at).ok_or(Unconvertible::TooManyParts)?;
            searched = line.end;
            let line_start = range.start + line.start;
            if let Some(start) = part_start {
                // The line end before a delimiter is the delimiter's.
                let part = body.get(start..line.start).unwrap_or_default();
                let ended = part.strip_suffix(b"\r\n").or_else(|| part.strip_suffix(b"\n")).unwrap_or(part);
                let (start, end) = (range.start + start, range.start + start + ended.len());
                self.write_entity(start..end, kind, depth)?;
                if end < line_start {
                    self.out.line_end(end..line_start);
                }
            }
            let delimiter_end = line_start + delimiter.len();
            if line.is_last {
                self.out.as_it_is(line_start..delimiter_end + 2);
                return Ok(());
            }
            self.out.as_it_is(line_start..delimiter_end);
            self.out.line_end(delimiter_end..range.start + line.end);
            part_start = Some(line.end);
        }
        Err(Unconvertible::Structure)
    }
}

/// The only field of that name; two of them leave it open which one counts.
fn one<'a>(header: &HeaderBlock<'a>, name: &str) -> Result<Option<Field<'a>>, Unconvertible> {
    let mut found = header.named(name);
    let first = found.next();
    if found.next().is_some() { Err(Unconvertible::Structure) } else { Ok(first) }
}

fn declared(encoding: Option<&Field<'_>>) -> Encoding {
    let Some(field) = encoding else { return Encoding::Identity };
    match field.unfolded().to_ascii_lowercase().as_slice() {
        b"7bit" | b"8bit" | b"binary" | b"" => Encoding::Identity,
        b"quoted-printable" => Encoding::QuotedPrintable,
        _ => Encoding::Other,
    }
}

fn declares_wide(encoding: Option<&Field<'_>>) -> bool {
    is_binary(encoding) || encoding.is_some_and(|field| field.unfolded().eq_ignore_ascii_case(b"8bit"))
}

fn is_binary(encoding: Option<&Field<'_>>) -> bool {
    encoding.is_some_and(|field| field.unfolded().eq_ignore_ascii_case(b"binary"))
}

struct DelimiterLine {
    start: usize,
    end: usize,
    is_last: bool,
}

/// The lines that hold the delimiter and no more than blanks behind it.
fn delimiter_lines<'a>(body: &'a [u8], delimiter: &'a [u8]) -> impl Iterator<Item = DelimiterLine> + 'a {
    memmem::find_iter(body, delimiter).filter_map(move |start| {
        if start > 0 && body.get(start - 1) != Some(&b'\n') {
            return None;
        }
        let rest = body.get(start + delimiter.len()..)?;
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let tail = rest.get(..length)?;
        let is_last = tail.starts_with(b"--");
        let blanks = tail.get(if is_last { 2 } else { 0 }..)?;
        let end = start + delimiter.len() + length;
        blanks.iter().all(u8::is_ascii_whitespace).then_some(DelimiterLine { start, end, is_last })
    })
}

fn charset_of(body: &[u8]) -> &'static str {
    if std::str::from_utf8(body).is_ok() { "utf-8" } else { "unknown-8bit" }
}
