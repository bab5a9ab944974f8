//! An address of any type, parsed once, printed as its typed text.

use std::fmt;

use crate::error::ParseError;
use crate::other::{OtherAddress, check_type};
use crate::smtp::mailbox::Mailbox;
use crate::x400::or_address::OrAddress;

/// Who a message goes to, in whatever system.
///
/// Text with a type (`X400:C=US;A= ;P=Contoso;S=Doe;`, `FAX:+1 425`, `SMTP:jane@contoso.com`) or a bare SMTP mailbox.
/// A text has a type if its first `:` stands before any `@` and outside quotes.
/// Prints SMTP addresses bare and all others with their type; what is printed reads back as the same address.
/// Exhaustive on purpose: whatever is neither is [`Other`](Self::Other).
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A mailbox on the internet.
    Smtp(Mailbox),
    /// An X.400 originator/recipient address.
    X400(OrAddress),
    /// Any other type.
    Other(OtherAddress),
}

impl Address {
    /// Reads a typed address or a bare SMTP mailbox.
    ///
    /// # Errors
    ///
    /// The first fault of the text, with its byte.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let Some(colon) = type_end(text) else {
            return Mailbox::parse(text).map(Self::Smtp);
        };
        let address_type = check_type(&text[..colon])?;
        let rest = &text[colon + 1..];
        match &*address_type {
            "SMTP" => Mailbox::parse(rest).map(Self::Smtp),
            "X400" => OrAddress::parse(rest).map(Self::X400),
            _ => OtherAddress::of_checked_type(address_type, rest).map(Self::Other),
        }
        .map_err(|error| error.shifted(colon + 1))
    }

    /// The type in upper case: `SMTP`, `X400`, `FAX` ...
    pub fn address_type(&self) -> &str {
        match self {
            Self::Smtp(_) => "SMTP",
            Self::X400(_) => "X400",
            Self::Other(other) => other.address_type(),
        }
    }

    /// The mailbox, if it is an SMTP address.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Smtp(mailbox) => Some(mailbox),
            _ => None,
        }
    }
}

/// Where the colon stands that ends the type, if the text has one.
fn type_end(text: &str) -> Option<usize> {
    let at = text.bytes().position(|byte| matches!(byte, b':' | b'@' | b'"'))?;
    (text.as_bytes().get(at) == Some(&b':')).then_some(at)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smtp(mailbox) => mailbox.fmt(f),
            Self::X400(address) => write!(f, "X400:{address}"),
            Self::Other(other) => other.fmt(f),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl From<Mailbox> for Address {
    fn from(mailbox: Mailbox) -> Self {
        Self::Smtp(mailbox)
    }
}

impl From<OrAddress> for Address {
    fn from(address: OrAddress) -> Self {
        Self::X400(address)
    }
}

impl From<OtherAddress> for Address {
    fn from(address: OtherAddress) -> Self {
        Self::Other(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ParseErrorKind;

    #[test]
    fn a_colon_makes_a_type_only_before_any_at_sign_and_outside_quotes() {
        for (text, address_type, printed) in [
            ("jane@contoso.com", "SMTP", "jane@contoso.com"),
            ("smtp:jane@contoso.com", "SMTP", "jane@contoso.com"),
            ("jane@[IPv6:2001:db8::1]", "SMTP", "jane@[IPv6:2001:db8::1]"),
            ("\"FAX:1\"@contoso.com", "SMTP", "\"FAX:1\"@contoso.com"),
            ("fax: 1@2", "FAX", "FAX: 1@2"),
            ("X.400:C=US;S=Doe", "X400", "X400:C=US;A= ;S=Doe;"),
            ("NOTES:a:b", "NOTES", "NOTES:a:b"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.address_type(), address.to_string().as_str()), (address_type, printed));
            assert_eq!(Address::parse(printed), Ok(address));
        }
    }

    #[test]
    fn refusals_name_the_byte() {
        use ParseErrorKind::*;
        for (text, kind, offset) in [
            ("", Empty, 0),
            ("jane", MissingAt, 4),
            (":jane@contoso.com", EmptyAddressType, 0),
            ("FAX:", EmptyAddress, 4),
            ("FAX:1\r\n2", ControlCharacter, 5),
            ("a;b:c", AddressTypeCharacter, 1),
            ("SMTP:jane", MissingAt, 9),
            ("X400:S=Doe", MissingCountry, 10),
            // Found by fuzzing: the space around a type hid a vertical tab.
            ("SMT\u{b}:jane@contoso.com", ControlCharacter, 3),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!((error.kind(), error.offset()), (kind, offset), "{text:?}");
        }
    }
}
