//! Which senders a connector carries: attachment by address, by domain, or to nobody.

use std::fmt;
use std::str::FromStr;

use postroad_address_space::{Domain, Mailbox};

use crate::error::{Expected, ParseError};
use crate::named::as_text;

/// Who sends, as routing sees it: the reverse-path. There is no third, so that it is exhaustive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// `<>`: a report. Only connectors attached to nobody carry it.
    Null,
    /// An ordinary sender.
    Mailbox(Mailbox),
}

/// One entry of `senders`: an address, or a domain with all its addresses (not those below it).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SenderAttachment {
    /// This address; letter case does not count.
    Address(Mailbox),
    /// Every address of exactly this domain.
    Domain(Domain),
}

impl fmt::Display for SenderAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(mailbox) => write!(f, "{mailbox}"),
            Self::Domain(domain) => write!(f, "{domain}"),
        }
    }
}

impl FromStr for SenderAttachment {
    type Err = ParseError;

    /// `jane@contoso.com`, `contoso.com` or `@contoso.com`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (domain, skipped) = text.strip_prefix('@').map_or((text, 0), |domain| (domain, 1));
        if skipped == 0 && text.contains('@') {
            Mailbox::parse(text)
                .map(Self::Address)
                .map_err(|error| ParseError::new(Expected::Sender, error.offset()))
        } else {
            Domain::parse(domain)
                .map(Self::Domain)
                .map_err(|error| ParseError::new(Expected::Sender, skipped + error.offset()))
        }
    }
}

as_text!(SenderAttachment);

/// `[[sender]]`: pins one address to one connector, whatever its domain is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct SenderPin {
    /// The pinned address; letter case does not count.
    pub address: Mailbox,
    /// The Send connector, by name; `None` is the platform's default: the connectors attached to nobody.
    pub connector: Option<String>,
}

impl SenderPin {
    /// That address, to the Send connector of that name or to the platform's default.
    pub fn new(address: Mailbox, connector: Option<String>) -> Self {
        Self { address, connector }
    }
}
