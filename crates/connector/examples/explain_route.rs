//! Asks a small routing table about the addresses on its command line, and prints why each goes the way it goes.
//!
//! ```text
//! cargo run -p postroad-connector --example explain_route -- jane@fabrikam.com FAX:+1425 joe@contoso.com
//! cargo run -p postroad-connector --example explain_route -- --json jane@fabrikam.com
//! ```

use std::error::Error;

use postroad_address_space::{Address, AddressSpace, Mailbox};
use postroad_connector::{
    Connector, DeliveryAgentConnector, ForeignConnector, RoutingTable, SendConnector, Sender, SiteLink,
    Topology,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    arguments.retain(|argument| argument != "--json");
    if arguments.is_empty() {
        arguments = ["jane@fabrikam.com", "joe@contoso.com", "FAX:+1 425 555-0100", "NOTES:Jane"]
            .map(str::to_owned)
            .into();
    }

    let table = RoutingTable::build(connectors()?, topology(), Vec::new())?;
    let sender = Sender::Mailbox(Mailbox::parse("newsletter@contoso.com")?);
    for argument in &arguments {
        let recipient = Address::parse(argument)?;
        let explanation = table.explain(&sender, &recipient, 2 * 1024 * 1024);
        if json {
            println!("{}", serde_json::to_string(&explanation)?);
        } else {
            println!("{explanation}\n");
        }
    }
    Ok(())
}

/// Two ways out, one of them for the newsletter only; a fax gateway; and mailboxes on another server.
fn connectors() -> Result<Vec<Connector>, Box<dyn Error>> {
    let spaces = |text: &str| AddressSpace::parse(text).map(|space| vec![space]);
    let internet = SendConnector::new("Internet", spaces("*")?);
    let mut newsletter = SendConnector::new("Newsletter relay", spaces("*;5")?);
    newsletter.smart_hosts = vec!["smtp-relay.example.com".parse()?];
    newsletter.senders = vec!["newsletter@contoso.com".parse()?];
    let mut fax = ForeignConnector::new("Fax gateway", spaces("FAX:*;1")?);
    fax.max_message_size = Some(10 * 1024 * 1024);
    let mut mailboxes = DeliveryAgentConnector::new("Mailboxes", spaces("*.contoso.com")?, "lmtp");
    mailboxes.source_transport_servers = vec!["Hub02".to_owned()];
    Ok(vec![internet.into(), newsletter.into(), fax.into(), mailboxes.into()])
}

fn topology() -> Topology {
    let mut topology = Topology::new("Hub01");
    topology.servers.insert("Hub01".to_owned(), "Paris".to_owned());
    topology.servers.insert("Hub02".to_owned(), "Lyon".to_owned());
    topology.site_links.push(SiteLink::new("Paris", "Lyon", 10));
    topology
}
