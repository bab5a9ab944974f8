//! IMCEA encapsulation: an address of another type as an SMTP mailbox, there and back.

use crate::address::Address;
use crate::other::check_type;
use crate::smtp::domain::Domain;
use crate::smtp::mailbox::{MailDomain, Mailbox};

/// The longest local part that Exchange takes, in octets.
pub const LONGEST_LOCAL_PART: usize = 315;
/// The longest whole address that Exchange takes, in octets.
pub const LONGEST_ADDRESS: usize = 571;

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
    /// The local part would have more than 315 octets.
    #[error("the encapsulated local part would have {length} octets; 315 are allowed")]
    LocalPartTooLong {
        /// What it would have.
        length: usize,
    },
    /// The whole would have more than 571 octets.
    #[error("the encapsulated address would have {length} octets; 571 are allowed")]
    AddressTooLong {
        /// What it would have.
        length: usize,
    },
}

/// Writes `IMCEA` type `-` encoded-address `@` domain (MS-OXCMAIL, encapsulation).
pub fn encapsulate(address: &Address, domain: &Domain) -> Result<Mailbox, EncapsulationError> {
    let address_type = address.address_type();
    if is_forbidden(address_type) {
        return Err(EncapsulationError::ForbiddenType);
    }
    if !address_type.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(EncapsulationError::UnsuitableType);
    }
    let mut local_part = format!("{PREFIX}{address_type}-");
    match address {
        Address::Smtp(_) => return Err(EncapsulationError::ForbiddenType),
        Address::X400(address) => encode(&address.to_string(), &mut local_part),
        Address::Other(other) => encode(other.value(), &mut local_part),
    }
    if local_part.len() > LONGEST_LOCAL_PART {
        return Err(EncapsulationError::LocalPartTooLong { length: local_part.len() });
    }
    let length = local_part.len() + 1 + domain.as_str().len();
    if length > LONGEST_ADDRESS {
        return Err(EncapsulationError::AddressTooLong { length });
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
    matches!(address_type, "SMTP" | "X500")
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
