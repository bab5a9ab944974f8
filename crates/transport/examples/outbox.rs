//! An outbox for a web application: a message is on the disk before its request is answered, and leaves for the smart host behind it.
//!
//! `outbox HOST PORT FROM TO` queues a greeting below ./outbox and says what became of it; SMTP_USER and SMTP_PASSWORD log in. Stop it at
//! any moment: started again it delivers what is left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postroad_address_space::{Address, Mailbox};
use postroad_connector::{RoutingTable, SendConnector, SmartHostAuthMechanism, Topology};
use postroad_message::{Content, Envelope, Outcome, Recipient, ReversePath};
use postroad_queue::{MessageId, QueueError, SqliteStore};
use postroad_smtp_client::{Credential, Secret, SmtpClient};
use postroad_transport::{Credentials, Pipeline, Settings, SmtpDeliver, Submission};

type Error = Box<dyn std::error::Error>;

/// The one login there is, if the host wants one.
struct Login(Option<(String, String)>);

impl Credentials for Login {
    fn credential(&self, _: &str) -> Option<Credential> {
        let (user, password) = self.0.as_ref()?;
        Some(Credential::new(user.clone(), Secret::new(password.clone())))
    }
}

/// A clone is a handle to the same one: each request may have its own.
#[derive(Clone)]
struct Outbox(Pipeline);

impl Outbox {
    /// Takes up what an earlier run left in `folder`; everything goes to this one host.
    async fn open(folder: &Path, host: &str, port: u16, login: Login) -> Result<Self, Error> {
        let mut provider = SendConnector::new("Provider", vec!["*".parse()?]);
        (provider.smart_hosts, provider.port) = (vec![host.parse()?], port);
        if login.0.is_some() {
            provider.smart_host_auth_mechanism = SmartHostAuthMechanism::BasicAuthRequireTls;
            provider.authentication_credential = Some("the one there is".to_owned());
        }
        let table = RoutingTable::build(vec![provider.into()], Topology::new("app"), vec![])?;
        let postmaster = Mailbox::parse("postmaster@contoso.com")?;
        let settings = Settings::new("app", "app.contoso.com".parse()?, "contoso.com".parse()?, postmaster);
        let smtp = SmtpDeliver::new(SmtpClient::new()?, settings.names(), login);
        std::fs::create_dir_all(folder)?;
        let store = Arc::new(SqliteStore::open(folder.join("queue.db"))?);
        let pipeline = Pipeline::builder(settings, table, store).smtp(smtp).build();
        pipeline.recover().await?;
        Ok(Self(pipeline))
    }

    /// Delivers until `stop` is ready: the task that runs beside the requests.
    async fn deliver(self, stop: impl Future<Output = ()> + Send) {
        self.0.run(stop).await;
    }

    /// Once this is `Ok` the message is on the disk, and no crash loses it. `content` is header, blank line, body, with CRLF line ends.
    async fn send(&self, from: &str, to: &str, content: Vec<u8>) -> Result<MessageId, Error> {
        let recipients = vec![Recipient::new(Address::parse(to)?)];
        let envelope = Envelope::new(ReversePath::Mailbox(Mailbox::parse(from)?), recipients);
        let submission = Submission::new(envelope, Content::from(content), "app").watched();
        Ok(self.0.submit(submission).await?.id)
    }

    /// What became of the recipients, now or later; who is not among them waits. Another start forgets it: an application that
    /// writes it down itself implements `Observe`.
    async fn outcomes(&self, id: MessageId) -> Result<Vec<(Recipient, Outcome)>, QueueError> {
        self.0.results(id).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, from, to] = arguments.as_slice() else { return Err("HOST PORT FROM TO".into()) };
    let login = std::env::var("SMTP_USER").ok().zip(std::env::var("SMTP_PASSWORD").ok());
    let outbox = Outbox::open(Path::new("outbox"), host, port.parse()?, Login(login)).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let delivering = tokio::spawn(outbox.clone().deliver(async { drop(stopped.await) }));

    let message = format!("From: {from}\r\nTo: {to}\r\nSubject: Hello\r\n\r\nHello.\r\n");
    let id = outbox.send(from, to, message.into_bytes()).await?;
    println!("queued as {id}; the request can be answered");
    while outbox.outcomes(id).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{:?}", outbox.outcomes(id).await?);
    drop(stop);
    delivering.await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use postroad_interop::{Sink, patience};

    use super::*;

    async fn outbox(folder: &Path, sink: &Sink) -> Outbox {
        Outbox::open(folder, "[127.0.0.1]", sink.address().port(), Login(None)).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_sent_before_a_crash_is_delivered_after_it_and_a_watched_one_tells() {
        let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start());
        let crashes = outbox(folder.path(), &sink).await;
        crashes.send("app@contoso.com", "jane@fabrikam.com", b"Subject: 1\r\n\r\n".to_vec()).await.unwrap();
        // Nobody has delivered it, and nobody will here.
        drop(crashes);
        assert_eq!(sink.taken().len(), 0);

        let outbox = outbox(folder.path(), &sink).await;
        let delivering = tokio::spawn(outbox.clone().deliver(std::future::pending()));
        let sent = outbox.send("app@contoso.com", "tim@fabrikam.com", b"Subject: 2\r\n\r\n".to_vec());
        let id = sent.await.unwrap();
        let told = tokio::time::timeout(patience::LONGEST, async {
            while outbox.outcomes(id).await.unwrap().is_empty() || sink.taken().len() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            outbox.outcomes(id).await.unwrap()
        });
        let told = told.await.expect("both leave");
        assert!(
            matches!(told.as_slice(), [(to, Outcome::Delivered(_))] if to.address.to_string() == "tim@fabrikam.com"),
            "{told:?}"
        );
        let mut recipients: Vec<_> = sink.taken().into_iter().flat_map(|taken| taken.recipients).collect();
        recipients.sort();
        assert_eq!(recipients, ["<jane@fabrikam.com>", "<tim@fabrikam.com>"]);
        delivering.abort();
    }
}
