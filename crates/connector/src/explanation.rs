//! Why a recipient goes the way it goes: every connector, with the one reason for which it won or lost.

use std::cmp::Reverse;

use postroad_address_space::{Address, AddressSpace, Specificity};

use crate::attachment::{Binding, Tier};
use crate::connector::Connector;
use crate::reach::{Proximity, Reach};
use crate::routing_table::{self, RoutingTable};
use crate::selection::{Route, Selection};
use crate::sender::Sender;

impl RoutingTable {
    /// Every connector with the reason why it was chosen or not, for one recipient of a message of `size` bytes.
    pub fn explain<'a>(&'a self, sender: &Sender, recipient: &'a Address, size: u64) -> Explanation<'a> {
        Explanation::new(self, sender, recipient, size)
    }
}

/// The decision for one recipient, and how every connector fared.
///
/// Serialises (feature `serde`) to one object of `relay route --json`; prints as lines for a terminal.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation<'a> {
    /// Who was asked about.
    pub recipient: &'a Address,
    /// The decision, the same as [`RoutingTable::select`]'s.
    pub selection: Selection<'a>,
    /// First those that would do, in the order of preference (so the chosen one is first), then the others by name.
    pub candidates: Vec<Candidate<'a>>,
}

/// One connector and its reason.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The connector.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::explanation_json::name_only"))]
    pub connector: &'a Connector,
    /// Why it won or lost.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub reason: Reason<'a>,
}

/// Why a connector won or lost, and the figures behind it. The first that applies, in this order:
/// too large, disabled, out of scope, not attached, no matching space, no source server in reach; among those left
/// a lower tier of attachment (not attached again), less close, dearer, farther, later name.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "reason", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Reason<'a> {
    /// This is the one.
    Chosen {
        /// The closest of its spaces.
        address_space: &'a AddressSpace,
        /// What way and space cost.
        cost: Costs,
        /// How near its nearest source server is.
        proximity: Proximity,
        /// What binds the sender to it.
        tier: Tier,
    },
    /// Its `max_message_size` is less than the message.
    TooLarge {
        /// `max_message_size` in bytes.
        limit: u64,
        /// Bytes of the message.
        size: u64,
        /// The closest of its spaces; `None`: it would not have taken the address anyway.
        address_space: Option<&'a AddressSpace>,
    },
    /// `enabled` is false.
    Disabled,
    /// It is scoped to the sites of its source servers, and this server stands in none of them.
    OutOfScope {
        /// Its source servers.
        source_transport_servers: &'a [String],
    },
    /// The sender is not its own: it is attached to others, or the sender is pinned elsewhere, or a connector of
    /// an earlier tier takes the mail.
    NotAttached {
        /// What binds the sender to it; `None`: nothing, it carries others' mail only.
        tier: Option<Tier>,
        /// The tier of the chosen connector; `None`: nothing was chosen, or the tier did not matter.
        winning_tier: Option<Tier>,
    },
    /// None of its spaces covers the address.
    NoMatchingSpace,
    /// None of its source servers is this one, or stands in the topology.
    NoSourceServerInReach {
        /// Its source servers.
        source_transport_servers: &'a [String],
    },
    /// Its closest space is less close than the winner's.
    LessClose {
        /// Its own.
        address_space: &'a AddressSpace,
        /// The winner's.
        winning_address_space: &'a AddressSpace,
    },
    /// As close, but it costs more.
    Dearer {
        /// Its closest space.
        address_space: &'a AddressSpace,
        /// Its own cost.
        cost: Costs,
        /// The winner's.
        winning_cost: Costs,
    },
    /// As close and as cheap, but its nearest source server is farther.
    Farther {
        /// Its own distance.
        proximity: Proximity,
        /// The winner's.
        winning_proximity: Proximity,
    },
    /// Equal in all: its name comes later.
    LaterName {
        /// The winner's name.
        winner: &'a str,
    },
}

/// What a connector costs, in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Costs {
    /// The two together; `None`: no site links lead there, which is dearer than any way that they do.
    pub total: Option<u64>,
    /// The site links to its nearest source server.
    pub site_links: Option<u32>,
    /// The address space.
    pub address_space: u8,
}

impl Costs {
    fn new(reach: &Reach, space: &AddressSpace) -> Self {
        let total = reach.site_link_cost.map(|links| u64::from(links) + u64::from(space.cost()));
        Self { total, site_links: reach.site_link_cost, address_space: space.cost() }
    }
}

impl Reason<'_> {
    /// The word of `route --json`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Chosen { .. } => "chosen",
            Self::TooLarge { .. } => "too_large",
            Self::Disabled => "disabled",
            Self::OutOfScope { .. } => "out_of_scope",
            Self::NotAttached { .. } => "not_attached",
            Self::NoMatchingSpace => "no_matching_space",
            Self::NoSourceServerInReach { .. } => "no_source_server_in_reach",
            Self::LessClose { .. } => "less_close",
            Self::Dearer { .. } => "dearer",
            Self::Farther { .. } => "farther",
            Self::LaterName { .. } => "later_name",
        }
    }

    /// Whether the connector would have done, had there been no better one.
    pub fn is_accepted(&self) -> bool {
        match self {
            Self::Chosen { .. }
            | Self::LessClose { .. }
            | Self::Dearer { .. }
            | Self::Farther { .. }
            | Self::LaterName { .. } => true,
            Self::NotAttached { tier, winning_tier } => tier.is_some() && winning_tier.is_some(),
            _ => false,
        }
    }
}

/// A connector that would do.
struct Contender<'a> {
    at: usize,
    connector: &'a Connector,
    tier: Tier,
    specificity: Specificity,
    space: &'a AddressSpace,
    reach: Reach,
}

impl<'a> Contender<'a> {
    /// The least is preferred.
    fn preference(&self) -> (Tier, Reverse<Specificity>, u32, Proximity, usize) {
        let cost = routing_table::total_cost(self.reach.site_link_cost, self.space);
        (self.tier, Reverse(self.specificity), cost, self.reach.proximity, self.at)
    }

    fn costs(&self) -> Costs {
        Costs::new(&self.reach, self.space)
    }

    /// Why this one won or lost against the winner.
    fn against(&self, winner: &Self) -> Reason<'a> {
        let (own, best) = (self.preference(), winner.preference());
        if own == best {
            let (address_space, cost, proximity, tier) =
                (self.space, self.costs(), self.reach.proximity, self.tier);
            Reason::Chosen { address_space, cost, proximity, tier }
        } else if own.0 != best.0 {
            Reason::NotAttached { tier: Some(own.0), winning_tier: Some(best.0) }
        } else if own.1 != best.1 {
            Reason::LessClose { address_space: self.space, winning_address_space: winner.space }
        } else if own.2 != best.2 {
            Reason::Dearer { address_space: self.space, cost: self.costs(), winning_cost: winner.costs() }
        } else if own.3 != best.3 {
            Reason::Farther { proximity: own.3, winning_proximity: best.3 }
        } else {
            Reason::LaterName { winner: winner.connector.name() }
        }
    }
}

impl<'a> Explanation<'a> {
    fn new(table: &'a RoutingTable, sender: &Sender, recipient: &'a Address, size: u64) -> Self {
        let binding = table.attachments.binding(sender);
        let (mut contenders, mut others) = (Vec::new(), Vec::new());
        for (at, connector) in table.connectors.iter().enumerate() {
            match judge(table, &binding, at, connector, recipient, size) {
                Ok(contender) => contenders.push(contender),
                Err(reason) => others.push(Candidate { connector, reason }),
            }
        }
        contenders.sort_by_key(Contender::preference);
        let mut candidates = Vec::with_capacity(table.connectors.len());
        if let Some(winner) = contenders.first() {
            candidates.extend(contenders.iter().map(|contender| Candidate {
                connector: contender.connector,
                reason: contender.against(winner),
            }));
        }
        candidates.append(&mut others);
        Self { recipient, selection: table.selected(&binding, recipient, size), candidates }
    }

    /// The route, if there is one.
    pub fn route(&self) -> Option<&Route<'a>> {
        self.selection.route()
    }
}

/// Whether a connector would do, or the first reason why not.
fn judge<'a>(
    table: &'a RoutingTable,
    binding: &Binding<'_>,
    at: usize,
    connector: &'a Connector,
    recipient: &Address,
    size: u64,
) -> Result<Contender<'a>, Reason<'a>> {
    let closest = closest(connector, recipient);
    let source_transport_servers = connector.source_transport_servers();
    let prospect = table.prospects.get(at);
    if let Some(limit) = connector.max_message_size().filter(|limit| size > *limit) {
        return Err(Reason::TooLarge { limit, size, address_space: closest.map(|(_, space)| space) });
    }
    if !connector.enabled() {
        return Err(Reason::Disabled);
    }
    if !prospect.is_some_and(|prospect| prospect.in_scope) {
        return Err(Reason::OutOfScope { source_transport_servers });
    }
    let place = u32::try_from(at).unwrap_or(u32::MAX);
    let tier = binding.tier(place, !connector.senders().is_empty());
    let tier = tier.ok_or(Reason::NotAttached { tier: None, winning_tier: None })?;
    let (specificity, space) = closest.ok_or(Reason::NoMatchingSpace)?;
    let reach = prospect.and_then(|prospect| prospect.reach);
    let reach = reach.ok_or(Reason::NoSourceServerInReach { source_transport_servers })?;
    Ok(Contender { at, connector, tier, specificity, space, reach })
}

/// The closest of a connector's spaces; among equals the cheapest, then the first.
fn closest<'a>(connector: &'a Connector, recipient: &Address) -> Option<(Specificity, &'a AddressSpace)> {
    let matching =
        connector.address_spaces().iter().filter_map(|space| Some((space.matches(recipient)?, space)));
    matching.min_by_key(|(specificity, space)| (Reverse(*specificity), space.cost()))
}
