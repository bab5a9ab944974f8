//! One connector of any kind, and what all kinds have in common.

use postroad_address_space::AddressSpace;

use crate::contradiction::{Contradiction, Subject};
use crate::delivery_agent::DeliveryAgentConnector;
use crate::foreign::ForeignConnector;
use crate::send::SendConnector;
use crate::sender::SenderAttachment;

/// A connector of one of the three kinds; all compete for a recipient by the same rule.
///
/// Exhaustive on purpose: whoever delivers has to know every kind, and is to hear of a fourth from the compiler.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[expect(
    clippy::large_enum_variant,
    reason = "a table holds few connectors beside their spaces, and callers match on them"
)]
pub enum Connector {
    /// By SMTP, to smart hosts or by MX.
    Send(SendConnector),
    /// By files in a Drop directory.
    Foreign(ForeignConnector),
    /// By an agent with a protocol of its own.
    DeliveryAgent(DeliveryAgentConnector),
}

/// The same field of every kind.
macro_rules! field {
    ($connector:expr, $field:ident) => {
        match $connector {
            Connector::Send(connector) => &connector.$field,
            Connector::Foreign(connector) => &connector.$field,
            Connector::DeliveryAgent(connector) => &connector.$field,
        }
    };
}

impl Connector {
    /// `Name`.
    pub fn name(&self) -> &str {
        field!(self, name)
    }

    /// `Enabled`.
    pub fn enabled(&self) -> bool {
        *field!(self, enabled)
    }

    /// `IsScopedConnector`.
    pub fn is_scoped_connector(&self) -> bool {
        *field!(self, is_scoped_connector)
    }

    /// `AddressSpaces`.
    pub fn address_spaces(&self) -> &[AddressSpace] {
        field!(self, address_spaces)
    }

    /// `MaxMessageSize` in bytes; `None`: unlimited.
    pub fn max_message_size(&self) -> Option<u64> {
        *field!(self, max_message_size)
    }

    /// `SourceTransportServers`; empty: this server.
    pub fn source_transport_servers(&self) -> &[String] {
        field!(self, source_transport_servers)
    }

    /// Who may use this connector; only a Send connector can be attached to senders.
    pub fn senders(&self) -> &[SenderAttachment] {
        match self {
            Self::Send(connector) => &connector.senders,
            Self::Foreign(_) | Self::DeliveryAgent(_) => &[],
        }
    }

    /// Everything in this connector that cannot be true at once, or is out of range.
    #[must_use]
    pub fn validate(&self) -> Vec<Contradiction> {
        match self {
            Self::Send(connector) => connector.validate(),
            Self::Foreign(connector) => connector.validate(),
            Self::DeliveryAgent(connector) => connector.validate(),
        }
    }

    /// This connector, as a contradiction names it.
    pub(crate) fn subject(&self) -> Subject {
        let name = self.name().to_owned();
        match self {
            Self::Send(_) => Subject::SendConnector(name),
            Self::Foreign(_) => Subject::ForeignConnector(name),
            Self::DeliveryAgent(_) => Subject::DeliveryAgentConnector(name),
        }
    }
}

impl From<SendConnector> for Connector {
    fn from(connector: SendConnector) -> Self {
        Self::Send(connector)
    }
}

impl From<ForeignConnector> for Connector {
    fn from(connector: ForeignConnector) -> Self {
        Self::Foreign(connector)
    }
}

impl From<DeliveryAgentConnector> for Connector {
    fn from(connector: DeliveryAgentConnector) -> Self {
        Self::DeliveryAgent(connector)
    }
}
