//! A reply reads the same however its bytes are cut, and holds nothing that could forge a line of a log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_smtp_protocol::capability::Capabilities;
use postroad_smtp_protocol::reply::ReplyReader;

fuzz_target!(|data: &[u8]| {
    let mut by_byte = ReplyReader::default();
    let slow = data.iter().enumerate().find_map(|(at, byte)| match by_byte.read(&[*byte]) {
        Ok((_, None)) => None,
        other => Some(other.map(|(_, reply)| (at + 1, reply))),
    });
    let fast = match ReplyReader::default().read(data) {
        Ok((_, None)) => None,
        other => Some(other),
    };
    if let Some(Ok((_, Some(reply)))) = &fast {
        assert!(!reply.to_string().chars().any(char::is_control));
        let _ = Capabilities::from_ehlo(reply);
    }
    // A line that is too long is found sooner when it comes byte by byte; what is found is the same.
    assert_eq!(slow.map(|read| read.ok()), fast.map(|read| read.ok()));
});
