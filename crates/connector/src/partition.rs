//! The recipients of one message, put into groups: one for each next hop.

use std::collections::HashMap;
use std::ops::Range;

use postroad_address_space::Address;

use crate::attachment::Binding;
use crate::routing_table::RoutingTable;
use crate::selection::{Refusal, Route, Selection};
use crate::sender::Sender;

impl RoutingTable {
    /// Puts the recipients of one message of `size` bytes into groups, one for each next hop.
    ///
    /// Recipients come from any collection: `&addresses`, or `envelope.recipients.iter().map(|one| &one.address)`.
    /// Allocates the vectors of the result, at most once more for each group, and nothing for a recipient.
    pub fn partition<'a>(
        &'a self,
        sender: &Sender,
        recipients: impl IntoIterator<Item = &'a Address>,
        size: u64,
    ) -> Partition<'a> {
        Partition::new(self, &self.attachments.binding(sender), recipients.into_iter(), size)
    }
}

/// What becomes of the recipients of one message. Recipients are known by their place in the slice that was given.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Partition<'a> {
    groups: Vec<(Route<'a>, Range<usize>)>,
    /// The routed recipients, those of one group together and in their order.
    order: Vec<usize>,
    /// SMTP recipients that no connector takes now: they wait.
    pub unreachable: Vec<usize>,
    /// Recipients whose sender is owed a report.
    pub refused: Vec<(usize, Refusal)>,
}

/// Recipients with the same next hop: they share one transmission.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group<'a> {
    /// Their way; its address space is that of the first recipient.
    pub route: &'a Route<'a>,
    /// Their places, ascending; never empty.
    pub recipients: &'a [usize],
}

impl<'a> Partition<'a> {
    /// One group for each next hop, in the order of their first recipients.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = Group<'_>> {
        self.groups.iter().map(|(route, range)| Group {
            route,
            recipients: self.order.get(range.clone()).unwrap_or_default(),
        })
    }

    fn new(
        table: &'a RoutingTable,
        binding: &Binding<'_>,
        recipients: impl Iterator<Item = &'a Address>,
        size: u64,
    ) -> Self {
        let mut hops = Hops::default();
        let (mut unreachable, mut refused) = (Vec::new(), Vec::new());
        let mut placed: Vec<(usize, usize)> = Vec::with_capacity(recipients.size_hint().0);
        for (at, recipient) in recipients.enumerate() {
            match table.selected(binding, recipient, size) {
                Selection::Route(route) => placed.push((hops.place(route), at)),
                Selection::Unreachable => unreachable.push(at),
                Selection::Refused(refusal) => refused.push((at, refusal)),
            }
        }
        placed.sort_unstable();
        let mut start = 0;
        for (_, range) in &mut hops.groups {
            *range = start..start + range.end;
            start = range.end;
        }
        let order = placed.into_iter().map(|(_, at)| at).collect();
        Self { groups: hops.groups, order, unreachable, refused }
    }
}

/// From so many groups on, a map is faster than looking through them.
const MANY: usize = 16;

/// The next hops seen so far.
#[derive(Default)]
struct Hops<'a> {
    /// Each with `0..` and how many recipients it has.
    groups: Vec<(Route<'a>, Range<usize>)>,
    /// By connector and destination; filled once there are [`MANY`].
    index: HashMap<(&'a str, &'a str), usize>,
}

impl<'a> Hops<'a> {
    /// The place of the group this route belongs to, with one more recipient in it.
    fn place(&mut self, route: Route<'a>) -> usize {
        let found = if self.groups.len() < MANY {
            self.groups.iter().position(|(other, _)| same_hop(other, &route))
        } else {
            self.look_up(&route)
        };
        match found.and_then(|at| Some((at, self.groups.get_mut(at)?))) {
            Some((at, (_, range))) => {
                range.end += 1;
                at
            }
            None => {
                self.groups.push((route, 0..1));
                self.groups.len() - 1
            }
        }
    }

    fn look_up(&mut self, route: &Route<'a>) -> Option<usize> {
        for (at, (route, _)) in self.groups.iter().enumerate().skip(self.index.len()) {
            self.index.insert(key(route), at);
        }
        self.index.get(&key(route)).copied()
    }
}

fn same_hop(one: &Route<'_>, other: &Route<'_>) -> bool {
    std::ptr::eq(one.connector, other.connector) && one.destination() == other.destination()
}

/// Names of connectors are unique in a table.
fn key<'a>(route: &Route<'a>) -> (&'a str, &'a str) {
    (route.connector.name(), route.destination())
}
