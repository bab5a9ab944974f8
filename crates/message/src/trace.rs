//! The `Received` field: which hop this message took, written so that nothing hostile gets into it.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use postroad_address_space::Mailbox;

use crate::outcome::TlsFacts;
use crate::timestamp::Timestamp;

/// One hop, as `Time-stamp-line = "Received:" FWS Stamp` (RFC 5321 section 4.4) tells it.
///
/// ```
/// use postroad_message::trace::{Protocol, Received, Source};
/// use postroad_message::Timestamp;
/// let hop = Received::new(
///     Source::smtp("app01.contoso.com", Some("192.0.2.37".parse()?), Protocol::default().with_tls()),
///     "hub01.contoso.com",
///     Timestamp::from_unix_millis(1_711_903_005_000),
/// )
/// .id("4A2F");
/// assert_eq!(
///     hop.to_string(),
///     "Received: from app01.contoso.com ([192.0.2.37])\r\n\
///      \tby hub01.contoso.com with ESMTPS id 4A2F;\r\n\
///      \tSun, 31 Mar 2024 16:36:45 +0000\r\n",
/// );
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
///
/// `Display` writes the whole field, folded, with its CRLF: ready for [`Edits::prepend`](crate::edits::Edits::prepend).
/// Whatever a peer chose freely (its HELO text, names in its certificate's wake) is cleaned: a HELO that is neither
/// domain nor address literal moves into a comment, other bytes become `?`, and no text is longer than 255 bytes.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    source: Source<'a>,
    by: &'a str,
    id: Option<&'a str>,
    recipient: Option<&'a Mailbox>,
    at: Timestamp,
}

/// Where a message came from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Source<'a> {
    /// An SMTP client.
    #[non_exhaustive]
    Smtp {
        /// What it said in EHLO or HELO, as it said it.
        hello: &'a str,
        /// Its address, where it has one.
        peer: Option<IpAddr>,
        /// The `with` word.
        protocol: Protocol,
        /// How the connection was protected; shown as a comment.
        tls: Option<&'a TlsFacts>,
    },
    /// A file in the Pickup directory.
    Pickup,
    /// A file in the Replay directory, which may know the host it first came from.
    Replay {
        /// `X-HeloDomain`, as the file has it.
        hello: Option<&'a str>,
        /// `X-SourceIPAddress`, where it is one.
        peer: Option<IpAddr>,
    },
}

impl<'a> Source<'a> {
    /// An SMTP client that greeted with `hello`.
    pub fn smtp(hello: &'a str, peer: Option<IpAddr>, protocol: Protocol) -> Self {
        Self::Smtp { hello, peer, protocol, tls: None }
    }

    /// The same, over a connection of which these facts are known. No effect on files.
    #[must_use]
    pub fn over(self, facts: Option<&'a TlsFacts>) -> Self {
        match self {
            Self::Smtp { hello, peer, protocol, .. } => Self::Smtp { hello, peer, protocol, tls: facts },
            file => file,
        }
    }
}

/// The `with` word of an SMTP hop: `SMTP`, `ESMTP`, `ESMTPS`, `ESMTPA`, `ESMTPSA`, `LMTP` and its kin (RFC 3848), and their
/// `UTF8` forms (RFC 6531).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    lmtp: bool,
    extended: bool,
    tls: bool,
    authenticated: bool,
    utf8: bool,
}

impl Default for Protocol {
    /// `ESMTP`
    fn default() -> Self {
        Self { lmtp: false, extended: true, tls: false, authenticated: false, utf8: false }
    }
}

impl Protocol {
    /// `SMTP`: the client said HELO.
    pub fn plain() -> Self {
        Self { extended: false, ..Self::default() }
    }

    /// `LMTP`: the client said LHLO.
    pub fn lmtp() -> Self {
        Self { lmtp: true, ..Self::default() }
    }

    /// After STARTTLS or over implicit TLS.
    #[must_use]
    pub fn with_tls(self) -> Self {
        Self { tls: true, ..self }
    }

    /// After AUTH.
    #[must_use]
    pub fn with_authentication(self) -> Self {
        Self { authenticated: true, ..self }
    }

    /// With SMTPUTF8.
    #[must_use]
    pub fn with_utf8(self) -> Self {
        Self { utf8: true, ..self }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.utf8, self.extended || self.tls || self.authenticated) {
            (true, _) if self.lmtp => "UTF8LMTP",
            _ if self.lmtp => "LMTP",
            (true, _) => "UTF8SMTP",
            (false, true) => "ESMTP",
            (false, false) => "SMTP",
        })?;
        if self.tls {
            f.write_str("S")?;
        }
        if self.authenticated {
            f.write_str("A")?;
        }
        Ok(())
    }
}

impl<'a> Received<'a> {
    /// The hop from `source` to this server, whose name is `by`, at that moment.
    pub fn new(source: Source<'a>, by: &'a str, at: Timestamp) -> Self {
        Self { source, by, id: None, recipient: None, at }
    }

    /// Names the message as the queue does.
    #[must_use]
    pub fn id(self, id: &'a str) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Names the recipient. Only where there is one: others must not learn of each other here
    /// (RFC 5321 section 7.6).
    #[must_use]
    pub fn recipient(self, recipient: Option<&'a Mailbox>) -> Self {
        Self { recipient, ..self }
    }
}

impl fmt::Display for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Received: from ")?;
        match &self.source {
            Source::Smtp { hello, peer, .. } => write_peer(f, hello, *peer)?,
            Source::Pickup => f.write_str("Pickup")?,
            Source::Replay { hello: None, peer: None } => f.write_str("Replay")?,
            Source::Replay { hello, peer } => write_peer(f, hello.unwrap_or_default(), *peer)?,
        }
        f.write_str("\r\n\tby ")?;
        Word(self.by).fmt(f)?;
        match &self.source {
            Source::Smtp { protocol, tls, .. } => {
                f.write_str(" with ")?;
                protocol.fmt(f)?;
                if let Some(tls) = tls {
                    write!(f, "\r\n\t(version={} cipher={})", Word(&tls.version), Word(&tls.cipher))?;
                }
            }
            Source::Pickup => f.write_str(" with Pickup")?,
            Source::Replay { .. } => f.write_str(" with Replay")?,
        }
        if let Some(id) = self.id {
            f.write_str(" id ")?;
            Word(id).fmt(f)?;
        }
        if let Some(recipient) = self.recipient {
            write!(f, "\r\n\tfor <{recipient}>")?;
        }
        f.write_str(";\r\n\t")?;
        f.write_str(&self.at.to_rfc5322())?;
        f.write_str("\r\n")
    }
}

/// `Extended-Domain`: the name where it is one, else the address literal with the name in a comment.
fn write_peer(f: &mut fmt::Formatter<'_>, hello: &str, peer: Option<IpAddr>) -> fmt::Result {
    let literal = peer.map(Literal);
    match (is_domain_or_literal(hello), literal) {
        (true, Some(literal)) => write!(f, "{hello} ({literal})"),
        (true, None) => f.write_str(hello),
        (false, Some(literal)) if hello.is_empty() => write!(f, "{literal}"),
        (false, Some(literal)) => write!(f, "{literal} (helo={})", Word(hello)),
        (false, None) if hello.is_empty() => f.write_str("unknown"),
        (false, None) => write!(f, "unknown (helo={})", Word(hello)),
    }
}

/// Whether the text can stand as `Domain / address-literal` without changing how the field reads.
///
/// Wider than the grammar where real names are (underscores), never wider in what could end a token.
fn is_domain_or_literal(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (name, literal) = (inner.unwrap_or(text), inner.is_some());
    (1..=255).contains(&text.len())
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') || (literal && byte == b':')
        })
}

/// `address-literal` (RFC 5321 section 4.1.3); an IPv4 address in IPv6 dress is shown as IPv4.
struct Literal(IpAddr);

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_canonical() {
            IpAddr::V4(address) => write!(f, "[{address}]"),
            IpAddr::V6(address) => write!(f, "[IPv6:{address}]"),
        }
    }
}

/// Text that cannot end a token, a comment or a line: other bytes become `?`.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= 255 && self.0.chars().all(stays) {
            return f.write_str(self.0);
        }
        self.0
            .chars()
            .take(255)
            .try_for_each(|character| f.write_char(if stays(character) { character } else { '?' }))
    }
}

/// Whether a [`Word`] keeps this.
fn stays(character: char) -> bool {
    let marks = matches!(
        character,
        '.' | '-' | '_' | ':' | '[' | ']' | '/' | '+' | '=' | '@' | '$' | '#' | '!' | '~' | '*'
    );
    marks || character.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::HeaderBlock;
    use proptest::prelude::*;

    const AT: Timestamp = Timestamp::from_unix_millis(1_711_903_005_000);

    fn from_line(hello: &str, peer: Option<&str>) -> String {
        let peer = peer.map(|text| text.parse().unwrap());
        let field = Received::new(Source::smtp(hello, peer, Protocol::default()), "hub01", AT).to_string();
        let (first, _) = field.split_once("\r\n").unwrap();
        first.trim_start_matches("Received: from ").to_owned()
    }

    #[test]
    fn a_hello_is_told_as_it_was_said_or_set_aside() {
        for (hello, peer, told) in [
            ("mx.example.com", Some("192.0.2.1"), "mx.example.com ([192.0.2.1])"),
            ("mx.example.com", Some("2001:db8::1"), "mx.example.com ([IPv6:2001:db8::1])"),
            ("mx.example.com", Some("::ffff:192.0.2.1"), "mx.example.com ([192.0.2.1])"),
            ("[192.0.2.9]", Some("192.0.2.1"), "[192.0.2.9] ([192.0.2.1])"),
            ("BIG_HOST", None, "BIG_HOST"),
            ("", Some("192.0.2.1"), "[192.0.2.1]"),
            ("", None, "unknown"),
            ("a b", Some("192.0.2.1"), "[192.0.2.1] (helo=a?b)"),
            ("x)\r\nSubject: owned", Some("192.0.2.1"), "[192.0.2.1] (helo=x???Subject:?owned)"),
            ("a\0\u{7}b", None, "unknown (helo=a??b)"),
            ("münchen.example", Some("192.0.2.1"), "[192.0.2.1] (helo=m?nchen.example)"),
        ] {
            assert_eq!(from_line(hello, peer), told, "{hello:?}");
        }
    }

    #[test]
    fn the_with_word_names_what_was_agreed() {
        for (protocol, word) in [
            (Protocol::plain(), "SMTP"),
            (Protocol::default(), "ESMTP"),
            (Protocol::default().with_tls(), "ESMTPS"),
            (Protocol::default().with_authentication(), "ESMTPA"),
            (Protocol::default().with_tls().with_authentication(), "ESMTPSA"),
            (Protocol::lmtp(), "LMTP"),
            (Protocol::lmtp().with_tls().with_authentication(), "LMTPSA"),
            (Protocol::lmtp().with_utf8(), "UTF8LMTP"),
            (Protocol::default().with_utf8(), "UTF8SMTP"),
            (Protocol::default().with_utf8().with_tls().with_authentication(), "UTF8SMTPSA"),
        ] {
            assert_eq!(protocol.to_string(), word);
        }
    }

    #[test]
    fn files_have_their_own_shapes() {
        assert_eq!(
            Received::new(Source::Pickup, "hub01.contoso.com", AT).id("7").to_string(),
            "Received: from Pickup\r\n\tby hub01.contoso.com with Pickup id 7;\r\n\tSun, 31 Mar 2024 16:36:45 +0000\r\n"
        );
        let replay = Source::Replay { hello: Some("mx.example.com"), peer: "192.0.2.37".parse().ok() };
        let field = Received::new(replay, "hub01", AT).to_string();
        assert!(
            field.starts_with("Received: from mx.example.com ([192.0.2.37])\r\n\tby hub01 with Replay;"),
            "{field}"
        );
    }

    #[test]
    fn one_recipient_and_the_cipher_are_named() {
        let jane = Mailbox::parse("jane@contoso.com").unwrap();
        let tls = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384", false);
        let source = Source::smtp("a.example", None, Protocol::default().with_tls()).over(Some(&tls));
        let field = Received::new(source, "hub01", AT).recipient(Some(&jane)).to_string();
        assert!(
            field.contains(
                "\r\n\t(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384)\r\n\tfor <jane@contoso.com>;"
            ),
            "{field}"
        );
    }

    proptest! {
        #[test]
        fn whatever_a_peer_says_it_stays_one_field_of_short_ascii_lines(hello in ".{0,400}", id in ".{0,40}") {
            let source = Source::smtp(&hello, Some("192.0.2.1".parse().unwrap()), Protocol::default());
            let field = Received::new(source, "hub01", AT).id(&id).to_string();
            let header = HeaderBlock::scan(field.as_bytes());
            prop_assert_eq!(header.len(), 1);
            prop_assert_eq!(header.fields_end(), field.len());
            prop_assert!(field.is_ascii() && field.lines().all(|line| line.len() < 998));
            prop_assert_eq!(header.bare_linefeed().or(header.bare_carriage_return()), None);
        }
    }
}
