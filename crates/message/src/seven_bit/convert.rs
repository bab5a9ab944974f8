//! Walks through the parts of a message and writes each as seven bits can carry it.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::content_type::ContentType;
use super::wide::{WideBytes, is_seven_bit};
use super::{base64, quoted_printable};
use crate::header::{Field, HeaderBlock};
use crate::line_end::{are_crlf, with_crlf};

/// Parts within parts; what nests deeper is no mail that anybody reads.
const DEEPEST: usize = 50;
/// Parts in all. A part may be an empty line: millions of them fit into a message, and each costs more than its bytes.
const MOST: usize = 10_000;
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
    /// It has more than 10,000 parts, or more than 50 within each other; of a large message, more than 16 that are nearly as large as it is.
    #[error("it has too many parts, or parts within parts")]
    TooManyParts,
    /// A part is declared to be in an encoding that it is not in.
    #[error("a part is not in the encoding that it declares")]
    Encoding,
}

/// The message with every body in seven bits, which any SMTP host takes.
///
/// Lines that end otherwise than with CRLF are mended first, as DATA would, except in parts that declare themselves binary.
pub fn to_seven_bit(content: &[u8], signatures: Signatures) -> Result<Vec<u8>, Unconvertible> {
    let header = HeaderBlock::scan(content);
    if is_seven_bit(header.body()) {
        return Ok(content.to_vec());
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
        to_search: content.len().saturating_mul(SEARCHES).max(SMALL * DEEPEST),
        spare,
        out: Vec::with_capacity(content.len() + content.len() / 2),
    };
    conversion.write_entity(0..content.len(), Kind::Message, 0)?;
    let mut out = conversion.out;
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    Ok(out)
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

/// One message on its way into seven bits, part by part, from its start to its end.
struct Conversion<'a> {
    content: &'a [u8],
    wide: WideBytes<'a>,
    parts: usize,
    /// How many bytes may still be looked at for the ends of parts.
    to_search: usize,
    /// Whether what is signed is left alone.
    spare: bool,
    out: Vec<u8>,
}

impl Conversion<'_> {
    fn write_entity(&mut self, range: Range<usize>, kind: Kind, depth: usize) -> Result<(), Unconvertible> {
        self.parts += 1;
        if self.parts > MOST {
            return Err(Unconvertible::TooManyParts);
        }
        let entity = self.content.get(range.clone()).unwrap_or_default();
        let header = HeaderBlock::scan(entity);
        let body = header.body();
        let body_range = range.start + header.body_start()..range.end;
        let is_narrow = !self.wide.are_in(&body_range);
        let content_type = one(&header, "content-type")?;
        let parsed = content_type.as_ref().map(|field| ContentType::parse(&field.unfolded()));
        let media_type = parsed.as_ref().map_or(kind.default_type(), |parsed| parsed.media_type.as_str());
        let encoding = one(&header, "content-transfer-encoding")?;
        let is_composite =
            media_type.starts_with("multipart/") || matches!(media_type, "message/rfc822" | "message/global");
        if is_narrow && !declares_wide(encoding.as_ref()) {
            self.out.extend_from_slice(entity);
            return Ok(());
        }
        if depth == DEEPEST {
            return Err(Unconvertible::TooManyParts);
        }
        let declared = declared(encoding.as_ref());
        if is_composite {
            if declared != Encoding::Identity {
                return Err(Unconvertible::Encoding);
            }
            write_header(&header, encoding.as_ref(), "7bit", kind, None, &mut self.out);
            return if media_type == "multipart/signed" && self.spare {
                // Its field stands outside, what it signs does not.
                self.out.extend_from_slice(body);
                if is_narrow { Ok(()) } else { Err(Unconvertible::Signed) }
            } else if media_type.starts_with("multipart/") {
                let parts = if media_type == "multipart/digest" { Kind::DigestPart } else { Kind::Part };
                let boundary = parsed.and_then(|parsed| parsed.boundary).ok_or(Unconvertible::Structure)?;
                self.write_parts(body_range, &boundary, parts, depth + 1)
            } else {
                self.write_entity(body_range, Kind::Message, depth + 1)
            };
        }
        self.write_leaf(&header, content_type.is_none(), media_type, encoding.as_ref(), kind, is_narrow)
    }

    /// A part that holds no others.
    fn write_leaf(
        &mut self,
        header: &HeaderBlock<'_>,
        is_untyped: bool,
        media_type: &str,
        encoding: Option<&Field<'_>>,
        kind: Kind,
        is_narrow: bool,
    ) -> Result<(), Unconvertible> {
        let (body, out) = (header.body(), &mut self.out);
        // Its line ends are data, if they are line ends at all (charset=utf-16): mending them would be its end.
        let is_raw = is_binary(encoding) && !are_crlf(body);
        if is_narrow && !is_raw {
            // 8bit or binary in name only.
            write_header(header, encoding, "7bit", kind, None, out);
            out.extend_from_slice(body);
            return Ok(());
        }
        if matches!(media_type, "message/partial" | "message/external-body") {
            return Err(Unconvertible::Structure);
        }
        match declared(encoding) {
            Encoding::Other => Err(Unconvertible::Encoding),
            Encoding::QuotedPrintable => {
                out.extend_from_slice(header.content().get(..header.body_start()).unwrap_or_default());
                mend_quoted_printable(body, out);
                Ok(())
            }
            Encoding::Identity
                if !is_raw && (media_type.starts_with("text/") || media_type.starts_with("message/")) =>
            {
                let charset = is_untyped.then(|| charset_of(body));
                write_header(header, encoding, "quoted-printable", kind, charset, out);
                quoted_printable::encode(&lines(body), out);
                Ok(())
            }
            Encoding::Identity => {
                write_header(header, encoding, "base64", kind, None, out);
                let bytes = if is_raw { Cow::Borrowed(body) } else { lines(body) };
                base64::encode(&bytes, out);
                Ok(())
            }
        }
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
            if let Some(start) = part_start {
                // The line end before a delimiter is the delimiter's.
                let part = body.get(start..line.start).unwrap_or_default();
                let ended = part.strip_suffix(b"\r\n").or_else(|| part.strip_suffix(b"\n")).unwrap_or(part);
                let start = range.start + start;
                self.write_entity(start..start + ended.len(), kind, depth)?;
                if ended.len() < part.len() {
                    self.out.extend_from_slice(b"\r\n");
                }
            }
            self.out.extend_from_slice(delimiter.as_bytes());
            if line.is_last {
                self.out.extend_from_slice(b"--");
                return Ok(());
            }
            self.out.extend_from_slice(b"\r\n");
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

/// The fields with another encoding; those that a message lacks to be MIME behind them.
fn write_header(
    header: &HeaderBlock<'_>,
    encoding: Option<&Field<'_>>,
    becomes: &str,
    kind: Kind,
    charset: Option<&str>,
    out: &mut Vec<u8>,
) {
    let content = header.content();
    let fields = content.get(..header.fields_end()).unwrap_or_default();
    match encoding {
        Some(field) => {
            out.extend_from_slice(fields.get(..field.range().start).unwrap_or_default());
            out.extend_from_slice(format!("{}: {becomes}\r\n", field.name()).as_bytes());
            out.extend_from_slice(fields.get(field.range().end..).unwrap_or_default());
        }
        None => out.extend_from_slice(fields),
    }
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
    let mut add = |line: String| out.extend_from_slice(line.as_bytes());
    if kind == Kind::Message && header.field("mime-version").is_none() {
        add("MIME-Version: 1.0\r\n".to_owned());
    }
    if let Some(charset) = charset {
        add(format!("Content-Type: text/plain; charset={charset}\r\n"));
    }
    if encoding.is_none() && becomes != "7bit" {
        add(format!("Content-Transfer-Encoding: {becomes}\r\n"));
    }
    out.extend_from_slice(b"\r\n");
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

/// Bytes above 127 have no place in quoted-printable; each becomes what it should have been.
fn mend_quoted_printable(body: &[u8], out: &mut Vec<u8>) {
    for &byte in body {
        if byte.is_ascii() && byte != 0 {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("={byte:02X}").as_bytes());
        }
    }
}

fn lines(bytes: &[u8]) -> Cow<'_, [u8]> {
    if are_crlf(bytes) { Cow::Borrowed(bytes) } else { Cow::Owned(with_crlf(bytes)) }
}

fn charset_of(body: &[u8]) -> &'static str {
    if std::str::from_utf8(body).is_ok() { "utf-8" } else { "unknown-8bit" }
}
