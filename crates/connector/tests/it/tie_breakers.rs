//! What decides between two connectors, step by step (spec 2.1).

use postroad_connector::Refusal;

use crate::*;

/// A connector in one line: name, spaces, source server ("" is this one).
type Row = (&'static str, &'static [&'static str], &'static str);

fn build(rows: &[Row]) -> RoutingTable {
    let connectors = rows.iter().map(|(name, spaces, server)| {
        let mut connector = send(name, spaces);
        connector.source_transport_servers = server.split_whitespace().map(str::to_owned).collect();
        Connector::from(connector)
    });
    table(connectors.collect(), vec![])
}

#[test]
fn each_step_decides_only_what_the_earlier_ones_left_open() {
    let cases: &[(&str, &[Row], &str, &[&str])] = &[
        (
            "closeness beats cost",
            &[("A", &["*;1"], ""), ("B", &["*.contoso.com;100"], "")],
            "julia@marketing.contoso.com",
            &["B: chosen", "A: less_close"],
        ),
        (
            "an exact space beats the wildcard over it",
            &[("A", &["*.contoso.com;1"], ""), ("B", &["contoso.com;9"], "")],
            "joe@contoso.com",
            &["B: chosen", "A: less_close"],
        ),
        (
            "an exact space does not cover what is below it",
            &[("A", &["*.contoso.com;9"], ""), ("B", &["contoso.com;1"], "")],
            "joe@sub.contoso.com",
            &["A: chosen", "B: no_matching_space"],
        ),
        (
            "an ending is not a domain",
            &[("A", &["*.contoso.com"], "")],
            "joe@evilcontoso.com",
            &["A: no_matching_space"],
        ),
        (
            "cost decides between equally close ones",
            &[("A", &["*;2"], ""), ("B", &["*;1"], "")],
            "x@y.test",
            &["B: chosen", "A: dearer"],
        ),
        (
            "the way counts as much as the space",
            &[("A", &["*;11"], ""), ("B", &["*;2"], "Hub03")],
            "x@y.test",
            &["A: chosen", "B: dearer"],
        ),
        (
            "a cheap space far away beats a dear one here",
            &[("A", &["*;13"], ""), ("B", &["*;2"], "Hub03")],
            "x@y.test",
            &["B: chosen", "A: dearer"],
        ),
        (
            "at equal cost the nearer one",
            &[("A", &["*;1"], "Hub03"), ("B", &["*;11"], "Hub02"), ("C", &["*;11"], "")],
            "x@y.test",
            &["C: chosen", "B: farther", "A: farther"],
        ),
        (
            "the nearest source server counts",
            &[("A", &["*;1"], "Hub02"), ("B", &["*;1"], "Hub03 Hub01")],
            "x@y.test",
            &["B: chosen", "A: farther"],
        ),
        (
            "at last the name, and no load balancing",
            &[("beta", &["*"], ""), ("Alpha", &["*"], ""), ("ALPHA 2", &["*"], "")],
            "x@y.test",
            &["Alpha: chosen", "ALPHA 2: later_name", "beta: later_name"],
        ),
        (
            "the closest of a connector's own spaces counts, then the cheapest",
            &[("A", &["*;1", "y.test;7", "y.test;3"], ""), ("B", &["y.test;5"], "")],
            "x@y.test",
            &["A: chosen", "B: dearer"],
        ),
    ];
    for (name, rows, to, expected) in cases {
        assert_eq!(reasons(&build(rows), "joe@contoso.com", to, 1), *expected, "{name}");
    }
}

#[test]
fn a_message_too_large_for_the_closest_connector_leaves_by_the_next() {
    let mut close = send("Close", &["contoso.com"]);
    close.max_message_size = Some(MB);
    let mut wide = send("Wide", &["*"]);
    wide.max_message_size = None;
    let table = table(vec![close.into(), wide.into()], vec![]);
    assert_eq!(outcome(&table, "<>", "x@contoso.com", MB), "Close -> contoso.com");
    assert_eq!(outcome(&table, "<>", "x@contoso.com", MB + 1), "Wide -> contoso.com");
    assert_eq!(reasons(&table, "<>", "x@contoso.com", MB + 1), ["Wide: chosen", "Close: too_large"]);
}

#[test]
fn a_place_that_no_links_lead_to_is_the_last_resort() {
    let mut topology = Topology::new("Hub01");
    for (server, site) in [("Hub01", "Paris"), ("Hub02", "Lyon"), ("Hub03", "Nice")] {
        topology.servers.insert(server.to_owned(), site.to_owned());
    }
    topology.site_links = vec![postroad_connector::SiteLink::new("Paris", "Lyon", 99_999)];
    let at = |name, server: &str, space| {
        let mut connector = send(name, &[space]);
        connector.source_transport_servers = vec![server.to_owned()];
        Connector::from(connector)
    };
    let connectors = vec![at("A", "Hub03", "*;1"), at("B", "Hub02", "*;100")];
    let table = RoutingTable::build(connectors, topology.clone(), vec![]).unwrap();
    assert_eq!(reasons(&table, "<>", "x@y.test", 1), ["B: chosen", "A: dearer"]);
    let alone = RoutingTable::build(vec![at("A", "Hub03", "*;1")], topology, vec![]).unwrap();
    assert_eq!(outcome(&alone, "<>", "x@y.test", 1), "A -> y.test");
}

/// The map promises no order among spaces that fit equally closely and are not the same.
#[test]
fn among_different_spaces_that_fit_equally_closely_cost_decides_whichever_is_found_first() {
    for (one, other, to) in [
        ("FAX:+1*3", "FAX:+1*2*", "FAX:+123"),
        ("X400:c=US;a=X;p=P;ou1=U", "X400:c=US;a=X;o=O;ou1=U", "X400:C=US;A=X;P=P;O=O;OU1=U;S=Doe"),
        ("a*.test", "*a.test", "x@a.test"),
        ("X400:c=US;a=X;p=P;ou2=V", "X400:c=US;a=X;o=O;ou2=V", "X400:C=US;A=X;P=P;O=O;OU1=U;OU2=V;S=Doe"),
    ] {
        for (one_cost, other_cost, expected) in [(1, 9, "One"), (9, 1, "Other"), (4, 4, "One")] {
            let foreign = |name: &str, space: &str, cost: u8| {
                let spaces = spaces(&[&format!("{space};{cost}")]);
                let fit = spaces[0].matches(&address(to));
                (fit, Connector::from(postroad_connector::ForeignConnector::new(name, spaces)))
            };
            let (one_fit, one) = foreign("One", one, one_cost);
            let (other_fit, other) = foreign("Other", other, other_cost);
            assert_eq!((one_fit, one_fit.is_some()), (other_fit, true), "{to}");
            let table = table(vec![one, other], vec![]);
            let recipient = address(to);
            let Selection::Route(route) = table.select(&Sender::Null, &recipient, 1) else { panic!("{to}") };
            assert_eq!(route.connector.name(), expected, "{to} {one_cost} {other_cost}");
        }
    }
}

#[test]
fn a_refusal_names_the_greatest_limit_among_those_that_are_too_small() {
    let limited = |name: &str, space: &str, limit| {
        let mut connector = send(name, &[space]);
        connector.max_message_size = Some(limit);
        Connector::from(connector)
    };
    let connectors = vec![
        limited("Close", "contoso.com", 20),
        limited("Wide", "*", 10),
        limited("Wider", "*.com", 30),
        limited("Other", "fabrikam.com", 40),
    ];
    let (table, recipient) = (table(connectors, vec![]), address("jane@contoso.com"));
    let selection = table.select(&Sender::Null, &recipient, 31);
    assert_eq!(selection, Selection::Refused(Refusal::TooLarge { size: 31, limit: 30 }));
    assert_eq!(outcome(&table, "<>", "jane@contoso.com", 30), "Wider -> contoso.com");
}
