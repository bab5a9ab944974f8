//! What lies in the log and not in the database, as it is lent from memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use postroad_message::{Content, NextHop, Timestamp};

use super::super::fault::Fault;
use super::format::Lent;
use super::keys::Known;
use super::recovery::Recovery;
use crate::item::{Claim, Claimed, Eligible, Lease, NewMessage};
use crate::message_id::{DeliveryId, MessageId};

/// Fresh mail, and which next hops have mail in the database: a claim for one that has none need not ask there.
#[derive(Clone, Default)]
pub(in super::super) struct Shelf {
    shared: Arc<Mutex<Shared>>,
    sending: Arc<Mutex<()>>,
    pub(super) recovery: Recovery,
}

#[derive(Default)]
pub(super) struct Shared {
    /// How many bytes may lie here; 0 while the log is not ours.
    pub(super) room: usize,
    /// The log is ours as long as this file is open.
    pub(super) lock: Option<Arc<File>>,
    pub(super) bytes: usize,
    /// Ids from here downwards may be known in the database.
    pub(super) floor: Option<MessageId>,
    pub(super) entries: BTreeMap<MessageId, Entry>,
    /// What nobody works on.
    pub(super) waiting: HashMap<NextHop, BTreeSet<(Timestamp, MessageId)>>,
    /// When each lease runs out.
    pub(super) ends: BTreeSet<(Timestamp, MessageId)>,
    /// Lendings that the log has not been told of.
    pub(super) lent: Vec<Lent>,
    /// What sources know messages by that lie here, or did.
    pub(super) keys: HashMap<String, Known>,
    /// Messages whose sources will not come again, of which the log has not been told.
    pub(super) forgotten: Vec<MessageId>,
    pub(super) owner: String,
    pub(super) stored: HashSet<NextHop>,
    pub(super) suspended: HashSet<NextHop>,
    /// The database could not be asked.
    pub(super) unknown: bool,
    pub(super) retries: bool,
    pub(super) visited: bool,
}

pub(super) struct Entry {
    pub(super) message: Arc<NewMessage>,
    /// Bytes that it takes in memory, about.
    pub(super) weight: usize,
    pub(super) epoch: u64,
    pub(super) since: Instant,
    pub(super) generation: u64,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// On its way into the log.
    Coming,
    Waiting,
    Lent(Timestamp),
    /// On its way into the database; with its lease, if it is lent.
    Moving(Option<Timestamp>),
}

/// What a claim finds here.
pub(in super::super) enum Lending {
    /// All there is.
    All(Claimed),
    /// The database has to be asked first.
    AskTheDatabase,
}

/// What becomes of a lease when all its recipients leave.
pub(in super::super) enum Finish {
    /// The message is gone from here; the log is to be told.
    Left(Left),
    /// Somebody else has it by now.
    Lost,
    /// It lies in the database, or will in a moment.
    Elsewhere,
}

/// A message that has left, until the log was told.
pub(in super::super) struct Left {
    id: MessageId,
    entry: Entry,
}

impl Left {
    pub(super) fn id(&self) -> MessageId {
        self.id
    }
}

impl Shelf {
    pub(super) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while messages are marked as moving and sent on their way: whoever comes to know of the mark and then takes this
    /// comes behind them.
    pub(in super::super) fn sending(&self) -> MutexGuard<'_, ()> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on messages with ids above `floor` may come.
    pub(super) fn open(&self, room: usize, floor: MessageId) {
        let mut shared = self.shared();
        shared.room = room;
        shared.floor = shared.floor.max(Some(floor));
    }

    pub(super) fn close(&self) {
        self.shared().room = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shared().entries.is_empty()
    }

    fn is_recovering(&self) -> bool {
        self.recovery.is_under_way()
    }

    /// Ready when what an earlier process left in the log is in the database, as far as it could move.
    pub(in super::super) async fn recovered(&self) {
        self.recovery.ended().await;
    }

    /// Why what an earlier process left in the log could not move, where it could not.
    pub(in super::super) fn is_taken_up(&self) -> Result<(), Fault> {
        self.recovery.outcome()
    }

    pub(in super::super) fn is_open(&self) -> bool {
        self.shared().room > 0
    }

    pub(in super::super) fn set_owner(&self, owner: &str) {
        owner.clone_into(&mut self.shared().owner);
    }

    /// Takes its place among the others, and is lent to nobody yet; false where it belongs into the database.
    ///
    /// `line` bytes are written of it beside its content: what it takes beside that is about twice as much.
    pub(super) fn announce(
        &self,
        id: MessageId,
        message: &Arc<NewMessage>,
        line: usize,
        since: Instant,
    ) -> bool {
        let mut shared = self.shared();
        let weight = message.content.len() + 2 * line;
        let known = |hop: &NextHop| shared.suspended.contains(hop);
        if Some(id) <= shared.floor
            || shared.bytes + weight > shared.room
            || shared.entries.contains_key(&id)
            || message.deliveries.iter().any(|delivery| known(&delivery.next_hop))
        {
            return false;
        }
        shared.bytes += weight;
        let message = Arc::clone(message);
        let entry = Entry { message, weight, epoch: 0, since, generation: 0, state: State::Coming };
        shared.entries.insert(id, entry);
        true
    }

    /// It is in the log, durable.
    pub(super) fn arrived(&self, ids: impl Iterator<Item = (MessageId, u64)>) {
        let mut shared = self.shared();
        for (id, epoch) in ids {
            if let Some(entry) = shared.entries.get_mut(&id) {
                entry.epoch = epoch;
                entry.state = State::Waiting;
                let key = entry.message.source_key.clone();
                shared.put_to_waiting(id);
                if let Some(key) = key {
                    shared.keys.insert(key, Known::Here { message: id, epoch, stored: false });
                }
            }
        }
    }

    /// It did not get there.
    pub(super) fn refused(&self, id: MessageId) {
        self.shared().remove(id);
    }

    /// What the log has not been told of: who was lent, and who was forgotten by its source.
    pub(super) fn take_untold(&self) -> (Vec<Lent>, Vec<MessageId>) {
        let mut shared = self.shared();
        (std::mem::take(&mut shared.lent), std::mem::take(&mut shared.forgotten))
    }

    /// The log could not be told: it is told with what comes next.
    pub(super) fn put_back_untold(&self, (mut lent, mut forgotten): (Vec<Lent>, Vec<MessageId>)) {
        let mut shared = self.shared();
        lent.append(&mut shared.lent);
        forgotten.append(&mut shared.forgotten);
        (shared.lent, shared.forgotten) = (lent, forgotten);
    }

    pub(in super::super) fn content(&self, message: MessageId) -> Option<Content> {
        let shared = self.shared();
        let entry = shared.entries.get(&message).filter(|entry| entry.state != State::Coming)?;
        Some(entry.message.content.clone())
    }

    /// For each next hop that has some here: when the first is due.
    pub(in super::super) fn due(&self, now: Timestamp) -> Vec<(NextHop, Timestamp)> {
        let mut shared = self.shared();
        shared.free_expired(now);
        let first = |(hop, waiting): (&NextHop, &BTreeSet<_>)| {
            waiting.first().map(|&(due, _): &(Timestamp, _)| (hop.clone(), due))
        };
        shared.waiting.iter().filter_map(first).collect()
    }

    pub(in super::super) fn has_stored(&self) -> bool {
        let shared = self.shared();
        self.is_recovering() || shared.unknown || !shared.stored.is_empty()
    }

    /// Lends what is due at one next hop, if all that there is for it is here.
    pub(in super::super) fn claim(&self, claim: &Claim) -> Lending {
        let plain = claim.message.is_none()
            && claim.delivery.is_none()
            && claim.received_before.is_none()
            && !claim.not_delay_notified
            && claim.eligible == Eligible::Due;
        let mut shared = self.shared();
        match &claim.next_hop {
            Some(hop)
                if plain
                    && !self.is_recovering()
                    && !shared.unknown
                    && !shared.stored.contains(hop)
                    && !shared.suspended.contains(hop) =>
            {
                Lending::All(shared.lend(hop, claim, claim.limit))
            }
            _ => Lending::AskTheDatabase,
        }
    }

    /// Adds what is due here to what the database lent.
    pub(in super::super) fn add_to(&self, claimed: &mut Claimed, claim: &Claim) {
        let Some(hop) = &claim.next_hop else { return };
        let mut shared = self.shared();
        if claim.eligible != Eligible::Due || shared.suspended.contains(hop) {
            return;
        }
        let more = shared.lend(hop, claim, claim.limit.saturating_sub(claimed.leases.len()));
        claimed.leases.extend(more.leases);
        claimed.next_due = match (claimed.next_due, more.next_due) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    /// Takes a message out whose recipients have all left.
    pub(in super::super) fn finish(&self, lease: &Lease) -> Finish {
        let mut shared = self.shared();
        match shared.entries.get(&lease.message) {
            Some(Entry { state: State::Waiting | State::Lent(_), generation, .. }) => {
                if *generation != lease.generation {
                    return Finish::Lost;
                }
                match shared.remove(lease.message) {
                    Some(entry) => Finish::Left(Left { id: lease.message, entry }),
                    None => Finish::Lost,
                }
            }
            _ => Finish::Elsewhere,
        }
    }

    /// Whether it lies here, lent by this lending: it did not move.
    pub(in super::super) fn lends(&self, message: MessageId, generation: u64) -> bool {
        let shared = self.shared();
        shared.entries.get(&message).is_some_and(|entry| entry.generation == generation)
    }

    /// The log could not be told: it is as before.
    pub(super) fn put_back_left(&self, Left { id, entry }: Left) {
        let mut shared = self.shared();
        shared.bytes += entry.weight;
        if let State::Lent(until) = entry.state {
            shared.ends.insert((until, id));
        }
        shared.entries.insert(id, entry);
    }
}

impl Shared {
    pub(super) fn remove(&mut self, id: MessageId) -> Option<Entry> {
        self.take_from_waiting(id);
        let entry = self.entries.remove(&id)?;
        if let State::Lent(until) = entry.state {
            self.ends.remove(&(until, id));
        }
        self.bytes = self.bytes.saturating_sub(entry.weight);
        Some(entry)
    }

    pub(super) fn put_to_waiting(&mut self, id: MessageId) {
        let Some(entry) = self.entries.get(&id) else { return };
        for delivery in &entry.message.deliveries {
            match self.waiting.get_mut(&delivery.next_hop) {
                Some(waiting) => {
                    waiting.insert((delivery.due, id));
                }
                None => {
                    self.waiting.insert(delivery.next_hop.clone(), BTreeSet::from([(delivery.due, id)]));
                }
            }
        }
    }

    pub(super) fn take_from_waiting(&mut self, id: MessageId) {
        let Some(entry) = self.entries.get(&id) else { return };
        for delivery in &entry.message.deliveries {
            if let Some(waiting) = self.waiting.get_mut(&delivery.next_hop) {
                waiting.remove(&(delivery.due, id));
                if waiting.is_empty() {
                    self.waiting.remove(&delivery.next_hop);
                }
            }
        }
    }

    /// A lease that ran out is free for others; its generation stays, so that it can be settled until then.
    fn free_expired(&mut self, now: Timestamp) {
        while let Some(&(until, id)) = self.ends.first()
            && until <= now
        {
            self.ends.pop_first();
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.state = State::Waiting;
                self.put_to_waiting(id);
            }
        }
    }

    fn lend(&mut self, hop: &NextHop, claim: &Claim, limit: usize) -> Claimed {
        self.free_expired(claim.now);
        let mut claimed = Claimed::default();
        while claimed.leases.len() < limit
            && let Some(waiting) = self.waiting.get(hop)
            && let Some(&(due, id)) = waiting.first()
            && due <= claim.now
        {
            self.take_from_waiting(id);
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            entry.generation += 1;
            entry.state = State::Lent(claim.lease_until);
            self.ends.insert((claim.lease_until, id));
            claimed.leases.push(lease(id, entry, claim.lease_until));
            self.lent.push(Lent {
                message: id.as_u64(),
                generation: entry.generation,
                until: claim.lease_until.as_unix_millis(),
                owner: self.owner.clone(),
            });
        }
        claimed.next_due = self.waiting.get(hop).and_then(|waiting| waiting.first()).map(|&(due, _)| due);
        claimed
    }
}

fn lease(id: MessageId, entry: &Entry, until: Timestamp) -> Lease {
    let message = &entry.message;
    let mut envelope = message.envelope.clone();
    let mut next_hop = NextHop::new("", "");
    let mut due = message.received_at;
    if let Some(delivery) = message.deliveries.first() {
        envelope.recipients.clone_from(&delivery.recipients);
        next_hop = delivery.next_hop.clone();
        due = delivery.due;
    }
    let delivery = (DeliveryId::from_u64(id.as_u64()), entry.generation);
    let mut lease = Lease::new(delivery, id, next_hop, envelope, message.received_at, until);
    lease.source.clone_from(&message.source);
    lease.size = message.content.len() as u64;
    lease.due = due;
    lease
}
