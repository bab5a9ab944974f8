//! What a decision takes from the heap, counted: nothing for `select`, the result's own vectors for `partition`.

use allocation_counter::measure;
use postroad_address_space::Address;
use postroad_connector::ForeignConnector;

use crate::*;

/// Connectors of every way out, attached and not, here and elsewhere.
fn everything() -> RoutingTable {
    let mut newsletter = send("Newsletter", &["*"]);
    newsletter.smart_hosts = vec!["smtp.example.net".parse().unwrap(), "[192.0.2.7]".parse().unwrap()];
    newsletter.senders = vec!["newsletter@contoso.com".parse().unwrap(), "fabrikam.com".parse().unwrap()];
    let mut small = send("Small", &["small.example"]);
    small.max_message_size = Some(10);
    let mut lyon = send("Lyon", &["*.lyon.example", "lyon.example;5"]);
    lyon.source_transport_servers = vec!["Hub03".to_owned()];
    let foreign = ForeignConnector::new("Gateway", spaces(&["FAX:*", "X400:c=US;a=Fabrikam;1"]));
    let connectors = vec![
        newsletter.into(),
        small.into(),
        lyon.into(),
        foreign.into(),
        send("Internet", &["*.org"]).into(),
    ];
    table(connectors, vec![pin("joe@contoso.com", Some("Newsletter"))])
}

#[test]
fn select_takes_nothing_from_the_heap() {
    let table = everything();
    let senders = ["<>", "newsletter@contoso.com", "Jane@Fabrikam.com", "joe@contoso.com"].map(sender);
    let recipients = [
        "jane@example.org",
        "jane@small.example",
        "jane@nowhere.test",
        "jane@eu.lyon.example",
        "jane@[10.0.0.1]",
        "FAX:+1 425",
        "NOTES:Jane",
        "X400:C=US;A=Fabrikam;P=Contoso;S=Doe;",
    ]
    .map(address);
    for sender in &senders {
        for recipient in &recipients {
            for size in [1, 11] {
                let taken = measure(|| {
                    std::hint::black_box(table.select(sender, recipient, size));
                });
                assert_eq!(taken.count_total, 0, "{sender:?} {recipient} {size}");
            }
        }
    }
}

#[test]
fn partition_takes_no_more_than_one_for_each_group_and_the_vectors_of_its_result() {
    let table = table(vec![send("Internet", &["*"]).into()], vec![]);
    for (recipients, domains) in [(1, 1), (100, 1), (100, 10), (1_000, 15), (1_000, 100), (1_000, 1_000)] {
        let addresses: Vec<Address> =
            (0..recipients).map(|at| address(&format!("u{at}@d{}.example", at % domains))).collect();
        let taken = measure(|| {
            let partition = table.partition(&Sender::Null, &addresses, 1);
            assert_eq!(partition.groups().len(), domains);
        });
        // The places of the recipients, and the groups themselves.
        let most = u64::try_from(domains).unwrap() + 2;
        assert!(taken.count_total <= most, "{recipients} to {domains}: {}", taken.count_total);
    }
}

#[test]
fn many_who_wait_or_are_refused_cost_a_list_that_grows() {
    let table = table(vec![send("Internet", &["*.org"]).into()], vec![]);
    let addresses: Vec<Address> = (0..1_000)
        .map(|at| address(&if at % 2 == 0 { format!("u{at}@d.test") } else { format!("FAX:{at}") }))
        .collect();
    let taken = measure(|| {
        let partition = table.partition(&Sender::Null, &addresses, 1);
        assert_eq!((partition.unreachable.len(), partition.refused.len()), (500, 500));
    });
    assert!(taken.count_total <= 20, "{}", taken.count_total);
}
