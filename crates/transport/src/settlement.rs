//! From the outcomes of one attempt to what stays, what leaves and what the sender is told: pure.

use postroad_dsn::Wording;
use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Scope, Timestamp};
use postroad_queue::{Contact, Kept, Lease, MessageTimers};

/// What an attempt means for the queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Recipients that stay.
    pub(crate) keep: Vec<Kept>,
    /// Recipients that were given up or taken, each with its last outcome: what reports are made from.
    pub(crate) left: Vec<(usize, Outcome)>,
    /// Recipients that stay and whose sender hears of it now, once.
    pub(crate) delayed: Vec<(usize, Failure)>,
}

/// The moments that an attempt's deferrals are measured by.
pub(crate) struct Moments {
    pub(crate) now: Timestamp,
    pub(crate) timers: MessageTimers,
    /// When the next hop is tried again if it is the one that failed.
    pub(crate) next_hop_retry: Timestamp,
    /// For jitter.
    pub(crate) random: u64,
    /// How reports are worded, which decides the status of an expired message.
    pub(crate) wording: Wording,
}

/// One outcome for each recipient, as it counts from here on: a recipient without one is deferred, so that nothing is
/// ever lost to a short answer; and after the message's expiry what would be deferred has failed.
pub(crate) fn judge(lease: &Lease, outcomes: Vec<Outcome>, moments: &Moments) -> Vec<Outcome> {
    let expired = moments.timers.is_expired(lease.received_at, moments.now);
    let missing = std::iter::repeat_with(|| Outcome::Deferred(no_answer()));
    let judged = outcomes.into_iter().chain(missing).map(|outcome| match outcome {
        Outcome::Deferred(failure) | Outcome::Ambiguous(failure) if expired => {
            Outcome::Failed(expiry(failure, moments.wording))
        }
        outcome => outcome,
    });
    judged.take(lease.envelope.recipients.len()).collect()
}

/// The same without an attempt: whoever stays keeps his turn and his last failure, and the sender hears of the delay.
pub(crate) fn settle_overdue(lease: &Lease, outcomes: Vec<Outcome>, moments: &Moments) -> Settled {
    let mut settled = settle(lease, outcomes, moments);
    let owes_delay = moments.timers.owes_delay_notice(lease.received_at, lease.delay_notified, moments.now);
    for kept in &mut settled.keep {
        kept.due = lease.due;
        let failure = kept.failure.take().filter(|_| owes_delay);
        settled.delayed.extend(failure.map(|failure| (kept.index, failure)));
    }
    settled
}

/// Sorts what [`judge`] gave: who stays until when, who leaves.
pub(crate) fn settle(lease: &Lease, outcomes: Vec<Outcome>, moments: &Moments) -> Settled {
    let mut settled = Settled::default();
    // Progress keeps an at-once retry from spinning: a peer that took nobody is asked again after a while.
    let progress = outcomes.iter().any(Outcome::is_final);
    for (index, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Outcome::Deferred(failure) | Outcome::Ambiguous(failure) => {
                let due = retry_at(lease, &failure, progress, moments);
                settled.keep.push(Kept::deferred(index, due, failure));
            }
            outcome => settled.left.push((index, outcome)),
        }
    }
    settled
}

/// What the outcomes say about the next hop as a whole.
pub(crate) fn contact(outcomes: &[Outcome]) -> Contact {
    let unreached =
        |outcome: &Outcome| outcome.failure().is_some_and(|failure| failure.scope == Scope::NextHop);
    if outcomes.is_empty() {
        Contact::None
    } else if outcomes.iter().all(unreached) {
        Contact::Failed
    } else {
        Contact::Reached
    }
}

/// The failure that ends a recipient's wait, with the words of its last attempt.
///
/// RFC 3463 calls it 5.4.7, Exchange 4.4.7; the reply of the last host, if it gave one, stays for the diagnostics.
pub(crate) fn expiry(last: Failure, wording: Wording) -> Failure {
    let status = match wording {
        Wording::Exchange => EnhancedStatus::transient(4, 7),
        // Also however else it may be worded: what RFC 3463 says.
        _ => EnhancedStatus::permanent(4, 7),
    };
    let text = format!("message expired; the last attempt failed: {}", last.text);
    let mut failure = Failure::new(status, last.fault, last.scope, last.phase, text);
    failure.host = last.host;
    failure.reply = last.reply;
    failure
}

/// The failure of a recipient that was never attempted.
pub(crate) fn never_attempted() -> Failure {
    let status = EnhancedStatus::transient(4, 7);
    Failure::new(status, Fault::Local, Scope::Recipient, Phase::Queue, "it was not attempted yet")
}

fn retry_at(lease: &Lease, failure: &Failure, progress: bool, moments: &Moments) -> Timestamp {
    // RFC 5321 section 4.5.3.1.10: recipients beyond the peer's limit go in a further transaction at once.
    let too_many = failure.status == EnhancedStatus::transient(5, 3);
    match failure.scope {
        Scope::NextHop => {
            moments.timers.no_later_than_expiry(lease.received_at, moments.now, moments.next_hop_retry)
        }
        Scope::Recipient if too_many && progress => moments.now,
        Scope::Message | Scope::Recipient => {
            moments.timers.retry_at(lease.received_at, moments.now, moments.random)
        }
    }
}

fn no_answer() -> Failure {
    let status = EnhancedStatus::transient(3, 0);
    Failure::new(status, Fault::Local, Scope::Recipient, Phase::Agent, "the delivery gave no outcome")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postroad_address_space::Address;
    use postroad_message::{Envelope, NextHop, Receipt, Recipient, ReversePath};
    use postroad_queue::{DeliveryId, MessageId};

    use super::*;

    const SUBMITTED: Timestamp = Timestamp::from_unix_millis(1_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn lease(recipients: usize) -> Lease {
        let recipients = (0..recipients)
            .map(|i| Recipient::new(Address::parse(&format!("user{i}@contoso.com")).unwrap()))
            .collect();
        let hop = NextHop::new("Internet", "contoso.com");
        let ids = (DeliveryId::from_u64(1), 1);
        let envelope = Envelope::new(ReversePath::Null, recipients);
        Lease::new(ids, MessageId::from_u64(1), hop, envelope, SUBMITTED, SUBMITTED.after(HOUR))
    }

    fn failure(status: &str, scope: Scope) -> Failure {
        Failure::new(status.parse().unwrap(), Fault::Remote, scope, Phase::RcptTo, "as the host said")
    }

    fn moments(now: Timestamp) -> Moments {
        let timers = MessageTimers::default();
        Moments { now, timers, next_hop_retry: now.after(HOUR), random: 0, wording: Wording::Plain }
    }

    fn settled_at(now: Timestamp, lease: &Lease, outcomes: Vec<Outcome>) -> Settled {
        let moments = moments(now);
        settle(lease, judge(lease, outcomes, &moments), &moments)
    }

    #[test]
    fn each_recipient_goes_its_own_way() {
        let outcomes = vec![
            Outcome::Delivered(Receipt::default()),
            Outcome::Deferred(failure("4.2.1", Scope::Recipient)),
            Outcome::Failed(failure("5.1.1", Scope::Recipient)),
            Outcome::Ambiguous(failure("4.4.2", Scope::NextHop)),
        ];
        let settled = settled_at(SUBMITTED, &lease(4), outcomes);
        assert_eq!(settled.left.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(settled.keep.iter().map(|kept| kept.index).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(settled.keep[0].due, SUBMITTED.after(HOUR / 4), "MessageRetryInterval");
        assert_eq!(settled.keep[1].due, SUBMITTED.after(HOUR), "the next hop's own schedule");
    }

    #[test]
    fn a_recipient_without_an_outcome_is_kept() {
        let settled = settled_at(SUBMITTED, &lease(2), vec![Outcome::Delivered(Receipt::default())]);
        assert_eq!(settled.keep.iter().map(|kept| kept.index).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn recipients_beyond_the_limit_go_at_once_unless_nobody_was_taken() {
        let too_many = || Outcome::Deferred(failure("4.5.3", Scope::Recipient));
        let settled =
            settled_at(SUBMITTED, &lease(2), vec![Outcome::Delivered(Receipt::default()), too_many()]);
        assert_eq!(settled.keep[0].due, SUBMITTED);
        let settled = settled_at(SUBMITTED, &lease(2), vec![too_many(), too_many()]);
        assert_eq!(settled.keep[0].due, SUBMITTED.after(HOUR / 4));
    }

    #[test]
    fn expiry_is_counted_from_submission_and_keeps_the_last_words() {
        let late = SUBMITTED.after(HOUR * 48);
        let settled = settled_at(late, &lease(1), vec![Outcome::Deferred(failure("4.4.1", Scope::NextHop))]);
        let (_, outcome) = &settled.left[0];
        let failure = outcome.failure().unwrap();
        assert_eq!(failure.status.to_string(), "5.4.7");
        assert!(failure.text.contains("as the host said"), "{failure}");
    }

    #[test]
    fn exchange_calls_expiry_transient() {
        let failure = expiry(failure("4.4.1", Scope::NextHop), Wording::Exchange);
        assert_eq!(failure.status.to_string(), "4.4.7");
    }

    #[test]
    fn a_delay_is_told_once_after_four_hours() {
        let mut lease = lease(1);
        lease.due = SUBMITTED.after(HOUR * 6);
        let overdue = |hours: u32, lease: &Lease| {
            let deferred = vec![Outcome::Deferred(failure("4.4.1", Scope::NextHop))];
            settle_overdue(lease, deferred, &moments(SUBMITTED.after(HOUR * hours)))
        };
        assert!(overdue(3, &lease).delayed.is_empty());
        let settled = overdue(4, &lease);
        assert_eq!((settled.delayed.len(), &settled.keep[0]), (1, &Kept::waiting(0, lease.due)));
        lease.delay_notified = true;
        assert!(overdue(5, &lease).delayed.is_empty());
    }

    #[test]
    fn the_next_hop_failed_only_if_every_recipient_says_so() {
        let host = || Outcome::Deferred(failure("4.4.1", Scope::NextHop));
        assert_eq!(contact(&[host(), host()]), Contact::Failed);
        assert_eq!(contact(&[host(), Outcome::Delivered(Receipt::default())]), Contact::Reached);
        assert_eq!(contact(&[Outcome::Failed(failure("5.1.1", Scope::Recipient))]), Contact::Reached);
        assert_eq!(contact(&[]), Contact::None);
    }
}
