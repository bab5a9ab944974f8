//! How far it is with what an earlier process left in the log: before that is in the tables nothing is promised.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::super::fault::Fault;
use crate::error::QueueError;

#[derive(Clone, Default)]
pub(super) struct Recovery(Arc<watch::Sender<State>>);

#[derive(Clone, Copy, Default)]
struct State {
    /// It is on its way into the tables.
    is_under_way: bool,
    /// Why it did not come there, until it has.
    failed: Option<QueueError>,
}

impl Recovery {
    pub(super) fn begins(&self) {
        self.0.send_modify(|state| state.is_under_way = true);
    }

    /// Where it fails this is called in the writing thread: whatever runs there next knows.
    pub(super) fn ends(&self, ended: Result<(), QueueError>) {
        self.0.send_replace(State { is_under_way: false, failed: ended.err() });
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.0.borrow().is_under_way
    }

    /// Ready when it has ended, however it did.
    pub(super) async fn ended(&self) {
        // The sender is ours.
        let _ = self.0.subscribe().wait_for(|state| !state.is_under_way).await;
    }

    /// Why the last one failed, if it did. What comes then may lie in the log already.
    pub(super) fn outcome(&self) -> Result<(), Fault> {
        self.0.borrow().failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// When something is tried again that nobody waits for: after a second, and then after twice as long each time.
#[derive(Default)]
pub(super) struct Patience {
    pause: Duration,
    not_before: Option<Instant>,
}

impl Patience {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(30);

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|moment| moment <= now)
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.pause = (self.pause * 2).clamp(Self::FIRST, Self::LONGEST);
        self.not_before = now.checked_add(self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::super::scribe::clock;
    use super::*;

    #[test]
    fn what_fails_again_and_again_is_tried_more_and_more_seldom() {
        let (mut patience, mut now, mut tries) = (Patience::default(), clock(), Vec::new());
        let begun = now;
        while tries.len() < 8 {
            if patience.is_over(now) {
                tries.push((now - begun).as_secs());
                patience.failed(now);
            }
            now += Duration::from_millis(100);
        }
        assert_eq!(tries, [0, 1, 3, 7, 15, 31, 61, 91]);
    }

    #[test]
    fn a_failure_is_known_until_a_later_try_succeeds() {
        let (recovery, full) = (Recovery::default(), QueueError::DiskFull { code: 13 });
        recovery.begins();
        assert!(recovery.is_under_way() && recovery.outcome().is_ok());
        recovery.ends(Err(full));
        assert!(!recovery.is_under_way() && recovery.outcome() == Err(full.into()));
        recovery.begins();
        assert_eq!(
            recovery.outcome(),
            Err(full.into()),
            "what is in the writing thread's box before it runs too early"
        );
        recovery.ends(Ok(()));
        assert!(recovery.outcome().is_ok());
    }
}
