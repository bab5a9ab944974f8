//! Everybody who sends: the bare exchange that nothing can beat, ours, the two clients that Rust programs use, and Postfix's load generator.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lettre::AsyncTransport as _;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use postroad_message::{Envelope, Outcome, Recipient, ReversePath, Shape};
use postroad_smtp_client::{
    Destination, Hosts, SmartHost, SmtpClient, TlsPolicy, TrustAnchors, Verification,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::Work;

/// The first is what the others are compared with.
pub(crate) const CONTESTANTS: [Contestant; 5] = [
    Contestant::Bare,
    Contestant::Postroad,
    Contestant::Lettre,
    Contestant::MailSend,
    Contestant::SmtpSource,
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contestant {
    Bare,
    Postroad,
    Lettre,
    MailSend,
    /// A program of its own, without TLS.
    SmtpSource,
}

impl Contestant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare pipelined exchange",
            Self::Postroad => "**postroad**",
            Self::Lettre => "lettre 0.11",
            Self::MailSend => "mail-send 0.6",
            Self::SmtpSource => "smtp-source",
        }
    }

    /// Whether it can do this work on this machine.
    pub(crate) fn takes_part(self, authority: Option<&Path>) -> bool {
        let is_installed =
            || Command::new("smtp-source").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        self != Self::SmtpSource || authority.is_none() && is_installed()
    }

    /// Makes what is made once for a process, which is no message's cost: certificate stores above all.
    pub(crate) fn prepare(self, work: &Work, connections: u64) -> Prepared {
        match self {
            Self::Bare => Prepared::Bare,
            Self::Postroad => Prepared::Postroad(postroad()),
            Self::Lettre => Prepared::Lettre(lettre(work, connections)),
            Self::MailSend => Prepared::MailSend(mail_send(work)),
            Self::SmtpSource => Prepared::SmtpSource,
        }
    }
}

/// A contestant at the start.
pub(crate) enum Prepared {
    Bare,
    Postroad(SmtpClient),
    Lettre(Mailer),
    MailSend(Builder),
    SmtpSource,
}

impl Prepared {
    /// Does the work over so many connections at once.
    pub(crate) async fn run(&self, work: Work, connections: u64) {
        let mut senders = JoinSet::new();
        for _ in 0..connections {
            let work = work.clone();
            match self {
                Self::Bare => drop(senders.spawn(send_bare(work))),
                Self::Postroad(client) => drop(senders.spawn(send_postroad(client.clone(), work))),
                Self::Lettre(mailer) => drop(senders.spawn(send_lettre(mailer.clone(), work))),
                Self::MailSend(builder) => drop(senders.spawn(send_mail_send(builder.clone(), work))),
                // One program has all the connections.
                Self::SmtpSource => return smtp_source(&work, connections),
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
    reply(&mut stream, &mut Vec::new()).await;
    let Some(authority) = &work.authority else { return send_bare_messages(stream, &work).await };
    for command in [&b"EHLO bench.example\r\n"[..], b"STARTTLS\r\n"] {
        stream.write_all(command).await.expect("a receiver");
        reply(&mut stream, &mut Vec::new()).await;
    }
    let name = ServerName::from(work.address.ip());
    let stream = connector(authority).connect(name, stream.into_inner()).await.expect("a handshake");
    send_bare_messages(BufReader::new(stream), &work).await;
}

fn connector(authority: &Path) -> TlsConnector {
    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_file(authority).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let configuration = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(configuration))
}

async fn send_bare_messages<S: AsyncBufRead + AsyncWrite + Unpin>(mut stream: S, work: &Work) {
    let mut line = Vec::new();
    say(&mut stream, b"EHLO bench.example\r\n").await;
    reply(&mut stream, &mut line).await;
    let body = [work.content.head(), b".\r\n"].concat();
    for _ in 0..work.each {
        say(&mut stream, b"MAIL FROM:<a@bench.example>\r\nRCPT TO:<b@bench.example>\r\nDATA\r\n").await;
        for _ in 0..3 {
            reply(&mut stream, &mut line).await;
        }
        say(&mut stream, &body).await;
        reply(&mut stream, &mut line).await;
        if !work.sent() {
            break;
        }
    }
    say(&mut stream, b"QUIT\r\n").await;
    reply(&mut stream, &mut line).await;
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("a receiver");
    stream.flush().await.expect("a receiver");
}

async fn reply<S: AsyncBufRead + Unpin>(stream: &mut S, line: &mut Vec<u8>) {
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
    // A certificate is looked at once a connection, and nobody but the bare exchange looks at it here.
    destination.tls = match work.authority {
        Some(_) => TlsPolicy::required(Verification::EncryptionOnly),
        None => TlsPolicy::Never,
    };
    // As the others have it.
    destination.max_messages_per_connection = u32::MAX;
    let envelope = Envelope::new(
        ReversePath::Mailbox("a@bench.example".parse().expect("a mailbox")),
        vec![Recipient::new("b@bench.example".parse().expect("an address"))],
    );
    for _ in 0..work.each {
        // Kept with a content once it was found; here all messages are one, and in a queue none is another.
        std::hint::black_box(Shape::of(work.content.head()));
        let outcomes = client.deliver(&destination, &envelope, &envelope.recipients, &work.content).await;
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
    let host = work.address.ip().to_string();
    let tls = work.authority.as_ref().map(|_| {
        let parameters = TlsParameters::builder(host.clone()).dangerous_accept_invalid_certs(true);
        Tls::Required(parameters.build().expect("parameters of TLS"))
    });
    Mailer::builder_dangerous(host)
        .port(work.address.port())
        .tls(tls.unwrap_or(Tls::None))
        .pool_config(pool)
        .build()
}

async fn send_lettre(mailer: Mailer, work: Work) {
    let address = |text: &str| text.parse::<lettre::Address>().expect("an address");
    let envelope =
        lettre::address::Envelope::new(Some(address("a@bench.example")), vec![address("b@bench.example")])
            .expect("an envelope");
    for _ in 0..work.each {
        mailer.send_raw(&envelope, work.content.head()).await.expect("a receiver");
        if !work.sent() {
            break;
        }
    }
}

type Builder = mail_send::SmtpClientBuilder<String>;

fn mail_send(work: &Work) -> Builder {
    let builder =
        Builder::new(work.address.ip().to_string(), work.address.port()).expect("a certificate store");
    if work.authority.is_some() { builder.implicit_tls(false).allow_invalid_certs() } else { builder }
}

async fn send_mail_send(builder: Builder, work: Work) {
    if work.authority.is_some() {
        send_mail_send_messages(builder.connect().await.expect("a receiver"), &work).await;
    } else {
        send_mail_send_messages(builder.connect_plain().await.expect("a receiver"), &work).await;
    }
}

async fn send_mail_send_messages<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: mail_send::SmtpClient<S>,
    work: &Work,
) {
    for _ in 0..work.each {
        let content = work.content.head();
        let message = mail_send::smtp::message::Message::new("a@bench.example", ["b@bench.example"], content);
        client.send(message).await.expect("a receiver");
        if !work.sent() {
            break;
        }
    }
    client.quit().await.expect("a receiver");
}

/// As many messages as are allotted; it knows no end of time, so the caller allots what fits.
fn smtp_source(work: &Work, connections: u64) {
    let (messages, length) = (work.each * connections, work.content.len());
    let mut command = Command::new("smtp-source");
    command.args(["-d", "-f", "a@bench.example", "-t", "b@bench.example"]);
    command.args(["-s", &connections.to_string(), "-m", &messages.to_string(), "-l", &length.to_string()]);
    let output = command.arg(work.address.to_string()).output().expect("run smtp-source");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    work.sent.fetch_add(messages, std::sync::atomic::Ordering::Relaxed);
}
