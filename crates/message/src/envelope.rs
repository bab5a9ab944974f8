//! The envelope: from whom, to whom, and how the sender wants it handled.

use std::fmt;
use std::str::FromStr;

use postroad_address_space::{Mailbox, ParseError};

use crate::deliver_by::{DeliverBy, Priority};
use crate::recipient::Recipient;

/// What travels with the content and is not part of it (RFC 5321 section 2.3.1, RFC 3461, RFC 6152).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Envelope {
    /// Whom failures are reported to.
    pub reverse_path: ReversePath,
    /// Everyone it goes to.
    pub recipients: Vec<Recipient>,
    /// `RET`: how much of the original a report carries.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub ret: Option<Return>,
    /// `ENVID`, xtext decoded.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub envelope_id: Option<String>,
    /// `BODY`: what the content may hold.
    #[cfg_attr(feature = "serde", serde(default))]
    pub body: Body,
    /// `SMTPUTF8` was asked for (RFC 6531).
    #[cfg_attr(feature = "serde", serde(default))]
    pub smtputf8: bool,
    /// `REQUIRETLS` was asked for (RFC 8689).
    #[cfg_attr(feature = "serde", serde(default))]
    pub require_tls: bool,
    /// `BY`: the sender's deadline (RFC 2852).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub deliver_by: Option<DeliverBy>,
    /// `MT-PRIORITY`: how urgent it is to him (RFC 6710).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub priority: Option<Priority>,
}

impl Envelope {
    /// An envelope that asks for nothing special.
    pub fn new(reverse_path: ReversePath, recipients: Vec<Recipient>) -> Self {
        Self {
            reverse_path,
            recipients,
            ret: None,
            envelope_id: None,
            body: Body::default(),
            smtputf8: false,
            require_tls: false,
            deliver_by: None,
            priority: None,
        }
    }
}

/// `Reverse-path = Path / "<>"` (RFC 5321 section 4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "String", try_from = "String")
)]
pub enum ReversePath {
    /// `<>`: a report, never answered with another.
    Null,
    /// A mailbox that reports go to.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Whether this is `<>`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The mailbox, unless it is null.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

/// With angle brackets, as in `MAIL FROM:`.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

impl From<ReversePath> for String {
    fn from(path: ReversePath) -> Self {
        path.to_string()
    }
}

impl From<Mailbox> for ReversePath {
    fn from(mailbox: Mailbox) -> Self {
        Self::Mailbox(mailbox)
    }
}

/// Reads what `Display` prints; the brackets of a mailbox may be missing, not those of `<>`: no text is no sender.
impl FromStr for ReversePath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mailbox = match text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            Some("") => return Ok(Self::Null),
            Some(inner) => Mailbox::parse(inner).map_err(|error| error.shifted(1)),
            None => Mailbox::parse(text),
        };
        mailbox.map(Self::Mailbox)
    }
}

impl TryFrom<&str> for ReversePath {
    type Error = ParseError;

    fn try_from(text: &str) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl TryFrom<String> for ReversePath {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

/// `RET=FULL` or `RET=HDRS` (RFC 3461 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Return {
    /// The whole message comes back with a failure.
    Full,
    /// Its header block only.
    Headers,
}

/// `BODY=7BIT`, `8BITMIME` (RFC 6152) or `BINARYMIME` (RFC 3030).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Body {
    /// Lines of 7-bit text.
    #[default]
    SevenBit,
    /// Lines that may hold bytes above 127.
    EightBitMime,
    /// Any bytes, lines of any length.
    BinaryMime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_said_and_never_left_out() {
        for (text, expected) in [
            ("<>", Ok("<>")),
            ("<joe@contoso.com>", Ok("<joe@contoso.com>")),
            ("joe@contoso.com", Ok("<joe@contoso.com>")),
            ("", Err(0)),
            ("<joe doe@contoso.com>", Err(4)),
            ("<joe@contoso.com", Err(0)),
            ("<<>>", Err(1)),
        ] {
            let read = text.parse::<ReversePath>();
            let read = read.map(|path| path.to_string()).map_err(|error| error.offset());
            assert_eq!(read, expected.map(str::to_owned), "{text:?}");
        }
    }
}
