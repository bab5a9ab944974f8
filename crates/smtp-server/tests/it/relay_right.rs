//! Who may send to whom, by the table in `tests/relay_right.txt`, over real connections from real addresses.

use std::net::{IpAddr, SocketAddr};

use postroad_smtp_server::{AuthMechanism, TlsMaterial};
use tokio::net::{TcpSocket, TcpStream};

use crate::house::{Caller, House, connector, settings};

pub(crate) async fn connect_from(source: IpAddr, to: SocketAddr) -> Caller<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(source, 0)).expect("all of 127.0.0.0/8 is here");
    Caller { stream: socket.connect(to).await.expect("it listens"), held: Vec::new() }
}

#[tokio::test]
async fn every_line_of_the_table_holds() {
    let mut relay = connector("Relay");
    relay.relay_ip_ranges = ["127.0.0.9", "127.0.0.34/30"].map(|range| range.parse().unwrap()).to_vec();
    relay.auth_mechanism = vec![AuthMechanism::BasicAuth];
    relay.max_protocol_errors = None;
    relay.max_inbound_connection_per_source = None;
    let mut settings = settings();
    settings.accepted_domains.push("fabrikam.com".parse().unwrap());
    let house = House::open(vec![(relay, TlsMaterial::none())], settings).await;
    let mut wrong = Vec::new();
    let table = include_str!("../relay_right.txt").lines();
    for line in table.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (who, rest) = line.split_once(' ').expect("three columns");
        let (recipient, expected) = rest.trim_start().rsplit_once("  ").expect("three columns");
        let (recipient, expected) = (recipient.trim(), expected.trim());
        let user = who == "joe";
        let source = if user { "127.0.0.1" } else { who };
        let mut caller = connect_from(source.parse().expect("an address"), house.address).await;
        caller.expect("220 ").await;
        caller.ask("EHLO a", "250-").await;
        if user {
            caller.ask("AUTH PLAIN AGphbmUAc2VjcmV0", "235 ").await;
        }
        caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
        caller.say(&format!("RCPT TO:{recipient}\r\n")).await;
        let reply = caller.reply().await.unwrap_or_default();
        if !reply.starts_with(expected) {
            wrong.push(format!("{line}\n    but it was {}", reply.trim_end()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
