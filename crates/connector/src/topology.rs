//! Servers, the sites they stand in, and what it costs to cross from one site to another.

use std::collections::BTreeMap;

use crate::contradiction::{Contradiction, Rule, Subject};
use crate::smart_host::ServerAddress;

/// Where this server stands among the others. Names of servers and sites ignore letter case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Topology {
    /// Name of this server among the `source_transport_servers` (`[server] name`).
    pub server: String,
    /// The site of this server; `None`: what `servers` says of it, or a site of its own.
    #[cfg_attr(feature = "serde", serde(default))]
    pub site: Option<String>,
    /// Known servers and their sites.
    #[cfg_attr(feature = "serde", serde(default))]
    pub servers: BTreeMap<String, String>,
    /// Where mail for a connector of another server is handed over, unless the queue is shared.
    #[cfg_attr(feature = "serde", serde(default))]
    pub addresses: BTreeMap<String, ServerAddress>,
    /// What the way between two sites costs.
    #[cfg_attr(feature = "serde", serde(default))]
    pub site_links: Vec<SiteLink>,
}

/// One site link; it holds in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct SiteLink {
    /// The two sites.
    pub between: (String, String),
    /// 0 to 99999; smaller is preferred.
    pub cost: u32,
}

impl SiteLink {
    /// The greatest cost of one link.
    pub const MAX_COST: u32 = 99_999;

    /// A link between two sites.
    pub fn new(one: impl Into<String>, other: impl Into<String>, cost: u32) -> Self {
        Self { between: (one.into(), other.into()), cost }
    }
}

impl Topology {
    /// One server alone.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            site: None,
            servers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            site_links: Vec::new(),
        }
    }

    /// Everything in the topology that cannot be true at once.
    #[must_use]
    pub fn validate(&self) -> Vec<Contradiction> {
        let mut found = Vec::new();
        let mut refuse = |rule| found.push(Contradiction::new(Subject::Topology, rule));
        let mut names: Vec<String> = self.servers.keys().map(|name| name.to_lowercase()).collect();
        names.sort();
        for pair in names.windows(2) {
            if let [one, other] = pair
                && one == other
            {
                refuse(Rule::DuplicateServer { server: one.clone() });
            }
        }
        if let (Some(site), Some(listed)) = (&self.site, self.listed_site(&self.server))
            && !same(site, listed)
        {
            refuse(Rule::SiteOfThisServer { site: site.clone(), listed: listed.to_owned() });
        }
        for server in self.addresses.keys() {
            if !same(server, &self.server) && self.listed_site(server).is_none() {
                refuse(Rule::AddressOfUnknownServer { server: server.clone() });
            }
        }
        for link in &self.site_links {
            if link.cost > SiteLink::MAX_COST {
                refuse(Rule::SiteLinkCost { cost: link.cost });
            }
            if same(&link.between.0, &link.between.1) {
                refuse(Rule::SiteLinkToItself { site: link.between.0.clone() });
            }
        }
        found
    }

    /// Where a server takes mail, if that is known; letter case does not count.
    pub fn address_of(&self, server: &str) -> Option<&ServerAddress> {
        self.addresses.iter().find(|(name, _)| same(name, server)).map(|(_, address)| address)
    }

    /// The site that `servers` gives a server.
    fn listed_site(&self, server: &str) -> Option<&str> {
        self.servers.iter().find(|(name, _)| same(name, server)).map(|(_, site)| site.as_str())
    }
}

/// Whether two names of servers or sites are the same.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || one.to_lowercase() == other.to_lowercase()
}
