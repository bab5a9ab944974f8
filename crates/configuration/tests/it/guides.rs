//! The configurations of the guides, and what they choose.

use std::path::Path;

use postroad_address_space::{Address, AddressSpace, Mailbox};
use postroad_configuration::{Configuration, Problem, QueueStore, SecretSource};
use postroad_connector::{Connector, Selection, Sender};

fn good(text: &str) -> Configuration {
    let configuration = Configuration::parse(text, Path::new("/etc/postroad/relay.toml"))
        .unwrap_or_else(|problems| panic!("{}", lines(&problems)));
    assert_eq!(without_the_door(&configuration.warnings), "");
    configuration
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// The guides show connectors to send by; that nothing comes in is no fault of theirs.
fn without_the_door(warnings: &[Problem]) -> String {
    let others = warnings.iter().filter(|warning| !warning.message.contains("no receive connector"));
    others.map(|warning| format!("{warning}\n")).collect()
}

/// The connector chosen, or why there is none.
fn chosen(configuration: &Configuration, sender: &str, recipient: &str) -> String {
    let table = configuration.routing_table().unwrap();
    let sender = Sender::Mailbox(Mailbox::parse(sender).unwrap());
    match table.select(&sender, &Address::parse(recipient).unwrap(), 4_096) {
        Selection::Route(route) => format!("{} to {}", route.connector.name(), route.destination()),
        Selection::Unreachable => "unreachable".into(),
        Selection::Refused(refusal) => refusal.status().into(),
    }
}

#[test]
fn mail_for_anyone_goes_to_the_appliance() {
    let relay = good(include_str!("../good/smart_host.toml"));
    let expected = "To the appliance to [192.168.100.1],contoso.com";
    assert_eq!(chosen(&relay, "joe@contoso.com", "jane@example.org"), expected);
    let [Connector::Send(send)] = relay.connectors.as_slice() else { panic!() };
    assert!(!send.routes_by_dns());
    assert_eq!(send.max_message_size, Some(36_700_160));
}

#[test]
fn mail_to_the_internet_goes_by_the_recipients_domain() {
    let relay = good(include_str!("../good/internet.toml"));
    let expected = "Contoso.com Send Connector to example.org";
    assert_eq!(chosen(&relay, "joe@contoso.com", "jane@example.org"), expected);
}

#[test]
fn the_foreign_connector_takes_its_part_of_the_x400_world() {
    let relay = good(include_str!("../good/foreign.toml"));
    let fabrikam = "X400:C=US;A=Fabrikam;P=Contoso;O=Sales;S=Doe;G=Jane;";
    assert!(chosen(&relay, "joe@contoso.com", fabrikam).starts_with("Contoso Foreign Connector to "));
    assert_eq!(chosen(&relay, "joe@contoso.com", "X400:C=US;A=Other;P=Contoso;S=Doe;"), "5.1.2");
    assert_eq!(chosen(&relay, "joe@contoso.com", "jane@example.org"), "unreachable");
    let [Connector::Foreign(foreign)] = relay.connectors.as_slice() else { panic!() };
    assert_eq!(relay.drop_directory(foreign), Path::new("/etc/postroad/relay-data/Drop Directory"));
    assert_eq!(
        relay.pickup.as_ref().map(|pickup| pickup.path.as_path()),
        Some(Path::new("/etc/postroad/relay-data/Pickup"))
    );
}

#[test]
fn on_a_server_that_is_no_source_the_foreign_connector_is_out_of_reach_and_we_are_warned() {
    let text = include_str!("../good/foreign.toml").replace("name = \"Hub01\"", "name = \"Hub03\"");
    let relay = Configuration::parse(&text, Path::new("relay.toml")).unwrap();
    assert_eq!(
        without_the_door(&relay.warnings),
        "relay.toml:11:1: warning: [[foreign_connector]] source_transport_servers: \
         connector \"Contoso Foreign Connector\" is never chosen here: \
         none of its source_transport_servers is this one, or stands among servers\n"
    );
    assert_eq!(chosen(&relay, "joe@contoso.com", "X400:C=US;A=Fabrikam;P=Contoso;S=Doe;"), "5.1.2");
}

#[test]
fn newsletter_leaves_through_its_connector_and_contact_does_not() {
    let relay = good(include_str!("../good/newsletter.toml"));
    let newsletter = chosen(&relay, "newsletter@mydomain.ovh", "john.smith@guides.ovh");
    assert_eq!(newsletter, "testconnector to smtp-relay.example.com");
    let contact = chosen(&relay, "contact@mydomain.ovh", "mary.johnson@guides.ovh");
    assert_eq!(contact, "Outgoing mail server to guides.ovh");
    let credential = relay.credential("testconnector").unwrap();
    assert_eq!(credential.source, SecretSource::PasswordEnvironment("TESTCONNECTOR_PASSWORD".into()));
}

#[test]
fn iis_and_edge_have_their_ways() {
    let relay = good(include_str!("../good/iis.toml"));
    for (recipient, expected) in [
        ("jane@example.org", "Smart host to example.org"),
        ("jane@fabrikam.com", "Remote domain to [192.0.2.7]"),
        ("jane@contoso.com", "To the inside to [10.0.0.1]"),
        ("jane@EU.contoso.com", "To the inside to [10.0.0.1]"),
        ("jane@us.contoso.com", "Smart host to us.contoso.com"),
    ] {
        assert_eq!(chosen(&relay, "joe@contoso.com", recipient), expected, "{recipient}");
    }
    let Connector::Send(smart_host) = &relay.connectors[0] else { panic!() };
    let shown =
        smart_host.masqueraded(&"joe@eu.contoso.com".parse().unwrap(), &relay.server.accepted_domains);
    assert_eq!(shown.map(|mailbox| mailbox.to_string()).as_deref(), Some("joe@contoso.com"));
    let inside: Vec<String> = relay.connectors[2].address_spaces().iter().map(ToString::to_string).collect();
    assert_eq!(inside, ["SMTP:contoso.com;9", "SMTP:eu.contoso.com;9"]);
}

#[test]
fn the_complete_file_says_what_it_says() {
    let relay = good(include_str!("../good/complete.toml"));
    assert_eq!(relay.server.name, "Hub01");
    assert_eq!(relay.queue.store, QueueStore::Sqlite("/etc/postroad/relay-data/queue.db".into()));
    assert_eq!(relay.topology.servers.len(), 2);
    assert_eq!(relay.dns.servers, ["127.0.0.1:5353".parse().unwrap()]);
    assert_eq!(relay.receive_connectors[0].tls_key.as_deref(), Some(Path::new("/etc/postroad/tls/key.pem")));
    assert_eq!(relay.pickup.unwrap().path, Path::new("/etc/postroad/Pickup"));
    let names: Vec<&str> = relay.connectors.iter().map(Connector::name).collect();
    let expected =
        ["Contoso.com Send Connector", "Internet", "Contoso Foreign Connector", "Mailboxes", "Text messages"];
    assert_eq!(names, expected);
    let Connector::DeliveryAgent(agent) = &relay.connectors[4] else { panic!() };
    assert_eq!(agent.command, ["/usr/local/bin/text-message", "--to", "{recipient}"]);
    let Connector::Foreign(foreign) = &relay.connectors[2] else { panic!() };
    assert_eq!(foreign.address_spaces[0], AddressSpace::parse("X400:c=US;a=Fabrikam;P=Contoso;5").unwrap());
}

/// The blocks of toml in a page.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_readme_shows_a_file_that_loads_and_a_second_road() {
    let blocks = blocks(include_str!("../../../../README.md"));
    let [first, second] = blocks.as_slice() else { panic!("{blocks:?}") };
    let relay = good(first);
    assert_eq!(chosen(&relay, "joe@contoso.com", "jane@example.com"), "Provider to smtp-relay.example.com");
    let relay = good(&format!("{first}\n{second}"));
    assert!(relay.pickup.is_some() && relay.replay.is_some());
    let fabrikam = "X400:c=US;a=Fabrikam;p=Contoso;s=Doe;g=Jane";
    assert_eq!(chosen(&relay, "joe@contoso.com", fabrikam), "Contoso Foreign Connector to X400");
}

#[test]
fn the_keys_by_which_applications_log_in_fit_the_readmes_receive_connector() {
    let readme = blocks(include_str!("../../../../README.md"))[0];
    let operating = blocks(include_str!("../../../../examples/relay/OPERATING.md"));
    let [keys] = operating.as_slice() else { panic!("{operating:?}") };
    let range = "relay_ip_ranges = [\"127.0.0.1\"]\n";
    assert!(readme.contains(range), "{readme}");
    let logins = good(&readme.replace(range, &format!("{range}{keys}")));
    assert!(logins.receive_connectors[0].credentials_file.is_some());
}
