//! On generated configurations: the table agrees with the oracle, and explain with the table.

use postroad_address_space::Address;
use postroad_connector::{DeliveryAgentConnector, ForeignConnector, Reason};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::oracle::{self, Answer};
use crate::*;

const SPACES: &[&str] = &[
    "*",
    "*;2",
    "*;12",
    "*.test",
    "*.test;11",
    "a.test",
    "a.test;2",
    "*.a.test",
    "*.a.test;3",
    "b.a.test",
    "c.test;9",
    "X400:c=US;a=Fabrikam;1",
    "X400:c=US;a=Fabrikam;p=Contoso;5",
    "X400:*;2",
    "FAX:*",
    "FAX:+1*;4",
    "FAX:+123;1",
    // Equally close, and not the same space: cost decides.
    "FAX:+1*3;3",
    "FAX:+1*2*;2",
    "X400:c=US;a=Fabrikam;p=Contoso;ou1=x;3",
    "X400:c=US;a=Fabrikam;o=Sales;ou1=x;2",
    "A.Test;3",
    // Wildcards of Exchange 5.5: now also SMTP spaces that differ may fit equally closely.
    "a*.test;8",
    "*a.test;2",
    "*.a.t*;4",
    "X400:c=US;a=Fab*;3",
];
const RECIPIENTS: &[&str] = &[
    "x@a.test",
    "x@b.a.test",
    "x@q.b.a.test",
    "x@c.test",
    "x@notc.test",
    "x@other.example",
    "x@[10.0.0.1]",
    "X400:C=US;A=Fabrikam;P=Contoso;S=Doe;",
    "X400:C=US;A=Fabrikam;S=Doe;",
    "X400:C=DE;A=X;S=Doe;",
    "FAX:+123",
    "FAX:+1",
    "FAX:9",
    "NOTES:Jane",
    "X400:C=US;A=Fabrikam;P=Contoso;O=Sales;OU1=x;S=Doe;",
];
const SENDERS: &[&str] =
    &["<>", "jane@contoso.com", "JANE@contoso.com", "joe@contoso.com", "joe@fabrikam.com"];
const ATTACHMENTS: &[&str] = &["jane@contoso.com", "joe@contoso.com", "contoso.com", "fabrikam.com"];
const SERVERS: &[&str] = &["Hub01", "Hub02", "Hub03", "Hub99"];

#[derive(Clone, Debug)]
struct Case {
    connectors: Vec<Connector>,
    pins: Vec<SenderPin>,
    sender: Sender,
    recipients: Vec<Address>,
    size: u64,
}

fn connector(at: usize) -> impl Strategy<Value = Connector> {
    let names = select(vec!["n", "N", "a", "Z", "_", "é"]);
    let limit = prop_oneof![3 => Just(None), 2 => (0_u64..4).prop_map(Some)];
    let flags = (prop::bool::weighted(0.9), prop::bool::weighted(0.2), 0..4_u8);
    (
        names,
        subsequence(SPACES, 1..5),
        flags,
        limit,
        subsequence(SERVERS, 0..3),
        prop_oneof![3 => Just(vec![]), 1 => subsequence(ATTACHMENTS, 1..3)],
    )
        .prop_map(move |(name, texts, (enabled, scoped, kind), limit, servers, attached)| {
            let name = format!("{name}{at}");
            let servers: Vec<_> = servers.into_iter().map(str::to_owned).collect();
            match kind {
                0 => {
                    let mut made = ForeignConnector::new(name, spaces(&texts));
                    (made.enabled, made.is_scoped_connector) = (enabled, scoped);
                    (made.max_message_size, made.source_transport_servers) = (limit, servers);
                    made.into()
                }
                1 => {
                    let mut made = DeliveryAgentConnector::new(name, spaces(&texts), "lmtp");
                    (made.enabled, made.is_scoped_connector) = (enabled, scoped);
                    made.source_transport_servers = servers;
                    made.into()
                }
                _ => {
                    let mut made = send(&name, &texts);
                    made.smart_hosts = vec!["[10.0.0.1]".parse().unwrap()];
                    (made.enabled, made.is_scoped_connector) = (enabled, scoped);
                    (made.max_message_size, made.source_transport_servers) = (limit, servers);
                    made.senders = attached.iter().map(|text| text.parse().unwrap()).collect();
                    made.into()
                }
            }
        })
}

fn case() -> impl Strategy<Value = Case> {
    let connectors = (0..7_usize).prop_flat_map(|count| (0..count).map(connector).collect::<Vec<_>>());
    let pinned = prop_oneof![2 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    let pin_to = prop_oneof![Just(None), any::<prop::sample::Index>().prop_map(Some)];
    (connectors, pinned, pin_to, select(SENDERS), vec(select(RECIPIENTS), 1..6), 0..5_u64).prop_map(
        |(connectors, pinned, pin_to, from, recipients, size)| {
            let pins =
                pinned.and_then(|index| pinning(&connectors, SENDERS[index.index(SENDERS.len())], pin_to));
            let recipients = recipients.into_iter().map(address).collect();
            Case { connectors, pins: pins.into_iter().collect(), sender: sender(from), recipients, size }
        },
    )
}

/// A pin that contradicts nothing, if one can be made.
fn pinning(connectors: &[Connector], from: &str, to: Option<prop::sample::Index>) -> Option<SenderPin> {
    let listed = connectors.iter().flat_map(Connector::senders);
    let own = from.to_lowercase();
    if from == "<>" || listed.into_iter().any(|attachment| attachment.to_string() == own) {
        return None;
    }
    let sends: Vec<_> = connectors
        .iter()
        .filter(|connector| matches!(connector, Connector::Send(_)))
        .map(Connector::name)
        .collect();
    let name = match to {
        Some(index) if !sends.is_empty() => Some(*index.get(&sends)),
        _ => None,
    };
    Some(pin(from, name))
}

fn answer(selection: &Selection<'_>) -> Answer {
    match selection {
        Selection::Route(route) => Answer::Connector(route.connector.name().to_owned()),
        Selection::Unreachable => Answer::Unreachable,
        Selection::Refused(refusal) if refusal.status() == "5.3.4" => Answer::TooLarge,
        Selection::Refused(_) => Answer::NoConnector,
    }
}

/// The default of 256 cases; `PROPTEST_CASES=10000` in long runs.
fn settings() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn the_table_equals_the_oracle(case in case()) {
        let table = table(case.connectors.clone(), case.pins.clone());
        for recipient in &case.recipients {
            let expected = oracle::choose(&case.connectors, &case.pins, &case.sender, recipient, case.size);
            prop_assert_eq!(answer(&table.select(&case.sender, recipient, case.size)), expected, "{}", recipient);
        }
    }

    #[test]
    fn the_winner_is_the_first_accepted_and_every_connector_has_its_reason(case in case()) {
        let table = table(case.connectors.clone(), case.pins.clone());
        for recipient in &case.recipients {
            let explanation = table.explain(&case.sender, recipient, case.size);
            let selection = table.select(&case.sender, recipient, case.size);
            prop_assert_eq!(&explanation.selection, &selection);
            prop_assert_eq!(explanation.candidates.len(), case.connectors.len());
            let accepted = explanation.candidates.iter().filter(|candidate| candidate.reason.is_accepted());
            let first = accepted.map(|candidate| candidate.connector.name()).next();
            prop_assert_eq!(first, explanation.route().map(|route| route.connector.name()));
            for (at, candidate) in explanation.candidates.iter().enumerate() {
                let chosen = matches!(candidate.reason, Reason::Chosen { .. });
                prop_assert_eq!(chosen, at == 0 && first.is_some());
                if let (Reason::Chosen { address_space, .. }, Some(route)) = (&candidate.reason, explanation.route()) {
                    prop_assert_eq!(*address_space, route.address_space());
                }
            }
        }
    }

    #[test]
    fn without_any_one_loser_the_choice_is_the_same(case in case()) {
        let whole = table(case.connectors.clone(), case.pins.clone());
        for recipient in &case.recipients {
            let Answer::Connector(winner) = answer(&whole.select(&case.sender, recipient, case.size)) else { continue };
            for loser in case.connectors.iter().filter(|connector| connector.name() != winner) {
                if case.pins.iter().any(|pin| pin.connector.as_deref() == Some(loser.name())) {
                    continue;
                }
                let mut fewer = case.connectors.clone();
                fewer.retain(|connector| connector.name() != loser.name());
                let rest = table(fewer, case.pins.clone());
                let again = answer(&rest.select(&case.sender, recipient, case.size));
                prop_assert_eq!(again, Answer::Connector(winner.clone()), "without {}", loser.name());
            }
        }
    }

    #[test]
    fn the_order_in_which_connectors_are_given_never_matters(
        (case, shuffled) in case().prop_flat_map(|case| {
            let connectors = Just(case.connectors.clone()).prop_shuffle();
            (Just(case), connectors)
        })
    ) {
        let (one, other) = (table(case.connectors, case.pins.clone()), table(shuffled, case.pins));
        for recipient in &case.recipients {
            prop_assert_eq!(
                one.explain(&case.sender, recipient, case.size),
                other.explain(&case.sender, recipient, case.size)
            );
        }
    }

    #[test]
    fn a_partition_is_the_selections_put_together(case in case()) {
        let table = table(case.connectors.clone(), case.pins.clone());
        let partition = table.partition(&case.sender, &case.recipients, case.size);
        let mut seen = vec![0; case.recipients.len()];
        let mut hops = std::collections::HashSet::new();
        for group in partition.groups() {
            prop_assert!(!group.recipients.is_empty());
            prop_assert!(hops.insert((group.route.connector.name(), group.route.destination())));
            for at in group.recipients {
                seen[*at] += 1;
                let Selection::Route(route) = table.select(&case.sender, &case.recipients[*at], case.size) else {
                    return Err(TestCaseError::fail("grouped, but not routed"));
                };
                prop_assert_eq!(
                    (route.connector.name(), route.destination()),
                    (group.route.connector.name(), group.route.destination())
                );
            }
        }
        for at in &partition.unreachable {
            seen[*at] += 1;
            prop_assert_eq!(table.select(&case.sender, &case.recipients[*at], case.size), Selection::Unreachable);
        }
        for (at, refusal) in &partition.refused {
            seen[*at] += 1;
            let selection = table.select(&case.sender, &case.recipients[*at], case.size);
            prop_assert_eq!(selection, Selection::Refused(*refusal));
        }
        prop_assert!(seen.iter().all(|times| *times == 1), "{:?}", seen);
    }
}

#[test]
fn a_pin_is_judged_alike_in_whatever_order_connectors_are_given() {
    let both = ["A", "B"].map(|name| {
        let mut connector = send(name, &["*"]);
        connector.senders = vec!["joe@contoso.com".parse().unwrap()];
        Connector::from(connector)
    });
    for connectors in [both.to_vec(), both.iter().rev().cloned().collect()] {
        table(connectors, vec![pin("joe@contoso.com", Some("B"))]);
    }
}
