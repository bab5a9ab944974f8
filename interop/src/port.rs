//! Free loopback ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::patience;

/// A port on 127.0.0.1 that nobody listens on now.
///
/// The kernel gives ephemeral ports out in turn, so that another test gets a different one.
pub fn free() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind an ephemeral loopback port");
    listener.local_addr().expect("the address just bound")
}

/// Waits until somebody accepts connections at `address`.
pub fn wait_for(address: SocketAddr) {
    patience::until(&format!("a listener on {address}"), || TcpStream::connect(address).ok());
}
