//! What a Send connector demands of TLS, as data.

use std::fmt;
use std::str::FromStr;

use postroad_address_space::Domain;

use crate::error::{Expected, ParseError};
use crate::named::{as_text, named};

named! {
    /// `TlsAuthLevel`: how much of the peer's certificate must be right; only beside `require_tls`.
    TlsAuthLevel {
        /// Any certificate will do.
        EncryptionOnly = "encryption-only",
        /// A chain that leads to a trust anchor and is in date. Exchange asks for revocation too; nothing here does.
        CertificateValidation = "certificate-validation",
        /// The chain, and the name: `tls_domain`, or with MX routing the recipient's domain.
        DomainValidation = "domain-validation",
    }
}

/// `TlsDomain`: the name a peer's certificate must carry.
///
/// Exhaustive on purpose: what is demanded of a certificate must not be passed over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TlsDomain {
    /// This name.
    Exact(Domain),
    /// `*.domain`: any name one label below.
    Wildcard(Domain),
}

impl TlsDomain {
    /// The domain, without the `*.`.
    pub fn domain(&self) -> &Domain {
        match self {
            Self::Exact(domain) | Self::Wildcard(domain) => domain,
        }
    }
}

impl fmt::Display for TlsDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(domain) => write!(f, "{domain}"),
            Self::Wildcard(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl FromStr for TlsDomain {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (name, skipped) = text.strip_prefix("*.").map_or((text, 0), |name| (name, 2));
        let domain = Domain::parse(name)
            .map_err(|error| ParseError::new(Expected::TlsDomain, skipped + error.offset()))?;
        Ok(if skipped == 0 { Self::Exact(domain) } else { Self::Wildcard(domain) })
    }
}

as_text!(TlsDomain);

/// `TlsCertificateName`: which of our own certificates to show, `<I>issuer<S>subject`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsCertificateName {
    issuer: String,
    subject: String,
}

impl TlsCertificateName {
    /// The issuer's distinguished name, as written.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The subject's distinguished name, as written.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for TlsCertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<I>{}<S>{}", self.issuer, self.subject)
    }
}

impl FromStr for TlsCertificateName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |offset| ParseError::new(Expected::TlsCertificateName, offset);
        let rest = text.strip_prefix("<I>").ok_or(wrong(0))?;
        let (issuer, subject) = rest.split_once("<S>").ok_or(wrong(text.len()))?;
        if issuer.is_empty() {
            return Err(wrong(3));
        }
        if subject.is_empty() {
            return Err(wrong(text.len()));
        }
        Ok(Self { issuer: issuer.to_owned(), subject: subject.to_owned() })
    }
}

as_text!(TlsCertificateName);
