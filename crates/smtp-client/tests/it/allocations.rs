//! What a message costs in memory: few allocations on a connection that stands, and no more for a large one.
//!
//! `POSTROAD_MEGABYTES` makes the large one larger than four.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use postroad_message::{Content, Envelope, Recipient, ReversePath};
use postroad_smtp_client::{Destination, Hosts, SmartHost, TlsPolicy};

use crate::pretend::{client, words};
use crate::stored::stored;

/// Takes everything, in chunks where it offers them, on a thread of its own: what it allocates is not counted.
fn sink(takes_chunks: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let _ = serve(&stream, takes_chunks);
        }
    });
    address
}

fn serve(mut stream: &TcpStream, takes_chunks: bool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n")?;
    let (mut line, mut in_content) = (Vec::new(), false);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if let Some(length) = line.strip_prefix(b"BDAT ").and_then(|rest| rest.strip_suffix(b" LAST\r\n")) {
            let length =
                str::from_utf8(length).ok().and_then(|length| length.parse().ok()).expect("a length");
            std::io::copy(&mut (&mut lines).take(length), &mut std::io::sink())?;
        }
        stream.write_all(match line.as_slice() {
            b".\r\n" => b"250 2.0.0 taken\r\n",
            _ if in_content => continue,
            b"DATA\r\n" => b"354 go on\r\n",
            [b'E', ..] if takes_chunks => b"250-sink\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
            [b'E', ..] => b"250-sink\r\n250 PIPELINING\r\n",
            _ => b"250 2.1.0 fine\r\n",
        })?;
        in_content = line == b"DATA\r\n" || (in_content && line != b".\r\n");
    }
}

/// Allocations for each of these messages, and the most bytes held at once, once a connection stands.
///
/// Counted on one thread: what another gives back seems to be held for ever. That is the last trace of a read that another
/// thread did, where this one was quicker to forget it, as on a busy machine; it is told apart.
fn cost(content: Content, messages: u64, takes_chunks: bool) -> (u64, u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let address = sink(takes_chunks);
    let host = SmartHost::Address(address.ip());
    let mut destination =
        Destination::new(Hosts::SmartHosts(vec![host]), "hub.test".parse().expect("a domain"));
    (destination.port, destination.max_messages_per_connection) = (address.port(), u32::MAX);
    destination.tls = TlsPolicy::Never;
    let mailbox = "joe@hub.test".parse().expect("a mailbox");
    let recipients = vec![Recipient::new("jane@b.test".parse().expect("an address"))];
    let envelope = Envelope::new(ReversePath::Mailbox(mailbox), recipients);
    let client = client();
    let send = |times: u64| {
        runtime.block_on(async {
            for _ in 0..times {
                let outcomes = client.deliver(&destination, &envelope, &envelope.recipients, &content).await;
                assert!(outcomes.iter().all(postroad_message::Outcome::is_success), "{:?}", words(&outcomes));
            }
        });
    };
    send(5);
    let counted = allocation_counter::measure(|| send(messages));
    let elsewhere = u64::try_from(counted.bytes_current).unwrap_or(0);
    (counted.count_total / messages, counted.bytes_max.saturating_sub(elsewhere), elsewhere)
}

#[test]
fn a_message_costs_ten_allocations_at_most() {
    let content = Content::from(b"a line that is like any other line\r\n".repeat(300));
    for takes_chunks in [false, true] {
        let (allocations, ..) = cost(content.clone(), 200, takes_chunks);
        assert!(allocations <= 10, "{allocations} allocations");
    }
}

#[test]
fn memory_does_not_grow_with_the_message() {
    let megabytes = std::env::var("POSTROAD_MEGABYTES").map_or(4, |text| text.parse().expect("a number"));
    for (line, held) in [
        (".a line that begins with a dot, like any other line\r\n", 1 << 20),
        ("a line that came from a file and ends in a way that no server may see\n", 1 << 20),
        // It is not even copied.
        ("a line that leaves from where it lies\r\n", 16 << 10),
    ] {
        let lines = megabytes * 1_000_000 / line.len() + 1;
        for (content, held) in [
            (stored(line, lines, 0), held + (128 << 10)),
            (Content::from(line.repeat(lines).into_bytes()), held),
        ] {
            for takes_chunks in [false, true] {
                let (_, most, elsewhere) = cost(content.clone(), 1, takes_chunks);
                let lies = if content.in_memory().is_some() { "memory" } else { "a file" };
                println!(
                    "{most} bytes and {elsewhere} beside {} MB in {lies}, chunks: {takes_chunks}: {line:?}",
                    content.len() / 1_000_000
                );
                assert!(most < held, "{most} bytes, {line:?} in {lies}, chunks: {takes_chunks}");
                // A trace of 256 bytes of each of the reads, of 128 KiB each, and nothing of what was read.
                let reads = (content.len() >> 17) as u64 + 1;
                assert!(
                    elsewhere <= 512 * reads,
                    "{elsewhere} bytes, {line:?} in {lies}, chunks: {takes_chunks}"
                );
            }
        }
    }
}
