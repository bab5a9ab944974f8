//! Thousands of connections at once: each costs little while it is silent, and those that work are served.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use postroad_message::{Content, Envelope};
use postroad_smtp_server::{
    BoxFuture, Client, NobodyLogsOn, Refusal, Server, ServerSettings, Submit, TlsMaterial,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::house::{connector, settings};

const PLAIN: u64 = 16 * 1024;
const IN_TLS: u64 = 48 * 1024;

/// What all content together may take, for a server with little room.
const ROOM: u64 = 8 * 1024 * 1024;

const FOR_MANY: &str = "many::server_for_many";
const WITH_LITTLE_ROOM: &str = "many::server_with_little_room";

/// A server in a process of its own, whose memory is not ours.
struct Apart {
    child: Child,
    plain: SocketAddr,
    implicit: SocketAddr,
    certificate: CertificateDer<'static>,
    /// Open until it has ended, or it could not say so.
    _said: BufReader<ChildStdout>,
}

impl Apart {
    fn start(server: &str) -> Self {
        let this = std::env::current_exe().expect("a test has a file");
        let mut child = Command::new(this)
            .args(["--ignored", "--exact", server, "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = said.by_ref().lines().map_while(Result::ok);
        let words = lines.find_map(|line| line.split_once("at ").map(|(_, rest)| rest.to_owned()));
        let words = words.expect("it says where");
        let mut words = words.split(' ');
        let mut address = || words.next().and_then(|word| word.parse().ok()).expect("an address");
        let (plain, implicit) = (address(), address());
        let pem: String =
            lines.by_ref().take_while(|line| line != "that is all").map(|line| line + "\n").collect();
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        Self { child, plain, implicit, certificate, _said: said }
    }

    /// Bytes of its memory that are in use.
    fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Bytes of its memory that ever were in use.
    fn most_resident(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(which)).expect("a size");
        line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).expect("a number") * 1024
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("it ends").success());
    }
}

/// Says EHLO and sends one message of ten kilobytes: nothing of it may stay behind.
fn send_one(stream: &mut (impl Read + Write)) {
    let mut reply = [0; 4096];
    let mut ask = |line: &str, start: &str| {
        stream.write_all(line.as_bytes()).expect("it is written");
        let count = stream.read(&mut reply).expect("a reply");
        let reply = String::from_utf8_lossy(&reply[..count]).into_owned();
        assert!(reply.starts_with(start), "{reply:?}");
    };
    ask("", "220 ");
    ask("EHLO app01.contoso.com\r\n", "250-");
    ask("MAIL FROM:<joe@contoso.com>\r\n", "250 ");
    ask("RCPT TO:<jane@contoso.com>\r\n", "250 ");
    ask("DATA\r\n", "354 ");
    let line = format!("{}\r\n", "x".repeat(78));
    ask(&format!("Subject: a\r\n\r\n{}.\r\n", line.repeat(128)), "250 ");
}

/// Two thousand, or as many as there are descriptors for beside those of everything else here.
fn as_many_as_may_be() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("our own limit");
    // Two tests ask for as many at once.
    limit.maximum.map_or(2000, |most| (most.saturating_sub(1000) / 2).clamp(100, 2000))
}

#[test]
fn two_thousand_wait_and_two_hundred_work() {
    let most = as_many_as_may_be();
    let server = Apart::start(FOR_MANY);
    let connect = || {
        let stream = TcpStream::connect(server.plain).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        stream
    };
    let greeted = || {
        let mut stream = connect();
        send_one(&mut stream);
        stream
    };
    let _first: Vec<_> = (0..50).map(|_| greeted()).collect();
    let before = server.resident();
    let waiting: Vec<_> = (0..most).map(|_| greeted()).collect();
    let each = server.resident().saturating_sub(before) / most;
    println!("{each} bytes for each of {most} plain connections that wait");
    assert!(each <= PLAIN, "{each} bytes each");
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| (0..3).for_each(|_| drop(greeted())));
        }
    });
    drop(waiting);
    server.end();
}

#[test]
fn two_thousand_wait_in_tls_and_two_hundred_work() {
    let most = as_many_as_may_be();
    let server = Apart::start(FOR_MANY);
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).expect("a trust anchor");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let secured = || {
        let name = ServerName::try_from("hub01.contoso.com").expect("a name");
        let stream = TcpStream::connect(server.implicit).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        let tls = ClientConnection::new(Arc::clone(&config), name).expect("a client");
        let mut stream = StreamOwned::new(tls, stream);
        send_one(&mut stream);
        stream
    };
    let _first: Vec<_> = (0..50).map(|_| secured()).collect();
    let before = server.resident();
    let waiting: Vec<_> = (0..most).map(|_| secured()).collect();
    let each = server.resident().saturating_sub(before) / most;
    println!("{each} bytes for each of {most} connections in TLS that wait");
    assert!(each <= IN_TLS, "{each} bytes each");
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| drop(secured()));
        }
    });
    drop((waiting, _first));
    server.end();
}

#[test]
fn content_takes_the_room_it_is_given_and_no_more() {
    let server = Apart::start(WITH_LITTLE_ROOM);
    send_one(&mut TcpStream::connect(server.plain).expect("it listens"));
    let before = server.resident();
    // Forty times two megabytes want in at once, where eight have room.
    let line = format!("{}\r\n", "x".repeat(78)).repeat(1000);
    let large = || {
        let mut stream = TcpStream::connect(server.plain).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        let mut reply = [0; 4096];
        for command in ["HELO a", "MAIL FROM:<joe@contoso.com>", "RCPT TO:<jane@contoso.com>", "DATA"] {
            assert!(stream.read(&mut reply).is_ok());
            stream.write_all(format!("{command}\r\n").as_bytes()).expect("it is written");
        }
        let count = stream.read(&mut reply).expect("a reply");
        if reply.get(..count).is_some_and(|reply| reply.starts_with(b"354 ")) {
            (0..25).for_each(|_| stream.write_all(line.as_bytes()).expect("it is read"));
            stream.write_all(b".\r\n").expect("it is read");
            assert!(stream.read(&mut reply).is_ok());
        }
        let reply = String::from_utf8_lossy(&reply[..4]).into_owned();
        assert!(reply.starts_with("250 ") || reply.starts_with("452 "), "{reply}");
        reply
    };
    let replies: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..40).map(|_| scope.spawn(large)).collect();
        clients.into_iter().map(|client| client.join().expect("it ends")).collect()
    });
    let accepted = replies.iter().filter(|reply| reply.starts_with("250 ")).count();
    let grown = server.most_resident().saturating_sub(before);
    println!("{accepted} of 40 accepted; {grown} bytes more at most");
    assert!(accepted > 0, "{replies:?}");
    // Content that grows is copied into twice its room, and has both for a moment; each may bring 64 KiB before it is counted.
    assert!(grown <= 3 * ROOM + 40 * 128 * 1024, "{grown} bytes more at most");
    server.end();
}

#[test]
#[ignore = "started by the test above"]
fn server_with_little_room() {
    let mut little = settings();
    little.max_content_in_memory = ROOM;
    serve_apart(little);
}

#[test]
#[ignore = "started by the tests above"]
fn server_for_many() {
    serve_apart(settings());
}

/// Takes every message and keeps none: what was taken is not what is measured.
struct Forgetful;

impl Submit for Forgetful {
    fn accept_message<'a>(
        &'a self,
        _: &'a Client,
        _: Envelope,
        _: Content,
    ) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(std::future::ready(Ok("forgotten".to_owned())))
    }
}

fn serve_apart(settings: ServerSettings) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("our own limit");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let made = rcgen::generate_simple_self_signed(["hub01.contoso.com".to_owned()]).expect("made");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let tls = TlsMaterial::from_pem(certificate.as_bytes(), key.as_bytes()).expect("usable");
        let mut open = connector("Default");
        open.implicit_tls_bindings = vec!["[::1]:0".parse().expect("an address")];
        open.max_inbound_connection = None;
        open.max_inbound_connection_per_source = None;
        let server = Server::bind(vec![(open, tls)], settings, Arc::new(Forgetful), Arc::new(NobodyLogsOn));
        let server = server.await.expect("it binds");
        let addresses = server.local_addrs();
        println!("at {} {}\n{certificate}that is all", addresses[0], addresses[1]);
        let served = tokio::spawn(server.serve(std::future::pending()));
        let mut end = Vec::new();
        tokio::task::spawn_blocking(move || std::io::stdin().read_to_end(&mut end))
            .await
            .expect("joined")
            .expect("read");
        served.abort();
    });
}
