//! What is remembered of hosts from one delivery to the next, for a while.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a host whose TLS handshake failed is spoken to in clear text where that is allowed.
const CLEAR_TEXT_SPAN: Duration = Duration::from_secs(3600);

/// How many hosts are remembered at most.
const CAPACITY: usize = 1000;

/// Hosts that offered TLS and could not do it.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<SocketAddr, Instant>>);

impl Memory {
    /// Opportunistic TLS failed here: clear text for a while.
    pub(crate) fn tls_failed(&self, host: SocketAddr, now: Instant) {
        let Ok(mut hosts) = self.0.lock() else { return };
        if hosts.len() >= CAPACITY {
            hosts.retain(|_, until| *until > now);
        }
        // Of what overflows nothing is lost but one more failed handshake.
        if hosts.len() < CAPACITY {
            hosts.insert(host, now + CLEAR_TEXT_SPAN);
        }
    }

    /// Whether opportunistic TLS is not to be tried here now.
    pub(crate) fn is_downgraded(&self, host: SocketAddr, now: Instant) -> bool {
        self.0.lock().is_ok_and(|hosts| hosts.get(&host).is_some_and(|until| *until > now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an Instant can't be made without the clock")]
    fn a_failed_handshake_is_remembered_for_an_hour() {
        let (memory, now) = (Memory::default(), Instant::now());
        let host = SocketAddr::from(([192, 0, 2, 1], 25));
        assert!(!memory.is_downgraded(host, now));
        memory.tls_failed(host, now);
        assert!(memory.is_downgraded(host, now + Duration::from_secs(3599)));
        assert!(!memory.is_downgraded(host, now + Duration::from_secs(3600)));
    }
}
