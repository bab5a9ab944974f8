//! When to try again, when to say that it takes long, and when to give up: arithmetic, no clock.

use std::time::Duration;

use postroad_message::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

/// How long a next hop that cannot be reached is left alone after each failure in a row.
///
/// ```
/// use std::time::Duration;
/// use postroad_queue::RetrySchedule;
///
/// let schedule = RetrySchedule::default();
/// // Four glitches a minute apart, six transient failures five minutes apart, then every ten minutes.
/// let minutes: Vec<u64> = (1..=12).map(|failures| schedule.delay_after(failures).as_secs() / 60).collect();
/// assert_eq!(minutes, [1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 10, 10]);
///
/// let iis = RetrySchedule::iis();
/// let minutes: Vec<u64> = (1..=5).map(|failures| iis.delay_after(failures).as_secs() / 60).collect();
/// assert_eq!(minutes, [15, 30, 60, 240, 240]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetrySchedule {
    /// Exchange's three phases.
    Exchange(ExchangePhases),
    /// IIS's list: each is counted from the previous try, and the last one repeats. Empty means one minute.
    IisIntervals(Vec<Duration>),
}

impl RetrySchedule {
    /// IIS's defaults: 15, 30, 60, then every 240 minutes.
    pub fn iis() -> Self {
        Self::IisIntervals([15, 30, 60, 240].map(|minutes| MINUTE * minutes).to_vec())
    }

    /// The wait after the `failures`th failure in a row, counted from 1; 0 is read as 1.
    pub fn delay_after(&self, failures: u32) -> Duration {
        let failures = failures.max(1);
        match self {
            Self::Exchange(phases) => phases.delay_after(failures),
            Self::IisIntervals(intervals) => {
                let index = usize::try_from(failures - 1).unwrap_or(usize::MAX);
                intervals.get(index).or(intervals.last()).copied().unwrap_or(MINUTE)
            }
        }
    }

    /// The moment to try again: `failed_at`, the wait, and up to a tenth of it more.
    ///
    /// `random` is any number, all 64 bits of it: the same number gives the same moment. Never earlier than
    /// the schedule says.
    pub fn retry_at(&self, failed_at: Timestamp, failures: u32, random: u64) -> Timestamp {
        with_jitter(failed_at, self.delay_after(failures), random)
    }
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self::Exchange(ExchangePhases::default())
    }
}

/// Exchange's glitch phase, transient phase, and what follows until success or expiry.
///
/// A count of 0 skips the phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExchangePhases {
    /// `QueueGlitchRetryCount`, 0 to 15.
    pub glitch_retry_count: u32,
    /// `QueueGlitchRetryInterval`
    pub glitch_retry_interval: Duration,
    /// `TransientFailureRetryCount`, 0 to 15.
    pub transient_failure_retry_count: u32,
    /// `TransientFailureRetryInterval`
    pub transient_failure_retry_interval: Duration,
    /// `OutboundConnectionFailureRetryInterval`
    pub outbound_connection_failure_retry_interval: Duration,
}

impl ExchangePhases {
    fn delay_after(&self, failures: u32) -> Duration {
        if failures <= self.glitch_retry_count {
            self.glitch_retry_interval
        } else if failures - self.glitch_retry_count <= self.transient_failure_retry_count {
            self.transient_failure_retry_interval
        } else {
            self.outbound_connection_failure_retry_interval
        }
    }
}

/// A Mailbox server's values: 4 times 1 minute, 6 times 5 minutes, then every 10 minutes.
impl Default for ExchangePhases {
    fn default() -> Self {
        Self {
            glitch_retry_count: 4,
            glitch_retry_interval: MINUTE,
            transient_failure_retry_count: 6,
            transient_failure_retry_interval: MINUTE * 5,
            outbound_connection_failure_retry_interval: MINUTE * 10,
        }
    }
}

/// The timers of one message, each counted from its submission, never from its last try.
///
/// ```
/// use postroad_message::Timestamp;
/// use postroad_queue::MessageTimers;
///
/// let timers = MessageTimers::default();
/// let received_at = Timestamp::from_unix_millis(0);
/// assert!(!timers.is_expired(received_at, Timestamp::from_unix_millis(2 * 86_400_000 - 1)));
/// assert!(timers.is_expired(received_at, Timestamp::from_unix_millis(2 * 86_400_000)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageTimers {
    /// `MessageRetryInterval`: the wait after a refusal of this message alone (a 4xx), 15 minutes.
    pub message_retry_interval: Duration,
    /// `MessageExpirationTimeout`: when to give up, 2 days.
    pub message_expiration_timeout: Duration,
    /// `DelayNotificationTimeout`: when to tell the sender that it takes long, 4 hours.
    pub delay_notification_timeout: Duration,
}

impl MessageTimers {
    /// When a message that was refused for itself is tried again: at its expiry at the latest, so that its
    /// report is not late. `random` as in [`RetrySchedule::retry_at`].
    pub fn retry_at(&self, received_at: Timestamp, refused_at: Timestamp, random: u64) -> Timestamp {
        self.no_later_than_expiry(
            received_at,
            refused_at,
            with_jitter(refused_at, self.message_retry_interval, random),
        )
    }

    /// `due`, or the message's expiry where that is earlier and has not come yet.
    pub fn no_later_than_expiry(&self, received_at: Timestamp, now: Timestamp, due: Timestamp) -> Timestamp {
        let expires_at = self.expires_at(received_at);
        if expires_at > now { due.min(expires_at) } else { due }
    }

    /// The moment from which on a message that was not delivered is given up.
    pub fn expires_at(&self, received_at: Timestamp) -> Timestamp {
        received_at.after(self.message_expiration_timeout)
    }

    /// Whether it is time to give up.
    pub fn is_expired(&self, received_at: Timestamp, now: Timestamp) -> bool {
        now >= self.expires_at(received_at)
    }

    /// Whether the sender is owed a delay notice now; once it was sent (`notified`), never again.
    pub fn owes_delay_notice(&self, received_at: Timestamp, notified: bool, now: Timestamp) -> bool {
        !notified && now >= received_at.after(self.delay_notification_timeout)
    }

    /// Messages received at this moment or before have expired `now`: what to claim in order to give them up.
    pub fn expired_before(&self, now: Timestamp) -> Timestamp {
        before(now, self.message_expiration_timeout)
    }

    /// Messages received at this moment or before are owed a delay notice `now`.
    pub fn delayed_before(&self, now: Timestamp) -> Timestamp {
        before(now, self.delay_notification_timeout)
    }
}

impl Default for MessageTimers {
    fn default() -> Self {
        Self {
            message_retry_interval: MINUTE * 15,
            message_expiration_timeout: Duration::from_secs(2 * 24 * 3600),
            delay_notification_timeout: Duration::from_secs(4 * 3600),
        }
    }
}

/// `from + wait`, and a share of a tenth of `wait` that grows with `random`.
fn with_jitter(from: Timestamp, wait: Duration, random: u64) -> Timestamp {
    let most = u64::try_from(wait.as_millis() / 10).unwrap_or(u64::MAX);
    let extra = (u128::from(most) * u128::from(random)) >> 64;
    from.after(wait).after(Duration::from_millis(u64::try_from(extra).unwrap_or(u64::MAX)))
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(now.as_unix_millis().saturating_sub(millis))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    #[test]
    fn exchange_tries_at_the_minutes_of_its_guide() {
        let schedule = RetrySchedule::default();
        let mut now = at(0);
        let tries: Vec<i64> = (1..=12)
            .map(|failures| {
                now = schedule.retry_at(now, failures, 0);
                now.as_unix_millis() / 60_000
            })
            .collect();
        assert_eq!(tries, [1, 2, 3, 4, 9, 14, 19, 24, 29, 34, 44, 54]);
    }

    #[test]
    fn a_count_of_zero_skips_its_phase() {
        let phases =
            ExchangePhases { glitch_retry_count: 0, transient_failure_retry_count: 0, ..Default::default() };
        assert_eq!(RetrySchedule::Exchange(phases).delay_after(1), MINUTE * 10);
        let phases = ExchangePhases { glitch_retry_count: 0, ..Default::default() };
        assert_eq!(RetrySchedule::Exchange(phases).delay_after(1), MINUTE * 5);
    }

    #[test]
    fn expiry_and_delay_count_from_submission() {
        let timers = MessageTimers::default();
        let hour = 3_600_000;
        // (hours since submission, notified, owes a notice, expired)
        for (hours, notified, owes, expired) in [
            (0, false, false, false),
            (3, false, false, false),
            (4, false, true, false),
            (4, true, false, false),
            (48, true, false, true),
        ] {
            let now = at(hours * hour);
            assert_eq!(timers.owes_delay_notice(at(0), notified, now), owes, "{hours} h");
            assert_eq!(timers.is_expired(at(0), now), expired, "{hours} h");
        }
    }

    #[test]
    fn the_last_retry_is_at_expiry_not_after_it() {
        let timers = MessageTimers::default();
        let expiry = timers.expires_at(at(0));
        let just_before = at(expiry.as_unix_millis() - 1_000);
        assert_eq!(timers.retry_at(at(0), just_before, u64::MAX), expiry);
    }

    proptest! {
        #[test]
        fn jitter_is_never_early_and_at_most_a_tenth_late(failures in 0u32..100, random: u64, from in -1_000_000_000i64..4_000_000_000_000) {
            for schedule in [RetrySchedule::default(), RetrySchedule::iis(), RetrySchedule::IisIntervals(vec![])] {
                let wait = schedule.delay_after(failures);
                let waited = schedule.retry_at(at(from), failures, random).since(at(from));
                prop_assert!(waited >= wait && waited <= wait + wait / 10);
            }
        }

        #[test]
        fn no_clock_makes_it_panic(received: i64, now: i64, random: u64, failures: u32, seconds: u64) {
            let timers = MessageTimers { message_retry_interval: Duration::from_secs(seconds), ..Default::default() };
            let _ = timers.retry_at(at(received), at(now), random);
            let _ = (timers.expired_before(at(now)), timers.delayed_before(at(received)));
            let _ = RetrySchedule::IisIntervals(vec![Duration::from_secs(seconds)]).retry_at(at(now), failures, random);
        }

        #[test]
        fn what_a_sweep_claims_is_what_has_expired(received in -1i64 << 50..1 << 50, age in 0i64..400_000_000) {
            let timers = MessageTimers::default();
            let now = at(received + age);
            prop_assert_eq!(timers.is_expired(at(received), now), at(received) <= timers.expired_before(now));
            prop_assert_eq!(timers.owes_delay_notice(at(received), false, now), at(received) <= timers.delayed_before(now));
        }
    }
}
