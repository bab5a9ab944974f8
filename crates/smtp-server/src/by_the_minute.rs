//! Counts by the minute, for whoever there is a limit on.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
/// So many are remembered before the first are forgotten.
const FEW: usize = 1024;

/// How often each of them came in the last sixty seconds, near enough: those of the minute before count by the part of it that
/// the sixty seconds still cover. A limit is thus never exceeded by more than what came unevenly, and never doubled across the
/// turn of a minute.
#[derive(Debug)]
pub(crate) struct ByTheMinute<K> {
    counts: HashMap<K, Count>,
    tidy_at: usize,
}

impl<K> Default for ByTheMinute<K> {
    fn default() -> Self {
        Self { counts: HashMap::new(), tidy_at: FEW }
    }
}

#[derive(Clone, Copy, Debug)]
struct Count {
    began: Instant,
    before: u32,
    now: u32,
}

impl Count {
    fn turn(&mut self, now: Instant) {
        let age = now - self.began;
        if age >= 2 * MINUTE {
            *self = Self { began: now, before: 0, now: 0 };
        } else if age >= MINUTE {
            *self = Self { began: self.began + MINUTE, before: self.now, now: 0 };
        }
    }

    /// In the last sixty seconds, rounded down.
    fn recent(&self, now: Instant) -> u64 {
        let left = (MINUTE - (now - self.began).min(MINUTE)).as_millis() as u64;
        u64::from(self.now) + u64::from(self.before) * left / MINUTE.as_millis() as u64
    }
}

impl<K: Hash + Eq> ByTheMinute<K> {
    /// Counts one more, or refuses it and counts nothing.
    pub(crate) fn admits(&mut self, key: K, limit: u32, now: Instant) -> bool {
        if self.counts.len() >= self.tidy_at {
            self.counts.retain(|_, count| now - count.began < 2 * MINUTE);
            self.tidy_at = (self.counts.len() * 2).max(FEW);
        }
        let count = self.counts.entry(key).or_insert(Count { began: now, before: 0, now: 0 });
        count.turn(now);
        let admitted = count.recent(now) < u64::from(limit);
        count.now += u32::from(admitted);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of ten a second are admitted in each of these seconds.
    fn admitted(limit: u32, seconds: std::ops::Range<u64>) -> Vec<u32> {
        let (mut counts, start) = (ByTheMinute::default(), Instant::now());
        seconds
            .map(|second| {
                let now = start + Duration::from_secs(second);
                (0..10).map(|_| u32::from(counts.admits("a", limit, now))).sum()
            })
            .collect()
    }

    #[test]
    fn a_limit_holds_over_any_minute() {
        let each = admitted(100, 0..600);
        for minute in each.windows(60) {
            let sum: u32 = minute.iter().sum();
            assert!(sum <= 110, "{sum} in {minute:?}");
        }
        // What is used up comes back: a limit of a hundred a minute is a thousand in ten.
        assert!((900..=1100).contains(&each.iter().sum::<u32>()));
    }

    #[test]
    fn one_does_not_count_for_another_and_strangers_are_forgotten() {
        let (mut counts, start) = (ByTheMinute::default(), Instant::now());
        assert!(counts.admits(0, 1, start) && !counts.admits(0, 1, start) && counts.admits(1, 1, start));
        for key in 0..100_000 {
            counts.admits(key, 1, start + Duration::from_secs(key / 10));
        }
        assert!(counts.counts.len() < 10_000, "{}", counts.counts.len());
    }
}
