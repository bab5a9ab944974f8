//! Load balancers and fronts: those who say of a client who it is, and are believed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use postroad_smtp_protocol::proxy::{ProxyError, Reader};
use postroad_smtp_protocol::xclient::{Attributes, Told};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::client::Client;
use crate::relay_right;
use crate::service::Service;

/// A load balancer sends its header at once; this leaves time for a lost packet to be sent again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the PROXY header that must come first, and not a byte more; the client is the one it names from here on.
///
/// Whoever sends none is told so and must be hung up on: nobody knows whose words would come next.
pub(crate) async fn await_header<S>(stream: &mut S, client: &mut Client) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = match timeout(PATIENCE, header(stream, client)).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(Fault::Lost(error))) => return Err(error),
        Ok(Err(Fault::Header(error))) => {
            tracing::warn!(%error, "a load balancer in proxy_protocol_ip_ranges must begin with a PROXY header");
            format!("554 5.5.1 {error}\r\n")
        }
        Err(_) => {
            tracing::warn!("no PROXY header came from a load balancer in proxy_protocol_ip_ranges");
            "421 4.4.2 No PROXY header came in time\r\n".to_owned()
        }
    };
    let _ = timeout(PATIENCE, stream.write_all(line.as_bytes())).await;
    Err(io::ErrorKind::InvalidData.into())
}

/// Where version 2 of the header has its command; in version 1 this is within `UNKNOWN` where no addresses are given.
const COMMAND: usize = 12;
/// The command of a load balancer that looks whether we live: the connection is its own.
const LOCAL: u8 = 0x20;
/// The address of a client whose address is not known. It has no right.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

enum Fault {
    Lost(io::Error),
    Header(ProxyError),
}

async fn header<S: AsyncRead + Unpin>(stream: &mut S, client: &mut Client) -> Result<(), Fault> {
    let mut reader = Reader::default();
    let mut piece = [0; 256];
    let mut fixed = Vec::with_capacity(COMMAND + 1);
    loop {
        let wanted = piece.len().min(reader.wants());
        let count = stream.read(piece.get_mut(..wanted).unwrap_or_default()).await.map_err(Fault::Lost)?;
        if count == 0 {
            return Err(Fault::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        let missing = (COMMAND + 1).saturating_sub(fixed.len());
        fixed.extend(piece.iter().take(count.min(missing)));
        let found = reader.read(piece.get(..count).unwrap_or_default()).map_err(Fault::Header)?;
        if let Some(header) = found {
            if let Some(endpoints) = header.endpoints {
                client.through = Some(client.peer);
                client.peer = unmapped(endpoints.source);
                client.local = unmapped(endpoints.destination);
            } else if fixed.get(COMMAND) != Some(&LOCAL) {
                // Whose it is nobody knows (`UNKNOWN`, `AF_UNSPEC`): not the load balancer's, which may have rights.
                client.through = Some(client.peer);
                client.peer = SocketAddr::new(NOWHERE, 0);
            }
            return Ok(());
        }
    }
}

fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The client is whom XCLIENT names. Where its address is not known it is 0.0.0.0: never the front's own, which may relay.
pub(crate) fn speak_for(service: &Service, client: &mut Client, told: &Attributes) {
    let front = client.through.unwrap_or(client.peer);
    let is = |told: &Told<IpAddr>, now: IpAddr| match told {
        Told::Is(address) => *address,
        Told::Unavailable => NOWHERE,
        Told::Unsaid => now,
    };
    let port = |told: &Told<u16>, now: u16| match told {
        Told::Is(port) => *port,
        Told::Unavailable => 0,
        Told::Unsaid => now,
    };
    client.through = Some(front);
    client.peer = SocketAddr::new(is(&told.address, NOWHERE), port(&told.port, client.peer.port()));
    client.local = SocketAddr::new(
        is(&told.destination_address, client.local.ip()),
        port(&told.destination_port, client.local.port()),
    );
    client.hello_name = told.hello_name.value().cloned();
    client.extended = told.extended.value().copied().unwrap_or_default();
    // The front's own proves nothing about the client.
    client.certificate = None;
    client.user = told.login.value().cloned();
    client.may_relay = relay_right::may_relay(&service.connector, client.peer.ip(), client.user.is_some());
    tracing::info!(client = %client.peer, user = client.user.as_deref(), "a front speaks for another");
}
