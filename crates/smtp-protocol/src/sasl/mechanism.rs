//! The SASL mechanisms we speak, and which of them comes first.

use std::fmt;
use std::str::FromStr;

/// A SASL mechanism, strongest first.
///
/// PLAIN stands before LOGIN because it is a standard and takes one round trip less; both show the password
/// to whoever reads the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// `PLAIN` (RFC 4616)
    Plain,
    /// `LOGIN` (never a standard; Exchange and Outlook use it)
    Login,
}

impl Mechanism {
    /// All of them, strongest first.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// The name on the wire, upper case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// Whether the password itself goes over the wire.
    pub const fn shows_password(self) -> bool {
        match self {
            Self::Plain | Self::Login => true,
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
#[error("not a SASL mechanism that is spoken here; PLAIN and LOGIN are")]
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
