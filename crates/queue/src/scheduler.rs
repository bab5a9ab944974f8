//! Which next hop gets a connection now, and when to look again: pure, one small record for each next hop.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::time::Duration;

use postroad_message::{NextHop, Timestamp};

use crate::schedule::RetrySchedule;

/// How many deliveries may run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concurrency {
    /// `MaxOutboundConnections`: over all next hops.
    pub total: NonZeroUsize,
    /// `MaxPerDomainOutboundConnections`: to one next hop that has no [limit of its own](Scheduler::limit).
    pub per_next_hop: NonZeroUsize,
}

/// 1000 in all, 20 for each next hop.
impl Default for Concurrency {
    fn default() -> Self {
        let of = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        Self { total: of(1000), per_next_hop: of(20) }
    }
}

/// Hands out slots to next hops in turn.
///
/// It knows of each next hop when its earliest delivery is due, how many slots it uses and how often in a row
/// it could not be reached; the deliveries themselves stay in the store. So memory grows with the next hops
/// (a few hundred bytes each) and every call costs O(log of their number).
///
/// The loop around it:
///
/// ```text
///   offer(hop, due)  whenever mail was queued (from QueueStore::due at start, then as it comes)
///   while let Some(slot) = next(now) {
///       claim some deliveries of slot.next_hop();
///       claimed(&slot, next_due)        what the store says is due there after these
///       nothing claimed?  ->  finished(slot, Contact::None, ..)
///       else deliver them somewhere else, then finished(slot, Contact::Reached or Failed, ..)
///   }
///   sleep until wake_at(), or until an offer or a finished slot
/// ```
#[derive(Debug)]
pub struct Scheduler {
    concurrency: Concurrency,
    schedule: RetrySchedule,
    ids: HashMap<NextHop, u64>,
    queues: HashMap<u64, Queue>,
    next_id: u64,
    /// Held back or with nothing due yet, by the moment at which that ends.
    sleeping: BTreeSet<(Timestamp, u64)>,
    /// May have a slot now, by the turn in which each was last served: the longest-waiting first.
    ready: BTreeSet<(u64, u64)>,
    turn: u64,
    in_use: usize,
}

#[derive(Debug)]
struct Queue {
    next_hop: NextHop,
    /// When its earliest delivery that nobody works on is due; `None`: it has none.
    due: Option<Timestamp>,
    in_use: usize,
    /// In the place of what holds for all.
    most: Option<NonZeroUsize>,
    /// Failures in a row to reach it.
    failures: u32,
    /// The first of them, or when [`Scheduler::take_idle`] last told of it.
    failing_since: Option<Timestamp>,
    held_until: Option<Timestamp>,
    /// Grows with each counted failure, so that connections opened before it do not count again.
    epoch: u64,
    last_turn: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In neither set: nothing to do, or no room until a slot comes back.
    Nowhere,
    Sleeping(Timestamp),
    Ready,
}

/// The right to work on one next hop; give it back with [`Scheduler::finished`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a slot that is not given back is never used again"]
pub struct Slot {
    id: u64,
    epoch: u64,
    next_hop: NextHop,
}

impl Slot {
    /// Whom to claim deliveries for.
    pub fn next_hop(&self) -> &NextHop {
        &self.next_hop
    }
}

/// What the work under a slot tells about the next hop as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// It answered, whatever it said of each message: failures in a row are forgotten.
    Reached,
    /// It could not be reached, or refused us altogether ([`postroad_message::Scope::NextHop`]): the queue backs off.
    Failed,
    /// It was not tried.
    None,
}

/// How a next hop stands, for a queue listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// Slots in use.
    pub in_use: usize,
    /// Failures in a row.
    pub failures: u32,
    /// Until when it is left alone.
    pub held_until: Option<Timestamp>,
}

impl Scheduler {
    /// A scheduler that knows no next hop yet.
    pub fn new(concurrency: Concurrency, schedule: RetrySchedule) -> Self {
        Self {
            concurrency,
            schedule,
            ids: HashMap::new(),
            queues: HashMap::new(),
            next_id: 0,
            sleeping: BTreeSet::new(),
            ready: BTreeSet::new(),
            turn: 0,
            in_use: 0,
        }
    }

    /// Takes other limits and another schedule; what runs goes on, and holds stand as they are. Limits of single next hops are
    /// to be set anew.
    pub fn reconfigure(&mut self, concurrency: Concurrency, schedule: RetrySchedule) {
        self.concurrency = concurrency;
        self.schedule = schedule;
        let ids: Vec<u64> = self.queues.keys().copied().collect();
        for id in ids {
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.most = None;
            }
            self.place(id);
        }
    }

    /// Something is due at `due` for `next_hop`: an earlier moment replaces a later one.
    pub fn offer(&mut self, next_hop: &NextHop, due: Timestamp) {
        let id = self.id_of(next_hop);
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.due = Some(queue.due.map_or(due, |known| known.min(due)));
        }
        self.place(id);
    }

    /// So many slots at most for this next hop, fewer or more than [`Concurrency::per_next_hop`]: its connector says so. Holds
    /// for as long as it has mail, so set it after each offer.
    pub fn limit(&mut self, next_hop: &NextHop, most: NonZeroUsize) {
        let Some(&id) = self.ids.get(next_hop) else { return };
        if let Some(queue) = self.queues.get_mut(&id).filter(|queue| queue.most != Some(most)) {
            queue.most = Some(most);
            self.place(id);
        }
    }

    /// A slot for the next hop whose turn it is; `None` when none is due, or none has room.
    ///
    /// A next hop that failed gets one slot at a time until it was reached again.
    pub fn next(&mut self, now: Timestamp) -> Option<Slot> {
        self.awaken(now);
        if self.in_use >= self.concurrency.total.get() {
            return None;
        }
        let (_, id) = self.ready.pop_first()?;
        let queue = self.queues.get_mut(&id)?;
        self.turn += 1;
        self.in_use += 1;
        queue.place = Place::Nowhere;
        queue.last_turn = self.turn;
        queue.in_use += 1;
        let slot = Slot { id, epoch: queue.epoch, next_hop: queue.next_hop.clone() };
        self.place_awake(id);
        Some(slot)
    }

    /// After a claim: when the next delivery of that next hop that nobody works on is due, if there is one.
    pub fn claimed(&mut self, slot: &Slot, next_due: Option<Timestamp>) {
        if let Some(queue) = self.queues.get_mut(&slot.id) {
            queue.due = next_due;
        }
        self.place(slot.id);
    }

    /// Takes the slot back. After a counted failure, the moment until which the next hop is left alone.
    ///
    /// Of connections that ran side by side only the first failure counts: they tell of the same outage.
    /// `random` as in [`RetrySchedule::retry_at`].
    pub fn finished(
        &mut self,
        slot: Slot,
        contact: Contact,
        now: Timestamp,
        random: u64,
    ) -> Option<Timestamp> {
        let queue = self.queues.get_mut(&slot.id)?;
        queue.in_use = queue.in_use.saturating_sub(1);
        self.in_use = self.in_use.saturating_sub(1);
        // It may have ended while all that was due had slots, so that nobody looked.
        queue.held_until = queue.held_until.filter(|until| *until > now);
        match contact {
            Contact::Reached => {
                queue.failures = 0;
                queue.failing_since = None;
                queue.held_until = None;
            }
            Contact::Failed if slot.epoch == queue.epoch => {
                queue.failures = queue.failures.saturating_add(1);
                queue.failing_since.get_or_insert(now);
                queue.epoch += 1;
                queue.held_until = Some(self.schedule.retry_at(now, queue.failures, random));
            }
            Contact::Failed | Contact::None => {}
        }
        let held_until = queue.held_until.filter(|_| contact == Contact::Failed);
        self.place(slot.id);
        held_until
    }

    /// Lets a next hop that is held back be tried at once (`Retry-Queue`); its count of failures stays.
    pub fn retry_now(&mut self, next_hop: &NextHop) {
        if let Some(&id) = self.ids.get(next_hop) {
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.held_until = None;
            }
            self.place(id);
        }
    }

    /// Whether a next hop has failed for `idle` without a success (`MaxIdleTimeBeforeResubmit`): its mail is to be
    /// routed anew. True once, then again after another `idle`.
    pub fn take_idle(&mut self, next_hop: &NextHop, idle: Duration, now: Timestamp) -> bool {
        let Some(queue) = self.ids.get(next_hop).and_then(|id| self.queues.get_mut(id)) else { return false };
        let idle = queue.failing_since.is_some_and(|since| now >= since.after(idle));
        if idle {
            queue.failing_since = Some(now);
        }
        idle
    }

    /// When [`next`](Self::next) may have something that it has not now, if nothing is offered or finished
    /// before; may lie in the past. `None` while every slot is in use: then a finished one is what to wait for.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.in_use >= self.concurrency.total.get() {
            return None;
        }
        self.sleeping.first().map(|(at, _)| *at)
    }

    /// How a next hop stands; `None` when it has neither mail nor a failure to its name.
    pub fn standing(&self, next_hop: &NextHop) -> Option<Standing> {
        let queue = self.queues.get(self.ids.get(next_hop)?)?;
        Some(Standing { in_use: queue.in_use, failures: queue.failures, held_until: queue.held_until })
    }

    /// Slots in use, over all next hops.
    pub fn in_use(&self) -> usize {
        self.in_use
    }

    fn id_of(&mut self, next_hop: &NextHop) -> u64 {
        if let Some(&id) = self.ids.get(next_hop) {
            return id;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.ids.insert(next_hop.clone(), id);
        self.queues.insert(
            id,
            Queue {
                next_hop: next_hop.clone(),
                due: None,
                in_use: 0,
                most: None,
                failures: 0,
                failing_since: None,
                held_until: None,
                epoch: 0,
                last_turn: self.turn,
                place: Place::Nowhere,
            },
        );
        id
    }

    /// Moves those whose moment has come from `sleeping` to `ready`, and forgets those with nothing left.
    fn awaken(&mut self, now: Timestamp) {
        while let Some(&(at, id)) = self.sleeping.first() {
            if at > now {
                break;
            }
            self.sleeping.pop_first();
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.place = Place::Nowhere;
                if queue.held_until.is_some_and(|until| until <= now) {
                    queue.held_until = None;
                }
                if queue.due.is_none() && queue.in_use == 0 {
                    self.forget(id);
                } else {
                    self.place_awake(id);
                }
            }
        }
    }

    /// Puts a queue where it belongs after a change, to sleep first: only `next` knows what time it is.
    fn place(&mut self, id: u64) {
        self.unplace(id);
        let room = self.has_room(id);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let wake = match (queue.due, queue.held_until) {
            (Some(due), held) if room => Some(held.map_or(due, |until| until.max(due))),
            // Nothing to send, but a failure to remember until the hold ends.
            (None, Some(until)) if queue.in_use == 0 => Some(until),
            _ => None,
        };
        match wake {
            Some(at) => {
                queue.place = Place::Sleeping(at);
                self.sleeping.insert((at, id));
            }
            None if queue.due.is_none() && queue.in_use == 0 => self.forget(id),
            None => {}
        }
    }

    /// Puts a queue that is due and not held into `ready`, if it has room.
    fn place_awake(&mut self, id: u64) {
        if !self.has_room(id) {
            return;
        }
        if let Some(queue) = self.queues.get_mut(&id)
            && queue.due.is_some()
        {
            queue.place = Place::Ready;
            self.ready.insert((queue.last_turn, id));
        }
    }

    fn has_room(&self, id: u64) -> bool {
        self.queues.get(&id).is_some_and(|queue| {
            let most = queue.most.unwrap_or(self.concurrency.per_next_hop).get();
            queue.in_use < if queue.failures > 0 { 1 } else { most }
        })
    }

    fn unplace(&mut self, id: u64) {
        if let Some(queue) = self.queues.get_mut(&id) {
            match queue.place {
                Place::Sleeping(at) => self.sleeping.remove(&(at, id)),
                Place::Ready => self.ready.remove(&(queue.last_turn, id)),
                Place::Nowhere => false,
            };
            queue.place = Place::Nowhere;
        }
    }

    fn forget(&mut self, id: u64) {
        self.unplace(id);
        if let Some(queue) = self.queues.remove(&id) {
            self.ids.remove(&queue.next_hop);
        }
        // A bad day's tables are given back; at a quarter, so that this is paid for by what was forgotten.
        if self.queues.len() < self.queues.capacity() / 4 {
            self.queues.shrink_to(self.queues.len() * 2);
            self.ids.shrink_to(self.ids.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests;
