//! Messages that do harm: suspected after a crash, tried one at a time, and set aside when the evidence is there.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postroad_message::{NextHop, Timestamp};
use postroad_queue::{Lease, Settlement};

use crate::observe::Seen;
use crate::pipeline::Shared;

/// The leases of one slot, kept by whoever waits for its work: what the work leaves behind when it panics is in here.
#[derive(Clone)]
pub(crate) struct Hand(Arc<Mutex<Held>>);

struct Held {
    working: Option<Lease>,
    waiting: VecDeque<Lease>,
}

impl Hand {
    pub(crate) fn of(leases: Vec<Lease>) -> Self {
        Self(Arc::new(Mutex::new(Held { working: None, waiting: leases.into() })))
    }

    /// The next one to work on; the one before is done with.
    pub(crate) fn next(&self) -> Option<Lease> {
        let mut held = self.held();
        held.working = held.waiting.pop_front();
        held.working.clone()
    }

    /// Those that nobody has begun with.
    pub(crate) fn take_waiting(&self) -> VecDeque<Lease> {
        std::mem::take(&mut self.held().waiting)
    }

    fn take_working(&self) -> Option<Lease> {
        self.held().working.take()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing here panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where suspects are being tried.
#[derive(Default)]
pub(crate) struct Trials(Mutex<Docks>);

#[derive(Default)]
struct Docks {
    next_hops: HashSet<NextHop>,
    /// Whether one is tried that has crashed us during a trial already.
    grave: bool,
    /// A server that is killed as soon as it is there is not killed by its mail.
    not_before: Option<Timestamp>,
}

impl Trials {
    /// Tries nobody before this moment.
    pub(crate) fn put_off(&self, until: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).not_before = Some(until);
    }

    /// The right to try a suspect there; `None` while another is, and for a moment after the start.
    ///
    /// Who dies with a hundred deliveries in flight has a hundred suspects. Tried side by side they would all be
    /// convicted by the next power failure; one at a time, only the guilty one is there again and again. A crash may
    /// still find several next hops at it: whoever was on trial then is from then on tried with no other such one
    /// anywhere.
    pub(crate) fn begin(&self, lease: &Lease, now: Timestamp) -> Option<Trial<'_>> {
        let grave = lease.crashes > 1;
        let mut docks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if docks.not_before.is_some_and(|moment| now < moment) {
            return None;
        }
        if grave && docks.grave || !docks.next_hops.insert(lease.next_hop.clone()) {
            return None;
        }
        docks.grave |= grave;
        Some(Trial { trials: self, next_hop: lease.next_hop.clone(), grave })
    }
}

/// Ends when dropped, by a panic too.
pub(crate) struct Trial<'a> {
    trials: &'a Trials,
    next_hop: NextHop,
    grave: bool,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let mut docks = self.trials.0.lock().unwrap_or_else(PoisonError::into_inner);
        docks.next_hops.remove(&self.next_hop);
        docks.grave &= !self.grave;
    }
}

/// Whether crashes of whole servers convict a message. The first is no evidence, everything in flight was there; the
/// others found it on trial.
pub(crate) fn is_convicted(shared: &Shared, lease: &Lease) -> bool {
    lease.crashes > shared.in_force().settings.poison_threshold
}

/// After a panic: the one that was worked on is counted, the others go back at once.
pub(crate) async fn broke_off(shared: &Shared, hand: &Hand, due: Timestamp) {
    let working = hand.take_working();
    for untried in hand.take_waiting() {
        let due = untried.due;
        if let Err(error) = shared.store.release(untried, due).await {
            tracing::error!(%error, "a delivery could not be given back; its lease will run out");
        }
    }
    let Some(lease) = working else { return };
    // A panic names its message: no suspicion, evidence.
    if lease.crashes + 1 >= shared.in_force().settings.poison_threshold {
        set_aside(shared, lease).await;
        return;
    }
    let (id, crashed) = (lease.message, Settlement::crashed(lease.envelope.recipients.len(), due));
    if let Err(error) = shared.store.settle(lease, crashed).await {
        tracing::error!(%id, %error, "a crash could not be counted; its lease will run out");
    }
}

/// Into the poison queue: nothing happens to the message until an administrator resumes or removes it.
pub(crate) async fn set_aside(shared: &Shared, lease: Lease) {
    let reason = "working on it broke the relay off again and again: resume or remove it";
    let (id, due) = (lease.message, lease.due);
    tracing::error!(%id, next_hop = %lease.next_hop, reason, "set aside");
    if let Err(error) = shared.store.set_aside(id, reason).await {
        tracing::error!(%id, %error, "a message could not be set aside; its lease will run out");
        return;
    }
    let seen = Seen::lent(&lease, shared.world.now(), None);
    shared.observer.set_aside(&seen, reason);
    let released = shared.store.release(lease.clone(), due).await;
    if let Err(error) = released {
        tracing::error!(%id, %error, "a delivery could not be given back; its lease will run out");
    }
}
