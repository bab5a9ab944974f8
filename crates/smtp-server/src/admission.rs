//! How many connections there may be: in all, by source, and by source's share of what remains.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::by_the_minute::ByTheMinute;
use crate::receive_connector::ReceiveConnector;
use crate::source::Source;

/// Counts the connections of one receive connector.
#[derive(Debug, Default)]
pub(crate) struct Admission(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    by_source: HashMap<IpAddr, u32>,
    by_network: HashMap<Source, u32>,
    told: OnceAMinute,
}

/// Lets the log say once a minute what may happen a thousand times.
#[derive(Debug, Default)]
pub(crate) struct OnceAMinute(Option<Instant>);

impl OnceAMinute {
    pub(crate) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.0.is_none_or(|told| now - told >= Duration::from_secs(60));
        if due {
            self.0 = Some(now);
        }
        due
    }
}

/// One counted connection; it is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    source: Option<IpAddr>,
}

impl Admission {
    /// Counts a connection, or refuses it.
    ///
    /// A source may have `max_inbound_connection_per_source` connections, and no more than its percentage of those that
    /// nobody has taken; one is always allowed while there are any. An IPv6 network of 64 bits shares that percentage, or its
    /// addresses would be sources without end. Without a source only all together are counted.
    pub(crate) fn admit(
        self: &Arc<Self>,
        connector: &ReceiveConnector,
        source: Option<IpAddr>,
    ) -> Option<Admitted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = source.map(|source| counts.by_source.get(&source).copied().unwrap_or(0));
        let together = source.map(|source| counts.by_network.get(&source.into()).copied().unwrap_or(0));
        let percentage = u64::from(connector.max_inbound_connection_percentage_per_source);
        let share = connector.max_inbound_connection.map(|most| {
            let remaining = u64::from(most.saturating_sub(counts.all));
            (remaining * percentage / 100).max(u64::from(remaining > 0))
        });
        let refused = connector.max_inbound_connection.is_some_and(|most| counts.all >= most)
            || held.zip(connector.max_inbound_connection_per_source).is_some_and(|(held, most)| held >= most)
            || together.zip(share).is_some_and(|(held, share)| u64::from(held) >= share);
        if refused {
            if counts.told.is_due() {
                let (all, connector) = (counts.all, &connector.name);
                tracing::warn!(connector, source = ?source, all, held, "clients are turned away: too many connections");
            }
            return None;
        }
        counts.all += 1;
        if let Some(source) = source {
            *counts.by_source.entry(source).or_insert(0) += 1;
            *counts.by_network.entry(source.into()).or_insert(0) += 1;
        }
        Some(Admitted { admission: Arc::clone(self), source })
    }
}

impl Admitted {
    /// Whose it is, as far as that is known.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Counts the connection as this source's from here on, now that it is known, or refuses it.
    pub(crate) fn again(self, connector: &ReceiveConnector, source: Option<IpAddr>) -> Option<Self> {
        let admission = Arc::clone(&self.admission);
        drop(self);
        admission.admit(connector, source)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        let Some(source) = self.source else { return };
        forget_one(&mut counts.by_source, source);
        forget_one(&mut counts.by_network, source.into());
    }
}

fn forget_one<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: K) {
    if let Entry::Occupied(mut held) = counts.entry(key) {
        *held.get_mut() = held.get().saturating_sub(1);
        if *held.get() == 0 {
            held.remove();
        }
    }
}

/// Counts the connections of a whole server by the minute.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRate(Mutex<(ByTheMinute<()>, OnceAMinute)>);

impl ConnectionRate {
    /// Counts a connection, or refuses it. `None` is any number.
    pub(crate) fn admits(&self, limit: Option<u32>) -> bool {
        let Some(limit) = limit else { return true };
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = counted.0.admits((), limit, Instant::now());
        if !admitted && counted.1.is_due() {
            tracing::warn!(
                limit,
                "clients are turned away: more connections than max_connection_rate_per_minute"
            );
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_source_has_its_number_and_its_share() {
        let admission = Arc::new(Admission::default());
        let mut connector = ReceiveConnector::new("Default");
        connector.max_inbound_connection = Some(100);
        connector.max_inbound_connection_percentage_per_source = 10;
        connector.max_inbound_connection_per_source = Some(20);
        let held: Vec<_> = std::iter::repeat_with(|| admission.admit(&connector, source(1)))
            .map_while(|admitted| admitted)
            .collect();
        // With nine held, 10 % of the 91 that remain is nine.
        assert_eq!(held.len(), 9);
        assert!(admission.admit(&connector, source(2)).is_some());
        let unnamed: Vec<_> = (0..91).map(|_| admission.admit(&connector, None)).collect();
        assert!(unnamed.iter().all(Option::is_some) && admission.admit(&connector, None).is_none());
        drop(unnamed);
        drop(held);
        let counts = admission.0.lock().unwrap();
        assert!(counts.by_source.is_empty() && counts.by_network.is_empty());
    }

    #[test]
    fn the_addresses_of_one_network_leave_room_for_others() {
        let admission = Arc::new(Admission::default());
        let connector = ReceiveConnector::new("Default");
        let from = |text: &str| admission.admit(&connector, Some(text.parse().unwrap()));
        let network: Vec<_> = (0..5000).map_while(|number| from(&format!("2001:db8::{number:x}"))).collect();
        // 2 % of the 4902 that remain.
        assert_eq!(network.len(), 98);
        assert!(from("2001:db8::ffff:1").is_none());
        let alone: Vec<_> = (0..30).map_while(|_| from("2001:db8:0:1::1")).collect();
        assert_eq!(alone.len(), 20);
        assert!(from("2001:db8:0:1::2").is_some());
        drop(network);
        assert!(from("2001:db8::ffff:1").is_some());
    }

    #[test]
    fn the_last_place_may_be_taken_and_no_more() {
        let admission = Arc::new(Admission::default());
        let mut connector = ReceiveConnector::new("Default");
        connector.max_inbound_connection = Some(2);
        let first = admission.admit(&connector, source(1));
        let second = admission.admit(&connector, source(2));
        assert!(first.is_some() && second.is_some());
        assert!(admission.admit(&connector, source(3)).is_none());
        drop(first);
        assert!(admission.admit(&connector, source(3)).is_some());
        connector.max_inbound_connection = None;
        connector.max_inbound_connection_per_source = None;
        let many: Vec<_> = (0..500).map(|_| admission.admit(&connector, source(4))).collect();
        assert!(many.iter().all(Option::is_some));
    }
}
