//! Delivers for Send connectors: an SMTP session with a smart host or an MX host.

use std::future::Future;
use std::pin::Pin;

use postroad_connector::Connector;
use postroad_message::{
    Content, EnhancedStatus, Failure, Fault, HeaderBlock, Outcome, Phase, Scope, firewall,
};
use postroad_smtp_client::{Credential, SmtpClient};

use crate::deliver::{Deliver, Job};
use crate::dial::{self, DialError, Names};

/// Finds the login that a connector names.
pub trait Credentials: Send + Sync + 'static {
    /// The login of that name, read anew each time so that a changed password file counts at once; `None` where
    /// there is none or it cannot be read, which has been logged.
    fn credential(&self, name: &str) -> Option<Credential>;
}

/// Has no login for anybody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn credential(&self, _: &str) -> Option<Credential> {
        None
    }
}

/// An SMTP client that knows our names and logins.
pub struct SmtpDeliver {
    client: SmtpClient,
    names: Names,
    credentials: Box<dyn Credentials>,
}

impl SmtpDeliver {
    /// Joins the parts.
    pub fn new(client: SmtpClient, names: Names, credentials: impl Credentials) -> Self {
        Self { client, names, credentials: Box::new(credentials) }
    }
}

impl Deliver for SmtpDeliver {
    fn deliver<'a>(&'a self, job: Job<'a>) -> Pin<Box<dyn Future<Output = Vec<Outcome>> + Send + 'a>> {
        Box::pin(async move {
            let recipients = &job.envelope.recipients;
            if let Some(server) = job.server {
                let destination = dial::relay_to(server, &self.names);
                return self.client.deliver(&destination, job.envelope, recipients, job.content).await;
            }
            let Connector::Send(connector) = job.connector else {
                return vec![Outcome::Deferred(misplaced(job.connector.name())); recipients.len()];
            };
            let credential = |name: &str| self.credentials.credential(name);
            match dial::destination(connector, job.destination, &self.names, credential) {
                Ok(destination) => {
                    let content = outside(job.content, connector.cloud_services_mail_enabled);
                    self.client.deliver(&destination, job.envelope, recipients, &content).await
                }
                Err(error) => vec![Outcome::Deferred(undialled(&error)); recipients.len()],
            }
        })
    }
}

/// The content without the organisation's own fields, which end at its border.
fn outside(content: &Content, keep: bool) -> Content {
    let header = HeaderBlock::scan(content.as_bytes());
    let edits = firewall::organization(&header);
    if keep || edits.is_empty() { content.clone() } else { Content::from(edits.apply(content.as_bytes())) }
}

fn undialled(error: &DialError) -> Failure {
    let status = EnhancedStatus::transient(3, 5);
    Failure::new(status, Fault::Configuration, Scope::NextHop, Phase::Connect, error.to_string())
}

fn misplaced(connector: &str) -> Failure {
    let text = format!("connector {connector:?} does not send by SMTP");
    Failure::new(EnhancedStatus::transient(3, 5), Fault::Configuration, Scope::NextHop, Phase::Connect, text)
}
