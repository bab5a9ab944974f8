//! Delivery Agent connectors: mail handed to an agent that speaks a protocol of its own.

use std::time::Duration;

use postroad_address_space::AddressSpace;

use crate::contradiction::{self, Contradiction, Ranged, Rule, Subject};
use crate::send::MAX_BYTES;

/// A Delivery Agent connector: every parameter under Exchange's name, with Exchange's default.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default = "unnamed", deny_unknown_fields)
)]
#[non_exhaustive]
pub struct DeliveryAgentConnector {
    /// `Name`: 1 to 64 characters; the last tie-breaker of selection.
    pub name: String,
    /// `AddressSpaces`: at least one, of any type.
    pub address_spaces: Vec<AddressSpace>,
    /// `DeliveryProtocol`: selects the agent, such as `lmtp`, `pipe` or `MOBILE`.
    pub delivery_protocol: String,
    /// Where the agent delivers (ours), in the words of its protocol, such as `unix:/run/dovecot/lmtp`.
    pub endpoint: Option<String>,
    /// What `pipe` runs (ours): the program's absolute path and its arguments, never seen by a shell. Empty: nothing.
    pub command: Vec<String>,
    /// As whom `pipe` runs it (ours): a name of `/etc/passwd`, or `uid:gid`. `None`: as whoever we run as, but
    /// never as root.
    pub user: Option<String>,
    /// Where `pipe` runs it (ours). `None`: in `/`.
    pub working_directory: Option<String>,
    /// How long one call of `pipe` may take (ours). Default: 15 minutes.
    pub time_limit: Duration,
    /// `pipe` calls once for each recipient (ours). Default: false, once for up to a hundred together.
    pub one_call_for_each_recipient: bool,
    /// `SourceTransportServers`: the servers that run the agent. Empty: this server.
    pub source_transport_servers: Vec<String>,
    /// `Enabled`: routing ignores a disabled connector. Default: true.
    pub enabled: bool,
    /// `IsScopedConnector`: only for servers in the site of a source server. Default: false.
    pub is_scoped_connector: bool,
    /// `MaxMessageSize` in bytes, 65536 to 2147483647; `None`: unlimited (the default).
    pub max_message_size: Option<u64>,
    /// `MaxConcurrentConnections`: 1 to 2147483647. Default: 5.
    pub max_concurrent_connections: u32,
    /// `MaxMessagesPerConnection`: 1 to 2147483647. Default: 20.
    pub max_messages_per_connection: u32,
    /// `Comment`. Default: empty.
    pub comment: String,
}

impl DeliveryAgentConnector {
    /// A connector with Exchange's defaults.
    pub fn new(
        name: impl Into<String>,
        address_spaces: Vec<AddressSpace>,
        delivery_protocol: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            address_spaces,
            delivery_protocol: delivery_protocol.into(),
            endpoint: None,
            command: Vec::new(),
            user: None,
            working_directory: None,
            time_limit: Duration::from_secs(15 * 60),
            one_call_for_each_recipient: false,
            source_transport_servers: Vec::new(),
            enabled: true,
            is_scoped_connector: false,
            max_message_size: None,
            max_concurrent_connections: 5,
            max_messages_per_connection: 20,
            comment: String::new(),
        }
    }

    /// Everything in this connector that cannot be true at once, or is out of range.
    #[must_use]
    pub fn validate(&self) -> Vec<Contradiction> {
        let mut rules = Vec::new();
        contradiction::common(&self.name, &self.address_spaces, &mut rules);
        if self.delivery_protocol.trim().is_empty() {
            rules.push(Rule::NoDeliveryProtocol);
        }
        contradiction::size_in_range(
            Ranged::MaxMessageSize,
            self.max_message_size,
            65_536,
            MAX_BYTES,
            &mut rules,
        );
        let connections = u64::from(self.max_concurrent_connections);
        contradiction::in_range(Ranged::MaxConcurrentConnections, connections, 1, MAX_BYTES, &mut rules);
        let messages = u64::from(self.max_messages_per_connection);
        contradiction::in_range(Ranged::MaxMessagesPerConnection, messages, 1, MAX_BYTES, &mut rules);
        let subject = Subject::DeliveryAgentConnector(self.name.clone());
        rules.into_iter().map(|rule| Contradiction::new(subject.clone(), rule)).collect()
    }
}

/// What is not written has its default. Name and spaces have none: [`RoutingTable::build`](crate::RoutingTable::build) misses them.
#[cfg(feature = "serde")]
fn unnamed() -> DeliveryAgentConnector {
    DeliveryAgentConnector::new("", Vec::new(), "")
}
