//! Where a delivery goes next, as the queue knows it: two names.

use std::fmt;
use std::sync::Arc;

/// The name of one queue: a connector and a destination within it.
///
/// Plain text on purpose, shared by its clones: the queue knows no connectors, so a changed routing table can route anew
/// what waits. The destination is what Exchange's queue viewer shows: the smart-host list
/// (`[10.10.10.100],relay.tailspintoys.com`), the recipient's domain, or the address space (`FAX`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NextHop {
    /// Name of the connector; empty for a queue that belongs to none.
    pub connector: Arc<str>,
    /// The queue within that connector.
    pub destination: Arc<str>,
}

impl NextHop {
    /// The destination of mail that no connector takes yet, by Exchange's name for it.
    pub const UNREACHABLE: &'static str = "Unreachable Domain";

    /// One queue of `connector`.
    pub fn new(connector: impl Into<Arc<str>>, destination: impl Into<Arc<str>>) -> Self {
        Self { connector: connector.into(), destination: destination.into() }
    }

    /// The queue of SMTP recipients that no connector takes: they wait for a changed configuration.
    pub fn unreachable() -> Self {
        Self::new("", Self::UNREACHABLE)
    }

    /// Whether this is [`NextHop::unreachable`].
    pub fn is_unreachable(&self) -> bool {
        self.connector.is_empty() && &*self.destination == Self::UNREACHABLE
    }
}

/// `connector -> destination`, or the destination alone where there is no connector.
impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.connector.is_empty() {
            f.write_str(&self.destination)
        } else {
            write!(f, "{} -> {}", self.connector, self.destination)
        }
    }
}
