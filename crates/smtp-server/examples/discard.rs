//! Takes every message and forgets it: how fast is the way in? With a certificate and its key it speaks TLS too.
//!
//! `cargo run --release -p postroad-smtp-server --example discard -- 127.0.0.1:2525 [cert.pem key.pem [implicit-address]]`

use std::sync::Arc;

use postroad_address_space::{Domain, Mailbox};
use postroad_message::{Content, Envelope};
use postroad_smtp_server::{
    BoxFuture, Client, IpRange, NobodyLogsOn, ReceiveConnector, Refusal, Server, ServerSettings, Submit,
    TlsMaterial,
};

struct Discard;

impl Submit for Discard {
    fn accept_message<'a>(
        &'a self,
        _: &'a Client,
        _: Envelope,
        _: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(std::future::ready(Ok("discarded".to_owned())))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let mut connector = ReceiveConnector::new("Discard");
    connector.bindings = vec![words.next().unwrap_or("127.0.0.1:2525".to_owned()).parse()?];
    connector.tls_certificate = words.next().map(Into::into);
    connector.tls_key = words.next().map(Into::into);
    connector.implicit_tls_bindings =
        words.next().map(|text| text.parse()).transpose()?.into_iter().collect();
    connector.relay_ip_ranges = vec![IpRange::ALL_IPV4, IpRange::ALL_IPV6];
    connector.max_inbound_connection = None;
    connector.max_inbound_connection_per_source = None;
    let tls = TlsMaterial::of(&connector)?;
    let settings = ServerSettings::new(
        "mail.example.net",
        vec![Domain::parse("example.net")?],
        Mailbox::parse("postmaster@example.net")?,
    );
    let server =
        Server::bind(vec![(connector, tls)], settings, Arc::new(Discard), Arc::new(NobodyLogsOn)).await?;
    println!("listening on {:?}", server.local_addrs());
    server.serve(std::future::pending()).await;
    Ok(())
}
