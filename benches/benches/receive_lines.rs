//! The judge of line ends between DATA and its final dot, beside a bare search for that dot and a bare copy.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use memchr::memmem::Finder;
use postroad_smtp_protocol::data::{BareLineEnds, Decoder};

/// What one read of the server brings.
const PIECE: usize = 64 * 1024;

/// A megabyte of this line, stuffed as on the wire, and the final dot.
fn wire(line: &str) -> Vec<u8> {
    let mut wire = line.as_bytes().repeat((1 << 20) / line.len());
    wire.extend_from_slice(b".\r\n");
    wire
}

fn decode(wire: &[u8], keep: bool) -> usize {
    let mut decoder = Decoder::new(BareLineEnds::Keep, 1 << 30);
    if !keep {
        decoder.discard();
    }
    wire.chunks(PIECE).for_each(|piece| assert!(decoder.decode(black_box(piece)).used > 0));
    assert!(decoder.total() > 0);
    decoder.finish().bytes.len()
}

fn lines(criterion: &mut Criterion) {
    let base64 = format!("{}\r\n", "VGhpcyBpcyBhIG1l".repeat(5).split_at(76).0);
    let text = "The quick brown fox jumps over the lazy dog. It is five o'clock. Tea?\r\n";
    let signature = format!("{}..dot\r\n", text.repeat(9));
    for (name, line) in [
        ("base64", base64.as_str()),
        ("text", text),
        ("short lines", "abcdef\r\n"),
        ("empty lines", "\r\n"),
        ("one line in ten opens with a dot", &signature),
        ("every line does, five bytes long", "..x\r\n"),
    ] {
        let wire = wire(line);
        let mut group = criterion.benchmark_group(format!("receive_lines/{name}"));
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function("judge", |bench| bench.iter(|| decode(&wire, false)));
        group.bench_function("judge and keep", |bench| bench.iter(|| decode(&wire, true)));
        group.bench_function("floor: copy", |bench| {
            bench.iter(|| {
                let mut copy = Vec::new();
                wire.chunks(PIECE).for_each(|piece| copy.extend_from_slice(black_box(piece)));
                copy.len()
            });
        });
        let end = Finder::new(b"\r\n.\r\n");
        group.bench_function("rival: search for CRLF.CRLF, nothing judged", |bench| {
            bench.iter(|| end.find(black_box(&wire)));
        });
        group.finish();
    }
}

criterion_group!(benches, lines);
criterion_main!(benches);
