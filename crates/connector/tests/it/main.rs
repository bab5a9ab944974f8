//! Routing as a postmaster meets it, and as a naive reading of the documented steps would decide it.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic, and its helpers too")]

mod allocations;
mod contradictions;
mod guides;
mod iis;
mod oracle;
mod properties;
mod tie_breakers;
mod values;

use postroad_address_space::{Address, AddressSpace, Leniency, Mailbox};
use postroad_connector::{Connector, RoutingTable, Selection, SendConnector, Sender, SenderPin, Topology};

pub(crate) const MB: u64 = 1024 * 1024;

pub(crate) fn spaces(texts: &[&str]) -> Vec<AddressSpace> {
    let lenient = Leniency::default().wildcards();
    texts.iter().map(|text| AddressSpace::parse_with(text, lenient).unwrap()).collect()
}

pub(crate) fn send(name: &str, texts: &[&str]) -> SendConnector {
    SendConnector::new(name, spaces(texts))
}

pub(crate) fn sender(text: &str) -> Sender {
    if text == "<>" { Sender::Null } else { Sender::Mailbox(Mailbox::parse(text).unwrap()) }
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(crate) fn pin(address: &str, connector: Option<&str>) -> SenderPin {
    SenderPin::new(Mailbox::parse(address).unwrap(), connector.map(str::to_owned))
}

/// A table on the server Hub01 of Paris, which knows Hub02 beside it, and Hub03 in Lyon at a cost of 10.
pub(crate) fn table(connectors: Vec<Connector>, pins: Vec<SenderPin>) -> RoutingTable {
    let mut topology = Topology::new("Hub01");
    for (server, site) in [("Hub01", "Paris"), ("Hub02", "Paris"), ("Hub03", "Lyon")] {
        topology.servers.insert(server.to_owned(), site.to_owned());
    }
    topology.site_links = vec![postroad_connector::SiteLink::new("Paris", "Lyon", 10)];
    RoutingTable::build(connectors, topology, pins).unwrap()
}

/// The outcome in one line: `Internet -> contoso.com`, `unreachable`, `5.1.2`.
pub(crate) fn outcome(table: &RoutingTable, from: &str, to: &str, size: u64) -> String {
    let recipient = address(to);
    match table.select(&sender(from), &recipient, size) {
        Selection::Route(route) => format!("{} -> {}", route.connector.name(), route.destination()),
        Selection::Unreachable => "unreachable".to_owned(),
        Selection::Refused(refusal) => refusal.status().to_owned(),
    }
}

/// Each connector's reason: `Internet: chosen`.
pub(crate) fn reasons(table: &RoutingTable, from: &str, to: &str, size: u64) -> Vec<String> {
    let recipient = address(to);
    let explanation = table.explain(&sender(from), &recipient, size);
    let candidates = explanation.candidates.iter();
    candidates
        .map(|candidate| format!("{}: {}", candidate.connector.name(), candidate.reason.name()))
        .collect()
}
