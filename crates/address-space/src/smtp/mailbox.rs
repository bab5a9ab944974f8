//! An SMTP mailbox, `local-part@domain`, as it was written.

use std::fmt;
use std::sync::Arc;

use crate::error::{ParseError, ParseErrorKind};
use crate::smtp::domain::Domain;
use crate::smtp::literal::AddressLiteral;

/// `Mailbox = Local-part "@" ( Domain / address-literal )` (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
///
/// Holds no control character, and no special character outside quotes: it may be written into a command line as it
/// is. The local part keeps its text as written, quotes and backslashes too, and is compared exactly; it may be longer
/// than 64 octets, as an encapsulated address is. The domain is compared in its A-label form.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local_part: Arc<str>,
    domain: MailDomain,
}

/// What stands behind the `@`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum MailDomain {
    /// A domain name.
    Name(Domain),
    /// A host by its number, in brackets.
    Literal(AddressLiteral),
}

impl Mailbox {
    /// Reads a bare mailbox: no angle brackets, no display name, no space around it.
    ///
    /// # Errors
    ///
    /// The first fault of the text, with its byte.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let at = local_part(text)?;
        let (local_part, rest) = text.split_at(at);
        let domain = MailDomain::parse(&rest[1..]).map_err(|error| error.shifted(at + 1))?;
        Ok(Self { local_part: local_part.into(), domain })
    }

    /// Joins a local part, which must be one that [`Mailbox::parse`] takes, with a domain.
    ///
    /// # Errors
    ///
    /// The first fault of the local part, with its byte.
    pub fn new(local_part: &str, domain: MailDomain) -> Result<Self, ParseError> {
        match self::local_part(&format!("{local_part}@")) {
            Ok(at) if at == local_part.len() => Ok(Self { local_part: local_part.into(), domain }),
            Ok(at) => Err(ParseError::new(ParseErrorKind::UnquotedSpecial, at)),
            Err(error) => Err(error),
        }
    }

    /// The local part as written, with its quotes if it has any.
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain or address literal.
    pub fn domain(&self) -> &MailDomain {
        &self.domain
    }

    /// Whether only a peer that offers SMTPUTF8 can take this address as it is written (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        !self.local_part.is_ascii() || !self.domain.as_str().is_ascii()
    }
}

impl MailDomain {
    /// Reads a domain name, or an address literal in its brackets.
    ///
    /// # Errors
    ///
    /// The first fault of the text, with its byte.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.starts_with('[') {
            AddressLiteral::parse(text).map(Self::Literal)
        } else {
            Domain::parse(text).map(Self::Name)
        }
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Name(domain) => domain.as_str(),
            Self::Literal(literal) => literal.as_str(),
        }
    }

    /// The domain name, if it is one.
    pub fn name(&self) -> Option<&Domain> {
        match self {
            Self::Name(domain) => Some(domain),
            Self::Literal(_) => None,
        }
    }
}

/// `Local-part = Dot-string / Quoted-string`; answers where the `@` behind it stands.
fn local_part(text: &str) -> Result<usize, ParseError> {
    if text.is_empty() {
        return Err(ParseError::new(ParseErrorKind::Empty, 0));
    }
    let end = if text.starts_with('"') { quoted_string(text)? } else { dot_string(text)? };
    match text.as_bytes().get(end) {
        Some(b'@') if end == 0 => Err(ParseError::new(ParseErrorKind::EmptyLocalPart, 0)),
        Some(b'@') => Ok(end),
        Some(_) => Err(ParseError::new(character_kind(text, end), end)),
        None => Err(ParseError::new(ParseErrorKind::MissingAt, end)),
    }
}

/// `Dot-string = Atom *("." Atom)`, where RFC 6531 adds every character that is not ASCII; answers its end.
fn dot_string(text: &str) -> Result<usize, ParseError> {
    let mut after_dot = true;
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            b'.' if after_dot => return Err(ParseError::new(ParseErrorKind::MisplacedDot, offset)),
            b'.' => after_dot = true,
            _ if is_atext(byte) => after_dot = false,
            128.. => {
                refuse_wide_control(text, offset)?;
                after_dot = false;
            }
            b'@' if after_dot && offset > 0 => {
                return Err(ParseError::new(ParseErrorKind::MisplacedDot, offset - 1));
            }
            _ => return Ok(offset),
        }
    }
    Ok(text.len())
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`; answers the byte behind its closing quote.
fn quoted_string(text: &str) -> Result<usize, ParseError> {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok(offset + 1),
            b'\\' => match bytes.next() {
                Some((_, b' '..=b'~')) => {}
                Some((offset, _)) => {
                    let kind = match character_kind(text, offset) {
                        ParseErrorKind::ControlCharacter => ParseErrorKind::ControlCharacter,
                        _ => ParseErrorKind::BadQuotedPair,
                    };
                    return Err(ParseError::new(kind, offset));
                }
                None => break,
            },
            b' '..=b'~' => {}
            128.. => refuse_wide_control(text, offset)?,
            _ => return Err(ParseError::new(ParseErrorKind::ControlCharacter, offset)),
        }
    }
    Err(ParseError::new(ParseErrorKind::UnclosedQuote, text.len()))
}

/// `atext` (RFC 5322 section 3.2.3).
fn is_atext(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'
        | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'/' | b'='
        | b'?' | b'^' | b'_' | b'`' | b'{' | b'|' | b'}' | b'~')
}

/// Refuses the control characters above ASCII (U+0080 to U+009F) and the two line separators of Unicode.
fn refuse_wide_control(text: &str, offset: usize) -> Result<(), ParseError> {
    match character_kind(text, offset) {
        ParseErrorKind::ControlCharacter => Err(ParseError::new(ParseErrorKind::ControlCharacter, offset)),
        _ => Ok(()),
    }
}

fn character_kind(text: &str, offset: usize) -> ParseErrorKind {
    match text.get(offset..).and_then(|rest| rest.chars().next()) {
        Some(c) if is_control(c) => ParseErrorKind::ControlCharacter,
        _ => ParseErrorKind::UnquotedSpecial,
    }
}

/// A control character, or a line or paragraph separator.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// As written.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({self})")
    }
}

/// As written.
impl fmt::Display for MailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for MailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailDomain({self})")
    }
}

impl From<Domain> for MailDomain {
    fn from(domain: Domain) -> Self {
        Self::Name(domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_keep_their_text() {
        let encapsulated = format!("IMCEAFAX-{}@contoso.com", "1".repeat(300));
        for text in [
            "jane@contoso.com",
            "j@localhost",
            "Jane.Doe+tag@Contoso.COM",
            "!#$%&'*+-/=?^_`{|}~@x.y",
            "\"\"@x.y",
            "\"jane doe\"@x.y",
            "\"a@b\\\"c\\\\\"@x.y",
            "\"<>()[]:;,.\"@x.y",
            "jane@[192.0.2.1]",
            "jane@[IPv6:2001:db8::1]",
            "jane@10.0.0.1",
            "jäne@bücher.example",
            "\"jäne doe\"@x.y",
            "用户@例子.广告",
            &encapsulated,
        ] {
            assert_eq!(Mailbox::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_local_part_is_compared_exactly_and_the_domain_is_not() {
        let jane = Mailbox::parse("jane@contoso.com").unwrap();
        assert_eq!(jane, Mailbox::parse("jane@CONTOSO.com.").unwrap());
        assert_ne!(jane, Mailbox::parse("Jane@contoso.com").unwrap());
        assert_ne!(jane, Mailbox::parse("\"jane\"@contoso.com").unwrap());
    }

    #[test]
    fn refusals_name_the_byte() {
        use ParseErrorKind::*;
        for (text, kind, offset) in [
            ("", Empty, 0),
            ("jane", MissingAt, 4),
            ("@contoso.com", EmptyLocalPart, 0),
            ("jane@", EmptyLabel, 5),
            (".jane@x.y", MisplacedDot, 0),
            ("ja..ne@x.y", MisplacedDot, 3),
            ("jane.@x.y", MisplacedDot, 4),
            ("jane doe@x.y", UnquotedSpecial, 4),
            (" jane@x.y", UnquotedSpecial, 0),
            ("<jane@x.y>", UnquotedSpecial, 0),
            ("jane@x.y>", DomainCharacter, 8),
            ("jane@x.y ", DomainCharacter, 8),
            ("jane@x@y", DomainCharacter, 6),
            ("ja\"ne@x.y", UnquotedSpecial, 2),
            ("\"jane\"doe@x.y", UnquotedSpecial, 6),
            ("\"jane", UnclosedQuote, 5),
            ("\"jane\\\"@x.y", UnclosedQuote, 11),
            ("\"jane\\", UnclosedQuote, 6),
            ("\"ja\\é\"@x.y", BadQuotedPair, 4),
            ("ja\\ ne@x.y", UnquotedSpecial, 2),
            ("jane\r\nRCPT TO:<x@y>@x.y", ControlCharacter, 4),
            ("\"jane\r\n\"@x.y", ControlCharacter, 5),
            ("\"jane\\\n\"@x.y", ControlCharacter, 6),
            ("ja\0ne@x.y", ControlCharacter, 2),
            ("\"ja\0ne\"@x.y", ControlCharacter, 3),
            ("ja\tne@x.y", ControlCharacter, 2),
            ("ja\u{7f}ne@x.y", ControlCharacter, 2),
            ("ja\u{85}ne@x.y", ControlCharacter, 2),
            ("\"ja\u{2028}ne\"@x.y", ControlCharacter, 3),
            ("jane@x.y\r\n", ControlCharacter, 8),
            ("jane@[192.0.2.1", BadAddressLiteral, 15),
            ("jane@[192.0.2.1]x", BadAddressLiteral, 17),
            ("jane@[IPv6:::1\n]", ControlCharacter, 14),
        ] {
            let error = Mailbox::parse(text).unwrap_err();
            assert_eq!((error.kind(), error.offset()), (kind, offset), "{text:?}");
        }
    }

    #[test]
    fn a_local_part_alone_is_checked_alike() {
        let domain = || MailDomain::parse("x.y").unwrap();
        assert_eq!(Mailbox::new("jane", domain()).unwrap(), Mailbox::parse("jane@x.y").unwrap());
        for text in ["", "jane@a", "a b", "\"a", "\r", "\"a\"b"] {
            assert!(Mailbox::new(text, domain()).is_err(), "{text:?}");
        }
    }
}
