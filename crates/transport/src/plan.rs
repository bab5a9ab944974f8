//! From recipients to next hops: what the routing table answers, in the words of the queue.

use postroad_address_space::MailDomain;
use postroad_connector::{Connector, Refusal, RoutingTable, Sender};
use postroad_message::{EnhancedStatus, Failure, Fault, NextHop, Phase, Recipient, ReversePath, Scope};
use postroad_queue::Lease;

/// Where each recipient goes.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Recipients, by index, that share a next hop; unreachable ones among them.
    pub(crate) groups: Vec<(NextHop, Vec<usize>)>,
    /// Recipients that no connector will ever take, and why.
    pub(crate) refused: Vec<(usize, Failure)>,
}

impl Plan {
    /// Selects a connector for each recipient of a message of `size` bytes.
    pub(crate) fn make(
        table: &RoutingTable,
        from: &ReversePath,
        recipients: &[Recipient],
        size: u64,
    ) -> Self {
        let addresses = recipients.iter().map(|recipient| &recipient.address);
        let partition = table.partition(&sender(from), addresses, size);
        let mut groups: Vec<(NextHop, Vec<usize>)> = partition
            .groups()
            .map(|group| {
                let hop = NextHop::new(group.route.connector.name(), group.route.destination());
                (hop, group.recipients.to_vec())
            })
            .collect();
        if !partition.unreachable.is_empty() {
            groups.push((NextHop::unreachable(), partition.unreachable.clone()));
        }
        let refused = partition.refused.iter().map(|(index, refusal)| (*index, failure(refusal))).collect();
        Self { groups, refused }
    }

    /// Whether everybody goes there.
    pub(crate) fn stays_at(&self, next_hop: &NextHop) -> bool {
        self.refused.is_empty() && self.groups.iter().all(|(planned, _)| planned == next_hop)
    }
}

/// Whether the connector still has the queue in which a delivery waits: one that used smart hosts and now goes to MX
/// hosts has a queue for each domain, and the name of its old one may look like a domain.
pub(crate) fn is_queue_of(connector: &Connector, lease: &Lease) -> bool {
    let queue = &*lease.next_hop.destination;
    let in_domain = |recipient: &Recipient| {
        recipient.address.mailbox().is_some_and(|mailbox| match mailbox.domain() {
            MailDomain::Name(name) => name.ascii() == queue,
            MailDomain::Literal(literal) => literal.as_str() == queue,
        })
    };
    match connector {
        Connector::Send(send) if send.routes_by_dns() => lease.envelope.recipients.iter().all(in_domain),
        _ => true,
    }
}

/// The sender as routing sees it.
pub(crate) fn sender(from: &ReversePath) -> Sender {
    match from {
        ReversePath::Null => Sender::Null,
        ReversePath::Mailbox(mailbox) => Sender::Mailbox(mailbox.clone()),
    }
}

/// What the sender of a recipient that no connector takes is told.
fn failure(refusal: &Refusal) -> Failure {
    let status = match refusal {
        Refusal::TooLarge { .. } => EnhancedStatus::permanent(3, 4),
        _ => EnhancedStatus::permanent(1, 2),
    };
    Failure::new(status, Fault::Message, Scope::Recipient, Phase::Routing, refusal.to_string())
}
