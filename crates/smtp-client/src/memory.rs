//! What is remembered of hosts from one delivery to the next, for a while.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a host whose TLS handshake failed is spoken to in clear text where that is allowed.
const CLEAR_TEXT_SPAN: Duration = Duration::from_secs(3600);

/// How long a host that could not be reached is tried behind the others.
const UNREACHABLE_SPAN: Duration = Duration::from_secs(300);

/// How many hosts of each kind are remembered at most.
const CAPACITY: usize = 1000;

/// Hosts that were met with a difficulty.
#[derive(Default)]
pub(crate) struct Memory {
    clear_text: Remembered,
    unreachable: Remembered,
}

/// Until when something is so of a host.
#[derive(Default)]
struct Remembered(Mutex<HashMap<SocketAddr, Instant>>);

impl Memory {
    /// Opportunistic TLS failed here: clear text for a while.
    pub(crate) fn tls_failed(&self, host: SocketAddr, now: Instant) {
        self.clear_text.remember(host, now, CLEAR_TEXT_SPAN);
    }

    /// Whether opportunistic TLS is not to be tried here now.
    pub(crate) fn is_downgraded(&self, host: SocketAddr, now: Instant) -> bool {
        self.clear_text.holds(host, now)
    }

    /// No connection could be had here: others first for a while.
    pub(crate) fn not_reached(&self, host: SocketAddr, now: Instant) {
        self.unreachable.remember(host, now, UNREACHABLE_SPAN);
    }

    /// A connection was had here.
    pub(crate) fn reached(&self, host: SocketAddr) {
        if let Ok(mut hosts) = self.unreachable.0.lock() {
            hosts.remove(&host);
        }
    }

    /// Whether it could not be reached a while ago, and nobody has reached it since.
    pub(crate) fn is_unreachable(&self, host: SocketAddr, now: Instant) -> bool {
        self.unreachable.holds(host, now)
    }
}

impl Remembered {
    fn remember(&self, host: SocketAddr, now: Instant, span: Duration) {
        let Ok(mut hosts) = self.0.lock() else { return };
        if hosts.len() >= CAPACITY {
            hosts.retain(|_, until| *until > now);
        }
        // Of what overflows nothing is lost but one more failure.
        if hosts.len() < CAPACITY {
            hosts.insert(host, now + span);
        }
    }

    fn holds(&self, host: SocketAddr, now: Instant) -> bool {
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

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an Instant can't be made without the clock")]
    fn a_host_out_of_reach_is_remembered_until_it_is_reached() {
        let (memory, now) = (Memory::default(), Instant::now());
        let host = SocketAddr::from(([192, 0, 2, 1], 25));
        memory.not_reached(host, now);
        assert!(memory.is_unreachable(host, now + Duration::from_secs(299)));
        assert!(!memory.is_unreachable(host, now + Duration::from_secs(300)));
        memory.reached(host);
        assert!(!memory.is_unreachable(host, now));
    }
}
