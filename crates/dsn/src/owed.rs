//! Which outcome owes the sender a report, and which.

use std::fmt;

use postroad_message::{Envelope, Notify, Outcome, Recipient};

/// `action-value` (RFC 3464 section 2.3.3): what a report says became of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It is in its mailbox.
    Delivered,
    /// It became other recipients.
    Expanded,
    /// It went to a system that sends no reports.
    Relayed,
    /// It waits; we go on trying.
    Delayed,
    /// It will not be delivered.
    Failed,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delivered => "delivered",
            Self::Expanded => "expanded",
            Self::Relayed => "relayed",
            Self::Delayed => "delayed",
            Self::Failed => "failed",
        })
    }
}

/// What the outcome alone does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Circumstances {
    /// The message has waited long enough for a delay notice (4 hours in Exchange) and none was sent yet.
    pub delay_notice_due: bool,
    /// This was the last hop: whoever took it put it into a mailbox and reports nothing itself.
    pub final_delivery: bool,
}

impl Circumstances {
    /// A delivery that may owe a delay notice.
    pub fn delay_notice_due() -> Self {
        Self { delay_notice_due: true, ..Self::default() }
    }

    /// A delivery into a mailbox.
    pub fn final_delivery() -> Self {
        Self { final_delivery: true, ..Self::default() }
    }
}

/// What is owed for one recipient; `None`: nothing.
///
/// | outcome | owed | if the sender |
/// |---|---|---|
/// | failed | failed | did not forbid it (NOTIFY absent, or with FAILURE) |
/// | deferred, ambiguous | delayed, once | did not forbid it (NOTIFY absent, or with DELAY) |
/// | relayed | relayed | asked for SUCCESS, or set a deadline (BY) and no NOTIFY=NEVER |
/// | expanded | expanded | asked for SUCCESS |
/// | delivered | nothing, the next hop answers for it; at the last hop: delivered | asked for SUCCESS |
///
/// A message whose reverse-path is null is a report: never answered with another (RFC 5321 section 6.1).
///
/// ```
/// use postroad_address_space::Address;
/// use postroad_dsn::{owed, Action, Circumstances};
/// use postroad_message::{Envelope, Outcome, Receipt, Recipient, ReversePath};
/// let mut jane = Recipient::new(Address::parse("jane@contoso.com")?);
/// jane.notify = Some(postroad_message::Notify { success: true, failure: true, delay: false });
/// let from = |path| Envelope::new(path, vec![]);
/// let relayed = Outcome::Relayed(Receipt::default());
/// assert_eq!(owed(&from("app@contoso.com".parse()?), &jane, &relayed, Circumstances::default()), Some(Action::Relayed));
/// assert_eq!(owed(&from(ReversePath::Null), &jane, &relayed, Circumstances::default()), None);
/// # Ok::<(), postroad_address_space::ParseError>(())
/// ```
pub fn owed(
    envelope: &Envelope,
    recipient: &Recipient,
    outcome: &Outcome,
    circumstances: Circumstances,
) -> Option<Action> {
    if envelope.reverse_path.is_null() {
        return None;
    }
    match outcome {
        Outcome::Failed(_) => recipient.wants_failure().then_some(Action::Failed),
        Outcome::Deferred(_) | Outcome::Ambiguous(_) => {
            (circumstances.delay_notice_due && recipient.wants_delay()).then_some(Action::Delayed)
        }
        Outcome::Relayed(_) => {
            let wants = match envelope.deliver_by {
                Some(_) => !recipient.notify.is_some_and(Notify::is_never),
                None => recipient.wants_success(),
            };
            wants.then_some(Action::Relayed)
        }
        Outcome::Expanded(_) => recipient.wants_success().then_some(Action::Expanded),
        Outcome::Delivered(_) => {
            (circumstances.final_delivery && recipient.wants_success()).then_some(Action::Delivered)
        }
        // A kind of outcome that this room does not know yet owes nothing it could describe.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postroad_address_space::{Address, Mailbox};
    use postroad_message::{
        DeliverBy, EnhancedStatus, Failure, Fault, Phase, Receipt, ReversePath, Scope, Timestamp, WhenLate,
    };

    const SUCCESS: Notify = Notify { success: true, failure: false, delay: false };
    const FAILURE: Notify = Notify { success: false, failure: true, delay: false };
    const DELAY: Notify = Notify { success: false, failure: false, delay: true };

    fn failure() -> Failure {
        Failure::new(
            EnhancedStatus::permanent(1, 1),
            Fault::Remote,
            Scope::Recipient,
            Phase::RcptTo,
            "no such user",
        )
    }

    #[test]
    fn the_senders_wish_decides() {
        let envelope =
            Envelope::new(ReversePath::Mailbox(Mailbox::parse("a@b.example").unwrap()), Vec::new());
        let late = Circumstances::delay_notice_due();
        let last = Circumstances::final_delivery();
        let none = Circumstances::default();
        for (outcome, notify, circumstances, action) in [
            (Outcome::Failed(failure()), None, none, Some(Action::Failed)),
            (Outcome::Failed(failure()), Some(FAILURE), none, Some(Action::Failed)),
            (Outcome::Failed(failure()), Some(SUCCESS), none, None),
            (Outcome::Failed(failure()), Some(Notify::NEVER), none, None),
            (Outcome::Deferred(failure()), None, none, None),
            (Outcome::Deferred(failure()), None, late, Some(Action::Delayed)),
            (Outcome::Ambiguous(failure()), Some(DELAY), late, Some(Action::Delayed)),
            (Outcome::Deferred(failure()), Some(FAILURE), late, None),
            (Outcome::Relayed(Receipt::default()), None, none, None),
            (Outcome::Relayed(Receipt::default()), Some(SUCCESS), none, Some(Action::Relayed)),
            (Outcome::Delivered(Receipt::default()), Some(SUCCESS), none, None),
            (Outcome::Delivered(Receipt::default()), Some(SUCCESS), last, Some(Action::Delivered)),
            (Outcome::Delivered(Receipt::default()), None, last, None),
        ] {
            let mut recipient = Recipient::new(Address::parse("c@d.example").unwrap());
            recipient.notify = notify;
            assert_eq!(
                owed(&envelope, &recipient, &outcome, circumstances),
                action,
                "{outcome:?} {notify:?}"
            );
            let report = Envelope::new(ReversePath::Null, Vec::new());
            assert_eq!(owed(&report, &recipient, &outcome, circumstances), None);
        }
    }

    #[test]
    fn a_deadline_asks_for_word_of_a_relay_unless_nothing_is_wanted() {
        let mut envelope =
            Envelope::new(ReversePath::Mailbox(Mailbox::parse("a@b.example").unwrap()), Vec::new());
        let deadline = Timestamp::from_unix_millis(0);
        envelope.deliver_by = Some(DeliverBy::new(deadline, WhenLate::Notify));
        let relayed = Some(Action::Relayed);
        for (notify, action) in [(None, relayed), (Some(FAILURE), relayed), (Some(Notify::NEVER), None)] {
            let mut recipient = Recipient::new(Address::parse("c@d.example").unwrap());
            recipient.notify = notify;
            let of = |outcome: Outcome| owed(&envelope, &recipient, &outcome, Circumstances::default());
            assert_eq!(of(Outcome::Relayed(Receipt::default())), action, "{notify:?}");
            assert_eq!(of(Outcome::Delivered(Receipt::default())), None, "{notify:?}");
        }
    }
}
