//! An X.400 originator/recipient address.

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, ParseErrorKind};
use crate::smtp::mailbox::is_control;

/// An O/R address: `C=US;A=Fabrikam;P=Contoso;S=Doe;G=Jane;`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OrAddress {
    text: Box<str>,
}

impl OrAddress {
    /// Reads an O/R address.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::new(ParseErrorKind::EmptyAddress, 0));
        }
        if let Some((offset, _)) = text.char_indices().find(|(_, c)| is_control(*c)) {
            return Err(ParseError::new(ParseErrorKind::ControlCharacter, offset));
        }
        Ok(Self { text: text.into() })
    }
}

impl fmt::Display for OrAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for OrAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrAddress({self})")
    }
}

impl FromStr for OrAddress {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}
