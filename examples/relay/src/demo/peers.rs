//! The demo's other ends: a smart host that wants TLS and a password, and an MX host, both real SMTP servers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use postroad_address_space::{Domain, Mailbox};
use postroad_message::{Content, Envelope};
use postroad_smtp_protocol::sasl::Secret;
use postroad_smtp_server::{
    AuthMechanism, BoxFuture, Client, NobodyLogsOn, PasswordVerdict, PermissionGroup, ReceiveConnector,
    Refusal, Server, ServerSettings, Submit, TlsMaterial, Verify,
};
use tokio::task::JoinHandle;

use super::Error;

/// Everything that one of the other ends was sent.
#[derive(Clone, Default)]
pub(crate) struct Mailroom(Arc<Mutex<Vec<(Envelope, Content)>>>);

impl Mailroom {
    /// Puts one message in.
    pub(crate) fn put(&self, envelope: Envelope, content: Content) {
        if let Ok(mut messages) = self.0.lock() {
            messages.push((envelope, content));
        }
    }

    /// The first envelope with a recipient of this address type, `FAX` for example.
    pub(crate) fn envelope_to(&self, address_type: &str) -> Option<Envelope> {
        let messages = self.0.lock().ok()?;
        let is_it = |envelope: &&Envelope| {
            envelope.recipients.iter().any(|to| to.address.address_type() == address_type)
        };
        messages.iter().map(|(envelope, _)| envelope).find(is_it).cloned()
    }

    /// Whether a message whose content holds `text` came for this recipient.
    pub(crate) fn has(&self, recipient: &str, text: &str) -> bool {
        self.0.lock().is_ok_and(|messages| {
            messages.iter().any(|(envelope, content)| {
                envelope.recipients.iter().any(|r| r.address.to_string().eq_ignore_ascii_case(recipient))
                    && content.head().windows(text.len()).any(|window| window == text.as_bytes())
            })
        })
    }
}

impl Submit for Mailroom {
    fn accept_message<'a>(
        &'a self,
        _: &'a Client,
        envelope: Envelope,
        content: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        self.put(envelope, content);
        Box::pin(std::future::ready(Ok("in the demo's mailroom".to_owned())))
    }
}

/// A running server and where it listens.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) mail: Mailroom,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes mail for anybody, over TLS, from whoever knows the password.
pub(crate) async fn smart_host(tls: TlsMaterial, login: (&str, &str)) -> Result<Peer, Error> {
    let mut connector = ReceiveConnector::new("smart host");
    connector.auth_mechanism =
        vec![AuthMechanism::Tls, AuthMechanism::BasicAuth, AuthMechanism::BasicAuthRequireTls];
    connector.permission_groups = vec![PermissionGroup::ExchangeUsers];
    connector.require_tls = true;
    let login = Login { username: login.0.to_owned(), password: Secret::new(login.1.as_bytes()) };
    start(connector, tls, "smarthost.fabrikam.test", "fabrikam.test", Arc::new(login)).await
}

/// Takes mail for its own domain from anybody, as MX hosts do.
pub(crate) async fn mx_host(domain: &str, name: &str) -> Result<Peer, Error> {
    let mut connector = ReceiveConnector::new("MX host");
    connector.permission_groups = vec![PermissionGroup::AnonymousUsers];
    start(connector, TlsMaterial::none(), name, domain, Arc::new(NobodyLogsOn)).await
}

async fn start(
    mut connector: ReceiveConnector,
    tls: TlsMaterial,
    name: &str,
    domain: &str,
    verify: Arc<dyn Verify>,
) -> Result<Peer, Error> {
    connector.bindings = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    let postmaster = Mailbox::parse(&format!("postmaster@{domain}"))?;
    let settings = ServerSettings::new(name, vec![Domain::parse(domain)?], postmaster);
    let mail = Mailroom::default();
    let server = Server::bind(vec![(connector, tls)], settings, Arc::new(mail.clone()), verify).await?;
    let address = server.local_addrs().first().copied().ok_or("the demo's server has no address")?;
    let task = tokio::spawn(async move {
        server.serve(std::future::pending()).await;
    });
    Ok(Peer { address, mail, task })
}

/// One name, one password.
struct Login {
    username: String,
    password: Secret,
}

impl Verify for Login {
    fn verify<'a>(
        &'a self,
        _: &'a Client,
        username: &'a str,
        password: Secret,
    ) -> BoxFuture<'a, PasswordVerdict> {
        let right = username == self.username && password.matches(&self.password);
        let answer = if right { PasswordVerdict::Accepted } else { PasswordVerdict::Rejected };
        Box::pin(std::future::ready(answer))
    }
}
