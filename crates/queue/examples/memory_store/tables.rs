//! What the store keeps, and the rules by which it changes: in another database these are tables and queries.

use std::collections::{BTreeMap, BTreeSet};

use postroad_message::{Content, Envelope, NextHop, Outcome, Recipient, ReversePath, Timestamp};
use postroad_queue::{
    Changed, Claim, Claimed, DeliveryId, Eligible, Filter, Lease, Listed, MessageId, NewMessage, QueueError,
    QueueSummary, QueuedRecipient, SOURCE_KEYS_KEPT, Settlement, State, StateKind,
};

#[derive(Default)]
pub(crate) struct Tables {
    last_message: u64,
    last_delivery: u64,
    pub(crate) messages: BTreeMap<MessageId, Message>,
    pub(crate) deliveries: BTreeMap<DeliveryId, Delivery>,
    pub(crate) results: BTreeMap<MessageId, Vec<(Recipient, Outcome)>>,
    pub(crate) source_keys: BTreeMap<String, Known>,
    pub(crate) suspended: BTreeSet<NextHop>,
    pub(crate) retries: BTreeSet<NextHop>,
}

/// What was queued under a source key.
pub(crate) struct Known {
    ids: Vec<MessageId>,
    /// The first start that found it, since its source came with it last.
    seen: Option<Timestamp>,
}

pub(crate) struct Message {
    pub(crate) envelope: Envelope,
    pub(crate) content: Content,
    received_at: Timestamp,
    source: String,
    pub(crate) watched: bool,
}

#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) message: MessageId,
    pub(crate) next_hop: NextHop,
    pub(crate) recipients: Vec<QueuedRecipient>,
    pub(crate) due: Timestamp,
    attempts: u32,
    pub(crate) crashes: u32,
    delay_notified: bool,
    pub(crate) suspended: bool,
    pub(crate) set_aside: Option<String>,
    /// Counts its lendings: a lease with an earlier number is lost.
    generation: u64,
    pub(crate) lent: Option<Lent>,
}

#[derive(Clone)]
pub(crate) struct Lent {
    owner: String,
    pub(crate) until: Timestamp,
    pub(crate) on_trial: bool,
}

impl Delivery {
    fn is_lent(&self, now: Timestamp) -> bool {
        self.lent.as_ref().is_some_and(|lent| lent.until > now)
    }
}

impl Tables {
    pub(crate) fn enqueue(&mut self, messages: Vec<NewMessage>) -> Result<Vec<MessageId>, QueueError> {
        for key in messages.iter().filter_map(|new| new.source_key.as_ref()) {
            if let Some(ids) = self.came_before(key) {
                return Ok(ids.to_vec());
            }
        }
        self.may_enqueue(&messages)?;
        let keys: Vec<_> = messages.iter().filter_map(|new| new.source_key.clone()).collect();
        let ids: Vec<_> = messages.into_iter().map(|new| self.insert(new)).collect();
        self.source_keys.extend(keys.into_iter().map(|key| (key, Known { ids: ids.clone(), seen: None })));
        Ok(ids)
    }

    /// What was queued under a key; its source still comes with it.
    pub(crate) fn came_before(&mut self, key: &str) -> Option<&[MessageId]> {
        let known = self.source_keys.get_mut(key)?;
        known.seen = None;
        Some(&known.ids)
    }

    pub(crate) fn forget_old_source_keys(&mut self, now: Timestamp) {
        self.source_keys.retain(|_, known| {
            let seen = known.seen.get_or_insert(now);
            *seen = now.min(*seen);
            now.since(*seen) <= SOURCE_KEYS_KEPT
        });
    }

    fn may_enqueue(&self, messages: &[NewMessage]) -> Result<(), QueueError> {
        for new in messages {
            if new.deliveries.is_empty() || new.deliveries.iter().any(|to| to.recipients.is_empty()) {
                return Err(QueueError::NothingToDeliver);
            }
            if new.id.is_some_and(|id| self.messages.contains_key(&id)) {
                return Err(QueueError::Busy { code: 0 });
            }
        }
        Ok(())
    }

    fn insert(&mut self, new: NewMessage) -> MessageId {
        // Never below an earlier one, whatever the clock says.
        let next = MessageId::from_u64(self.last_message + 1);
        let id = new.id.unwrap_or(next.max(MessageId::earliest_at(new.received_at)));
        self.last_message = self.last_message.max(id.as_u64());
        for to in new.deliveries {
            let recipients = to.recipients.into_iter();
            self.add(Delivery {
                message: id,
                next_hop: to.next_hop,
                recipients: recipients.map(QueuedRecipient::new).collect(),
                due: to.due,
                attempts: 0,
                crashes: 0,
                delay_notified: false,
                suspended: false,
                set_aside: None,
                generation: 0,
                lent: None,
            });
        }
        let NewMessage { envelope, content, received_at, source, watched, .. } = new;
        self.messages.insert(id, Message { envelope, content, received_at, source, watched });
        id
    }

    fn add(&mut self, delivery: Delivery) {
        self.last_delivery += 1;
        self.deliveries.insert(DeliveryId::from_u64(self.last_delivery), delivery);
    }

    /// Content goes with the last delivery.
    pub(crate) fn forget_if_gone(&mut self, message: MessageId) {
        if self.deliveries.values().all(|delivery| delivery.message != message) {
            self.messages.remove(&message);
        }
    }

    fn is_held(&self, delivery: &Delivery) -> bool {
        delivery.suspended || self.suspended.contains(&delivery.next_hop)
    }

    pub(crate) fn due(&self, now: Timestamp) -> BTreeMap<NextHop, Timestamp> {
        let mut due = BTreeMap::new();
        for delivery in self.deliveries.values() {
            if !self.is_held(delivery) && delivery.set_aside.is_none() && !delivery.is_lent(now) {
                let first = due.entry(delivery.next_hop.clone()).or_insert(delivery.due);
                *first = delivery.due.min(*first);
            }
        }
        due
    }

    pub(crate) fn claim(&mut self, claim: &Claim, owner: &str) -> Claimed {
        let mut fitting: Vec<_> =
            self.deliveries.iter().filter(|(id, it)| self.fits(claim, **id, it)).collect();
        fitting.sort_by_key(|(id, delivery)| (delivery.due, **id));
        let ids: Vec<_> = fitting.into_iter().take(claim.limit).map(|(id, _)| *id).collect();
        let leases = ids.into_iter().filter_map(|id| self.lend(id, claim.lease_until, owner)).collect();
        let next_due = claim.next_hop.as_ref().and_then(|next_hop| self.due(claim.now).remove(next_hop));
        Claimed::new(leases, next_due)
    }

    fn fits(&self, claim: &Claim, id: DeliveryId, delivery: &Delivery) -> bool {
        let received_at = self.messages.get(&delivery.message).map(|message| message.received_at);
        let eligible = match claim.eligible {
            Eligible::Due => !self.is_held(delivery) && delivery.due <= claim.now,
            Eligible::Waiting => !self.is_held(delivery),
            _ => true,
        };
        eligible
            && (delivery.set_aside.is_none() || claim.eligible == Eligible::Held)
            && !delivery.is_lent(claim.now)
            && claim.delivery.is_none_or(|only| only == id)
            && claim.message.is_none_or(|only| only == delivery.message)
            && claim.next_hop.as_ref().is_none_or(|only| *only == delivery.next_hop)
            && claim.received_before.is_none_or(|moment| received_at.is_some_and(|at| at <= moment))
            && !(claim.not_delay_notified && delivery.delay_notified)
    }

    fn lend(&mut self, id: DeliveryId, until: Timestamp, owner: &str) -> Option<Lease> {
        let delivery = self.deliveries.get_mut(&id)?;
        let message = self.messages.get(&delivery.message)?;
        delivery.generation += 1;
        delivery.lent = Some(Lent { owner: owner.to_owned(), until, on_trial: false });
        let mut envelope = message.envelope.clone();
        envelope.recipients = delivery.recipients.iter().map(|queued| queued.recipient.clone()).collect();
        let (number, next_hop) = ((id, delivery.generation), delivery.next_hop.clone());
        let mut lease = Lease::new(number, delivery.message, next_hop, envelope, message.received_at, until);
        lease.last_failures = delivery.recipients.iter().map(|queued| queued.last_failure.clone()).collect();
        lease.due = delivery.due;
        lease.source.clone_from(&message.source);
        lease.size = message.content.len() as u64;
        lease.attempts = delivery.attempts;
        lease.crashes = delivery.crashes;
        lease.delay_notified = delivery.delay_notified;
        lease.watched = message.watched;
        Some(lease)
    }

    /// The delivery, as long as nobody else has it.
    pub(crate) fn lent(&mut self, lease: &Lease) -> Result<&mut Delivery, QueueError> {
        let delivery = self
            .deliveries
            .get_mut(&lease.delivery)
            .filter(|delivery| delivery.lent.is_some() && delivery.generation == lease.generation);
        delivery.ok_or(QueueError::LeaseLost { delivery: lease.delivery })
    }

    pub(crate) fn settle(
        &mut self,
        lease: &Lease,
        settlement: Settlement,
    ) -> Result<Vec<MessageId>, QueueError> {
        // What can fail comes first: a settlement takes place as a whole or not at all.
        let recipients = self.lent(lease)?.recipients.len();
        let mut named = BTreeSet::new();
        for kept in &settlement.keep {
            if kept.index >= recipients || !named.insert(kept.index) {
                return Err(QueueError::NoSuchRecipient { index: kept.index });
            }
        }
        let reports = self.enqueue(settlement.enqueue)?;
        let Some(mut before) = self.deliveries.remove(&lease.delivery) else { return Ok(reports) };
        before.lent = None;
        before.delay_notified |= settlement.delay_notified;
        before.crashes += u32::from(settlement.crashed);
        if settlement.attempted {
            (before.attempts, before.crashes) = (before.attempts + 1, 0);
        }
        let mut keep = settlement.keep;
        keep.sort_by_key(|kept| kept.index);
        let mut after: BTreeMap<(NextHop, Timestamp), Delivery> = BTreeMap::new();
        for kept in keep {
            let mut recipient = before.recipients[kept.index].clone();
            recipient.last_failure = kept.failure.or(recipient.last_failure);
            let next_hop = kept.next_hop.unwrap_or(before.next_hop.clone());
            let attempts = if next_hop == before.next_hop { before.attempts } else { 0 };
            let delivery = after.entry((next_hop.clone(), kept.due)).or_insert_with(|| Delivery {
                next_hop,
                attempts,
                due: kept.due,
                recipients: Vec::new(),
                ..before.clone()
            });
            delivery.recipients.push(recipient);
        }
        after.into_values().for_each(|delivery| self.add(delivery));
        if self.messages.get(&lease.message).is_some_and(|message| message.watched) {
            self.results.entry(lease.message).or_default().extend(settlement.results);
        }
        self.forget_if_gone(lease.message);
        Ok(reports)
    }

    /// Frees what this server holds, and gives how much that was; where it crashed, each delivery is suspected.
    pub(crate) fn free(&mut self, owner: &str, crashed: bool) -> u64 {
        let mut freed = 0;
        for delivery in self.deliveries.values_mut() {
            if let Some(lent) = delivery.lent.take_if(|lent| lent.owner == owner) {
                freed += 1;
                if crashed {
                    delivery.crashes = (delivery.crashes + u32::from(lent.on_trial)).max(1);
                }
            }
        }
        freed
    }

    fn listed(&self, id: DeliveryId, delivery: &Delivery, now: Timestamp) -> Option<Listed> {
        let message = self.messages.get(&delivery.message)?;
        let (next_hop, received_at) = (delivery.next_hop.clone(), message.received_at);
        let mut listed = Listed::new(id, delivery.message, next_hop, received_at, delivery.due);
        listed.sender = Some(message.envelope.reverse_path.clone());
        listed.recipients.clone_from(&delivery.recipients);
        listed.size = message.content.len() as u64;
        listed.source.clone_from(&message.source);
        listed.attempts = delivery.attempts;
        listed.delay_notified = delivery.delay_notified;
        listed.state = match (&delivery.lent, &delivery.set_aside) {
            (Some(lent), _) if lent.until > now => State::Active { until: lent.until },
            (_, Some(reason)) => State::SetAside { reason: reason.clone() },
            _ if self.is_held(delivery) => State::Suspended,
            _ => State::Waiting,
        };
        Some(listed)
    }

    pub(crate) fn list(&self, filter: &Filter, now: Timestamp) -> Vec<Listed> {
        let listed = self.deliveries.iter().filter_map(|(id, delivery)| self.listed(*id, delivery, now));
        listed.filter(|listed| fits(filter, listed)).take(filter.limit.unwrap_or(usize::MAX)).collect()
    }

    /// Changes what fits, but for what somebody works on, which `also_active` says.
    pub(crate) fn change(
        &mut self,
        filter: &Filter,
        now: Timestamp,
        also_active: bool,
        mut change: impl FnMut(&mut Delivery),
    ) -> Changed {
        let mut changed = Changed::default();
        for listed in self.list(filter, now) {
            let active = matches!(listed.state, State::Active { .. });
            *(if active { &mut changed.active } else { &mut changed.deliveries }) += 1;
            if let Some(delivery) =
                self.deliveries.get_mut(&listed.delivery).filter(|_| also_active || !active)
            {
                change(delivery);
            }
        }
        changed
    }

    pub(crate) fn queues(&self, now: Timestamp) -> Vec<QueueSummary> {
        let suspended =
            self.suspended.iter().map(|next_hop| (next_hop.clone(), QueueSummary::new(next_hop.clone())));
        let mut queues: BTreeMap<_, _> = suspended.collect();
        queues.values_mut().for_each(|queue| queue.suspended_as_a_whole = true);
        for listed in self.list(&Filter::all(), now) {
            let queue = queues
                .entry(listed.next_hop.clone())
                .or_insert_with(|| QueueSummary::new(listed.next_hop.clone()));
            queue.oldest =
                Some(queue.oldest.map_or(listed.received_at, |oldest| oldest.min(listed.received_at)));
            match listed.state {
                State::Active { .. } => queue.active += 1,
                State::Suspended => queue.suspended += 1,
                State::SetAside { .. } => queue.set_aside += 1,
                _ => {
                    queue.waiting += 1;
                    queue.next_due = Some(queue.next_due.map_or(listed.due, |due| due.min(listed.due)));
                }
            }
        }
        queues.into_values().collect()
    }
}

fn fits(filter: &Filter, listed: &Listed) -> bool {
    let kind = match listed.state {
        State::Active { .. } => StateKind::Active,
        State::Suspended => StateKind::Suspended,
        State::SetAside { .. } => StateKind::SetAside,
        _ => StateKind::Waiting,
    };
    let sender = match &listed.sender {
        Some(ReversePath::Mailbox(mailbox)) => mailbox.to_string(),
        _ => "<>".to_owned(),
    };
    let mut recipients = listed.recipients.iter().map(|queued| queued.recipient.address.to_string());
    filter.message.is_none_or(|only| only == listed.message)
        && filter.delivery.is_none_or(|only| only == listed.delivery)
        && filter.next_hop.as_ref().is_none_or(|only| *only == listed.next_hop)
        && filter.connector.as_ref().is_none_or(|only| **only == *listed.next_hop.connector)
        && filter.sender.as_ref().is_none_or(|only| only.eq_ignore_ascii_case(&sender))
        && filter.recipient.as_ref().is_none_or(|only| recipients.any(|to| only.eq_ignore_ascii_case(&to)))
        && filter.state.is_none_or(|only| only == kind)
        && filter.received_before.is_none_or(|moment| listed.received_at <= moment)
        && filter.after.is_none_or(|after| listed.delivery > after)
}
