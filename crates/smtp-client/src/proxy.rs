//! SOCKS5 (RFC 1928, RFC 1929): the way out through a front end.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use postroad_message::{Failure, Fault};
use postroad_smtp_protocol::sasl::{Credential, Proof};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::connect::{failure, unreached};
use crate::destination::SmartHost;

/// A SOCKS5 proxy that connections leave through.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Proxy {
    /// Where it is; a name is looked up as a host.
    pub host: SmartHost,
    /// Its TCP port.
    pub port: u16,
    /// A name and password for it (RFC 1929); they go to it in clear text.
    pub credential: Option<Credential>,
}

impl Proxy {
    /// A proxy that asks for no password.
    pub fn new(host: SmartHost, port: u16) -> Self {
        Self { host, port, credential: None }
    }
}

/// `socks5://host:port`; no secret.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            SmartHost::Address(IpAddr::V6(address)) => write!(f, "socks5://[{address}]:{}", self.port),
            SmartHost::Address(IpAddr::V4(address)) => write!(f, "socks5://{address}:{}", self.port),
            SmartHost::Name(name) => write!(f, "socks5://{name}:{}", self.port),
        }
    }
}

/// Whether both lead through the same proxy as the same user.
pub(crate) fn is_same(ours: &Proxy, theirs: &Proxy) -> bool {
    let Proxy { host, port, credential } = ours;
    *host == theirs.host
        && *port == theirs.port
        && match (credential, &theirs.credential) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => ours.is_same(theirs),
            _ => false,
        }
}

/// One address of a proxy.
#[derive(Clone)]
pub(crate) struct Hop {
    pub(crate) address: SocketAddr,
    pub(crate) credential: Option<Credential>,
}

const VERSION: u8 = 5;
const NO_PASSWORD: u8 = 0;
const PASSWORD: u8 = 2;

/// Asks the proxy at the other end of `stream` for a connection to `to`.
pub(crate) async fn connect(mut stream: TcpStream, hop: &Hop, to: SocketAddr) -> Result<TcpStream, Failure> {
    match negotiate(&mut stream, hop, to).await {
        Ok(()) => Ok(stream),
        Err(Refused::Io(error)) => Err(failure(&error, "the front-end proxy broke off")),
        Err(Refused::Said(fault, text)) => Err(unreached(fault, text)),
    }
}

enum Refused {
    Io(std::io::Error),
    Said(Fault, &'static str),
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

async fn negotiate(stream: &mut TcpStream, hop: &Hop, to: SocketAddr) -> Result<(), Refused> {
    let not_socks = || Refused::Said(Fault::Configuration, "the front-end proxy does not speak SOCKS5");
    let offer: &[u8] = if hop.credential.is_some() {
        &[VERSION, 2, NO_PASSWORD, PASSWORD]
    } else {
        &[VERSION, 1, NO_PASSWORD]
    };
    stream.write_all(offer).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen, &hop.credential) {
        ([VERSION, NO_PASSWORD], _) => {}
        ([VERSION, PASSWORD], Some(credential)) => log_in(stream, credential).await?,
        ([VERSION, _], _) => {
            return Err(Refused::Said(Fault::Configuration, "the front-end proxy wants another login"));
        }
        _ => return Err(not_socks()),
    }
    let mut request = vec![VERSION, 1, 0];
    match to.ip() {
        IpAddr::V4(address) => {
            request.push(1);
            request.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            request.push(4);
            request.extend_from_slice(&address.octets());
        }
    }
    request.extend_from_slice(&to.port().to_be_bytes());
    stream.write_all(&request).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    let [VERSION, reply, _, kind] = answer else { return Err(not_socks()) };
    if reply != 0 {
        return Err(refusal(reply));
    }
    // The address it leaves from, which is nothing to us.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(not_socks()),
    };
    let mut bound = vec![0; length + 2];
    stream.read_exact(&mut bound).await?;
    Ok(())
}

/// RFC 1929 section 2.
async fn log_in(stream: &mut TcpStream, credential: &Credential) -> Result<(), Refused> {
    let unfit = || {
        Refused::Said(
            Fault::Configuration,
            "the front-end proxy takes a name and a password, each 1 to 255 bytes",
        )
    };
    let Proof::Password(password) = &credential.proof else { return Err(unfit()) };
    let mut request = zeroize::Zeroizing::new(vec![1]);
    for part in [credential.username.as_bytes(), password.expose()] {
        let length = u8::try_from(part.len()).ok().filter(|length| *length > 0).ok_or_else(unfit)?;
        request.push(length);
        request.extend_from_slice(part);
    }
    stream.write_all(&request).await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    if answer == [1, 0] {
        Ok(())
    } else {
        Err(Refused::Said(Fault::Configuration, "the front-end proxy refuses our login"))
    }
}

/// RFC 1928 section 6.
fn refusal(reply: u8) -> Refused {
    let (fault, text) = match reply {
        2 => (Fault::Configuration, "the front-end proxy does not allow this connection"),
        3 => (Fault::Remote, "the front-end proxy says: network unreachable"),
        4 => (Fault::Remote, "the front-end proxy says: host unreachable"),
        5 => (Fault::Remote, "the front-end proxy says: connection refused"),
        6 => (Fault::Remote, "the front-end proxy says: no connection in time"),
        8 => (Fault::Configuration, "the front-end proxy does not know this kind of address"),
        _ => (Fault::Remote, "the front-end proxy failed"),
    };
    Refused::Said(fault, text)
}
