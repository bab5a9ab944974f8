//! Foreign connectors: mail that leaves as files in a Drop directory, for a gateway to fetch.

use postroad_address_space::AddressSpace;

use crate::contradiction::{self, Contradiction, Ranged, Subject};
use crate::send::MAX_BYTES;

/// A Foreign connector: every parameter under Exchange's name, with Exchange's default.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default = "unnamed", deny_unknown_fields)
)]
#[non_exhaustive]
pub struct ForeignConnector {
    /// `Name`: 1 to 64 characters; the last tie-breaker of selection.
    pub name: String,
    /// `AddressSpaces`: at least one, of any type.
    pub address_spaces: Vec<AddressSpace>,
    /// `SourceTransportServers`: the servers that write the files. Empty: this server.
    pub source_transport_servers: Vec<String>,
    /// `IsScopedConnector`: only for servers in the site of a source server. Default: false.
    pub is_scoped_connector: bool,
    /// `Enabled`: routing ignores a disabled connector. Default: true.
    pub enabled: bool,
    /// `DropDirectory`, absolute or below the root drop directory. `None`: the connector's name.
    pub drop_directory: Option<String>,
    /// `DropDirectoryQuota` in bytes, 1 to 2147483647: the sum of its files; `None`: unlimited (the default).
    pub drop_directory_quota: Option<u64>,
    /// `MaxMessageSize` in bytes, 0 to 2147483647 KB; `None`: unlimited (the default).
    pub max_message_size: Option<u64>,
    /// `RelayDsnRequired`: a relay report is owed when a message is written. Default: false.
    pub relay_dsn_required: bool,
    /// `Comment`. Default: empty.
    pub comment: String,
}

impl ForeignConnector {
    /// A connector with Exchange's defaults.
    pub fn new(name: impl Into<String>, address_spaces: Vec<AddressSpace>) -> Self {
        Self {
            name: name.into(),
            address_spaces,
            source_transport_servers: Vec::new(),
            is_scoped_connector: false,
            enabled: true,
            drop_directory: None,
            drop_directory_quota: None,
            max_message_size: None,
            relay_dsn_required: false,
            comment: String::new(),
        }
    }

    /// `drop_directory`, or the connector's name where none is given.
    pub fn drop_directory(&self) -> &str {
        self.drop_directory.as_deref().unwrap_or(&self.name)
    }

    /// Everything in this connector that cannot be true at once, or is out of range.
    #[must_use]
    pub fn validate(&self) -> Vec<Contradiction> {
        let mut rules = Vec::new();
        contradiction::common(&self.name, &self.address_spaces, &mut rules);
        contradiction::size_in_range(
            Ranged::MaxMessageSize,
            self.max_message_size,
            0,
            MAX_BYTES * 1024,
            &mut rules,
        );
        contradiction::size_in_range(
            Ranged::DropDirectoryQuota,
            self.drop_directory_quota,
            1,
            MAX_BYTES,
            &mut rules,
        );
        let subject = Subject::ForeignConnector(self.name.clone());
        rules.into_iter().map(|rule| Contradiction::new(subject.clone(), rule)).collect()
    }
}

/// What is not written has its default. Name and spaces have none: [`RoutingTable::build`](crate::RoutingTable::build) misses them.
#[cfg(feature = "serde")]
fn unnamed() -> ForeignConnector {
    ForeignConnector::new("", Vec::new())
}
