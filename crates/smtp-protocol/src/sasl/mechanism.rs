//! The SASL mechanisms we speak, and which of them comes first.

use std::fmt;
use std::str::FromStr;

use super::hash::Hash;
use super::secret::Proof;

/// A SASL mechanism, strongest first: what binds the login to its connection, then what keeps the password to itself, then
/// what shows a token, then what shows the password.
///
/// PLAIN stands before LOGIN because it is a standard and takes one round trip less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// `SCRAM-SHA-256-PLUS` (RFC 7677)
    ScramSha256Plus,
    /// `SCRAM-SHA-1-PLUS` (RFC 5802)
    ScramSha1Plus,
    /// `SCRAM-SHA-256` (RFC 7677)
    ScramSha256,
    /// `SCRAM-SHA-1` (RFC 5802)
    ScramSha1,
    /// `EXTERNAL` (RFC 4422): the TLS certificate says who it is
    External,
    /// `OAUTHBEARER` (RFC 7628)
    OAuthBearer,
    /// `XOAUTH2` (never a standard; Gmail and Outlook use it)
    XOAuth2,
    /// `CRAM-MD5` (RFC 2195)
    CramMd5,
    /// `PLAIN` (RFC 4616)
    Plain,
    /// `LOGIN` (never a standard; Exchange and Outlook use it)
    Login,
}

impl Mechanism {
    /// All of them, strongest first.
    pub const ALL: [Self; 10] = [
        Self::ScramSha256Plus,
        Self::ScramSha1Plus,
        Self::ScramSha256,
        Self::ScramSha1,
        Self::External,
        Self::OAuthBearer,
        Self::XOAuth2,
        Self::CramMd5,
        Self::Plain,
        Self::Login,
    ];

    /// The name on the wire, upper case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::External => "EXTERNAL",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
            Self::CramMd5 => "CRAM-MD5",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// Whether the password or token itself goes over the wire.
    pub const fn shows_secret(self) -> bool {
        matches!(self, Self::OAuthBearer | Self::XOAuth2 | Self::Plain | Self::Login)
    }

    /// Whether this kind of proof is what the mechanism takes.
    pub const fn takes(self, proof: &Proof) -> bool {
        match self {
            Self::External => matches!(proof, Proof::Certificate),
            Self::OAuthBearer | Self::XOAuth2 => matches!(proof, Proof::Token(_)),
            _ => matches!(proof, Proof::Password(_)),
        }
    }

    /// The hash of a SCRAM mechanism.
    pub const fn scram(self) -> Option<Hash> {
        match self {
            Self::ScramSha256 | Self::ScramSha256Plus => Some(Hash::Sha256),
            Self::ScramSha1 | Self::ScramSha1Plus => Some(Hash::Sha1),
            _ => None,
        }
    }

    /// Whether it binds the login to the TLS connection.
    pub const fn binds_channel(self) -> bool {
        matches!(self, Self::ScramSha256Plus | Self::ScramSha1Plus)
    }

    /// The same with channel binding, of one that has such a sister.
    pub const fn with_channel_binding(self) -> Option<Self> {
        match self {
            Self::ScramSha256 => Some(Self::ScramSha256Plus),
            Self::ScramSha1 => Some(Self::ScramSha1Plus),
            _ => None,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is none of a mechanism that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a SASL mechanism that is spoken here; SCRAM-SHA-256 and -1 (and -PLUS), EXTERNAL, OAUTHBEARER, XOAUTH2, CRAM-MD5, PLAIN and LOGIN are"
)]
pub struct UnknownMechanism;

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    /// Without regard to case.
    fn from_str(name: &str) -> Result<Self, UnknownMechanism> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
            .ok_or(UnknownMechanism)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_and_the_strongest_is_first() {
        for mechanism in Mechanism::ALL {
            assert_eq!(mechanism.name().to_lowercase().parse(), Ok(mechanism));
            assert_eq!(mechanism.binds_channel(), mechanism.name().ends_with("-PLUS"));
            assert_eq!(mechanism.scram().is_some(), mechanism.name().starts_with("SCRAM-"));
        }
        assert!(Mechanism::ALL.is_sorted());
        assert_eq!("GSSAPI".parse::<Mechanism>(), Err(UnknownMechanism));
    }
}
