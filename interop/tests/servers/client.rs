//! The client under test, and what it said and heard on the way.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use postroad_message::{Content, Envelope, Outcome, Recipient, ReversePath};
use postroad_smtp_client::{
    CertificateName, Conversation, Destination, Entry, Hosts, ProtocolLog, SmartHost, SmtpClient,
    SmtpClientBuilder, TlsPolicy, TrustAnchors, Verification,
};
use tokio::runtime::{self, Runtime};

/// A client with a runtime of its own.
pub(crate) struct Client {
    runtime: Runtime,
    client: SmtpClient,
    heard: Arc<Heard>,
}

/// Each line of each conversation, behind its mark: `>` ours, `<` theirs.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl ProtocolLog for Heard {
    fn record(&self, _: &Conversation, _: u64, entry: Entry<'_>) {
        let line = format!("{} {}", entry.mark(), entry.data());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Client {
    /// One that trusts no authority but this one.
    pub(crate) fn trusting(authority: &Path) -> Self {
        Self::made_by(SmtpClient::builder().trust_anchors(TrustAnchors::PemFile(authority.to_owned())))
    }

    /// One that is made by `builder`.
    pub(crate) fn made_by(builder: SmtpClientBuilder) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let heard = Arc::new(Heard::default());
        let inside = runtime.enter();
        let client = builder.protocol_log(heard.clone()).build().expect("a client");
        drop(inside);
        Self { runtime, client, heard }
    }

    /// Delivers, says QUIT, and returns one outcome for each recipient.
    pub(crate) fn deliver(
        &self,
        destination: &Destination,
        from: &str,
        to: &[&str],
        content: impl Into<Vec<u8>>,
    ) -> Vec<Outcome> {
        let recipients = to.iter().map(|to| Recipient::new(to.parse().expect("a recipient")));
        let from = ReversePath::Mailbox(from.parse().expect("a sender"));
        self.deliver_as(destination, &Envelope::new(from, recipients.collect()), content)
    }

    /// The same with whatever an envelope may hold.
    pub(crate) fn deliver_as(
        &self,
        destination: &Destination,
        envelope: &Envelope,
        content: impl Into<Vec<u8>>,
    ) -> Vec<Outcome> {
        let content = Content::from(content.into());
        self.runtime.block_on(async {
            let outcomes = self.client.deliver(destination, envelope, &envelope.recipients, &content).await;
            self.client.close_idle().await;
            outcomes
        })
    }

    /// All that was said so far, and forgets it.
    pub(crate) fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A server on a loopback address, in clear text.
pub(crate) fn at(address: SocketAddr) -> Destination {
    let hosts = Hosts::SmartHosts(vec![SmartHost::Address(address.ip())]);
    let mut destination = Destination::new(hosts, "client.test".parse().expect("our name"));
    destination.port = address.port();
    destination.tls = TlsPolicy::Never;
    destination.logged_as = Some("servers".to_owned());
    destination
}

/// The same over TLS, with a certificate that has to be for `host`.
pub(crate) fn over_tls(address: SocketAddr, host: &str) -> Destination {
    let name = CertificateName::Exact(host.parse().expect("a host name"));
    let mut destination = at(address);
    destination.tls = TlsPolicy::required(Verification::DomainValidation(name));
    destination
}
