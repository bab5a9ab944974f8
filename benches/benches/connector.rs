//! How long it takes to choose a connector, beside the bare look-up and a list read from the top as most relays do.
//!
//! 100,000 spaces in all: seven in ten a domain, the rest a domain and what is below it; half of the questions find nothing
//! but the last connector's `*`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use postroad_address_space::{Address, AddressSpace, AddressSpaceMap};
use postroad_connector::{Connector, RoutingTable, SendConnector, Sender, Topology};

const SPACES: usize = 100_000;

fn space(at: usize) -> AddressSpace {
    let text = if at % 10 < 7 { format!("d{at}.example") } else { format!("*.sub{at}.example;5") };
    text.parse().expect("a space")
}

/// So many connectors that hold all spaces between them, and one for the rest of the world.
fn connectors(count: usize) -> Vec<Connector> {
    let mut connectors: Vec<Connector> = (0..count)
        .map(|at| {
            let spaces = (at..SPACES).step_by(count).map(space).collect();
            SendConnector::new(format!("Connector {at:06}"), spaces).into()
        })
        .collect();
    connectors.push(SendConnector::new("Internet", vec!["*;100".parse().expect("a space")]).into());
    connectors
}

fn table(count: usize) -> RoutingTable {
    RoutingTable::build(connectors(count), Topology::new("Hub01"), Vec::new()).expect("no contradiction")
}

/// Questions spread over all spaces, every other one for a domain that nobody names.
fn recipients() -> Vec<Address> {
    let texts = (0..1_024_usize).map(|at| {
        let spread = at.wrapping_mul(48_271) % SPACES;
        match (at % 2, spread % 10) {
            (0, 0..7) => format!("user@d{spread}.example"),
            (0, _) => format!("user@host.sub{spread}.example"),
            _ => format!("user@m{spread}.example"),
        }
    });
    texts.map(|text| Address::parse(&text).expect("an address")).collect()
}

fn select(criterion: &mut Criterion) {
    let recipients = recipients();
    let mut group = criterion.benchmark_group("connector/select");
    group.throughput(Throughput::Elements(recipients.len() as u64));
    let bare: AddressSpaceMap<u32> =
        connectors(1_000).iter().flat_map(|one| one.address_spaces().to_vec()).zip(0..).collect();
    group.bench_function("bare look-up", |bencher| {
        bencher.iter(|| {
            recipients
                .iter()
                .filter_map(|to| bare.matches(black_box(to)).next().map(|(_, at)| *at))
                .fold(0, u32::wrapping_add)
        });
    });
    for count in [100, 1_000, 100_000] {
        let table = table(count);
        group.bench_with_input(BenchmarkId::new("table", count), &table, |bencher, table| {
            bencher.iter(|| {
                for to in &recipients {
                    black_box(table.select(&Sender::Null, black_box(to), 4_096));
                }
            });
        });
    }
    group.finish();
}

/// The rival: ask each space in turn, the first that covers the address wins.
fn first_match(criterion: &mut Criterion) {
    let recipients = recipients();
    let connectors = connectors(1_000);
    let list: Vec<(&AddressSpace, &Connector)> = connectors
        .iter()
        .flat_map(|connector| connector.address_spaces().iter().map(move |space| (space, connector)))
        .collect();
    let mut questions = recipients.iter().cycle();
    criterion.bench_function("connector/first match in a list", |bencher| {
        bencher.iter(|| {
            let to = questions.next()?;
            list.iter()
                .find(|(space, _)| space.matches(black_box(to)).is_some())
                .map(|(_, connector)| connector.name())
        });
    });
}

fn partition(criterion: &mut Criterion) {
    let table = table(1_000);
    let recipients: Vec<Address> = (0..100)
        .map(|at| Address::parse(&format!("user{at}@d{}0.example", at % 10 + 1)).expect("an address"))
        .collect();
    let mut group = criterion.benchmark_group("connector/partition");
    group.throughput(Throughput::Elements(100));
    group.bench_function("select each of 100", |bencher| {
        bencher.iter(|| {
            for to in &recipients {
                black_box(table.select(&Sender::Null, black_box(to), 4_096));
            }
        });
    });
    group.bench_function("100 recipients, 10 next hops", |bencher| {
        bencher.iter(|| table.partition(&Sender::Null, black_box(&recipients), 4_096));
    });
    group.finish();
}

fn build(criterion: &mut Criterion) {
    let connectors = connectors(1_000);
    let mut group = criterion.benchmark_group("connector/build");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("bare look-up, 100,000 spaces", |bencher| {
        bencher.iter(|| {
            let spaces = connectors.iter().flat_map(Connector::address_spaces).cloned();
            spaces.zip(0..).collect::<AddressSpaceMap<u32>>()
        });
    });
    group.bench_function("table, 100,000 spaces", |bencher| {
        bencher.iter_batched(
            || connectors.clone(),
            |connectors| RoutingTable::build(connectors, Topology::new("Hub01"), Vec::new()),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(connector, select, first_match, partition, build);
criterion_main!(connector);
