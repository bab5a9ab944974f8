//! An address of any type but SMTP and X400: FAX, NOTES, MOBILE and whatever a gateway calls its own.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::error::{ParseError, ParseErrorKind};
use crate::smtp::mailbox::is_control;

/// A type and a text that only the type's gateway understands: `FAX:+1 (425) 555-0100`.
///
/// The type is compared without regard to case, the text exactly; both hold no control character and are not empty.
/// (Address spaces match the text without regard to case.)
#[derive(Clone)]
pub struct OtherAddress {
    /// In upper case.
    address_type: Box<str>,
    value: Box<str>,
    /// The value in lower case, where that differs.
    folded: Option<Box<str>>,
}

impl OtherAddress {
    /// Joins a type and an address. `SMTP` and `X400` are refused: they have grammars of their own.
    ///
    /// # Errors
    ///
    /// The first fault of the two, with its byte.
    pub fn new(address_type: &str, value: &str) -> Result<Self, ParseError> {
        let address_type = check_type(address_type)?;
        if matches!(&*address_type, "SMTP" | "X400") {
            return Err(ParseError::new(ParseErrorKind::AddressTypeCharacter, 0));
        }
        Self::of_checked_type(address_type, value)
    }

    pub(crate) fn of_checked_type(address_type: Box<str>, value: &str) -> Result<Self, ParseError> {
        if value.is_empty() {
            return Err(ParseError::new(ParseErrorKind::EmptyAddress, 0));
        }
        if let Some((offset, _)) = value.char_indices().find(|(_, c)| is_control(*c)) {
            return Err(ParseError::new(ParseErrorKind::ControlCharacter, offset));
        }
        let folded = fold(value);
        let folded = (folded != value).then(|| folded.into());
        Ok(Self { address_type, value: value.into(), folded })
    }

    /// The type in upper case, such as `FAX`.
    pub fn address_type(&self) -> &str {
        &self.address_type
    }

    /// The address behind the type, as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The address as address spaces see it.
    pub(crate) fn folded(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.value)
    }
}

/// Checks an address type and puts it in upper case; `X.400` is another name of `X400` (RFC 1685).
pub(crate) fn check_type(text: &str) -> Result<Box<str>, ParseError> {
    let start = text.len() - text.trim_start_matches(' ').len();
    let trimmed = text.trim_matches(' ');
    if trimmed.is_empty() {
        return Err(ParseError::new(ParseErrorKind::EmptyAddressType, 0));
    }
    for (offset, c) in trimmed.char_indices() {
        if is_control(c) {
            return Err(ParseError::new(ParseErrorKind::ControlCharacter, start + offset));
        }
        if matches!(c, ':' | ';' | '@' | '"') {
            return Err(ParseError::new(ParseErrorKind::AddressTypeCharacter, start + offset));
        }
    }
    let upper = trimmed.to_ascii_uppercase();
    Ok(if upper == "X.400" { "X400".into() } else { upper.into() })
}

/// Lower case, one character at a time, so that the beginning of a folded text is the folded beginning.
pub(crate) fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

impl PartialEq for OtherAddress {
    fn eq(&self, other: &Self) -> bool {
        self.address_type == other.address_type && self.value == other.value
    }
}

impl Eq for OtherAddress {}

impl Hash for OtherAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address_type.hash(state);
        self.value.hash(state);
    }
}

/// `TYPE:address`
impl fmt::Display for OtherAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.address_type, self.value)
    }
}

impl fmt::Debug for OtherAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OtherAddress({self})")
    }
}
