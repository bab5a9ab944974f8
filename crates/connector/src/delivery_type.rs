//! How mail goes on from this server, by Exchange's names.

/// `DeliveryType`, by Exchange's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
