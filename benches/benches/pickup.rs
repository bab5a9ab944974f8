//! Decoding a Pickup and a Replay file beside the floor (a bare memchr scan of the header) and a full header parser.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mail_parser::MessageParser;
use postroad_message::HeaderBlock;
use postroad_message_directory::{pickup, replay};

const INJECTED: &[u8] = b"X-Sender: <alice@contoso.example>\r\nX-Receiver: <bob@fabrikam.example> NOTIFY=NEVER\r\nX-CreatedBy: MSExchange15\r\n";
const RECEIVED: &str = "Received: from mail#.contoso.example (10.0.0.#) by hub#.contoso.example (10.0.1.#) with Microsoft\r\n \
    SMTP Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.1.2507.3#;\r\n \
    Mon, 1 Jan 2024 00:00:0# +0000\r\n";
const FIELDS: &[u8] = b"From: =?utf-8?q?Alice_Ex=C3=A4mple?= <alice@contoso.example>\r\nTo: Bob <bob@fabrikam.example>, carol@fabrikam.example\r\n\
    Cc: \"Dave, Jr.\" <dave@fabrikam.example>\r\nSubject: Quarterly report for the bench\r\n\
    Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <0123456789abcdef@contoso.example>\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: 7bit\r\nX-MS-Has-Attach: yes\r\n";

/// A header of about 1.9 KiB, as six hops leave it, and a body that makes the whole `size` bytes long.
fn message(size: usize) -> Vec<u8> {
    let received = (0..6).map(|hop| RECEIVED.replace('#', &hop.to_string())).collect::<String>();
    let mut file = [received.as_bytes(), FIELDS, b"\r\n"].concat();
    while file.len() < size {
        file.extend_from_slice(
            b"The quick brown fox jumps over the lazy dog and then writes a line of 76 chars.\r\n",
        );
    }
    file.truncate(size);
    file
}

/// What nothing can do with less: each field's name, value and end, by memchr, and nothing is judged.
fn bare_scan(bytes: &[u8], fields: &mut Vec<(u32, u32, u32)>) -> usize {
    fields.clear();
    let (mut at, mut start) = (0, 0);
    while let Some(linefeed) = memchr::memchr(b'\n', &bytes[at..]) {
        at += linefeed + 1;
        if matches!(bytes.get(at), Some(b' ' | b'\t')) {
            continue;
        }
        let field = &bytes[start..at];
        if field == b"\r\n" || field == b"\n" {
            return at;
        }
        if let Some(colon) = memchr::memchr(b':', field) {
            fields.push((start as u32, (start + colon) as u32, at as u32));
        }
        start = at;
    }
    bytes.len()
}

fn decode(criterion: &mut Criterion) {
    let (file, large) = (message(4_096), message(1 << 20));
    let replayed = [INJECTED, &file].concat();
    let mut group = criterion.benchmark_group("pickup");
    let mut fields = Vec::with_capacity(64);
    group.bench_function("floor: bare memchr scan of the header", |bench| {
        bench.iter(|| bare_scan(black_box(&file), &mut fields));
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
