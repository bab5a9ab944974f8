//! How far it is from this server to a connector's source servers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::topology::Topology;

/// How near a connector's nearest source server is; the less, the nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Proximity {
    /// This server itself.
    LocalServer,
    /// Another server of this site.
    SameSite,
    /// A server of another site.
    RemoteSite,
}

/// The nearest of some source servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Sum of the site-link costs on the cheapest way; `None` where no links lead there: dearer than any way.
    pub(crate) site_link_cost: Option<u32>,
    pub(crate) proximity: Proximity,
    /// Which of the source servers; `None`: this one.
    pub(crate) server: Option<usize>,
}

impl Reach {
    const HERE: Self = Self { site_link_cost: Some(0), proximity: Proximity::LocalServer, server: None };
}

/// A topology worked out from where this server stands.
pub(crate) struct Distances {
    /// This server, folded.
    server: String,
    /// The folded site of each folded server.
    site_of: HashMap<String, String>,
    /// The cost of the cheapest way to each folded site; this site at 0.
    cost_to: HashMap<String, u32>,
    /// This site, folded.
    site: Option<String>,
}

impl Distances {
    pub(crate) fn new(topology: &Topology) -> Self {
        let server = topology.server.to_lowercase();
        let site_of: HashMap<_, _> =
            topology.servers.iter().map(|(name, site)| (name.to_lowercase(), site.to_lowercase())).collect();
        let site =
            topology.site.as_ref().map(|site| site.to_lowercase()).or_else(|| site_of.get(&server).cloned());
        let cost_to = site.as_deref().map(|site| cheapest_ways(topology, site)).unwrap_or_default();
        Self { server, site_of, cost_to, site }
    }

    /// The nearest of these servers, or `None` if this server knows none of them. No servers: this one.
    pub(crate) fn reach(&self, servers: &[String]) -> Option<Reach> {
        if servers.is_empty() {
            return Some(Reach::HERE);
        }
        let reaches = servers.iter().enumerate().filter_map(|(index, server)| self.reach_one(index, server));
        // A place without links is dearer than any with them.
        reaches.min_by_key(|reach| (reach.site_link_cost.map_or(u64::MAX, u64::from), reach.proximity))
    }

    fn reach_one(&self, index: usize, server: &str) -> Option<Reach> {
        let server = server.to_lowercase();
        if server == self.server {
            return Some(Reach::HERE);
        }
        let site = self.site_of.get(&server)?;
        let near = self.site.as_ref() == Some(site);
        Some(Reach {
            site_link_cost: self.cost_to.get(site).copied(),
            proximity: if near { Proximity::SameSite } else { Proximity::RemoteSite },
            server: Some(index),
        })
    }

    /// Whether a connector scoped to the sites of these servers may be used here.
    pub(crate) fn in_scope(&self, servers: &[String]) -> bool {
        servers.is_empty()
            || servers.iter().any(|server| {
                let server = server.to_lowercase();
                server == self.server
                    || (self.site.is_some() && self.site_of.get(&server) == self.site.as_ref())
            })
    }
}

/// The least sum of link costs from one site to each that links lead to.
fn cheapest_ways(topology: &Topology, from: &str) -> HashMap<String, u32> {
    let mut neighbours: HashMap<String, Vec<(String, u32)>> = HashMap::new();
    for link in &topology.site_links {
        let (one, other) = (link.between.0.to_lowercase(), link.between.1.to_lowercase());
        neighbours.entry(one.clone()).or_default().push((other.clone(), link.cost));
        neighbours.entry(other).or_default().push((one, link.cost));
    }
    let mut settled = HashMap::new();
    let mut waiting = BinaryHeap::from([(Reverse(0_u32), from.to_owned())]);
    while let Some((Reverse(cost), site)) = waiting.pop() {
        if settled.contains_key(&site) {
            continue;
        }
        for (next, step) in neighbours.get(&site).into_iter().flatten() {
            waiting.push((Reverse(cost.saturating_add(*step)), next.clone()));
        }
        settled.insert(site, cost);
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::SiteLink;

    fn names(servers: &[&str]) -> Vec<String> {
        servers.iter().map(|server| (*server).to_owned()).collect()
    }

    /// Paris -10- Lyon -10- Nice, Paris -50- Nice, and Oslo without a link.
    fn distances() -> Distances {
        let mut topology = Topology::new("Hub01");
        for (server, site) in
            [("Hub01", "Paris"), ("Hub02", "Lyon"), ("Hub03", "Nice"), ("Hub04", "PARIS"), ("Hub05", "Oslo")]
        {
            topology.servers.insert(server.to_owned(), site.to_owned());
        }
        topology.site_links = vec![
            SiteLink::new("Paris", "Lyon", 10),
            SiteLink::new("lyon", "Nice", 10),
            SiteLink::new("Paris", "Nice", 50),
        ];
        Distances::new(&topology)
    }

    #[test]
    fn the_way_is_the_cheapest_and_the_server_the_nearest() {
        let distances = distances();
        let far = |servers: &[&str]| {
            let reach = distances.reach(&names(servers))?;
            Some((reach.site_link_cost, reach.proximity, reach.server))
        };
        assert_eq!(far(&[]), Some((Some(0), Proximity::LocalServer, None)));
        assert_eq!(far(&["HUB01"]), Some((Some(0), Proximity::LocalServer, None)));
        assert_eq!(far(&["Hub04"]), Some((Some(0), Proximity::SameSite, Some(0))));
        assert_eq!(far(&["Hub02"]), Some((Some(10), Proximity::RemoteSite, Some(0))));
        assert_eq!(far(&["Hub03"]), Some((Some(20), Proximity::RemoteSite, Some(0))), "through Lyon");
        assert_eq!(far(&["Hub03", "Hub02"]), Some((Some(10), Proximity::RemoteSite, Some(1))));
        assert_eq!(far(&["Hub03", "Hub01"]), Some((Some(0), Proximity::LocalServer, None)));
        assert_eq!(far(&["Hub05"]), Some((None, Proximity::RemoteSite, Some(0))), "no link leads there");
        assert_eq!(far(&["Hub05", "Hub03"]), Some((Some(20), Proximity::RemoteSite, Some(1))));
        assert_eq!(far(&["Hub99"]), None);
    }

    #[test]
    fn scope_is_the_site_of_a_source_server() {
        let distances = distances();
        for (servers, expected) in [
            (&[][..], true),
            (&["hub01"], true),
            (&["Hub04"], true),
            (&["Hub02"], false),
            (&["Hub02", "Hub04"], true),
            (&["Hub99"], false),
        ] {
            assert_eq!(distances.in_scope(&names(servers)), expected, "{servers:?}");
        }
    }
}
