//! A server that does what a test tells it, and the certificates it shows.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use postroad_address_space::{Address, Domain};
use postroad_message::{Content, Envelope, Outcome, Recipient, ReversePath};
use postroad_smtp_client::{
    Answer, BoxFuture, ClientCertificate, Destination, Hosts, MxRecord, Resolve, Security, SmartHost,
    SmtpClient, SmtpClientBuilder, TrustAnchors,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What the server does; what is not said it does right.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    pub(crate) capabilities: Vec<&'static str>,
    /// The reply to any line, by how the line begins.
    pub(crate) replies: HashMap<&'static str, &'static str>,
    pub(crate) max_recipients: Option<usize>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) implicit_tls: bool,
    /// Answers a ClientHello with these bytes where it has no `tls`, and hangs up.
    pub(crate) answers_hello: Option<Vec<u8>>,
    /// Hangs up instead of answering a line that begins so.
    pub(crate) hangs_up_at: Option<&'static str>,
    /// Says nothing to a line that begins so.
    pub(crate) silent_at: Option<&'static str>,
    /// Says this once the content begins, and hangs up.
    pub(crate) refuses_content: Option<&'static str>,
    /// After so many messages on one connection says this, unasked, and hangs up.
    pub(crate) farewell: Option<(usize, &'static str)>,
    /// Once a connection has carried a message, answers a line that begins so with this, and with nothing hangs up.
    pub(crate) second: Option<(&'static str, &'static str)>,
    /// Answers the end of the content for each recipient.
    pub(crate) lmtp: bool,
    /// Replies in two pieces, so that a client has more to wait for.
    pub(crate) hesitates: bool,
}

/// What it saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    /// Where each of them came from.
    pub(crate) peers: Vec<IpAddr>,
    pub(crate) lines: Vec<String>,
    pub(crate) messages: Vec<(Vec<String>, Vec<u8>)>,
    /// Connections that have ended.
    pub(crate) ended: usize,
    /// Which certificate each TLS connection showed, if any.
    pub(crate) certificates: Vec<Option<CertificateDer<'static>>>,
    /// Which server each TLS connection asked for (SNI).
    pub(crate) server_names: Vec<Option<String>>,
}

pub(crate) struct Pretend {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    changed: Arc<Notify>,
}

impl Pretend {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        Self::start_at("127.0.0.1:0", behaviour).await
    }

    pub(crate) async fn start_at(address: &str, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port on loopback");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let changed = Arc::new(Notify::new());
        let (shared, notify) = (seen.clone(), changed.clone());
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket that stands");
                {
                    let mut seen = shared.lock().expect("no panic");
                    seen.connections += 1;
                    seen.peers.push(peer.ip());
                }
                let (behaviour, seen, notify) = (behaviour.clone(), shared.clone(), notify.clone());
                tokio::spawn(async move {
                    serve(stream, behaviour, seen.clone()).await;
                    seen.lock().expect("no panic").ended += 1;
                    notify.notify_one();
                });
            }
        });
        Self { address, seen, changed }
    }

    /// Waits until so many connections have ended.
    pub(crate) async fn ended(&self, connections: usize) {
        while self.seen(|seen| seen.ended) < connections {
            self.changed.notified().await;
        }
    }

    pub(crate) fn seen<T>(&self, look: impl Fn(&Seen) -> T) -> T {
        look(&self.seen.lock().expect("no panic"))
    }

    /// How many lines began so.
    pub(crate) fn heard(&self, start: &str) -> usize {
        self.seen(|seen| seen.lines.iter().filter(|line| line.starts_with(start)).count())
    }

    pub(crate) fn destination(&self) -> Destination {
        let host = SmartHost::Address(self.address.ip());
        destination(Hosts::SmartHosts(vec![host]), self.address.port())
    }
}

pub(crate) fn destination(hosts: Hosts, port: u16) -> Destination {
    let mut destination = Destination::new(hosts, "hub.test".parse().expect("a domain"));
    destination.port = port;
    destination
}

async fn serve(stream: TcpStream, behaviour: Behaviour, seen: Arc<Mutex<Seen>>) {
    match &behaviour.tls {
        Some(tls) if behaviour.implicit_tls => {
            if let Ok(stream) = TlsAcceptor::from(tls.clone()).accept(stream).await {
                note_handshake(&stream, &seen);
                converse(BufReader::new(stream), true, &behaviour, &seen).await;
            }
        }
        _ => {
            let mut stream = BufReader::new(stream);
            if !behaviour.implicit_tls && !converse(&mut stream, true, &behaviour, &seen).await {
                return;
            }
            if let Some(answer) = &behaviour.answers_hello {
                let hello = stream.fill_buf().await.map_or(0, <[u8]>::len);
                stream.consume(hello);
                let _ = stream.write_all(answer).await;
                // It hangs up behind the client, whose last words would reset the connection else.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            } else if let Some(tls) = &behaviour.tls
                && let Ok(stream) = TlsAcceptor::from(tls.clone()).accept(stream.into_inner()).await
            {
                note_handshake(&stream, &seen);
                converse(BufReader::new(stream), false, &behaviour, &seen).await;
            }
        }
    }
}

fn note_handshake(stream: &TlsStream<TcpStream>, seen: &Mutex<Seen>) {
    let connection = stream.get_ref().1;
    let shown = connection.peer_certificates().and_then(<[_]>::first).cloned();
    let mut seen = seen.lock().expect("no panic");
    seen.certificates.push(shown.map(CertificateDer::into_owned));
    seen.server_names.push(connection.server_name().map(str::to_owned));
}

/// Whether TLS is to begin.
async fn converse<S>(mut stream: S, greet: bool, behaviour: &Behaviour, seen: &Mutex<Seen>) -> bool
where
    S: AsyncBufReadExt + AsyncWrite + AsyncRead + Unpin,
{
    if greet && stream.write_all(behaviour.replies.get("").unwrap_or(&"220 mx\r\n").as_bytes()).await.is_err()
    {
        return false;
    }
    let (mut recipients, mut messages) = (Vec::new(), 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
            return false;
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        seen.lock().expect("no panic").lines.push(text.clone());
        if behaviour.hangs_up_at.is_some_and(|start| text.starts_with(start)) {
            return false;
        }
        let second = behaviour.second.filter(|(start, _)| messages > 0 && text.starts_with(start));
        if second.is_some_and(|(_, reply)| reply.is_empty()) {
            return false;
        }
        if behaviour.silent_at.is_some_and(|start| text.starts_with(start)) {
            continue;
        }
        let given =
            behaviour.replies.iter().find(|(start, _)| !start.is_empty() && text.starts_with(**start));
        let given = second.map(|(_, reply)| reply).or(given.map(|(_, reply)| *reply));
        let verb = text.get(..4).unwrap_or_default();
        let mut reply = given.unwrap_or("250 fine\r\n").to_owned();
        match verb {
            _ if given.is_some() => {}
            "EHLO" | "LHLO" => {
                let lines = behaviour.capabilities.iter().map(|word| format!("250-{word}\r\n"));
                reply = std::iter::once("250-mx\r\n".to_owned())
                    .chain(lines)
                    .chain(["250 HELP\r\n".to_owned()])
                    .collect();
            }
            "STAR" => {
                return stream.write_all(b"220 go\r\n").await.is_ok();
            }
            "RCPT" if behaviour.max_recipients == Some(recipients.len()) => {
                reply = "452 4.5.3 too many\r\n".into()
            }
            "RCPT" => recipients
                .push(text.trim_start_matches("RCPT TO:<").split('>').next().unwrap_or_default().to_owned()),
            "MAIL" | "RSET" => recipients.clear(),
            "AUTH" => reply = "235 ok\r\n".into(),
            "QUIT" => reply = "221 bye\r\n".into(),
            "DATA" | "BDAT" => {
                if verb == "DATA" && stream.write_all(b"354 go on\r\n").await.is_err() {
                    return false;
                }
                if let Some(refusal) = behaviour.refuses_content {
                    let _ = stream.write_all(refusal.as_bytes()).await;
                    return false;
                }
                let read = match text.strip_prefix("BDAT ") {
                    Some(chunk) => octets(&mut stream, chunk).await,
                    None => content(&mut stream).await,
                };
                let Some(content) = read else { return false };
                let hangs_up = behaviour.second.is_some_and(|(start, _)| messages > 0 && start == ".");
                if behaviour.hangs_up_at == Some(".") || hangs_up {
                    return false;
                }
                if behaviour.silent_at == Some(".") {
                    continue;
                }
                seen.lock().expect("no panic").messages.push((std::mem::take(&mut recipients), content));
                messages += 1;
                if behaviour.lmtp {
                    reply = reply
                        .repeat(seen.lock().expect("no panic").messages.last().map_or(0, |(to, _)| to.len()));
                }
                if let Some((_, farewell)) = behaviour.farewell.filter(|(after, _)| *after == messages) {
                    reply.push_str(farewell);
                    let _ = stream.write_all(reply.as_bytes()).await;
                    return false;
                }
            }
            _ => {}
        }
        if behaviour.hesitates && stream.write_all(reply.drain(..1).as_str().as_bytes()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        if stream.write_all(reply.as_bytes()).await.is_err()
            || stream.flush().await.is_err()
            || verb == "QUIT"
        {
            return false;
        }
    }
}

/// A last chunk; `None` if it does not come.
async fn octets<S: AsyncRead + Unpin>(stream: &mut S, chunk: &str) -> Option<Vec<u8>> {
    let length = chunk.strip_suffix(" LAST")?.parse().ok()?;
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await.is_ok().then_some(content)
}

/// Up to the final dot; `None` if it does not come.
async fn content<S: AsyncBufReadExt + Unpin>(stream: &mut S) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let start = content.len();
        if stream.read_until(b'\n', &mut content).await.unwrap_or(0) == 0 {
            return None;
        }
        if &content[start..] == b".\r\n" {
            content.truncate(start);
            return Some(content);
        }
        if content[start] == b'.' {
            content.remove(start);
        }
    }
}

/// Names as a table of hosts, and one MX set for every domain.
pub(crate) struct Zone {
    pub(crate) mx: Vec<(u16, &'static str)>,
    pub(crate) addresses: Vec<(&'static str, IpAddr)>,
}

impl Resolve for Zone {
    fn mx<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Answer<MxRecord>> {
        let records: Vec<MxRecord> =
            self.mx.iter().map(|(preference, host)| MxRecord::new(*preference, *host)).collect();
        let answer =
            if records.is_empty() { Answer::NoData } else { Answer::records(records, Security::Insecure) };
        Box::pin(std::future::ready(answer))
    }

    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Answer<IpAddr>> {
        let records: Vec<IpAddr> =
            self.addresses.iter().filter(|(name, _)| *name == host).map(|(_, ip)| *ip).collect();
        let answer = if records.is_empty() {
            Answer::NoSuchName
        } else {
            Answer::records(records, Security::Insecure)
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Hosts `m1`, `m2`, ... at 127.0.0.1, 127.0.0.2, ..., best first, for every domain.
pub(crate) fn mx_hosts(count: u8) -> Zone {
    let names = ["m1.test", "m2.test", "m3.test"];
    let hosts = || names.into_iter().zip(1..=count);
    Zone {
        mx: hosts().map(|(name, n)| (u16::from(n) * 10, name)).collect(),
        addresses: hosts().map(|(name, n)| (name, IpAddr::from([127, 0, 0, n]))).collect(),
    }
}

/// A builder that asks nobody and trusts nobody.
pub(crate) fn builder(zone: Zone) -> SmtpClientBuilder {
    SmtpClient::builder()
        .resolver(Arc::new(zone))
        .trust_anchors(TrustAnchors::Store(Arc::new(RootCertStore::empty())))
        .allow_loopback_mx(true)
}

pub(crate) fn client() -> SmtpClient {
    builder(mx_hosts(0)).build().expect("a client")
}

pub(crate) fn by_mx(port: u16) -> Destination {
    destination(Hosts::Mx(Domain::parse("b.test").expect("a domain")), port)
}

/// One small message to these.
pub(crate) async fn deliver(client: &SmtpClient, to: &Destination, recipients: &[&str]) -> Vec<Outcome> {
    deliver_content(client, to, recipients, b"Subject: x\r\n\r\n.hello\r\n".to_vec()).await
}

pub(crate) async fn deliver_content(
    client: &SmtpClient,
    to: &Destination,
    recipients: &[&str],
    content: impl Into<Content>,
) -> Vec<Outcome> {
    let recipients: Vec<Recipient> =
        recipients.iter().map(|text| Recipient::new(Address::parse(text).expect("an address"))).collect();
    let envelope = Envelope::new(ReversePath::Null, recipients.clone());
    client.deliver(to, &envelope, &recipients, &content.into()).await
}

/// `delivered`, or kind, status and phase.
pub(crate) fn words(outcomes: &[Outcome]) -> Vec<String> {
    let word = |outcome: &Outcome| {
        let kind = match outcome {
            Outcome::Deferred(_) => "deferred",
            Outcome::Failed(_) => "failed",
            Outcome::Ambiguous(_) => "ambiguous",
            _ => return "delivered".to_owned(),
        };
        outcome
            .failure()
            .map_or_else(String::new, |failure| format!("{kind} {} at {}", failure.status, failure.phase))
    };
    outcomes.iter().map(word).collect()
}

/// A certificate authority.
pub(crate) struct Authority {
    issuer: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
    /// What servers show behind their own certificates.
    chain: Vec<CertificateDer<'static>>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::called("An authority")
    }

    pub(crate) fn called(name: &str) -> Self {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let issuer = rcgen::CertifiedIssuer::self_signed(parameters, key).expect("a certificate");
        Self { issuer, chain: Vec::new() }
    }

    /// An authority between this one and its servers, which show its certificate or forget to.
    pub(crate) fn intermediate(&self, shown: bool) -> Self {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "Between");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let issuer = rcgen::CertifiedIssuer::signed_by(parameters, key, &self.issuer).expect("a certificate");
        let chain = if shown { vec![issuer.der().clone()] } else { Vec::new() };
        Self { issuer, chain }
    }

    pub(crate) fn trust(&self) -> TrustAnchors {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        TrustAnchors::Store(Arc::new(roots))
    }

    /// What a server with a certificate for this name shows.
    pub(crate) fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.server_of(rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name"))
    }

    /// What a server shows whose certificate says this.
    pub(crate) fn server_of(&self, parameters: rcgen::CertificateParams) -> Arc<ServerConfig> {
        self.server_for(parameters, WebPkiClientVerifier::no_client_auth())
    }

    /// The same, and it asks its clients for a certificate of this authority; those who show none are let in or not.
    pub(crate) fn server_that_asks(&self, name: &str, demands: bool) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let asking = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let asking = if demands { asking } else { asking.allow_unauthenticated() };
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        self.server_for(parameters, asking.build().expect("a verifier"))
    }

    /// A certificate for a client of this name.
    pub(crate) fn client(&self, name: &str) -> ClientCertificate {
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        ClientCertificate::from_pem(certificate.as_bytes(), key.as_bytes()).expect("a pair")
    }

    fn server_for(
        &self,
        parameters: rcgen::CertificateParams,
        asking: Arc<dyn ClientCertVerifier>,
    ) -> Arc<ServerConfig> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        let mut chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        chain.extend_from_slice(&self.chain);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let configuration = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(asking)
            .with_single_cert(chain, key)
            .expect("a configuration");
        Arc::new(configuration)
    }
}
