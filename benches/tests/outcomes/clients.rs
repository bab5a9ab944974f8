//! The three clients, and their answers in one language.

use std::net::SocketAddr;

use lettre::AsyncTransport as _;
use postroad_message::{Content, Envelope, Failure, Outcome, Recipient, ReversePath};
use postroad_smtp_client::{Destination, Hosts, SmartHost, SmtpClient, TlsPolicy, TrustAnchors};

use crate::RECIPIENTS;

const SENDER: &str = "joe@client.test";
const CONTENT: &[u8] = b"Subject: tea\r\n\r\nAt four.\r\n";

#[derive(Clone, Copy)]
pub(crate) enum Client {
    Postroad,
    Lettre,
    MailSend,
}

impl Client {
    /// Sends one message to all three, and tells what the caller is told: of each, or once of all.
    pub(crate) async fn send(self, host: SocketAddr) -> Vec<String> {
        match self {
            Self::Postroad => postroad(host).await,
            Self::Lettre => vec![lettre(host).await],
            Self::MailSend => vec![mail_send(host).await],
        }
    }
}

fn recipients() -> [String; 3] {
    RECIPIENTS.map(|name| format!("{name}@host.test"))
}

async fn postroad(host: SocketAddr) -> Vec<String> {
    let client = SmtpClient::builder()
        .name_servers([([127, 0, 0, 1], 9).into()])
        .trust_anchors(TrustAnchors::Store(rustls::RootCertStore::empty().into()))
        .build()
        .expect("a client");
    let hosts = Hosts::SmartHosts(vec![SmartHost::Address(host.ip())]);
    let mut destination = Destination::new(hosts, "client.test".parse().expect("a domain"));
    (destination.port, destination.tls) = (host.port(), TlsPolicy::Never);
    let to = recipients().map(|text| Recipient::new(text.parse().expect("an address")));
    let envelope = Envelope::new(ReversePath::Mailbox(SENDER.parse().expect("a mailbox")), to.into());
    let content = Content::from(CONTENT.to_vec());
    let outcomes = client.deliver(&destination, &envelope, &envelope.recipients, &content).await;
    client.close_idle().await;
    outcomes.iter().map(outcome).collect()
}

fn outcome(outcome: &Outcome) -> String {
    let with_code = |word: &str, failure: &Failure| match &failure.reply {
        Some(reply) => format!("{word} {}", reply.code),
        None => word.to_owned(),
    };
    match outcome {
        Outcome::Delivered(_) => "taken".to_owned(),
        Outcome::Deferred(failure) => with_code("deferred", failure),
        Outcome::Failed(failure) => with_code("failed", failure),
        Outcome::Ambiguous(_) => "ambiguous".to_owned(),
        other => panic!("no such answer was asked for: {other:?}"),
    }
}

async fn lettre(host: SocketAddr) -> String {
    type Mailer = lettre::AsyncSmtpTransport<lettre::Tokio1Executor>;
    let mailer = Mailer::builder_dangerous(host.ip().to_string()).port(host.port()).build();
    let address = |text: &str| text.parse::<lettre::Address>().expect("an address");
    let to = recipients().iter().map(|text| address(text)).collect();
    let envelope = lettre::address::Envelope::new(Some(address(SENDER)), to).expect("an envelope");
    let answer = match mailer.send_raw(&envelope, CONTENT).await {
        Ok(_) => "taken".to_owned(),
        Err(error) => match error.status().map(|code| code.to_string()) {
            Some(code) if error.is_permanent() => format!("failed {code}"),
            Some(code) if error.is_transient() => format!("deferred {code}"),
            _ => "error".to_owned(),
        },
    };
    mailer.shutdown().await;
    answer
}

async fn mail_send(host: SocketAddr) -> String {
    let builder = mail_send::SmtpClientBuilder::new(host.ip().to_string(), host.port());
    let mut client = builder.expect("a certificate store").connect_plain().await.expect("a host");
    let to = recipients();
    let message = mail_send::smtp::message::Message::new(SENDER, to.iter().map(String::as_str), CONTENT);
    match client.send(message).await {
        Ok(()) => "taken".to_owned(),
        Err(mail_send::Error::UnexpectedReply(reply)) if reply.code >= 500 => {
            format!("failed {}", reply.code)
        }
        Err(mail_send::Error::UnexpectedReply(reply)) => format!("deferred {}", reply.code),
        Err(_) => "error".to_owned(),
    }
}
