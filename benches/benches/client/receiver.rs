//! Who receives: Postfix's `smtp-sink`, or one of our own in another process, whose processor time is not the senders'.

use std::io::{BufRead as _, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use postroad_interop::Scratch;
use postroad_interop::certificate::Certificate;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// The first argument of this program where it is one of our own receivers.
pub(crate) const RECEIVER: &str = "receiver";

/// How a receiver goes about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Acknowledges when the kernel thinks fit, as most hosts do.
    Ordinary,
    /// Acknowledges whatever comes at once (TCP_QUICKACK).
    AtOnce,
    /// Ordinary, and offers STARTTLS, version 1.3 and no other.
    Tls,
}

impl Manner {
    const ALL: [(Self, &str); 3] =
        [(Self::Ordinary, "ordinary"), (Self::AtOnce, "at-once"), (Self::Tls, "tls")];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(manner, _)| *manner == self).map_or("", |(_, name)| name)
    }
}

/// A receiver in another process; it ends with this value.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    /// What a sender has to trust.
    pub(crate) authority: Option<PathBuf>,
    child: Child,
    _scratch: Scratch,
}

impl Receiver {
    /// `smtp-sink` where it is installed and can do what is asked, or else one of our own.
    pub(crate) fn start(manner: Manner) -> Self {
        if manner == Manner::Ordinary {
            if let Some(sink) = Self::smtp_sink() {
                return sink;
            }
            println!("smtp-sink is not installed: the ordinary receiver is one of our own");
        }
        Self::own(manner)
    }

    /// One of our own.
    pub(crate) fn own(manner: Manner) -> Self {
        let scratch = Scratch::new();
        let mut command = Command::new(std::env::current_exe().expect("our own program"));
        command.args([RECEIVER, manner.name()]);
        let authority = (manner == Manner::Tls).then(|| {
            let certificate = Certificate::for_hosts(&scratch, &["127.0.0.1"]);
            command.args([certificate.certificate, certificate.key]);
            certificate.authority
        });
        // It ends when this pipe does, however we end.
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start our own program");
        let mut address = String::new();
        let mut said = std::io::BufReader::new(child.stdout.take().expect("its output"));
        said.read_line(&mut address).expect("the receiver's address");
        let address = address.trim().parse().expect("the receiver's address");
        Self { address, authority, child, _scratch: scratch }
    }

    fn smtp_sink() -> Option<Self> {
        let address = postroad_interop::port::free();
        let mut command = Command::new("smtp-sink");
        // Root gives its rights up; others have none to give.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        command.arg(address.to_string()).arg("1000").stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().ok()?;
        let began = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "smtp-sink does not listen");
            std::thread::yield_now();
        }
        Some(Self { address, authority: None, child, _scratch: Scratch::new() })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program as a receiver: says where it listens, and serves until its standard input ends.
pub(crate) fn run(arguments: &[String]) {
    let named = arguments.first().map_or("", String::as_str);
    let manner = Manner::ALL.iter().find(|(_, name)| *name == named).expect("a manner").0;
    let tls = match arguments {
        [_, certificate, key] => Some(acceptor(certificate, key)),
        _ => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port on loopback");
    println!("{}", listener.local_addr().expect("an address"));
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    runtime.block_on(async {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a socket");
            let stream = Acknowledging { stream, at_once: manner == Manner::AtOnce };
            let tls = tls.clone();
            // Senders stop as they like.
            tokio::spawn(async move { converse(stream, tls).await.ok() });
        }
    });
}

fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(certificate).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let configuration = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate with its key");
    TlsAcceptor::from(Arc::new(configuration))
}

async fn converse(stream: Acknowledging, tls: Option<TlsAcceptor>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await?;
    let Some(tls) = tls else { return serve(stream, false).await };
    serve(&mut stream, true).await?;
    serve(BufReader::new(tls.accept(stream.into_inner()).await?), false).await
}

/// Takes everything and keeps nothing, to the end of the connection or to STARTTLS.
async fn serve<S>(mut stream: S, offers_tls: bool) -> std::io::Result<()>
where
    S: tokio::io::AsyncBufRead + AsyncWrite + Unpin,
{
    let (mut line, mut in_content) = (Vec::new(), false);
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match line.as_slice() {
            b".\r\n" if in_content => {
                in_content = false;
                b"250 taken\r\n"
            }
            _ if in_content => continue,
            b"DATA\r\n" => {
                in_content = true;
                b"354 go on\r\n"
            }
            [b'E', ..] if offers_tls => b"250-sink\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            [b'E', ..] => b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            b"STARTTLS\r\n" if offers_tls => {
                stream.write_all(b"220 go on\r\n").await?;
                return stream.flush().await;
            }
            b"QUIT\r\n" => b"221 bye\r\n",
            _ => b"250 fine\r\n",
        };
        stream.write_all(reply).await?;
        stream.flush().await?;
    }
}

/// A connection that acknowledges as it is told. The kernel forgets the wish with every answer, so it is said with every read.
struct Acknowledging {
    stream: TcpStream,
    at_once: bool,
}

impl AsyncRead for Acknowledging {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        if self.at_once {
            rustix::net::sockopt::set_tcp_quickack(&self.stream, true)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Acknowledging {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
