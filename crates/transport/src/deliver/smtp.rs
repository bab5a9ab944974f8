//! Delivers for Send connectors: an SMTP session with a smart host or an MX host.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postroad_address_space::Domain;
use postroad_connector::{Connector, SendConnector};
use postroad_message::{
    Content, EnhancedStatus, Envelope, Failure, Fault, HeaderBlock, Outcome, Phase, ReversePath, Scope,
    firewall,
};
use postroad_smtp_client::{ClientCertificate, Credential, SmtpClient};
use tokio::time::Instant;

use crate::deliver::{Deliver, Job};
use crate::dial::{self, DialError, Names};

/// Finds the login that a connector names.
pub trait Credentials: Send + Sync + 'static {
    /// The login of that name, read anew each time; `None` where there is none or it cannot be read, which has been logged.
    ///
    /// It may take its time: it is asked on a thread that may wait, and once a second for each name, so that a changed
    /// password file counts at once.
    fn credential(&self, name: &str) -> Option<Credential>;
}

impl<T: Credentials + ?Sized> Credentials for Arc<T> {
    fn credential(&self, name: &str) -> Option<Credential> {
        (**self).credential(name)
    }
}

/// Has no login for anybody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn credential(&self, _: &str) -> Option<Credential> {
        None
    }
}

/// An SMTP client that knows our names, logins and certificates.
pub struct SmtpDeliver {
    client: SmtpClient,
    names: Names,
    credentials: Arc<dyn Credentials>,
    logins: Remembered<String, Option<Credential>>,
    certificates: Remembered<(PathBuf, PathBuf), Option<ClientCertificate>>,
}

impl fmt::Debug for SmtpDeliver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpDeliver").field("names", &self.names).finish_non_exhaustive()
    }
}

impl SmtpDeliver {
    /// Joins the parts.
    pub fn new(client: SmtpClient, names: Names, credentials: impl Credentials) -> Self {
        Self {
            client,
            names,
            credentials: Arc::new(credentials),
            logins: Remembered::default(),
            certificates: Remembered::default(),
        }
    }

    async fn login(&self, connector: &SendConnector) -> Option<Credential> {
        let name = connector.authentication_credential.clone()?;
        let (source, wanted) = (Arc::clone(&self.credentials), name.clone());
        self.logins.of(name, move || source.credential(&wanted)).await
    }

    async fn certificate(&self, connector: &SendConnector) -> Option<ClientCertificate> {
        let (certificate, key) = (connector.tls_certificate.clone()?, connector.tls_key.clone()?);
        let read = {
            let (certificate, key) = (certificate.clone(), key.clone());
            move || match ClientCertificate::from_pem_files(&certificate, &key) {
                Ok(shown) => Some(shown),
                Err(error) => {
                    tracing::error!(%error, "mail that needs this certificate waits");
                    None
                }
            }
        };
        self.certificates.of((certificate, key), read).await
    }
}

/// What files say, read on another thread and remembered for a moment: no file is read for every message of a busy
/// connector.
struct Remembered<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone + Default + Send + 'static> Remembered<K, V> {
    const MOMENT: Duration = Duration::from_secs(1);

    async fn of(&self, key: K, read: impl FnOnce() -> V + Send + 'static) -> V {
        let now = Instant::now();
        let remembered = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, value)) = remembered().get(&key)
            && now.duration_since(*at) < Self::MOMENT
        {
            return value.clone();
        }
        let value = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        remembered().insert(key, (now, value.clone()));
        value
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
            let login = self.login(connector).await;
            let certificate = self.certificate(connector).await;
            match dial::destination(connector, job.destination, &self.names, |_| login, certificate) {
                Ok(destination) => {
                    let content = outside(job.content);
                    let envelope = masqueraded(connector, &job, &self.names.accepted_domains);
                    self.client.deliver(&destination, &envelope, recipients, &content).await
                }
                Err(error) => vec![Outcome::Deferred(undialled(&error)); recipients.len()],
            }
        })
    }
}

/// The envelope with `masquerade_domain` in its reverse-path, if this is the first hop: the message has come through no
/// server but this one, whose own `Received` it may bear.
fn masqueraded<'a>(
    connector: &SendConnector,
    job: &Job<'a>,
    accepted_domains: &[Domain],
) -> Cow<'a, Envelope> {
    let ReversePath::Mailbox(sender) = &job.envelope.reverse_path else { return Cow::Borrowed(job.envelope) };
    match connector.masqueraded(sender, accepted_domains) {
        Some(shown) if HeaderBlock::scan(job.content.head()).hop_count() <= 1 => {
            let mut envelope = job.envelope.clone();
            envelope.reverse_path = ReversePath::Mailbox(shown);
            Cow::Owned(envelope)
        }
        _ => Cow::Borrowed(job.envelope),
    }
}

/// The content without the organisation's own fields, which end at its border.
fn outside(content: &Content) -> Content {
    let edits = firewall::organization(&HeaderBlock::scan(content.head()));
    content.clone().edited(&edits)
}

fn undialled(error: &DialError) -> Failure {
    let status = EnhancedStatus::transient(3, 5);
    Failure::new(status, Fault::Configuration, Scope::NextHop, Phase::Connect, error.to_string())
}

fn misplaced(connector: &str) -> Failure {
    let text = format!("connector {connector:?} does not send by SMTP");
    Failure::new(EnhancedStatus::transient(3, 5), Fault::Configuration, Scope::NextHop, Phase::Connect, text)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use postroad_message::Recipient;
    use postroad_queue::{DeliveryId, MessageId};
    use postroad_smtp_client::Secret;

    use super::*;

    /// Another password each time it is asked.
    struct Changing(AtomicUsize);

    impl Credentials for Changing {
        fn credential(&self, name: &str) -> Option<Credential> {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            Some(Credential::new(name, Secret::new(format!("password {count}"))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_password_is_read_once_a_second_and_not_for_every_message() {
        let deliver = delivering(Changing(AtomicUsize::new(0)));
        let mut connector = SendConnector::new("Smart host", vec![]);
        assert!(deliver.login(&connector).await.is_none());
        connector.authentication_credential = Some("relay".to_owned());
        for expected in ["password 0", "password 1"] {
            for _ in 0..3 {
                let login = deliver.login(&connector).await.unwrap();
                assert!(login.is_same(&Credential::new("relay", Secret::new(expected))));
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_certificate_is_shown_from_then_on_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key] = ["hub.pem", "hub.key"].map(|name| folder.path().join(name));
        let mut connector = SendConnector::new("Smart host", vec![]);
        (connector.tls_certificate, connector.tls_key) = (Some(certificate.clone()), Some(key.clone()));
        let deliver = delivering(NoCredentials);
        assert!(deliver.certificate(&connector).await.is_none());
        let mut shown = Vec::new();
        for _ in 0..2 {
            let made = rcgen::generate_simple_self_signed(vec!["hub.test".to_owned()]).unwrap();
            std::fs::write(&certificate, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            tokio::time::advance(Duration::from_secs(1)).await;
            shown.push(deliver.certificate(&connector).await.unwrap());
        }
        assert!(!shown[0].is_same(&shown[1]) && shown[1].is_same(&shown[1]));
    }

    fn delivering(credentials: impl Credentials) -> SmtpDeliver {
        let domain: Domain = "hub01.contoso.com".parse().unwrap();
        SmtpDeliver::new(SmtpClient::new().unwrap(), Names::new(domain.clone(), domain), credentials)
    }

    #[test]
    fn our_own_domains_are_masked_on_the_first_hop_only() {
        let mut connector = SendConnector::new("Internet", vec!["*".parse().unwrap()]);
        connector.masquerade_domain = Some("contoso.com".parse().unwrap());
        let accepted = ["contoso.com", "eu.contoso.com"].map(|text| text.parse().unwrap());
        let from_application = "Subject: x\r\n\r\n";
        let from_client = "Received: from app by hub01\r\nSubject: x\r\n\r\n";
        let from_server =
            "Received: from hub02 by hub01\r\nReceived: from app by hub02\r\nSubject: x\r\n\r\n";
        for (from, content, expected) in [
            ("<jane@eu.contoso.com>", from_application, "<jane@contoso.com>"),
            ("<jane@eu.contoso.com>", from_client, "<jane@contoso.com>"),
            ("<jane@eu.contoso.com>", from_server, "<jane@eu.contoso.com>"),
            ("<jane@fabrikam.com>", from_application, "<jane@fabrikam.com>"),
            ("<>", from_application, "<>"),
        ] {
            let to = vec![Recipient::new("tim@example.org".parse().unwrap())];
            let envelope = Envelope::new(ReversePath::try_from(from.to_owned()).unwrap(), to);
            let content = Content::from(content.as_bytes().to_vec());
            let kind = Connector::Send(connector.clone());
            let (message, delivery) = (MessageId::from_u64(1), DeliveryId::from_u64(1));
            let job = Job::new(&kind, "example.org", &envelope, &content, message, delivery);
            let shown = masqueraded(&connector, &job, &accepted);
            assert_eq!(shown.reverse_path.to_string(), expected, "{from}");
            assert_eq!(shown.recipients, envelope.recipients);
        }
    }
}
