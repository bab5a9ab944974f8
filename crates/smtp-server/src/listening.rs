//! Listening sockets: bound anew, or taken over from the server before.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

use crate::counts::Counts;

/// The listening sockets of a server, for the one that takes its place: a client that connects meanwhile waits a moment
/// and is never refused.
#[derive(Debug, Default)]
pub struct Listening {
    pub(crate) sockets: Vec<(SocketAddr, std::net::TcpListener)>,
    pub(crate) counts: Counts,
}

impl Listening {
    /// The socket of this binding where there is one, else a new one.
    pub(crate) fn take_over(&self, binding: SocketAddr) -> io::Result<TcpListener> {
        match self.sockets.iter().find(|(bound, _)| *bound == binding) {
            Some((_, socket)) => socket.try_clone().and_then(TcpListener::from_std),
            None => self.beside(binding),
        }
    }

    /// Binds a new socket, also where one of these holds the port on all addresses and the new one is for a single one, or the
    /// other way round: the two may share it for as long as this takes, and then nobody else may.
    fn beside(&self, binding: SocketAddr) -> io::Result<TcpListener> {
        let in_the_way: Vec<_> = self
            .sockets
            .iter()
            .filter(|(bound, _)| overlap(*bound, binding))
            .map(|(_, socket)| socket)
            .collect();
        for socket in &in_the_way {
            share_port(socket.into(), true)?;
        }
        let bound = listen(binding, !in_the_way.is_empty());
        for socket in &in_the_way {
            share_port(socket.into(), false)?;
        }
        bound
    }
}

/// One is for all addresses of the family, and both are for one port.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let all = |address: IpAddr| address.is_unspecified();
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (all(one.ip()) || all(other.ip()))
}

/// An IPv6 binding is for IPv6 alone, as in Exchange: `0.0.0.0:25` and `[::]:25` stand side by side.
fn listen(binding: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(binding),
        socket2::Type::STREAM.nonblocking(),
        Some(socket2::Protocol::TCP),
    )?;
    if binding.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A server that starts again must not wait for the connections of its former self.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if shared {
        share_port((&socket).into(), true)?;
    }
    socket.bind(&binding.into())?;
    socket.listen(1024)?;
    if shared {
        share_port((&socket).into(), false)?;
    }
    TcpListener::from_std(socket.into())
}

/// `SO_REUSEPORT`: a program of the same user may bind beside this socket.
#[cfg(unix)]
fn share_port(socket: socket2::SockRef<'_>, shared: bool) -> io::Result<()> {
    socket.set_reuse_port(shared)
}

#[cfg(not(unix))]
fn share_port(_: socket2::SockRef<'_>, _: bool) -> io::Result<()> {
    Ok(())
}
