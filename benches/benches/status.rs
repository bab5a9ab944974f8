//! How long it takes to read and write an enhanced status, which every reply and every report carries.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use postroad_message::EnhancedStatus;

fn parse(criterion: &mut Criterion) {
    criterion.bench_function("status/parse", |bencher| {
        bencher.iter(|| black_box("5.1.2").parse::<EnhancedStatus>());
    });
}

fn display(criterion: &mut Criterion) {
    let status = EnhancedStatus::permanent(1, 2);
    criterion.bench_function("status/display", |bencher| bencher.iter(|| black_box(status).to_string()));
}

criterion_group!(status, parse, display);
criterion_main!(status);
