//! What is wrong with a value given as text, and at which byte.

/// A value of a connector that could not be read from its text.
///
/// The text is at fault, not the machine: reading it again gives the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {expected}")]
pub struct ParseError {
    expected: Expected,
    offset: usize,
}

impl ParseError {
    pub(crate) fn new(expected: Expected, offset: usize) -> Self {
        Self { expected, offset }
    }

    /// What would have been right.
    pub fn expected(&self) -> Expected {
        self.expected
    }

    /// Byte of the text at which it went wrong, counted from 0.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

/// What a text should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Expected {
    /// One word of a fixed list.
    #[error("expected one of {}", .0.join(", "))]
    OneOf(&'static [&'static str]),
    /// A smart host.
    #[error("expected a host name, or an IP address, in square brackets or bare")]
    SmartHost,
    /// The address of another server.
    #[error("expected host or host:port, the host a name or an IP address (IPv6 in square brackets)")]
    ServerAddress,
    /// A proxy at the front end.
    #[error("expected socks5://host or socks5://host:port, without a password")]
    FrontEndProxy,
    /// A mailbox or a domain whose mail a connector carries.
    #[error("expected an address such as jane@contoso.com, or a domain")]
    Sender,
    /// The name a peer's certificate must carry.
    #[error("expected a domain, or *. and a domain")]
    TlsDomain,
    /// The name of a client certificate.
    #[error("expected <I>issuer<S>subject")]
    TlsCertificateName,
    /// Edge's space for all accepted domains.
    #[error("expected --, or -- and a cost of 1 to 100, such as SMTP:--;5")]
    AcceptedDomains,
    /// The name of a SASL mechanism (RFC 4422 section 3.1).
    #[error("expected a SASL mechanism: 1 to 20 letters, digits, - or _")]
    SaslMechanism,
}
