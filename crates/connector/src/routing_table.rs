//! The routing table: built once from connectors, topology and pins, then asked for each recipient.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use postroad_address_space::{Address, AddressSpace, AddressSpaceMap, Specificity};

use crate::attachment::{self, Attachments, Binding, Tier};
use crate::connector::Connector;
use crate::contradiction::{Contradiction, Contradictions, Rule, Subject};
use crate::delivery_type::DeliveryType;
use crate::prospect::Prospect;
use crate::reach::{Distances, Proximity};
use crate::selection::{Refusal, Route, Selection};
use crate::sender::{Sender, SenderAttachment, SenderPin};
use crate::topology::Topology;

/// Every connector, ready to choose from. Immutable: a changed configuration makes a new table.
#[derive(Debug)]
pub struct RoutingTable {
    /// In the order of their names, so that a place is a rank.
    pub(crate) connectors: Vec<Connector>,
    /// What was worked out for each connector, in the same order.
    pub(crate) prospects: Vec<Prospect>,
    /// The spaces of the connectors that are enabled, in scope and in reach, the preferred first.
    spaces: AddressSpaceMap<Claim>,
    /// Equally close SMTP spaces are one space, because none has wildcards of Exchange 5.5.
    plain: bool,
    pub(crate) attachments: Attachments,
    pub(crate) topology: Topology,
}

/// One address space of one connector, with all that selection asks, so that it need not look elsewhere.
#[derive(Clone, Copy, Debug)]
struct Claim {
    /// Greatest message; unlimited is [`u64::MAX`].
    limit: u64,
    connector: u32,
    /// Its place among the connector's spaces.
    space: u32,
    /// Site links and space together.
    cost: u32,
    proximity: Proximity,
    delivery_type: DeliveryType,
    attached: bool,
}

/// What decides between claims; the least is preferred.
type Preference = (Tier, Reverse<Specificity>, u32, Proximity, u32, u32);

impl Claim {
    fn preference(&self, tier: Tier, specificity: Specificity) -> Preference {
        (tier, Reverse(specificity), self.cost, self.proximity, self.connector, self.space)
    }
}

/// What is legal, but will not work as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Warning<'a> {
    /// No source server is this one, or known: the connector is never chosen here.
    #[error(
        "connector {connector:?} is never chosen here: none of its `source_transport_servers` is this one, or stands among `servers`"
    )]
    NoSourceServerInReach {
        /// Its name.
        connector: &'a str,
    },
    /// The nearest source server has no address: mail waits here, unless the queue is shared with it.
    #[error(
        "mail for connector {connector:?} waits for server {server:?}, which has none of the `addresses`, unless they share a queue"
    )]
    NoAddressOfSourceServer {
        /// Its name.
        connector: &'a str,
        /// Its nearest source server.
        server: &'a str,
    },
}

impl RoutingTable {
    /// Builds the table, or names everything that contradicts itself, all at once.
    ///
    /// # Errors
    ///
    /// All contradictions, at least one. The same connectors are refused again.
    pub fn build(
        mut connectors: Vec<Connector>,
        topology: Topology,
        pins: Vec<SenderPin>,
    ) -> Result<Self, Contradictions> {
        let contradictions = validate(&connectors, &topology, &pins);
        if !contradictions.is_empty() {
            return Err(Contradictions(contradictions));
        }
        connectors.sort_by_cached_key(|connector| connector.name().to_lowercase());
        let distances = Distances::new(&topology);
        let prospects: Vec<_> =
            connectors.iter().map(|connector| Prospect::new(connector, &distances)).collect();
        let mut claims: Vec<_> = (0..)
            .zip(&connectors)
            .zip(&prospects)
            .flat_map(|((at, connector), prospect)| claims(at, connector, prospect))
            .collect();
        // Claims behind one space come out of the map as they went in: the preferred first.
        claims.sort_by_key(|(_, claim)| (claim.cost, claim.proximity, claim.connector, claim.space));
        let attachments = Attachments::new(&connectors, &pins);
        let plain = !claims.iter().any(|(space, _)| space.has_wildcards());
        let spaces = claims.into_iter().collect();
        Ok(Self { connectors, prospects, spaces, plain, attachments, topology })
    }

    /// Chooses a connector for one recipient of a message of `size` bytes. Does not allocate.
    #[inline]
    pub fn select<'a>(&'a self, sender: &Sender, recipient: &'a Address, size: u64) -> Selection<'a> {
        self.selected(&self.attachments.binding(sender), recipient, size)
    }

    #[inline]
    pub(crate) fn selected<'a>(
        &'a self,
        binding: &Binding<'_>,
        recipient: &'a Address,
        size: u64,
    ) -> Selection<'a> {
        // Most often the first claim is it: claims behind one space come as they went in, the preferred first.
        if self.plain
            && matches!(recipient, Address::Smtp(_))
            && let Some((_, claim)) = self.spaces.matches(recipient).next()
            && size <= claim.limit
            && binding.tier(claim.connector, claim.attached) == Some(binding.first_tier())
            && let Some(route) = self.route(claim, recipient)
        {
            return Selection::Route(route);
        }
        self.selected_among_all(binding, recipient, size)
    }

    #[inline(never)]
    fn selected_among_all<'a>(
        &'a self,
        binding: &Binding<'_>,
        recipient: &'a Address,
        size: u64,
    ) -> Selection<'a> {
        let mut best: Option<(Preference, &Claim)> = None;
        let mut too_small: Option<u64> = None;
        let first_tier = binding.first_tier();
        for (specificity, claim) in self.spaces.matches(recipient) {
            if best
                .is_some_and(|((tier, Reverse(closest), ..), _)| tier == first_tier && specificity < closest)
            {
                break;
            }
            let Some(tier) = binding.tier(claim.connector, claim.attached) else { continue };
            if size > claim.limit {
                too_small = too_small.max(Some(claim.limit));
                continue;
            }
            let preference = claim.preference(tier, specificity);
            if best.is_none_or(|(found, _)| preference < found) {
                best = Some((preference, claim));
            }
        }
        match (best.and_then(|(_, claim)| self.route(claim, recipient)), too_small, recipient) {
            (Some(route), ..) => Selection::Route(route),
            (None, Some(limit), _) => Selection::Refused(Refusal::TooLarge { size, limit }),
            (None, None, Address::Smtp(_)) => Selection::Unreachable,
            (None, None, _) => Selection::Refused(Refusal::NoConnector),
        }
    }

    /// The connector of that name; letter case does not count.
    pub fn connector(&self, name: &str) -> Option<&Connector> {
        self.connectors.get(self.place(name)?)
    }

    /// The same, if any mail may go by it: enabled, in scope, and with a source server in reach.
    pub fn usable_connector(&self, name: &str) -> Option<&Connector> {
        let at = self.place(name)?;
        let usable =
            self.prospects.get(at).is_some_and(|prospect| prospect.in_scope && prospect.reach.is_some());
        self.connectors.get(at).filter(|connector| usable && connector.enabled())
    }

    /// The server that mail of this connector goes by way of, because this one is none of its sources; `None`: this one
    /// delivers it.
    pub fn source_server(&self, name: &str) -> Option<&str> {
        let at = self.place(name)?;
        self.prospects.get(at)?.source_server(self.connectors.get(at)?)
    }

    fn place(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.connectors.binary_search_by(|connector| connector.name().to_lowercase().cmp(&name)).ok()
    }

    /// Every connector, in the order of their names.
    pub fn connectors(&self) -> &[Connector] {
        &self.connectors
    }

    /// What is legal and still will not work, for someone to look at: enabled connectors whose mail cannot go on.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning<'_>> {
        let usable = self.connectors.iter().zip(&self.prospects).filter(|(connector, _)| connector.enabled());
        usable.filter_map(|(connector, prospect)| self.warning(connector, prospect)).collect()
    }

    fn warning<'a>(&'a self, connector: &'a Connector, prospect: &Prospect) -> Option<Warning<'a>> {
        if prospect.reach.is_none() {
            return Some(Warning::NoSourceServerInReach { connector: connector.name() });
        }
        let server = prospect.source_server(connector)?;
        let address = self.topology.address_of(server);
        address.is_none().then_some(Warning::NoAddressOfSourceServer { connector: connector.name(), server })
    }

    /// Where this server stands.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Looks at no more than the claim.
    #[inline(always)]
    fn route<'a>(&'a self, claim: &Claim, recipient: &'a Address) -> Option<Route<'a>> {
        let at = usize::try_from(claim.connector).ok()?;
        let connector = self.connectors.get(at)?;
        let prospect = self.prospects.get(at)?;
        Some(Route { connector, delivery_type: claim.delivery_type, prospect, recipient, space: claim.space })
    }
}

/// The claims of a connector that may be chosen at all.
fn claims<'a>(
    at: u32,
    connector: &'a Connector,
    prospect: &Prospect,
) -> impl Iterator<Item = (AddressSpace, Claim)> + use<'a> {
    let reach = prospect.reach.filter(|_| prospect.in_scope && connector.enabled());
    let attached = !connector.senders().is_empty();
    let limit = connector.max_message_size().unwrap_or(u64::MAX);
    let delivery_type = prospect.delivery_type(connector);
    reach.into_iter().flat_map(move |reach| {
        (0..).zip(connector.address_spaces()).map(move |(space, address_space)| {
            let cost = total_cost(reach.site_link_cost, address_space);
            let proximity = reach.proximity;
            (
                address_space.clone(),
                Claim { limit, connector: at, space, cost, proximity, delivery_type, attached },
            )
        })
    })
}

/// What the way and the space cost together; a place that no links lead to is dearer than any that they do.
pub(crate) fn total_cost(site_link_cost: Option<u32>, address_space: &AddressSpace) -> u32 {
    const NO_WAY: u32 = u32::MAX - 100;
    site_link_cost.map_or(NO_WAY, |cost| cost.min(NO_WAY - 101)) + u32::from(address_space.cost())
}

/// Every contradiction within connectors and topology, and between them.
fn validate(connectors: &[Connector], topology: &Topology, pins: &[SenderPin]) -> Vec<Contradiction> {
    let mut found: Vec<_> = connectors.iter().flat_map(Connector::validate).collect();
    let mut names: HashMap<String, bool> = HashMap::new();
    for connector in connectors {
        let is_send = matches!(connector, Connector::Send(_));
        if names.insert(connector.name().to_lowercase(), is_send).is_some() {
            found.push(Contradiction::new(connector.subject(), Rule::DuplicateName));
        }
    }
    found.extend(topology.validate());
    found.extend(validate_pins(connectors, &names, pins));
    found
}

fn validate_pins(
    connectors: &[Connector],
    names: &HashMap<String, bool>,
    pins: &[SenderPin],
) -> Vec<Contradiction> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut listed: HashMap<_, Vec<&str>> = HashMap::new();
    for connector in connectors {
        for sender in connector.senders() {
            if let SenderAttachment::Address(mailbox) = sender {
                listed.entry(attachment::folded(mailbox)).or_default().push(connector.name());
            }
        }
    }
    for pin in pins {
        let mut refuse = |rule| found.push(Contradiction::new(Subject::Sender(pin.address.clone()), rule));
        let address = attachment::folded(&pin.address);
        if let Some(name) = &pin.connector
            && names.get(&name.to_lowercase()) != Some(&true)
        {
            refuse(Rule::UnknownPinnedConnector { connector: name.clone() });
        }
        // Whatever the order in which connectors were given: one of those that list it has to be the pinned one.
        let pinned = pin.connector.as_ref().map(|name| name.to_lowercase());
        if let Some(names) = listed.get(&address)
            && !names.iter().any(|name| Some(name.to_lowercase()) == pinned)
            && let Some(first) = names.iter().min()
        {
            refuse(Rule::PinAgainstSenders { connector: (*first).to_owned() });
        }
        if !seen.insert(address) {
            refuse(Rule::DuplicatePin);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_however_long_is_cheaper_than_none() {
        let [cheap, dear] = ["*;1", "*;100"].map(|text| AddressSpace::parse(text).unwrap());
        assert_eq!(total_cost(Some(10), &dear), 110);
        assert!(total_cost(Some(u32::MAX), &dear) < total_cost(None, &cheap));
        assert!(total_cost(Some(u32::MAX), &cheap) < total_cost(Some(u32::MAX), &dear));
        assert!(total_cost(None, &cheap) < total_cost(None, &dear));
    }
}
