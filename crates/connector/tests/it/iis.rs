//! IIS's and Edge's ways: a remote domain's own route, direct delivery first, the masquerade domain, `--`.

use postroad_address_space::{Domain, Mailbox};
use postroad_connector::{AcceptedDomains, SmartHostType};

use crate::*;

/// A smart host for everybody, and a route of their own for two remote domains.
fn remote_domains() -> RoutingTable {
    let mut everybody = send("Smart host", &["*;1"]);
    everybody.smart_hosts = vec!["smtp-relay.example.com".parse().unwrap()];
    let mut partner = send("Partner", &["fabrikam.com;100"]);
    partner.smart_hosts = vec!["[192.0.2.7]".parse().unwrap()];
    let direct = send("Direct", &["*.example.org;100"]);
    table(vec![everybody.into(), partner.into(), direct.into()], vec![])
}

#[test]
fn a_remote_domains_own_route_overrides_the_smart_host_whatever_it_costs() {
    let table = remote_domains();
    for (to, expected) in [
        ("jane@contoso.net", "Smart host -> smtp-relay.example.com"),
        ("jane@fabrikam.com", "Partner -> [192.0.2.7]"),
        ("jane@eu.fabrikam.com", "Smart host -> smtp-relay.example.com"),
        ("jane@example.org", "Direct -> example.org"),
        ("jane@lists.example.org", "Direct -> lists.example.org"),
    ] {
        assert_eq!(outcome(&table, "joe@contoso.com", to, 1), expected, "{to}");
    }
    let why = reasons(&table, "joe@contoso.com", "jane@fabrikam.com", 1);
    assert_eq!(why, ["Partner: chosen", "Smart host: less_close", "Direct: no_matching_space"]);
}

#[test]
fn direct_delivery_first_makes_a_group_for_each_domain_as_mx_routing_does() {
    let mut connector = send("Internet", &["*"]);
    connector.smart_hosts = vec!["smtp-relay.example.com".parse().unwrap()];
    for (given, by_dns, destination, delivery_type) in [
        (None, false, "smtp-relay.example.com", "SmartHostConnectorDelivery"),
        (Some(SmartHostType::Always), false, "smtp-relay.example.com", "SmartHostConnectorDelivery"),
        (Some(SmartHostType::DnsFirst), true, "fabrikam.com", "DnsConnectorDelivery"),
    ] {
        connector.smart_host_type = given;
        assert_eq!((connector.routes_by_dns(), connector.validate()), (by_dns, vec![]), "{given:?}");
        let table = table(vec![connector.clone().into()], vec![]);
        let recipient = address("jane@fabrikam.com");
        let Selection::Route(route) = table.select(&Sender::Null, &recipient, 1) else { panic!("{given:?}") };
        assert_eq!((route.destination(), route.delivery_type.as_str()), (destination, delivery_type));
    }
}

#[test]
fn the_masquerade_domain_stands_for_our_own_domains_and_no_others() {
    let accepted =
        ["contoso.com", "fabrikam.com", "münchen.example"].map(|text| Domain::parse(text).unwrap());
    let mut connector = send("Internet", &["*"]);
    let seen = |connector: &SendConnector, from: &str| {
        connector.masqueraded(&Mailbox::parse(from).unwrap(), &accepted).map(|mailbox| mailbox.to_string())
    };
    assert_eq!(seen(&connector, "jane@contoso.com"), None);
    connector.masquerade_domain = Some(Domain::parse("contoso.com").unwrap());
    for (from, expected) in [
        ("jane@fabrikam.com", Some("jane@contoso.com")),
        ("\"jane doe\"@FABRIKAM.com", Some("\"jane doe\"@contoso.com")),
        ("jane@xn--mnchen-3ya.example", Some("jane@contoso.com")),
        ("jane@contoso.com", None),
        ("jane@eu.fabrikam.com", None),
        ("jane@example.org", None),
        ("jane@[192.0.2.1]", None),
    ] {
        assert_eq!(seen(&connector, from).as_deref(), expected, "{from}");
    }
}

#[test]
fn two_hyphens_are_every_accepted_domain_as_close_as_each_by_its_name() {
    let accepted = ["contoso.com", "fabrikam.com"].map(|text| Domain::parse(text).unwrap());
    let inside: AcceptedDomains = "SMTP:--;9".parse().unwrap();
    let mut to_inside = SendConnector::new("To the inside", inside.spaces(&accepted));
    to_inside.smart_hosts = vec!["[10.0.0.1]".parse().unwrap()];
    let table = table(vec![to_inside.into(), send("Wild", &["*.contoso.com;1", "*"]).into()], vec![]);
    for (to, expected) in [
        ("jane@contoso.com", "To the inside -> [10.0.0.1]"),
        ("jane@FABRIKAM.com", "To the inside -> [10.0.0.1]"),
        ("jane@eu.contoso.com", "Wild -> eu.contoso.com"),
        ("jane@example.org", "Wild -> example.org"),
    ] {
        assert_eq!(outcome(&table, "joe@example.org", to, 1), expected, "{to}");
    }
}
