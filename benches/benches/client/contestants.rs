//! Everybody who sends: the bare exchange that nothing can beat, ours, and the two clients that Rust programs use.

use std::time::Duration;

use lettre::AsyncTransport as _;
use lettre::transport::smtp::PoolConfig;
use postroad_message::{Content, Envelope, Outcome, Recipient, ReversePath};
use postroad_smtp_client::{Destination, Hosts, SmartHost, SmtpClient, TlsPolicy, TrustAnchors};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Work;

/// The first is what the others are compared with.
pub(crate) const CONTESTANTS: [Contestant; 4] =
    [Contestant::Bare, Contestant::Postroad, Contestant::Lettre, Contestant::MailSend];

#[derive(Clone, Copy)]
pub(crate) enum Contestant {
    Bare,
    Postroad,
    Lettre,
    MailSend,
}

impl Contestant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare pipelined exchange",
            Self::Postroad => "**postroad**",
            Self::Lettre => "lettre 0.11",
            Self::MailSend => "mail-send 0.6",
        }
    }

    /// Does the work over so many connections at once.
    pub(crate) async fn run(self, work: Work, connections: u64) {
        let mut senders = JoinSet::new();
        let client = postroad();
        let mailer = lettre(&work, connections);
        for _ in 0..connections {
            let work = work.clone();
            match self {
                Self::Bare => drop(senders.spawn(send_bare(work))),
                Self::Postroad => drop(senders.spawn(send_postroad(client.clone(), work))),
                Self::Lettre => drop(senders.spawn(send_lettre(mailer.clone(), work))),
                Self::MailSend => drop(senders.spawn(send_mail_send(work))),
            }
        }
        while let Some(ended) = senders.join_next().await {
            ended.expect("a contestant that does not panic");
        }
    }
}

async fn send_bare(work: Work) {
    let mut stream = BufReader::new(TcpStream::connect(work.address).await.expect("a receiver"));
    stream.get_mut().set_nodelay(true).expect("a socket");
    let mut line = Vec::new();
    reply(&mut stream, &mut line).await;
    stream.write_all(b"EHLO bench.example\r\n").await.expect("a receiver");
    reply(&mut stream, &mut line).await;
    let body = [work.content.as_slice(), b".\r\n"].concat();
    for _ in 0..work.each {
        let envelope = b"MAIL FROM:<a@bench.example>\r\nRCPT TO:<b@bench.example>\r\nDATA\r\n";
        stream.write_all(envelope).await.expect("a receiver");
        for _ in 0..3 {
            reply(&mut stream, &mut line).await;
        }
        stream.write_all(&body).await.expect("a receiver");
        reply(&mut stream, &mut line).await;
        if !work.sent() {
            break;
        }
    }
    stream.write_all(b"QUIT\r\n").await.expect("a receiver");
    reply(&mut stream, &mut line).await;
}

async fn reply(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) {
    loop {
        line.clear();
        stream.read_until(b'\n', line).await.expect("a receiver");
        assert!(matches!(line.first(), Some(b'2' | b'3')), "{}", String::from_utf8_lossy(line));
        if line.get(3) == Some(&b' ') {
            return;
        }
    }
}

fn postroad() -> SmtpClient {
    let nobody = TrustAnchors::Store(rustls::RootCertStore::empty().into());
    SmtpClient::builder()
        .name_servers([([127, 0, 0, 1], 9).into()])
        .trust_anchors(nobody)
        .build()
        .expect("a client")
}

async fn send_postroad(client: SmtpClient, work: Work) {
    let host = SmartHost::Address(work.address.ip());
    let mut destination =
        Destination::new(Hosts::SmartHosts(vec![host]), "bench.example".parse().expect("a domain"));
    destination.port = work.address.port();
    destination.tls = TlsPolicy::Never;
    // As the others have it.
    destination.max_messages_per_connection = u32::MAX;
    let envelope = Envelope::new(
        ReversePath::Mailbox("a@bench.example".parse().expect("a mailbox")),
        vec![Recipient::new("b@bench.example".parse().expect("an address"))],
    );
    let content = Content::from(work.content.to_vec());
    for _ in 0..work.each {
        let outcomes = client.deliver(&destination, &envelope, &envelope.recipients, &content).await;
        assert!(matches!(outcomes.as_slice(), [Outcome::Delivered(_)]), "{outcomes:?}");
        if !work.sent() {
            break;
        }
    }
}

type Mailer = lettre::AsyncSmtpTransport<lettre::Tokio1Executor>;

fn lettre(work: &Work, connections: u64) -> Mailer {
    let most = u32::try_from(connections).unwrap_or(u32::MAX);
    let pool = PoolConfig::new().max_size(most).min_idle(0).idle_timeout(Duration::from_secs(60));
    Mailer::builder_dangerous(work.address.ip().to_string())
        .port(work.address.port())
        .pool_config(pool)
        .build()
}

async fn send_lettre(mailer: Mailer, work: Work) {
    let address = |text: &str| text.parse::<lettre::Address>().expect("an address");
    let envelope =
        lettre::address::Envelope::new(Some(address("a@bench.example")), vec![address("b@bench.example")])
            .expect("an envelope");
    for _ in 0..work.each {
        mailer.send_raw(&envelope, &work.content).await.expect("a receiver");
        if !work.sent() {
            break;
        }
    }
}

async fn send_mail_send(work: Work) {
    let host = work.address.ip().to_string();
    let builder = mail_send::SmtpClientBuilder::new(host, work.address.port()).expect("a certificate store");
    let mut client = builder.connect_plain().await.expect("a receiver");
    for _ in 0..work.each {
        let recipients = ["b@bench.example"];
        let message =
            mail_send::smtp::message::Message::new("a@bench.example", recipients, work.content.as_slice());
        client.send(message).await.expect("a receiver");
        if !work.sent() {
            break;
        }
    }
    client.quit().await.expect("a receiver");
}
