//! What lies in the log and not in the database, as it is lent from memory; and what there is in the database beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postroad_message::{Content, NextHop, Timestamp};
use rusqlite::Connection;

use super::format::Lent;
use crate::item::{Claim, Claimed, Eligible, Lease, NewMessage};
use crate::message_id::{DeliveryId, MessageId};

/// Fresh mail, and which next hops have mail in the database: a claim for one that has none need not ask there.
#[derive(Clone, Default)]
pub(in super::super) struct Shelf {
    shared: Arc<Mutex<Shared>>,
    sending: Arc<Mutex<()>>,
}

#[derive(Default)]
struct Shared {
    /// How many bytes may lie here; 0 while the log is not ours.
    room: usize,
    bytes: usize,
    /// Ids from here downwards may be known in the database.
    floor: Option<MessageId>,
    entries: BTreeMap<MessageId, Entry>,
    /// What nobody works on.
    waiting: HashMap<NextHop, BTreeSet<(Timestamp, MessageId)>>,
    /// When each lease runs out.
    ends: BTreeSet<(Timestamp, MessageId)>,
    /// Lendings that the log has not been told of.
    lent: Vec<Lent>,
    owner: String,
    stored: HashSet<NextHop>,
    suspended: HashSet<NextHop>,
    /// The database could not be asked.
    unknown: bool,
    retries: bool,
    visited: bool,
}

struct Entry {
    message: Arc<NewMessage>,
    epoch: u64,
    since: Instant,
    generation: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// On its way into the log.
    Coming,
    Waiting,
    Lent(Timestamp),
    /// On its way into the database; with its lease, if it is lent.
    Moving(Option<Timestamp>),
}

/// A message on its way into the database.
#[derive(Clone)]
pub(super) struct Moving {
    pub(super) message: Arc<NewMessage>,
    pub(super) epoch: u64,
    pub(super) generation: u64,
    pub(super) lent: Option<Timestamp>,
    pub(super) owner: String,
}

/// Which messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Which {
    All,
    One(MessageId),
    /// That came before this moment.
    Before(Instant),
    UpToEpoch(u64),
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
    fn shared(&self) -> MutexGuard<'_, Shared> {
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

    pub(super) fn is_open(&self) -> bool {
        self.shared().room > 0
    }

    pub(in super::super) fn set_owner(&self, owner: &str) {
        owner.clone_into(&mut self.shared().owner);
    }

    /// Takes its place among the others, and is lent to nobody yet; false where it belongs into the database.
    pub(super) fn announce(&self, id: MessageId, message: &Arc<NewMessage>, since: Instant) -> bool {
        let mut shared = self.shared();
        let size = message.content.len();
        let known = |hop: &NextHop| shared.suspended.contains(hop);
        if Some(id) <= shared.floor
            || shared.bytes + size > shared.room
            || shared.entries.contains_key(&id)
            || message.deliveries.iter().any(|delivery| known(&delivery.next_hop))
        {
            return false;
        }
        shared.bytes += size;
        let message = Arc::clone(message);
        shared.entries.insert(id, Entry { message, epoch: 0, since, generation: 0, state: State::Coming });
        true
    }

    /// It is in the log, durable.
    pub(super) fn arrived(&self, ids: impl Iterator<Item = (MessageId, u64)>) {
        let mut shared = self.shared();
        for (id, epoch) in ids {
            if let Some(entry) = shared.entries.get_mut(&id) {
                entry.epoch = epoch;
                entry.state = State::Waiting;
                shared.put_to_waiting(id);
            }
        }
    }

    /// It did not get there.
    pub(super) fn refused(&self, id: MessageId) {
        self.shared().remove(id);
    }

    pub(super) fn take_lent(&self) -> Vec<Lent> {
        std::mem::take(&mut self.shared().lent)
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
        shared.unknown || !shared.stored.is_empty()
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

    /// The log could not be told: it is as before.
    pub(super) fn put_back_left(&self, Left { id, entry }: Left) {
        let mut shared = self.shared();
        shared.bytes += entry.message.content.len();
        if let State::Lent(until) = entry.state {
            shared.ends.insert((until, id));
        }
        shared.entries.insert(id, entry);
    }

    /// Takes messages for the way into the database, up to so many bytes.
    pub(super) fn take_for_moving(&self, which: Which, bytes: usize) -> Vec<Moving> {
        let mut shared = self.shared();
        let ids: Vec<MessageId> = match which {
            Which::One(id) => shared.entries.contains_key(&id).then_some(id).into_iter().collect(),
            _ => shared.entries.keys().copied().collect(),
        };
        let (mut taken, mut taken_bytes) = (Vec::new(), 0);
        for id in ids {
            let Some(entry) = shared.entries.get_mut(&id) else { continue };
            let wanted = match which {
                Which::All | Which::One(_) => true,
                Which::Before(moment) => entry.since < moment,
                Which::UpToEpoch(epoch) => entry.epoch <= epoch,
            };
            let lent = match entry.state {
                State::Waiting => None,
                State::Lent(until) => Some(until),
                State::Coming | State::Moving(_) => continue,
            };
            if !wanted {
                continue;
            }
            if taken_bytes >= bytes {
                break;
            }
            taken_bytes += entry.message.content.len();
            entry.state = State::Moving(lent);
            let (message, epoch, generation) = (Arc::clone(&entry.message), entry.epoch, entry.generation);
            match lent {
                Some(until) => {
                    shared.ends.remove(&(until, id));
                }
                None => shared.take_from_waiting(id),
            }
            shared.floor = shared.floor.max(Some(id));
            for delivery in &message.deliveries {
                shared.stored.insert(delivery.next_hop.clone());
            }
            let owner = shared.owner.clone();
            taken.push(Moving { message, epoch, generation, lent, owner });
        }
        taken
    }

    /// They lie in the database.
    pub(super) fn moved(&self, ids: impl IntoIterator<Item = MessageId>) {
        let mut shared = self.shared();
        for id in ids {
            shared.remove(id);
        }
    }

    /// They could not be moved, and are here as before.
    pub(super) fn not_moved(&self, ids: impl IntoIterator<Item = MessageId>) {
        let mut shared = self.shared();
        for id in ids {
            let Some(entry) = shared.entries.get_mut(&id) else { continue };
            let State::Moving(lent) = entry.state else { continue };
            entry.state = lent.map_or(State::Waiting, State::Lent);
            match lent {
                Some(until) => {
                    shared.ends.insert((until, id));
                }
                None => shared.put_to_waiting(id),
            }
        }
    }

    /// What lies in segments of earlier epochs than this.
    pub(super) fn in_segments_below(&self, epoch: u64) -> Vec<MessageId> {
        let shared = self.shared();
        let below = |entry: &Entry| entry.state != State::Coming && entry.epoch < epoch;
        shared.entries.iter().filter(|(_, entry)| below(entry)).map(|(id, _)| *id).collect()
    }

    /// Whether anything is here that came before this moment and can move.
    pub(super) fn is_any_older(&self, moment: Instant) -> bool {
        // Ids grow with time, more or less: the first few tell.
        let shared = self.shared();
        shared
            .entries
            .values()
            .take(16)
            .any(|entry| entry.since < moment && matches!(entry.state, State::Waiting | State::Lent(_)))
    }
}

/// What there is in the database.
impl Shelf {
    /// Something for this next hop is written into the database, or may be.
    pub(in super::super) fn is_stored(&self, hop: &NextHop) {
        let mut shared = self.shared();
        if !shared.stored.contains(hop) {
            shared.stored.insert(hop.clone());
        }
    }

    /// A message with this id is, or was.
    pub(in super::super) fn is_known(&self, id: MessageId) {
        let mut shared = self.shared();
        shared.floor = shared.floor.max(Some(id));
    }

    /// Nothing for these next hops is there any more.
    pub(in super::super) fn is_not_stored(&self, hops: impl IntoIterator<Item = NextHop>) {
        let mut shared = self.shared();
        for hop in hops {
            shared.stored.remove(&hop);
        }
    }

    pub(in super::super) fn suspend(&self, hop: &NextHop, suspended: bool) {
        let mut shared = self.shared();
        match suspended {
            true => shared.suspended.insert(hop.clone()),
            false => shared.suspended.remove(hop),
        };
    }

    /// Looks what is there; somebody else may have changed it.
    pub(in super::super) fn look(&self, connection: &Connection) {
        let read = || -> rusqlite::Result<Vec<(NextHop, bool)>> {
            let mut statement =
                connection.prepare_cached("SELECT connector, destination, suspended FROM queue")?;
            let rows = statement.query_map([], |row| {
                Ok((NextHop::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?), row.get(2)?))
            })?;
            rows.collect()
        };
        let queues = read();
        let mut shared = self.shared();
        shared.retries = true;
        shared.unknown = queues.is_err();
        for (hop, suspended) in queues.unwrap_or_default() {
            match suspended {
                true => shared.suspended.insert(hop.clone()),
                false => shared.suspended.remove(&hop),
            };
            shared.stored.insert(hop);
        }
    }

    /// Another process changed something: it may want to see all that there is.
    pub(in super::super) fn visited(&self) {
        self.shared().visited = true;
    }

    pub(super) fn take_visited(&self) -> bool {
        std::mem::take(&mut self.shared().visited)
    }

    pub(in super::super) fn asked_for_retries(&self) {
        self.shared().retries = true;
    }

    /// Whether somebody may have asked for retries since this was last called.
    pub(in super::super) fn take_asked_for_retries(&self) -> bool {
        std::mem::take(&mut self.shared().retries)
    }
}

impl Shared {
    fn remove(&mut self, id: MessageId) -> Option<Entry> {
        self.take_from_waiting(id);
        let entry = self.entries.remove(&id)?;
        if let State::Lent(until) = entry.state {
            self.ends.remove(&(until, id));
        }
        self.bytes = self.bytes.saturating_sub(entry.message.content.len());
        Some(entry)
    }

    fn put_to_waiting(&mut self, id: MessageId) {
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

    fn take_from_waiting(&mut self, id: MessageId) {
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

/// How old a message gets here, about.
pub(super) const AGE: Duration = Duration::from_secs(3);
