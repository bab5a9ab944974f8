//! IMCEA encapsulation: an address of another type as an SMTP mailbox, there and back.

use crate::address::Address;
use crate::other::check_type;
use crate::smtp::domain::Domain;
use crate::smtp::mailbox::{MailDomain, Mailbox};

/// How long an encapsulated address may be, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Before the `@`.
    pub local_part: usize,
    /// In all.
    pub address: usize,
}

impl Limits {
    /// What every Exchange server takes.
    pub const EXCHANGE: Self = Self { local_part: 315, address: 571 };
    /// What a receive connector with `LongAddressesEnabled` takes, which offers `XLONGADDR`.
    pub const LONG: Self = Self { local_part: 1860, address: 1860 };
}

const PREFIX: &str = "IMCEA";

/// Why an address cannot be encapsulated. For ever: the address itself is unsuited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncapsulationError {
    /// An SMTP address needs no encapsulation, and would open a relay hole.
    #[error("an address of type SMTP or X500 is never encapsulated")]
    ForbiddenType,
    /// The type cannot be told from the address behind it.
    #[error("the type of an encapsulated address is letters and digits")]
    UnsuitableType,
    /// The local part would be longer than the limit.
    #[error("the encapsulated local part would have {length} octets; {limit} are allowed")]
    LocalPartTooLong {
        /// What it would have.
        length: usize,
        /// What it may have.
        limit: usize,
    },
    /// The whole would be longer than the limit.
    #[error("the encapsulated address would have {length} octets; {limit} are allowed")]
    AddressTooLong {
        /// What it would have.
        length: usize,
        /// What it may have.
        limit: usize,
    },
}

/// Writes `IMCEA` type `-` encoded-address `@` domain (MS-OXCMAIL, encapsulation).
///
/// An X.400 address is written as it is printed; [`encapsulate_text`] keeps a text as it stands.
///
/// # Errors
///
/// SMTP and X500 addresses, types that cannot be told apart again, and what would be longer than [`Limits::EXCHANGE`].
pub fn encapsulate(address: &Address, domain: &Domain) -> Result<Mailbox, EncapsulationError> {
    match address {
        Address::Smtp(_) => Err(EncapsulationError::ForbiddenType),
        Address::X400(address) => encapsulate_text("X400", &address.to_string(), domain),
        Address::Other(other) => encapsulate_text(other.address_type(), other.value(), domain),
    }
}

/// Encapsulates the text of an address without looking into it.
///
/// # Errors
///
/// As [`encapsulate`].
pub fn encapsulate_text(
    address_type: &str,
    text: &str,
    domain: &Domain,
) -> Result<Mailbox, EncapsulationError> {
    encapsulate_within(Limits::EXCHANGE, address_type, text, domain)
}

/// Encapsulates with other limits than Exchange's ordinary ones.
///
/// # Errors
///
/// As [`encapsulate`], by these limits.
pub fn encapsulate_within(
    limits: Limits,
    address_type: &str,
    text: &str,
    domain: &Domain,
) -> Result<Mailbox, EncapsulationError> {
    let address_type = address_type.to_ascii_uppercase();
    if is_forbidden(&address_type) {
        return Err(EncapsulationError::ForbiddenType);
    }
    if address_type.is_empty() || !address_type.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(EncapsulationError::UnsuitableType);
    }
    let mut local_part = format!("{PREFIX}{address_type}-");
    encode(text, &mut local_part);
    if local_part.len() > limits.local_part {
        return Err(EncapsulationError::LocalPartTooLong {
            length: local_part.len(),
            limit: limits.local_part,
        });
    }
    let length = local_part.len() + 1 + domain.as_str().len();
    if length > limits.address {
        return Err(EncapsulationError::AddressTooLong { length, limit: limits.address });
    }
    // The encoding leaves nothing but letters, digits, `=`, `-`, `_` and `+`.
    Mailbox::new(&local_part, MailDomain::Name(domain.clone()))
        .map_err(|_| EncapsulationError::UnsuitableType)
}

/// Reads an encapsulated address back; `None` if the mailbox is an ordinary one, which an ill-formed one is too.
///
/// Whether the domain is one to open is the caller's question: only the default accepted domain is.
/// `IMCEASMTP` and `IMCEAX500` stay ordinary, or anybody could relay through them.
pub fn decapsulate(mailbox: &Mailbox) -> Option<Address> {
    let local_part = mailbox.local_part();
    let (prefix, rest) = local_part.split_at_checked(PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let (address_type, encoded) = rest.split_once('-')?;
    // One family of writers encodes the type with the address.
    let address_type = check_type(&decode(address_type)?).ok()?;
    if is_forbidden(&address_type) {
        return None;
    }
    let value = decode(encoded)?;
    Address::parse(&format!("{address_type}:{value}"))
        .ok()
        .filter(|address| address.address_type() == &*address_type)
}

fn is_forbidden(address_type: &str) -> bool {
    matches!(address_type, "SMTP" | "X500" | "X.500")
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'=' | b'-' => out.push(char::from(byte)),
            b'/' => out.push('_'),
            _ => {
                const DIGITS: [char; 16] =
                    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
                out.push('+');
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
        }
    }
}

/// One pass, so that nothing is decoded twice; `None` if an escape is no `+HH` or the octets are no UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'_' => b'/',
            b'+' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_exchange_unless_the_peer_takes_long_addresses() {
        let domain = Domain::parse("contoso.com").unwrap();
        let long = "1".repeat(315 - "IMCEAFAX-".len());
        assert!(encapsulate_text("FAX", &long, &domain).is_ok());
        let longer = long + "1";
        let refused = EncapsulationError::LocalPartTooLong { length: 316, limit: 315 };
        assert_eq!(encapsulate_text("FAX", &longer, &domain), Err(refused));
        assert!(encapsulate_within(Limits::LONG, "FAX", &longer, &domain).is_ok());
    }

    #[test]
    fn smtp_and_x500_are_never_encapsulated() {
        let domain = Domain::parse("contoso.com").unwrap();
        let jane = Address::parse("jane@contoso.com").unwrap();
        assert_eq!(encapsulate(&jane, &domain), Err(EncapsulationError::ForbiddenType));
        assert_eq!(encapsulate_text("x500", "/o=x", &domain), Err(EncapsulationError::ForbiddenType));
        assert_eq!(encapsulate_text("A-B", "x", &domain), Err(EncapsulationError::UnsuitableType));
    }
}
