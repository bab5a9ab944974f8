//! A domain name as it was written, beside the form in which names are compared.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::error::{ParseError, ParseErrorKind};
use crate::hash::hash;

const LONGEST_DOMAIN: usize = 255;
const LONGEST_LABEL: u8 = 63;

/// `Domain = sub-domain *("." sub-domain)` (RFC 5321 section 4.1.2, with the U-labels of RFC 6531 section 3.3).
///
/// Keeps its text as written and compares in lower-case A-label form, without a trailing dot:
/// `Bücher.example.` equals `xn--bcher-kva.example`. Labels have 1 to 63 octets, the whole at most 255, both counted
/// in A-label form.
///
/// Knows the hash of what is compared, so that a look-up begins with none to make.
#[derive(Clone)]
pub struct Domain {
    /// As written; behind it the form for comparison, where that is not a beginning of it.
    text: Arc<str>,
    /// Of the form for comparison.
    hash: u64,
    written: u32,
    ascii: u8,
    appended: bool,
    labels: Labels,
}

/// The labels of a name for comparison.
#[derive(Clone, Copy)]
struct Labels {
    /// 1 to 128.
    count: u8,
    /// The length of the first, 1 to 63.
    first: u8,
}

impl Domain {
    /// Reads a domain name; one trailing dot is allowed.
    ///
    /// # Errors
    ///
    /// The first fault of the text, with its byte.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if !name.is_ascii() {
            return Self::of_unicode(text, name);
        }
        let (labels, lower) = check_labels(name)?;
        if lower {
            return Ok(Self::of_parts(text.into(), text.len(), name.len(), labels));
        }
        let mut both = String::with_capacity(text.len() + name.len());
        both.push_str(text);
        both.push_str(name);
        if let Some(ascii) = both.get_mut(text.len()..) {
            ascii.make_ascii_lowercase();
        }
        Ok(Self::of_parts(both.into(), text.len(), name.len(), labels))
    }

    #[cold]
    fn of_unicode(text: &str, name: &str) -> Result<Self, ParseError> {
        if u32::try_from(text.len()).is_err() {
            return Err(ParseError::new(ParseErrorKind::DomainTooLong, LONGEST_DOMAIN));
        }
        let (ascii, labels) = to_ascii(name)?;
        Ok(Self::of_parts((text.to_owned() + &ascii).into(), text.len(), ascii.len(), labels))
    }

    /// The form for comparison stands behind the written one, if there is more than the written one.
    fn of_parts(text: Arc<str>, written: usize, ascii: usize, labels: Labels) -> Self {
        let appended = text.len() > written;
        let domain = Self {
            text,
            hash: 0,
            written: u32::try_from(written).unwrap_or(u32::MAX),
            ascii: u8::try_from(ascii).unwrap_or(u8::MAX),
            appended,
            labels,
        };
        Self { hash: hash(domain.ascii().as_bytes()), ..domain }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        self.text.get(..self.written as usize).unwrap_or(&self.text)
    }

    /// The name as it is compared and looked up: lower-case A-labels, no trailing dot.
    #[inline]
    pub fn ascii(&self) -> &str {
        let start = if self.appended { self.written as usize } else { 0 };
        self.text.get(start..start + usize::from(self.ascii)).unwrap_or_default()
    }

    /// The hash of [`Domain::ascii`].
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// How many labels it has.
    #[inline]
    pub(crate) fn label_count(&self) -> u32 {
        u32::from(self.labels.count)
    }

    /// How long the first label is.
    #[inline]
    pub(crate) fn first_label(&self) -> usize {
        usize::from(self.labels.first)
    }

    /// [`Domain::ascii`], for those who need no proof that it is text.
    #[inline]
    pub(crate) fn ascii_bytes(&self) -> &[u8] {
        let start = if self.appended { self.written as usize } else { 0 };
        self.text.as_bytes().get(start..start + usize::from(self.ascii)).unwrap_or_default()
    }
}

const WORD: u8 = 1;
const UPPER: u8 = 2;

/// What each byte is within a label.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => WORD,
            b'A'..=b'Z' => WORD | UPPER,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// Checks letters, digits, hyphens and lengths; says whether every letter is lower-case.
fn check_labels(name: &str) -> Result<(Labels, bool), ParseError> {
    if name.len() > LONGEST_DOMAIN {
        return Err(ParseError::new(ParseErrorKind::DomainTooLong, LONGEST_DOMAIN));
    }
    let mut seen = 0;
    let mut start = 0;
    let mut labels = Labels { count: 0, first: 0 };
    for (offset, byte) in name.bytes().enumerate() {
        let class = CLASSES[usize::from(byte)];
        seen |= class;
        if class & WORD != 0 {
            continue;
        }
        if byte != b'.' {
            let control = byte.is_ascii_control();
            let kind =
                if control { ParseErrorKind::ControlCharacter } else { ParseErrorKind::DomainCharacter };
            return Err(ParseError::new(kind, offset));
        }
        labels = labels.with(check_label(name, start, offset)?);
        start = offset + 1;
    }
    labels = labels.with(check_label(name, start, name.len())?);
    Ok((labels, seen & UPPER == 0))
}

impl Labels {
    fn with(self, length: u8) -> Self {
        let first = if self.count == 0 { length } else { self.first };
        Self { count: self.count + 1, first }
    }
}

/// Checks what only the ends of a label show; answers its length.
fn check_label(name: &str, start: usize, end: usize) -> Result<u8, ParseError> {
    let refuse = |kind, offset| Err(ParseError::new(kind, offset));
    let bytes = name.as_bytes();
    if end == start {
        return refuse(ParseErrorKind::EmptyLabel, end);
    }
    if bytes.get(start) == Some(&b'-') {
        return refuse(ParseErrorKind::MisplacedHyphen, start);
    }
    if bytes.get(end - 1) == Some(&b'-') {
        return refuse(ParseErrorKind::MisplacedHyphen, end - 1);
    }
    match u8::try_from(end - start) {
        Ok(length) if length <= LONGEST_LABEL => Ok(length),
        _ => refuse(ParseErrorKind::LabelTooLong, start + usize::from(LONGEST_LABEL)),
    }
}

/// The A-label form of a name with U-labels. Refusals name the first character that is not ASCII, for lack of better.
fn to_ascii(name: &str) -> Result<(String, Labels), ParseError> {
    if let Some((offset, _)) = name.char_indices().find(|(_, c)| c.is_control()) {
        return Err(ParseError::new(ParseErrorKind::ControlCharacter, offset));
    }
    let offset = name.bytes().position(|byte| !byte.is_ascii()).unwrap_or(0);
    let ascii = Uts46::new()
        .to_ascii(name.as_bytes(), AsciiDenyList::STD3, Hyphens::Allow, DnsLength::Ignore)
        .map_err(|_| ParseError::new(ParseErrorKind::InvalidInternationalName, offset))?;
    match check_labels(&ascii) {
        Ok((labels, _)) => Ok((ascii.to_ascii_lowercase(), labels)),
        Err(error) => Err(ParseError::new(error.kind(), offset)),
    }
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        self.ascii() == other.ascii()
    }
}

impl Eq for Domain {}

impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ascii().hash(state);
    }
}

/// As written.
impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// As written.
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_in_many_spellings() {
        for (left, right) in [
            ("contoso.com", "CONTOSO.com"),
            ("contoso.com", "contoso.com."),
            ("Bücher.example", "xn--bcher-kva.EXAMPLE"),
            ("BÜCHER.example.", "bücher.example"),
            ("ｃｏｎｔｏｓｏ。com", "contoso.com"),
        ] {
            assert_eq!(Domain::parse(left).unwrap(), Domain::parse(right).unwrap(), "{left} {right}");
            assert_eq!(Domain::parse(left).unwrap().to_string(), left);
        }
        assert_ne!(Domain::parse("contoso.com").unwrap(), Domain::parse("contoso.org").unwrap());
    }

    #[test]
    fn refusals_name_the_byte() {
        use ParseErrorKind::*;
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(63).as_str(); 4].join(".") + ".b";
        for (text, kind, offset) in [
            ("", EmptyLabel, 0),
            (".", EmptyLabel, 0),
            ("..", EmptyLabel, 0),
            (".contoso.com", EmptyLabel, 0),
            ("contoso..com", EmptyLabel, 8),
            ("contoso.com..", EmptyLabel, 12),
            ("con_toso.com", DomainCharacter, 3),
            ("con toso.com", DomainCharacter, 3),
            ("con\r\ntoso.com", ControlCharacter, 3),
            ("con\u{85}toso.com", ControlCharacter, 3),
            ("-a.com", MisplacedHyphen, 0),
            ("a-.com", MisplacedHyphen, 1),
            ("a.com-", MisplacedHyphen, 5),
            ("a＠b.com", InvalidInternationalName, 1),
            (&long_label, LabelTooLong, 63),
            (&long_name, DomainTooLong, 255),
        ] {
            let error = Domain::parse(text).unwrap_err();
            assert_eq!((error.kind(), error.offset()), (kind, offset), "{text:?}");
        }
    }

    #[test]
    fn hyphens_in_third_and_fourth_place_are_ordinary() {
        assert_eq!(Domain::parse("R3---sn.example").unwrap().ascii(), "r3---sn.example");
    }
}
