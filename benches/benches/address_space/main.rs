//! What a look-up costs in a map of many address spaces, beside the floor: one probe of the whole domain in a HashMap.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use postroad_address_space::{Address, AddressSpace, AddressSpaceMap, Mailbox, OrAddress};

const QUERIES: usize = 1024;

/// The domain with this number; every third space is a wildcard.
fn domain(number: usize) -> String {
    format!("d{number:x}.customer{}.example", number % 97)
}

fn space(number: usize) -> String {
    if number.is_multiple_of(3) { format!("*.{}", domain(number)) } else { domain(number) }
}

/// Half hits and half misses, spread evenly over the map.
fn queries(count: usize) -> Vec<Address> {
    let numbers = (0..QUERIES).map(|query| query.wrapping_mul(2_654_435_761) % count);
    numbers
        .enumerate()
        .map(|(query, number)| number + if query % 2 == 0 { 0 } else { count })
        .filter_map(|number| Address::parse(&format!("jane@{}", domain(number))).ok())
        .collect()
}

fn smtp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("smtp look-up");
    group.throughput(Throughput::Elements(QUERIES as u64));
    for count in [10, 1_000, 100_000, 1_000_000] {
        let map: AddressSpaceMap<u32> = (0..count)
            .zip(0..)
            .filter_map(|(number, value)| Some((space(number).parse().ok()?, value)))
            .collect();
        let floor: HashMap<String, u32> = (0..count).map(domain).zip(0..).collect();
        let addresses = queries(count);
        group.bench_with_input(BenchmarkId::new("postroad", count), &addresses, |bencher, addresses| {
            bencher.iter(|| addresses.iter().filter_map(|address| map.matches(address).next()).count());
        });
        group.bench_with_input(
            BenchmarkId::new("floor: std HashMap", count),
            &addresses,
            |bencher, addresses| {
                let names = addresses.iter().filter_map(|address| address.mailbox()?.domain().name());
                let names: Vec<_> = names.map(|name| name.ascii()).collect();
                bencher.iter(|| names.iter().filter_map(|name| floor.get(black_box(*name))).count());
            },
        );
    }
    group.finish();
}

fn x400(criterion: &mut Criterion) {
    let text = |number: usize| format!("c=US;a=Carrier{};p=Org{number}", number % 7);
    let spaces = (0..100_000).zip(0u32..);
    let map: AddressSpaceMap<u32> = spaces
        .filter_map(|(number, value)| {
            Some((AddressSpace::parse(&format!("X400:{};1", text(number))).ok()?, value))
        })
        .collect();
    let addresses: Vec<_> = (0..QUERIES)
        .filter_map(|query| Address::parse(&format!("X400:{};o=Sales;s=Doe;g=Jane", text(query * 195))).ok())
        .collect();
    let mut group = criterion.benchmark_group("x400 look-up");
    group.throughput(Throughput::Elements(QUERIES as u64));
    group.bench_function("postroad/100000", |bencher| {
        bencher.iter(|| addresses.iter().filter_map(|address| map.matches(address).next()).count());
    });
    group.finish();
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.bench_function("smtp", |bencher| {
        bencher.iter(|| Mailbox::parse(black_box("Jane.Doe@marketing.Contoso.com")));
    });
    group.bench_function("x400 of eight attributes", |bencher| {
        let text = "C=US;A=Fabrikam;P=Contoso;O=Sales;OU1=North;S=Doe;G=Jane;I=J;";
        bencher.iter(|| OrAddress::parse(black_box(text)));
    });
    group.finish();
}

criterion_group!(benches, smtp, x400, parse);
criterion_main!(benches);
