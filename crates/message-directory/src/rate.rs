//! How many files a directory may hand over: so many a minute, spread over the polls.

use std::time::{Duration, Instant};

/// PickupDirectoryMaxMessagesPerMinute as arithmetic. Pickup and Replay have one each, with the full allowance.
///
/// The allowance grows evenly and is never saved up for more than five seconds, one poll of Exchange's: 100 a minute are
/// 8 or 9 a poll. A slower trickle than one file in five seconds still gets its one.
///
/// ```
/// # #![expect(clippy::disallowed_methods, reason = "an example may ask the clock")]
/// use std::time::{Duration, Instant};
/// use postroad_message_directory::RateLimit;
/// let start = Instant::now();
/// let mut limit = RateLimit::new(100, start);
/// assert_eq!(limit.allowance(start), 8);
/// limit.spend(8);
/// assert_eq!(limit.allowance(start), 0);
/// assert_eq!(limit.allowance(start + Duration::from_secs(3)), 5);
/// ```
#[derive(Clone, Debug)]
pub struct RateLimit {
    per_minute: u64,
    /// In 1/60000 of a file, so that a millisecond earns `per_minute` of them.
    credit: u64,
    counted_to: Instant,
}

const FILE: u64 = 60_000;
const LONGEST_SAVED_MILLIS: u64 = 5_000;

impl RateLimit {
    /// So many files a minute, 1 to 20000 in Exchange; a full allowance to begin with.
    pub fn new(per_minute: u32, now: Instant) -> Self {
        let per_minute = u64::from(per_minute);
        Self { per_minute, credit: saved(per_minute), counted_to: now }
    }

    /// How many files may be taken now.
    pub fn allowance(&mut self, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.counted_to);
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        // Part of a millisecond is left for the next time.
        self.counted_to += Duration::from_millis(millis);
        self.credit = self
            .credit
            .saturating_add(millis.saturating_mul(self.per_minute))
            .min(saved(self.per_minute) + FILE - 1);
        usize::try_from(self.credit / FILE).unwrap_or(usize::MAX)
    }

    /// So many files were taken.
    pub fn spend(&mut self, files: usize) {
        let files = u64::try_from(files).unwrap_or(u64::MAX);
        self.credit = self.credit.saturating_sub(files.saturating_mul(FILE));
    }
}

/// What five seconds earn; the fraction of a file that is left from earlier is kept besides.
fn saved(per_minute: u64) -> u64 {
    (per_minute * LONGEST_SAVED_MILLIS).max(FILE)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant does to start from")]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_polls_takes_no_more_than_allowed() {
        for per_minute in [1, 7, 100, 20_000] {
            let mut now = Instant::now();
            let mut limit = RateLimit::new(per_minute, now);
            let first = limit.allowance(now);
            limit.spend(first);
            let mut taken = 0;
            for _ in 0..12 {
                now += Duration::from_secs(5);
                let allowed = limit.allowance(now);
                limit.spend(allowed);
                taken += allowed;
            }
            assert!(
                taken <= per_minute as usize && taken + 1 >= per_minute as usize,
                "{per_minute}: {taken}"
            );
        }
    }

    #[test]
    fn a_night_without_files_is_not_saved_up() {
        let now = Instant::now();
        let mut limit = RateLimit::new(100, now);
        assert_eq!(limit.allowance(now + Duration::from_secs(36_000)), 9);
    }
}
