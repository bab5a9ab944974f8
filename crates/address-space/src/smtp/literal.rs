//! An address literal, where a mailbox names a host by its number.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::error::{ParseError, ParseErrorKind};

/// `address-literal = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"`
/// (RFC 5321 section 4.1.3).
///
/// Keeps its text as written. Two literals are equal if they name the same IP address, or else if their text is the
/// same but for case.
#[derive(Clone)]
pub struct AddressLiteral {
    text: Arc<str>,
    address: Option<IpAddr>,
}

impl AddressLiteral {
    /// Reads a literal with its brackets.
    ///
    /// # Errors
    ///
    /// The first fault of the text, with its byte.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let bad = |offset| ParseError::new(ParseErrorKind::BadAddressLiteral, offset);
        let inner = text.strip_prefix('[').ok_or_else(|| bad(0))?;
        let inner = inner.strip_suffix(']').ok_or_else(|| bad(text.len()))?;
        if let Some(offset) = text.bytes().position(|byte| byte.is_ascii_control()) {
            return Err(ParseError::new(ParseErrorKind::ControlCharacter, offset));
        }
        let address = match inner.split_once(':') {
            None => Some(IpAddr::V4(ipv4(inner).ok_or_else(|| bad(1))?)),
            Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6") => {
                Some(IpAddr::V6(address.parse::<Ipv6Addr>().map_err(|_| bad(tag.len() + 2))?))
            }
            Some((tag, content)) => {
                check_general(tag, content).map_err(|at| bad(at + 1))?;
                None
            }
        };
        Ok(Self { text: text.into(), address })
    }

    /// The literal as written, with its brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The IP address; `None` for a tag that is not known here.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address
    }
}

/// `IPv4-address-literal = Snum 3("." Snum)`, where `Snum = 1*3DIGIT` is decimal, leading zeros and all.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if !(1..=3).contains(&part.len()) || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// `General-address-literal = Standardized-tag ":" 1*dcontent`; the error is the byte that is wrong.
fn check_general(tag: &str, content: &str) -> Result<(), usize> {
    let ends_well = tag.as_bytes().last().is_some_and(u8::is_ascii_alphanumeric);
    if !ends_well {
        return Err(tag.len());
    }
    if let Some(at) = tag.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'-')) {
        return Err(at);
    }
    if content.is_empty() {
        return Err(tag.len() + 1);
    }
    // By the grammar 2001:db8::1 is a literal with the tag 2001; what was meant needs the tag IPv6.
    if format!("{tag}:{content}").parse::<Ipv6Addr>().is_ok() {
        return Err(0);
    }
    match content.bytes().position(|byte| !matches!(byte, 33..=90 | 94..=126)) {
        Some(at) => Err(tag.len() + 1 + at),
        None => Ok(()),
    }
}

impl PartialEq for AddressLiteral {
    fn eq(&self, other: &Self) -> bool {
        match (self.address, other.address) {
            (None, None) => self.text.eq_ignore_ascii_case(&other.text),
            (left, right) => left == right,
        }
    }
}

impl Eq for AddressLiteral {}

impl Hash for AddressLiteral {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
        if self.address.is_none() {
            self.text.to_ascii_lowercase().hash(state);
        }
    }
}

/// As written.
impl fmt::Display for AddressLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for AddressLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressLiteral({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        for (left, right) in [
            ("[192.0.2.1]", "[192.000.2.001]"),
            ("[IPv6:2001:db8::1]", "[ipv6:2001:DB8:0:0:0:0:0:1]"),
            ("[x-Net:ABC]", "[X-net:abc]"),
        ] {
            assert_eq!(AddressLiteral::parse(left).unwrap(), AddressLiteral::parse(right).unwrap(), "{left}");
        }
    }

    #[test]
    fn what_is_no_literal() {
        for text in [
            "",
            "[",
            "]",
            "[]",
            "[192.0.2]",
            "[192.0.2.256]",
            "[192.0.2.1",
            "[1.2.3.4.5]",
            "[2001:db8::1]",
            "[IPv6:]",
            "[IPv6:1.2.3.4]",
            "[tag:]",
            "[tag-:x]",
            "[:x]",
            "[tag:a b]",
            "[tag:a]b]",
            "[tag:a\\b]",
            "[tag:é]",
            "[tag:\r]",
            "[localhost]",
            "[+1.2.3.4]",
        ] {
            assert!(AddressLiteral::parse(text).is_err(), "{text}");
        }
    }
}
