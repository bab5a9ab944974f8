//! IIS's ways at work: direct delivery first, the smart host when DNS fails, a remote domain's own route, the masquerade.

use std::net::{SocketAddr, UdpSocket};
use std::thread;

use postroad_interop::{Sample, Sink};

use crate::configuration::House;

/// Knows one domain, `here.test`, and its MX host at 127.0.0.2; no other name exists.
fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
    let address = socket.local_addr().expect("an address");
    // It sleeps in receive until the test's process ends.
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let _ = socket.send_to(&answer(&query[..length]), from);
        }
    });
    address
}

/// `Header Question Answer` (RFC 1035 section 4.1).
fn answer(query: &[u8]) -> Vec<u8> {
    const MX: u8 = 15;
    const A: u8 = 1;
    let end = 12 + query[12..].iter().position(|&byte| byte == 0).expect("a name") + 5;
    let question = &query[12..end];
    let (name, kind) = (question[..question.len() - 4].to_ascii_lowercase(), question[question.len() - 3]);
    let (code, record): (u8, Option<&[u8]>) = match (name.as_slice(), kind) {
        (b"\x04here\x04test\0", MX) => (0, Some(b"\x00\x0a\x02mx\x04here\x04test\0")),
        (b"\x02mx\x04here\x04test\0", A) => (0, Some(&[127, 0, 0, 2])),
        (name, _) if name.ends_with(b"\x04here\x04test\0") => (0, None),
        _ => (3, None),
    };
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(record.is_some()), 0, 0, 0, 0]);
    answer.extend(question);
    if let Some(record) = record {
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, record.len() as u8]);
        answer.extend(record);
    }
    answer
}

#[test]
fn mail_goes_directly_where_dns_knows_the_way_and_else_to_the_smart_host() {
    let smart_host = Sink::start();
    let port = smart_host.address().port();
    let direct = Sink::start_at(SocketAddr::from(([127, 0, 0, 2], port)));
    let partner = Sink::start();
    let house = House::with(&format!(
        r#"
[dns]
servers = ["{}"]
allow_loopback_mx = true

[[send_connector]]
name = "Everybody"
address_spaces = ["*"]
smart_hosts = ["127.0.0.1"]
smart_host_type = "dns-first"
masquerade_domain = "example.com"
port = {port}

[[send_connector]]
name = "Remote domain"
address_spaces = ["fabrikam.com;100"]
smart_hosts = ["127.0.0.1"]
port = {}
"#,
        name_server(),
        partner.address().port(),
    ));
    let _relay = house.start();
    let mut application = house.application();
    let sample = Sample::plain();
    let to = ["jane@here.test", "jane@nowhere.test", "jane@fabrikam.com"];
    application.send("joe@contoso.com", &to, &sample.content).expect("a 250");
    for (sink, from, to) in [
        (&direct, "<joe@example.com>", "<jane@here.test>"),
        (&smart_host, "<joe@example.com>", "<jane@nowhere.test>"),
        (&partner, "<joe@contoso.com>", "<jane@fabrikam.com>"),
    ] {
        let taken = sink.wait_for(1).remove(0);
        assert!(taken.reverse_path.starts_with(from), "{to}: {}", taken.reverse_path);
        assert!(taken.recipients.len() == 1 && taken.recipients[0].starts_with(to), "{:?}", taken.recipients);
        sample.assert_arrived_in(&taken.content);
    }

    // What came through another server before is not masked again.
    let relayed = [b"Received: from app by hub02\r\n", sample.content.as_slice()].concat();
    application.send("joe@contoso.com", &["jane@nowhere.test"], &relayed).expect("a 250");
    let taken = smart_host.wait_for(2).remove(1);
    assert!(taken.reverse_path.starts_with("<joe@contoso.com>"), "{}", taken.reverse_path);
}
