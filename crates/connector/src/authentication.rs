//! How a Send connector proves to its smart hosts who it is; never the secret itself.

use std::fmt;
use std::str::FromStr;

use crate::error::{Expected, ParseError};
use crate::named::{as_text, named};

named! {
    /// `SmartHostAuthMechanism`: exactly one, and only beside smart hosts.
    #[derive(Default)]
    SmartHostAuthMechanism {
        /// No AUTH: the smart host knows us by our address.
        #[default]
        None = "none",
        /// User name and password; they may cross the wire in clear.
        BasicAuth = "basic-auth",
        /// User name and password, after STARTTLS only, to a certificate that carries the smart host's name.
        BasicAuthRequireTls = "basic-auth-require-tls",
        /// Integrated Windows authentication: NTLM or Negotiate. Not available yet.
        Integrated = "integrated",
        /// GSSAPI between Exchange servers. Not available yet.
        ExchangeServer = "exchange-server",
        /// No AUTH: the link is protected by other means, such as IPsec.
        ExternalAuthoritative = "external-authoritative",
    }
}

impl SmartHostAuthMechanism {
    /// Whether a user name and password are needed.
    pub fn needs_credential(self) -> bool {
        matches!(self, Self::BasicAuth | Self::BasicAuthRequireTls)
    }

    /// Whether an AUTH command is sent at all.
    pub fn authenticates(self) -> bool {
        !matches!(self, Self::None | Self::ExternalAuthoritative)
    }

    /// Whether a password may be sent over a connection that is not encrypted.
    pub fn clear_text_allowed(self) -> bool {
        self == Self::BasicAuth
    }
}

/// The name of a SASL mechanism, in capitals: `PLAIN`, `SCRAM-SHA-256-PLUS`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaslMechanism(String);

impl SaslMechanism {
    /// The name in capitals, as the EHLO reply lists it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SaslMechanism {
    type Err = ParseError;

    /// `sasl-mech = 1*20mech-char` (RFC 4422 section 3.1); small letters are raised.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong =
            text.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        match wrong {
            Some(offset) => Err(ParseError::new(Expected::SaslMechanism, offset)),
            None if text.is_empty() => Err(ParseError::new(Expected::SaslMechanism, 0)),
            None if text.len() > 20 => Err(ParseError::new(Expected::SaslMechanism, 20)),
            None => Ok(Self(text.to_ascii_uppercase())),
        }
    }
}

as_text!(SaslMechanism);
