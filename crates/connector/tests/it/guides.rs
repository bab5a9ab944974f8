//! The guides that the project started from: smart host, Internet, foreign connector, attached senders.

use postroad_connector::{
    Connector, DeliveryAgentConnector, ForeignConnector, RoutingTable, Topology, Warning,
};
use serde_json::{Value, json};

use crate::*;

fn json_line(table: &RoutingTable, from: &str, to: &str, size: u64) -> Value {
    serde_json::to_value(table.explain(&sender(from), &address(to), size)).unwrap()
}

#[test]
fn a_smart_host_connector_has_one_queue_for_all_domains() {
    let mut connector = send("Contoso.com Send Connector", &["SMTP:*;1"]);
    connector.smart_hosts = vec!["192.168.100.1".parse().unwrap(), "smtp-relay.example.com".parse().unwrap()];
    let table = table(vec![connector.into()], vec![]);
    for to in ["jane@fabrikam.com", "joe@example.org", "x@[10.0.0.1]"] {
        let expected = "Contoso.com Send Connector -> [192.168.100.1],smtp-relay.example.com";
        assert_eq!(outcome(&table, "joe@contoso.com", to, 1), expected);
    }
    let recipients = [address("jane@fabrikam.com"), address("joe@example.org")];
    let partition = table.partition(&sender("joe@contoso.com"), &recipients, 1);
    let groups: Vec<_> = partition.groups().map(|group| group.recipients.to_vec()).collect();
    assert_eq!(groups, [vec![0, 1]]);
}

#[test]
fn the_internet_connector_has_one_queue_for_each_domain() {
    let table = table(vec![send("Internet", &["*"]).into()], vec![]);
    assert_eq!(outcome(&table, "joe@contoso.com", "jane@Fabrikam.COM", 1), "Internet -> fabrikam.com");
    assert_eq!(outcome(&table, "joe@contoso.com", "jane@fabrikam.com", 35 * MB), "Internet -> fabrikam.com");
    assert_eq!(outcome(&table, "joe@contoso.com", "jane@fabrikam.com", 35 * MB + 1), "5.3.4");
    let line = json_line(&table, "joe@contoso.com", "jane@fabrikam.com", 1);
    assert_eq!(
        line,
        json!({
            "recipient": "jane@fabrikam.com",
            "type": "SMTP",
            "result": "route",
            "connector": "Internet",
            "next_hop": "fabrikam.com",
            "address_space": "SMTP:*;1",
            "delivery_type": "DnsConnectorDelivery",
            "status": null,
            "candidates": [{
                "connector": "Internet",
                "reason": "chosen",
                "address_space": "SMTP:*;1",
                "cost": { "total": 1, "site_links": 0, "address_space": 1 },
                "proximity": "local_server",
                "tier": "platform_default",
            }],
        })
    );
}

#[test]
fn a_scoped_connector_serves_its_own_site_only() {
    let mut scoped = send("Internet", &["*"]);
    scoped.is_scoped_connector = true;
    scoped.source_transport_servers = vec!["Hub03".to_owned()];
    let far = table(vec![scoped.clone().into()], vec![]);
    assert_eq!(outcome(&far, "joe@contoso.com", "jane@fabrikam.com", 1), "unreachable");
    assert_eq!(reasons(&far, "joe@contoso.com", "jane@fabrikam.com", 1), ["Internet: out_of_scope"]);
    scoped.source_transport_servers.push("hub02".to_owned());
    let near = table(vec![scoped.into()], vec![]);
    assert_eq!(outcome(&near, "joe@contoso.com", "jane@fabrikam.com", 1), "Internet -> fabrikam.com");
}

fn foreign() -> Connector {
    let spaces = spaces(&["X400:c=US;a=Fabrikam;P=Contoso;5"]);
    let mut connector = ForeignConnector::new("Contoso Foreign Connector", spaces);
    connector.source_transport_servers = vec!["Hub01".to_owned(), "Hub02".to_owned()];
    connector.into()
}

#[test]
fn the_foreign_connector_takes_x400_and_drops_it_into_a_directory_of_its_name() {
    let table = table(vec![foreign()], vec![]);
    let to = "X400:G=Jane;S=Doe;O=Sales;P=contoso;A=FABRIKAM;C=us";
    let line = json_line(&table, "joe@contoso.com", to, 1);
    assert_eq!(line["result"], "route");
    assert_eq!(line["next_hop"], "X400");
    assert_eq!(line["delivery_type"], "NonSmtpGatewayDelivery");
    let Some(Connector::Foreign(connector)) = table.connector("contoso foreign connector") else {
        panic!("found by name");
    };
    assert_eq!(connector.drop_directory(), "Contoso Foreign Connector");
}

#[test]
fn a_server_that_is_no_source_and_knows_none_says_so() {
    let table = RoutingTable::build(vec![foreign()], Topology::new("Hub03"), vec![]).unwrap();
    let line = json_line(&table, "joe@contoso.com", "X400:C=US;A=Fabrikam;P=Contoso;S=Doe;", 1);
    assert_eq!((&line["result"], &line["status"]), (&json!("refused"), &json!("5.1.2")));
    assert_eq!(line["connector"], Value::Null);
    assert_eq!(
        line["candidates"],
        json!([{
            "connector": "Contoso Foreign Connector",
            "reason": "no_source_server_in_reach",
            "source_transport_servers": ["Hub01", "Hub02"],
        }])
    );
}

#[test]
fn a_connector_of_another_server_is_reached_by_way_of_it() {
    let mut connector = send("Internet", &["*"]);
    connector.source_transport_servers = vec!["Hub03".to_owned(), "Hub02".to_owned()];
    let table = table(vec![connector.into()], vec![]);
    let recipient = address("jane@fabrikam.com");
    let explanation = table.explain(&sender("joe@contoso.com"), &recipient, 1);
    let route = explanation.route().unwrap();
    assert_eq!(route.delivery_type.as_str(), "SmtpRelayToConnectorSourceServers");
    assert_eq!((route.server(), route.destination()), (Some("Hub02"), "fabrikam.com"));
}

#[test]
fn what_will_not_work_yet_is_said_beforehand() {
    let at = |name, servers: &[&str]| {
        let mut connector = send(name, &["*"]);
        connector.source_transport_servers = servers.iter().map(|server| (*server).to_owned()).collect();
        connector
    };
    let mut disabled = at("Disabled", &["Hub99"]);
    disabled.enabled = false;
    let all = [
        at("Here", &["Hub01"]),
        at("Lost", &["Hub99"]),
        at("Far", &["Hub02"]),
        at("Known", &["Hub03"]),
        disabled,
    ];
    let mut topology = Topology::new("Hub01");
    topology.servers.insert("Hub02".to_owned(), "Lyon".to_owned());
    topology.servers.insert("Hub03".to_owned(), "Lyon".to_owned());
    topology.addresses.insert("HUB03".to_owned(), "10.0.0.3".parse().unwrap());
    let table = RoutingTable::build(all.map(Connector::from).into(), topology, vec![]).unwrap();
    let expected = [
        Warning::NoAddressOfSourceServer { connector: "Far", server: "Hub02" },
        Warning::NoSourceServerInReach { connector: "Lost" },
    ];
    assert_eq!(table.warnings(), expected);
}

/// OVH: newsletter@ is attached to an outside server, contact@ is not.
fn attached() -> RoutingTable {
    let mut outside = send("testconnector", &["*"]);
    outside.smart_hosts = vec!["smtp.example.net".parse().unwrap()];
    outside.senders = vec!["newsletter@mydomain.ovh".parse().unwrap()];
    outside.max_message_size = Some(10 * MB);
    let mut platform = send("Platform", &["*"]);
    platform.max_message_size = Some(20 * MB);
    table(vec![outside.into(), platform.into()], vec![])
}

#[test]
fn an_attached_sender_leaves_by_its_connector_and_nobody_else_does() {
    let table = attached();
    for (from, size, expected, why) in [
        ("newsletter@mydomain.ovh", 10 * MB, "testconnector -> smtp.example.net", "attached"),
        ("Newsletter@MyDomain.OVH", 1, "testconnector -> smtp.example.net", "letter case does not count"),
        (
            "newsletter@mydomain.ovh",
            10 * MB + 1,
            "Platform -> guides.ovh",
            "too large: not eligible in its tier",
        ),
        ("newsletter@mydomain.ovh", 20 * MB + 1, "5.3.4", "too large for both"),
        ("contact@mydomain.ovh", 1, "Platform -> guides.ovh", "not attached"),
        ("contact@mydomain.ovh", 20 * MB + 1, "5.3.4", "the other's limit does not matter"),
        ("<>", 1, "Platform -> guides.ovh", "a report is nobody's"),
    ] {
        assert_eq!(outcome(&table, from, "john.smith@guides.ovh", size), expected, "{from} {size}: {why}");
    }
    let newsletter = reasons(&table, "newsletter@mydomain.ovh", "john.smith@guides.ovh", 1);
    assert_eq!(newsletter, ["testconnector: chosen", "Platform: not_attached"]);
    let contact = reasons(&table, "contact@mydomain.ovh", "john.smith@guides.ovh", 1);
    assert_eq!(contact, ["Platform: chosen", "testconnector: not_attached"]);
}

#[test]
fn address_comes_before_domain_and_a_pin_before_both() {
    let mut by_domain = send("By domain", &["*"]);
    by_domain.senders = vec!["contoso.com".parse().unwrap()];
    let mut by_address = send("By address", &["fabrikam.com"]);
    by_address.senders = vec!["jane@contoso.com".parse().unwrap()];
    let pins = vec![pin("contact@contoso.com", None), pin("sales@contoso.com", Some("by ADDRESS"))];
    let connectors = vec![by_domain.into(), by_address.into(), send("Everyone", &["fabrikam.com"]).into()];
    let table = table(connectors, pins);
    for (from, to, expected) in [
        ("jane@contoso.com", "x@fabrikam.com", "By address -> fabrikam.com"),
        ("jane@contoso.com", "x@example.org", "By domain -> example.org"),
        ("joe@contoso.com", "x@fabrikam.com", "By domain -> fabrikam.com"),
        ("joe@sub.contoso.com", "x@fabrikam.com", "Everyone -> fabrikam.com"),
        ("contact@contoso.com", "x@fabrikam.com", "Everyone -> fabrikam.com"),
        ("CONTACT@contoso.com", "x@example.org", "unreachable"),
        ("sales@contoso.com", "x@fabrikam.com", "By address -> fabrikam.com"),
        ("sales@contoso.com", "x@example.org", "unreachable"),
        ("<>", "x@fabrikam.com", "Everyone -> fabrikam.com"),
    ] {
        assert_eq!(outcome(&table, from, to, 1), expected, "{from} to {to}");
    }
}

#[test]
fn what_no_connector_takes_waits_or_is_refused_by_its_type() {
    let mut small = send("Small", &["fabrikam.com"]);
    small.max_message_size = Some(0);
    let table = table(vec![small.into(), foreign()], vec![]);
    for (to, size, expected) in [
        ("x@example.org", 1, "unreachable"),
        ("x@example.org", 99 * MB, "unreachable"),
        ("x@fabrikam.com", 0, "Small -> fabrikam.com"),
        ("x@fabrikam.com", 1, "5.3.4"),
        ("FAX:123", 1, "5.1.2"),
        ("X400:C=DE;A=X;S=Doe;", 1, "5.1.2"),
    ] {
        assert_eq!(outcome(&table, "joe@contoso.com", to, size), expected, "{to} {size}");
    }
    let waiting = json_line(&table, "<>", "x@example.org", 1);
    assert_eq!((&waiting["next_hop"], &waiting["status"]), (&json!("Unreachable Domain"), &Value::Null));
}

#[test]
fn recipients_of_one_message_part_by_next_hop() {
    let mut fax = ForeignConnector::new("Fax", spaces(&["FAX:*;1"]));
    fax.max_message_size = Some(MB);
    let lmtp = DeliveryAgentConnector::new("Mailboxes", spaces(&["contoso.com", "*.contoso.com"]), "lmtp");
    let table = table(vec![send("Internet", &["*.org", "*.net"]).into(), fax.into(), lmtp.into()], vec![]);
    let recipients = [
        "a@example.org",
        "FAX:123",
        "b@contoso.com",
        "c@Example.ORG",
        "d@example.net",
        "e@nowhere.test",
        "FAX:456",
        "f@eu.contoso.com",
        "NOTES:Jane",
        "g@example.org",
    ]
    .map(address);
    let partition = table.partition(&sender("joe@contoso.com"), &recipients, 1);
    let groups: Vec<_> = partition
        .groups()
        .map(|group| (group.route.connector.name(), group.route.destination(), group.recipients.to_vec()))
        .collect();
    assert_eq!(
        groups,
        [
            ("Internet", "example.org", vec![0, 3, 9]),
            ("Fax", "FAX", vec![1, 6]),
            ("Mailboxes", "SMTP", vec![2, 7]),
            ("Internet", "example.net", vec![4]),
        ]
    );
    assert_eq!(partition.unreachable, [5]);
    let refused: Vec<_> = partition.refused.iter().map(|(at, refusal)| (*at, refusal.status())).collect();
    assert_eq!(refused, [(8, "5.1.2")]);
}

#[test]
fn many_domains_still_make_one_group_each() {
    let table = table(vec![send("Internet", &["*"]).into()], vec![]);
    let recipients: Vec<_> = (0..100).map(|at| address(&format!("u{at}@d{}.example", at % 40))).collect();
    let partition = table.partition(&sender("joe@contoso.com"), &recipients, 1);
    assert_eq!(partition.groups().len(), 40);
    for group in partition.groups() {
        let domains = group.recipients.iter().map(|at| at % 40).collect::<std::collections::HashSet<_>>();
        assert_eq!(domains.len(), 1, "{}", group.route.destination());
    }
    let sum: usize = partition.groups().map(|group| group.recipients.len()).sum();
    assert_eq!(sum, recipients.len());
}

#[test]
fn an_explanation_reads_like_a_note_to_a_postmaster() {
    let mut backup = send("Backup", &["*.fabrikam.com;50"]);
    backup.source_transport_servers = vec!["Hub03".to_owned()];
    let mut old = send("Old", &["*"]);
    old.enabled = false;
    let main = send("Main", &["*.fabrikam.com;5"]);
    let table = table(vec![old.into(), backup.into(), send("Internet", &["*"]).into(), main.into()], vec![]);
    let recipient = address("jane@fabrikam.com");
    let text = table.explain(&sender("joe@contoso.com"), &recipient, 1).to_string();
    assert_eq!(
        text,
        "\
jane@fabrikam.com: Main -> fabrikam.com (DnsConnectorDelivery)
 * Main: chosen: SMTP:*.fabrikam.com;5, costs 5 (0 site links + 5 space)
   Backup: dearer: SMTP:*.fabrikam.com;50 costs 60 (10 site links + 50 space), the chosen one 5 (0 site links + 5 space)
   Internet: less close: SMTP:*;1, the chosen one SMTP:*.fabrikam.com;5
   Old: disabled"
    );
}
