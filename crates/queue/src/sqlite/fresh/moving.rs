//! Which fresh mail moves into the database, and what is known of it while it is on its way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postroad_message::Timestamp;

use super::keys::Known;
use super::shelf::{Entry, Shelf, State};
use crate::item::NewMessage;
use crate::message_id::MessageId;

/// How old a message gets here, about.
pub(super) const AGE: Duration = Duration::from_secs(3);

/// A message on its way into the database.
#[derive(Clone)]
pub(super) struct Moving {
    pub(super) message: Arc<NewMessage>,
    pub(super) epoch: u64,
    pub(super) generation: u64,
    pub(super) lent: Option<Timestamp>,
    pub(super) owner: String,
    /// Its source may come with it again.
    pub(super) keyed: bool,
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

impl Shelf {
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
            taken_bytes += entry.weight;
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
            let known = message.source_key.as_ref().and_then(|key| shared.keys.get_mut(key));
            let keyed = match known {
                Some(Known::Here { message, stored, .. }) if *message == id => {
                    *stored = true;
                    true
                }
                _ => false,
            };
            let owner = shared.owner.clone();
            taken.push(Moving { message, epoch, generation, lent, owner, keyed });
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

    /// Whether anything has been sent on its way that did not arrive yet.
    pub(in super::super) fn is_any_moving(&self) -> bool {
        let _sent = self.sending();
        self.shared().entries.values().any(|entry| matches!(entry.state, State::Moving(_)))
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
