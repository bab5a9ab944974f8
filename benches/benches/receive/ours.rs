//! Our server as a process of its own: everything but the queue, whose place an answer takes.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postroad_address_space::Mailbox;
use postroad_interop::certificate::Certificate;
use postroad_message::{Content, Envelope};
use postroad_smtp_server::{
    BoxFuture, Client, NobodyLogsOn, ReceiveConnector, Refusal, Server, ServerSettings, Submit, TlsMaterial,
};

const ADDRESS: &str = "POSTROAD_BENCH_SERVE";
const CERTIFICATE: &str = "POSTROAD_BENCH_CERTIFICATE";
const KEY: &str = "POSTROAD_BENCH_KEY";

/// This very program, told to serve.
pub(crate) fn command(address: SocketAddr, certificate: &Certificate) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.env(ADDRESS, address.to_string());
    command.env(CERTIFICATE, &certificate.certificate).env(KEY, &certificate.key);
    command
}

pub(crate) fn is_asked_for() -> bool {
    env::var_os(ADDRESS).is_some()
}

pub(crate) fn serve() {
    let address: SocketAddr = env::var(ADDRESS).expect("an address").parse().expect("an address");
    let file = |name| PathBuf::from(env::var_os(name).expect("a file"));
    let tls = TlsMaterial::from_pem_files(&file(CERTIFICATE), &file(KEY)).expect("a certificate");
    let mut connector = ReceiveConnector::new("Bench");
    connector.bindings = vec![address];
    connector.relay_ip_ranges = vec!["127.0.0.1".parse().expect("a range")];
    connector.max_inbound_connection_per_source = None;
    connector.max_inbound_connection_percentage_per_source = 100;
    let postmaster = Mailbox::parse("postmaster@contoso.com").expect("a mailbox");
    let settings = ServerSettings::new("bench.contoso.com", Vec::new(), postmaster);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let discard = Arc::new(Discard::default());
        let server = Server::bind(vec![(connector, tls)], settings, discard, Arc::new(NobodyLogsOn)).await;
        server.expect("a free port").serve(std::future::pending()).await;
    });
}

#[derive(Default)]
struct Discard(AtomicU64);

impl Submit for Discard {
    fn accept_message<'a>(
        &'a self,
        _: &'a Client,
        _: Envelope,
        content: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        drop(content);
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(number.to_string())))
    }
}
