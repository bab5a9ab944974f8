//! Free loopback ports, for programs that must be told one.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::patience;

/// Below the ports that the kernel gives to clients (32768 and up), so that no connection takes one before its program does.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// A port on 127.0.0.1 that nobody listens on now, and that this process gives out once.
pub fn free() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes side by side begin at places far apart.
    let start = process::id().wrapping_mul(7919);
    let candidates = (0..COUNT).map(|_| {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        SocketAddr::from((Ipv4Addr::LOCALHOST, (FIRST + offset) as u16))
    });
    let mut free = candidates.filter(|address| TcpListener::bind(address).is_ok());
    free.next().expect("a port that nobody listens on")
}

/// Waits until somebody accepts connections at `address`.
pub fn wait_for(address: SocketAddr) {
    patience::until(&format!("a listener on {address}"), || is_taken(address).then_some(()));
}

/// Whether somebody accepts connections at `address` now.
pub fn is_taken(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}
