//! A load of STARTTLS sessions: connect, greeting, EHLO, STARTTLS, handshake, QUIT.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The same for every server.
pub(crate) struct Loader {
    connector: TlsConnector,
    runtime: Runtime,
}

impl Loader {
    pub(crate) fn trusting(authority: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).expect("a PEM file")).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = versions.expect("TLS").with_root_certificates(roots).with_no_client_auth();
        config.resumption = Resumption::disabled();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        Self { connector: TlsConnector::from(Arc::new(config)), runtime }
    }

    /// `count` sessions in all, so many at once.
    pub(crate) fn run(&self, server: SocketAddr, at_once: usize, count: usize) {
        let begun = Arc::new(AtomicUsize::new(0));
        let loops: Vec<_> = (0..at_once)
            .map(|_| {
                let (begun, connector) = (Arc::clone(&begun), self.connector.clone());
                self.runtime.spawn(async move {
                    while begun.fetch_add(1, Ordering::Relaxed) < count {
                        let mut stream = secure(&connector, server).await?;
                        say(&mut stream, b"QUIT\r\n", b"221").await?;
                    }
                    io::Result::Ok(())
                })
            })
            .collect();
        for session in loops {
            self.runtime.block_on(session).expect("no panic").expect("a session");
        }
    }
}

async fn secure(connector: &TlsConnector, server: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let mut stream = greeted(server).await?;
    say(&mut stream, b"STARTTLS\r\n", b"220").await?;
    connector.connect(ServerName::try_from("localhost").expect("a name"), stream).await
}

async fn greeted(server: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    say(&mut stream, b"", b"220").await?;
    say(&mut stream, b"EHLO load.test\r\n", b"250").await?;
    Ok(stream)
}

/// Says it and reads the whole reply, which has that code.
async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    command: &[u8],
    code: &[u8],
) -> io::Result<()> {
    stream.write_all(command).await?;
    stream.flush().await?;
    let mut reply = Vec::with_capacity(512);
    loop {
        if stream.read_buf(&mut reply).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let last =
            reply.strip_suffix(b"\r\n").and_then(|reply| reply.split(|byte| *byte == b'\n').next_back());
        match last {
            Some(line) if line.get(3) == Some(&b' ') && line.starts_with(code) => return Ok(()),
            Some(line) if line.get(3) == Some(&b' ') => {
                return Err(io::Error::other(String::from_utf8_lossy(line)));
            }
            _ => {}
        }
    }
}
