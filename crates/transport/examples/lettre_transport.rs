//! A transport for lettre that sends through connectors: the application's messages stay as they are, the routing table says which way each takes.
//!
//! lettre's own transport has one host, and one answer for a whole message. This one chooses a connector for each recipient, and where not all
//! were served its error says of each what became of it: who has the message, whom to try again, who will never have it.
//!
//! `lettre_transport HOST PORT FROM TO...` sends a greeting; what goes to contoso.com stays in the house, at `[127.0.0.1]:25`.

use std::fmt;

use async_trait::async_trait;
use lettre::{AsyncTransport, Message};
use postroad_address_space::{Address, Mailbox, ParseError};
use postroad_connector::{Refusal, RoutingTable, SendConnector, Sender, Topology};
use postroad_message::{
    Content, EnhancedStatus, Envelope, Failure, Fault, Outcome, Phase, Recipient, ReversePath, Scope,
};
use postroad_queue::{DeliveryId, MessageId};
use postroad_smtp_client::SmtpClient;
use postroad_transport::{Deliver as _, Job, Names, NoCredentials, SmtpDeliver};

/// Takes the place of lettre's `AsyncSmtpTransport`.
struct ConnectorTransport {
    table: RoutingTable,
    client: SmtpClient,
    smtp: SmtpDeliver,
}

impl ConnectorTransport {
    fn new(table: RoutingTable, client: SmtpClient, names: Names) -> Self {
        Self { smtp: SmtpDeliver::new(client.clone(), names, NoCredentials), table, client }
    }
}

#[async_trait]
impl AsyncTransport for ConnectorTransport {
    /// Somebody took the message for each recipient, in the envelope's order.
    type Ok = Vec<Outcome>;
    type Error = SendError;

    async fn send_raw(
        &self,
        envelope: &lettre::address::Envelope,
        email: &[u8],
    ) -> Result<Self::Ok, SendError> {
        let from: Option<Mailbox> = envelope.from().map(|from| Mailbox::parse(from.as_ref())).transpose()?;
        let (sender, reverse_path) = match from {
            Some(from) => (Sender::Mailbox(from.clone()), ReversePath::Mailbox(from)),
            None => (Sender::Null, ReversePath::Null),
        };
        let to: Vec<Address> =
            envelope.to().iter().map(|to| Address::parse(to.as_ref())).collect::<Result<_, _>>()?;
        let content = Content::from(email.to_vec());
        let partition = self.table.partition(&sender, &to, content.len() as u64);
        // Stays so for those whom no connector takes now.
        let mut outcomes = vec![Outcome::Deferred(unreachable()); to.len()];
        for (place, refusal) in &partition.refused {
            outcomes[*place] = Outcome::Failed(refused(refusal));
        }
        for group in partition.groups() {
            let recipients = group.recipients.iter().map(|place| Recipient::new(to[*place].clone()));
            let part = Envelope::new(reverse_path.clone(), recipients.collect());
            // There is no queue that would number them: who needs one has `Pipeline`.
            let (message, delivery) = (MessageId::from_u64(1), DeliveryId::from_u64(1));
            let (connector, destination) = (group.route.connector, group.route.destination());
            let mut job = Job::new(connector, destination, &part, &content, message, delivery);
            job.server = group.route.server().and_then(|name| self.table.topology().address_of(name));
            for (place, outcome) in group.recipients.iter().zip(self.smtp.deliver(job).await) {
                outcomes[*place] = outcome;
            }
        }
        if outcomes.iter().all(Outcome::is_success) {
            Ok(outcomes)
        } else {
            Err(SendError::Undelivered(outcomes))
        }
    }

    async fn shutdown(&self) {
        self.client.close_idle().await;
    }
}

/// Why not everybody was served.
#[derive(Debug, PartialEq)]
enum SendError {
    /// An address that lettre takes and RFC 5321 does not; nothing was sent.
    Address(ParseError),
    /// What became of each recipient, in the envelope's order; some may have been served.
    Undelivered(Vec<Outcome>),
}

impl From<ParseError> for SendError {
    fn from(error: ParseError) -> Self {
        Self::Address(error)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Undelivered(outcomes) => {
                let failures = outcomes.iter().filter_map(Outcome::failure);
                write!(f, "{} of {} recipients not served", failures.clone().count(), outcomes.len())?;
                failures.into_iter().try_for_each(|failure| write!(f, "; {failure}"))
            }
        }
    }
}

impl std::error::Error for SendError {}

fn unreachable() -> Failure {
    let status = EnhancedStatus::transient(4, 4);
    Failure::new(
        status,
        Fault::Configuration,
        Scope::Recipient,
        Phase::Routing,
        "no connector takes this address now",
    )
}

fn refused(refusal: &Refusal) -> Failure {
    let status = match refusal {
        Refusal::TooLarge { .. } => EnhancedStatus::permanent(3, 4),
        _ => EnhancedStatus::permanent(1, 2),
    };
    Failure::new(status, Fault::Message, Scope::Recipient, Phase::Routing, refusal.to_string())
}

/// A connector that hands everything in these address spaces to one smart host.
fn to_smart_host(
    name: &str,
    spaces: &[&str],
    host: &str,
    port: u16,
) -> Result<SendConnector, Box<dyn std::error::Error>> {
    let spaces = spaces.iter().map(|space| space.parse()).collect::<Result<_, _>>()?;
    let mut connector = SendConnector::new(name, spaces);
    (connector.smart_hosts, connector.port) = (vec![host.parse()?], port);
    Ok(connector)
}

fn names() -> Result<Names, ParseError> {
    Ok(Names::new("hub01.contoso.com".parse()?, "contoso.com".parse()?))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, from, recipients @ ..] = arguments.as_slice() else {
        return Err("HOST PORT FROM TO...".into());
    };
    let inside = to_smart_host("Inside", &["contoso.com"], "[127.0.0.1]", 25)?;
    let outside = to_smart_host("Internet", &["*"], host, port.parse()?)?;
    let table = RoutingTable::build(vec![inside.into(), outside.into()], Topology::new("hub01"), vec![])?;
    let mailer = ConnectorTransport::new(table, SmtpClient::new()?, names()?);
    // From here on it is lettre.
    let mut message = Message::builder().from(from.parse()?).subject("Hello");
    for recipient in recipients {
        message = message.to(recipient.parse()?);
    }
    println!("{:?}", mailer.send(message.body("Hello.".to_owned())?).await?);
    mailer.shutdown().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use postroad_interop::Sink;
    use postroad_interop::sink::Manner;
    use postroad_smtp_client::TrustAnchors;

    use super::*;

    /// contoso.com at one host, all others at the other.
    fn mailer(inside: &Sink, outside: &Sink) -> ConnectorTransport {
        let connector = |name, space, sink: &Sink| {
            to_smart_host(name, &[space], "[127.0.0.1]", sink.address().port()).unwrap().into()
        };
        let connectors =
            vec![connector("Inside", "contoso.com", inside), connector("Internet", "*", outside)];
        let table = RoutingTable::build(connectors, Topology::new("hub01"), vec![]).unwrap();
        let client = SmtpClient::builder()
            .name_servers([([127, 0, 0, 1], 9).into()])
            .trust_anchors(TrustAnchors::Store(rustls::RootCertStore::empty().into()));
        ConnectorTransport::new(table, client.build().unwrap(), names().unwrap())
    }

    fn message() -> Message {
        Message::builder()
            .from("Joe <joe@contoso.com>".parse().unwrap())
            .to("Jane <jane@fabrikam.com>".parse().unwrap())
            .cc("tim@contoso.com".parse().unwrap())
            .bcc("ann@example.org".parse().unwrap())
            .subject("Tea")
            .body("At four.\r\n.\r\nOr five.\r\n".to_owned())
            .unwrap()
    }

    #[tokio::test]
    async fn each_recipient_goes_by_its_connector_and_the_message_stays_as_it_is() {
        let (inside, outside) = (Sink::start(), Sink::start());
        let mailer = mailer(&inside, &outside);
        let (message, formatted) = (message(), message().formatted());
        let outcomes = mailer.send(message).await.unwrap();
        assert_eq!(outcomes.len(), 3);
        mailer.shutdown().await;
        for (sink, expected) in
            [(&inside, &["<tim@contoso.com>"][..]), (&outside, &["<jane@fabrikam.com>", "<ann@example.org>"])]
        {
            let taken = sink.taken();
            assert_eq!(taken.len(), 1);
            assert_eq!(taken[0].recipients, expected);
            assert!(taken[0].reverse_path.starts_with("<joe@contoso.com>"), "{}", taken[0].reverse_path);
            let content = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(content(&taken[0].content), content(&formatted));
        }
    }

    #[tokio::test]
    async fn a_host_that_refuses_costs_nobody_elsewhere_the_message_and_the_error_tells_them_apart() {
        let (inside, outside) = (Sink::start(), Sink::start());
        inside.behave(Manner::RefusesRecipients);
        let refused = mailer(&inside, &outside).send(message()).await.unwrap_err();
        let SendError::Undelivered(outcomes) = &refused else { panic!("{refused:?}") };
        // In lettre's order: To, Cc, Bcc.
        let [Outcome::Delivered(_), Outcome::Failed(failure), Outcome::Delivered(_)] = outcomes.as_slice()
        else {
            panic!("{outcomes:?}")
        };
        assert_eq!(failure.status, EnhancedStatus::permanent(1, 1));
        assert!(refused.to_string().starts_with("1 of 3 recipients not served; 5.1.1 "), "{refused}");
        assert_eq!((inside.taken().len(), outside.taken().len()), (0, 1));
    }
}
