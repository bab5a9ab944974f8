//! What becomes of one recipient: a route, a wait, or a refusal.

use postroad_address_space::AddressSpace;
use serde::Serialize;

use crate::connector::Connector;

/// What becomes of one recipient.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection<'a> {
    /// A connector takes it.
    Route(Route<'a>),
    /// No connector takes this SMTP recipient now: it waits for a changed configuration, and nobody is told.
    Unreachable,
    /// No connector will take it: its sender is owed a report.
    Refused(Refusal),
}

/// The way of one recipient.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Route<'a> {
    /// The connector that was chosen.
    pub connector: &'a Connector,
    /// The queue within the connector: smart-host list, recipient's domain (A-label, small letters), or address type.
    pub destination: &'a str,
    /// How it is delivered from here.
    pub delivery_type: DeliveryType,
    /// The nearest source server; `None`: this one.
    pub server: Option<&'a str>,
    /// The place of the address space that decided, among the connector's: looking at it would cost a cache miss.
    pub(crate) space: u32,
}

impl<'a> Route<'a> {
    /// The closest of the connector's address spaces, the one that decided.
    pub fn address_space(&self) -> &'a AddressSpace {
        // The place is one of this very connector: the table wrote it down when it was built, and never changes.
        &self.connector.address_spaces()[self.space as usize]
    }
}

/// `DeliveryType`, by Exchange's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub enum DeliveryType {
    /// A Send connector, to MX hosts.
    DnsConnectorDelivery,
    /// A Send connector, to its smart hosts.
    SmartHostConnectorDelivery,
    /// A Foreign connector, into its Drop directory.
    NonSmtpGatewayDelivery,
    /// A Delivery Agent connector.
    DeliveryAgent,
    /// Any connector whose source servers do not include this one: by way of one of them.
    SmtpRelayToConnectorSourceServers,
    /// No connector: the Unreachable queue.
    Unreachable,
}

impl DeliveryType {
    /// Exchange's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DnsConnectorDelivery => "DnsConnectorDelivery",
            Self::SmartHostConnectorDelivery => "SmartHostConnectorDelivery",
            Self::NonSmtpGatewayDelivery => "NonSmtpGatewayDelivery",
            Self::DeliveryAgent => "DeliveryAgent",
            Self::SmtpRelayToConnectorSourceServers => "SmtpRelayToConnectorSourceServers",
            Self::Unreachable => "Unreachable",
        }
    }
}

/// Why no connector will take a recipient. The recipient or the message is at fault, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// An address of a type other than SMTP that no connector takes: 5.1.2.
    #[error("no connector takes this address")]
    NoConnector,
    /// Connectors take the address, but none takes so much: 5.3.4.
    #[error(
        "the message has {size} bytes, and the largest that a connector for this address takes is {limit}"
    )]
    TooLarge {
        /// Bytes of the message.
        size: u64,
        /// The greatest limit among the connectors that would take the address.
        limit: u64,
    },
}

impl Refusal {
    /// The enhanced status code of the report (RFC 3463).
    pub fn status(&self) -> &'static str {
        match self {
            Self::NoConnector => "5.1.2",
            Self::TooLarge { .. } => "5.3.4",
        }
    }
}
