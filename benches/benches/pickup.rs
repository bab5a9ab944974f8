//! Decoding a Pickup and a Replay file beside the floor (one memchr pass over the header) and a full header parser.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mail_parser::MessageParser;
use postroad_message::HeaderBlock;
use postroad_message_directory::{pickup, replay};

const INJECTED: &[u8] = b"X-Sender: <app@contoso.com>\r\nX-Receiver: <jane@fabrikam.com> NOTIFY=NEVER\r\nX-CreatedBy: MSExchange15\r\n";
const FIELDS: &[u8] = b"From: Invoices <app@contoso.com>\r\nTo: \"Doe, Jane\" <jane@fabrikam.com>, joe@fabrikam.com\r\n\
    Cc: =?utf-8?q?J=C3=BCrgen?= <juergen@example.de>\r\nSubject: Invoice 7\r\nDate: Sun, 31 Mar 2024 18:00:00 +0200\r\n\
    Message-ID: <7@contoso.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n";
const FILLER: &[u8] = b"X-Folded: some value that is folded once for good measure\r\n\tand goes on here with more text; id=1\r\n";

/// A header of about 1.9 KiB, and a body that makes the whole `size` bytes long.
fn message(size: usize) -> (Vec<u8>, usize) {
    let mut file = FIELDS.to_vec();
    while file.len() < 1_900 {
        file.extend_from_slice(FILLER);
    }
    let header = file.len();
    file.extend_from_slice(b"\r\n");
    while file.len() < size {
        file.extend_from_slice(b"Body text that goes on and on and on and on and on.\r\n");
    }
    (file, header)
}

fn decode(criterion: &mut Criterion) {
    let (file, header) = message(4_096);
    let (large, _) = message(1 << 20);
    let replayed = [INJECTED, &file].concat();
    let mut group = criterion.benchmark_group("pickup");
    group.bench_function("floor: memchr over the header", |bench| {
        bench.iter(|| memchr::memchr_iter(b'\n', black_box(&file[..header])).count());
    });
    group.bench_function("header scan", |bench| bench.iter(|| HeaderBlock::scan(black_box(&file))));
    let rules = pickup::Rules::default();
    group.bench_function("decode 4 KiB", |bench| {
        bench.iter(|| pickup::decode(black_box(&file), &rules).is_ok())
    });
    group.bench_function("decode 1 MiB", |bench| {
        bench.iter(|| pickup::decode(black_box(&large), &rules).is_ok())
    });
    let rules = replay::Rules::default();
    group.bench_function("replay 4 KiB", |bench| {
        bench.iter(|| replay::decode(black_box(&replayed), &rules).is_ok())
    });
    group.bench_function("rival: mail-parser parse_headers", |bench| {
        bench.iter(|| MessageParser::default().parse_headers(black_box(&file)).is_some());
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
