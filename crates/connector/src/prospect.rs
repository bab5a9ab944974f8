//! What can be said of a connector before any message is there.

use crate::connector::Connector;
use crate::delivery_type::DeliveryType;
use crate::reach::{Distances, Reach};

/// What is true of a connector whatever the message.
#[derive(Debug, PartialEq)]
pub(crate) struct Prospect {
    pub(crate) in_scope: bool,
    pub(crate) reach: Option<Reach>,
    /// The queue of a connector that has one for all its mail.
    pub(crate) queue: Option<String>,
}

impl Prospect {
    pub(crate) fn new(connector: &Connector, distances: &Distances) -> Self {
        let servers = connector.source_transport_servers();
        let queue = match connector {
            Connector::Send(send) if !send.routes_by_dns() => {
                Some(send.smart_hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
            _ => None,
        };
        Self {
            in_scope: !connector.is_scoped_connector() || distances.in_scope(servers),
            reach: distances.reach(servers),
            queue,
        }
    }

    /// The nearest source server; `None`: this one.
    pub(crate) fn source_server<'a>(&self, connector: &'a Connector) -> Option<&'a str> {
        // First whether there is one: looking at the connector costs a cache miss.
        let server = self.reach?.server?;
        connector.source_transport_servers().get(server).map(String::as_str)
    }

    pub(crate) fn delivery_type(&self, connector: &Connector) -> DeliveryType {
        match connector {
            _ if self.source_server(connector).is_some() => DeliveryType::SmtpRelayToConnectorSourceServers,
            Connector::Send(_) if self.queue.is_none() => DeliveryType::DnsConnectorDelivery,
            Connector::Send(_) => DeliveryType::SmartHostConnectorDelivery,
            Connector::Foreign(_) => DeliveryType::NonSmtpGatewayDelivery,
            Connector::DeliveryAgent(_) => DeliveryType::DeliveryAgent,
        }
    }
}
