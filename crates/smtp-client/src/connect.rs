//! Opens a connection to one address, within its time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use postroad_message::{EnhancedStatus, Failure, Fault, Phase, Scope};
use tokio::net::{TcpSocket, TcpStream};

/// A TCP connection that sends what it is given at once.
pub(crate) async fn connect(
    to: SocketAddr,
    from: Option<IpAddr>,
    within: Duration,
) -> Result<TcpStream, Failure> {
    let attempt = async {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(to).await?;
        // Commands are small and awaited: waiting to fill a segment stalls each of them by the peer's delayed acknowledgement.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    match tokio::time::timeout(within, attempt).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Err(unreached(Fault::Remote, "no connection in time")),
    }
}

fn failure(error: &std::io::Error) -> Failure {
    use std::io::ErrorKind;
    let fault = match error.kind() {
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::TimedOut => Fault::Remote,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Fault::Remote,
        // A source address that is none of ours.
        ErrorKind::AddrNotAvailable => Fault::Configuration,
        // Out of descriptors, memory or ports: nothing the other side could mend.
        _ => Fault::Local,
    };
    unreached(fault, &format!("no connection: {error}"))
}

fn unreached(fault: Fault, text: &str) -> Failure {
    Failure::new(EnhancedStatus::transient(4, 1), fault, Scope::NextHop, Phase::Connect, text)
}
