//! A domain name as it was written, beside the form in which names are compared.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::error::{ParseError, ParseErrorKind};

const LONGEST_DOMAIN: usize = 255;
const LONGEST_LABEL: usize = 63;

/// `Domain = sub-domain *("." sub-domain)` (RFC 5321 section 4.1.2, with the U-labels of RFC 6531 section 3.3).
///
/// Keeps its text as written and compares in lower-case A-label form, without a trailing dot:
/// `Bücher.example.` equals `xn--bcher-kva.example`. Labels have 1 to 63 octets, the whole at most 255, both counted
/// in A-label form.
#[derive(Clone)]
pub struct Domain {
    text: Box<str>,
    /// The form for comparison, where it differs from the text.
    ascii: Option<Box<str>>,
}

impl Domain {
    /// Reads a domain name; one trailing dot is allowed.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let ascii = if name.is_ascii() {
            let lower = check_labels(name)?;
            if lower && name.len() == text.len() { None } else { Some(name.to_ascii_lowercase().into()) }
        } else {
            Some(to_ascii(name)?)
        };
        Ok(Self { text: text.into(), ascii })
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name as it is compared and looked up: lower-case A-labels, no trailing dot.
    pub fn ascii(&self) -> &str {
        self.ascii.as_deref().unwrap_or(&self.text)
    }
}

/// Checks letters, digits, hyphens and lengths; says whether every letter is lower-case.
fn check_labels(name: &str) -> Result<bool, ParseError> {
    let refuse = |kind, offset| Err(ParseError::new(kind, offset));
    if name.len() > LONGEST_DOMAIN {
        return refuse(ParseErrorKind::DomainTooLong, LONGEST_DOMAIN);
    }
    let mut lower = true;
    let mut label = 0;
    let mut previous = b'.';
    for (offset, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => {}
            b'A'..=b'Z' => lower = false,
            b'-' if previous == b'.' => return refuse(ParseErrorKind::MisplacedHyphen, offset),
            b'-' => {}
            b'.' => {
                check_label_end(previous, label, offset)?;
                label = offset + 1;
            }
            _ if byte.is_ascii_control() => return refuse(ParseErrorKind::ControlCharacter, offset),
            _ => return refuse(ParseErrorKind::DomainCharacter, offset),
        }
        previous = byte;
    }
    check_label_end(previous, label, name.len())?;
    Ok(lower)
}

fn check_label_end(previous: u8, start: usize, end: usize) -> Result<(), ParseError> {
    match previous {
        b'.' => Err(ParseError::new(ParseErrorKind::EmptyLabel, end)),
        b'-' => Err(ParseError::new(ParseErrorKind::MisplacedHyphen, end - 1)),
        _ if end - start > LONGEST_LABEL => {
            Err(ParseError::new(ParseErrorKind::LabelTooLong, start + LONGEST_LABEL))
        }
        _ => Ok(()),
    }
}

/// The A-label form of a name with U-labels. Refusals name the first character that is not ASCII, for lack of better.
#[cold]
fn to_ascii(name: &str) -> Result<Box<str>, ParseError> {
    if let Some((offset, _)) = name.char_indices().find(|(_, c)| c.is_control()) {
        return Err(ParseError::new(ParseErrorKind::ControlCharacter, offset));
    }
    let offset = name.bytes().position(|byte| !byte.is_ascii()).unwrap_or(0);
    let ascii = Uts46::new()
        .to_ascii(name.as_bytes(), AsciiDenyList::STD3, Hyphens::Allow, DnsLength::Ignore)
        .map_err(|_| ParseError::new(ParseErrorKind::InvalidInternationalName, offset))?;
    match check_labels(&ascii) {
        Ok(_) => Ok(ascii.to_ascii_lowercase().into()),
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
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.text)
    }
}

impl FromStr for Domain {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
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
