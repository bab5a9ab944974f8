//! A queue store of one's own, whole: it keeps mail in memory, and `contract::check` finds nothing wrong with it.
//!
//! For tests of a program around a queue, and as a pattern for a store in another database: there the maps are tables, each call
//! is a transaction, and what `QueueStore` calls *durable* is synced before the answer. Here all of it ends with the process.

mod tables;

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postroad_message::{Content, Envelope, NextHop, Outcome, Recipient, Timestamp};
use postroad_queue::{
    BoxFuture, Changed, Claim, Claimed, Filter, Lease, Listed, MessageId, NewMessage, QueueError, QueueStore,
    QueueSummary, Settlement, State, contract,
};
use tokio::sync::watch;

use tables::{Delivery, Tables};

/// A handle on a store. A clone of `tables` and `changes` beside another owner is another server's.
struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
    changes: watch::Sender<u64>,
    owner: Mutex<String>,
}

impl MemoryStore {
    fn new() -> Self {
        let (changes, _) = watch::channel(0);
        Self { tables: Arc::default(), changes, owner: Mutex::default() }
    }

    fn another_handle(&self) -> Self {
        Self { tables: Arc::clone(&self.tables), changes: self.changes.clone(), owner: Mutex::default() }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owner(&self) -> MutexGuard<'_, String> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that may have made something due.
    fn tell<T>(&self, done: T) -> T {
        self.changes.send_modify(|version| *version += 1);
        done
    }
}

/// Nothing here waits for anything.
fn now_ready<'a, T: Send + 'a>(answer: Result<T, QueueError>) -> BoxFuture<'a, T> {
    Box::pin(ready(answer))
}

impl QueueStore for MemoryStore {
    fn start(&self, owner: &str, now: Timestamp) -> BoxFuture<'_, u64> {
        *self.owner() = owner.to_owned();
        let tables = &mut *self.tables();
        tables.results.retain(|message, _| tables.messages.contains_key(message));
        tables.forget_old_source_keys(now);
        now_ready(Ok(self.tell(tables.free(owner, true))))
    }

    fn stop(&self) -> BoxFuture<'_, u64> {
        let freed = self.tables().free(&self.owner(), false);
        now_ready(Ok(self.tell(freed)))
    }

    fn enqueue_all(&self, messages: Vec<NewMessage>) -> BoxFuture<'_, Vec<MessageId>> {
        now_ready(self.tell(self.tables().enqueue(messages)))
    }

    fn known_source_keys(&self, mut source_keys: Vec<String>) -> BoxFuture<'_, Vec<String>> {
        source_keys.retain(|key| self.tables().came_before(key).is_some());
        now_ready(Ok(source_keys))
    }

    fn forget_source_keys(&self, source_keys: Vec<String>) -> BoxFuture<'_, ()> {
        self.tables().source_keys.retain(|key, _| !source_keys.contains(key));
        now_ready(Ok(()))
    }

    fn due(&self, now: Timestamp) -> BoxFuture<'_, Vec<(NextHop, Timestamp)>> {
        now_ready(Ok(self.tables().due(now).into_iter().collect()))
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Claimed> {
        now_ready(Ok(self.tables().claim(&claim, &self.owner())))
    }

    fn content(&self, message: MessageId) -> BoxFuture<'_, Content> {
        let content = self.tables().messages.get(&message).map(|message| message.content.clone());
        now_ready(content.ok_or(QueueError::UnknownMessage { message }))
    }

    fn envelope(&self, message: MessageId) -> BoxFuture<'_, Envelope> {
        let tables = self.tables();
        let envelope = tables.messages.get(&message).map(|kept| {
            let of_it = tables.deliveries.values().filter(|delivery| delivery.message == message);
            let recipients = of_it.flat_map(|delivery| &delivery.recipients);
            let mut envelope = kept.envelope.clone();
            envelope.recipients = recipients.map(|queued| queued.recipient.clone()).collect();
            envelope
        });
        now_ready(envelope.ok_or(QueueError::UnknownMessage { message }))
    }

    fn settle(&self, lease: Lease, settlement: Settlement) -> BoxFuture<'_, Vec<MessageId>> {
        now_ready(self.tell(self.tables().settle(&lease, settlement)))
    }

    fn results(&self, message: MessageId) -> BoxFuture<'_, Vec<(Recipient, Outcome)>> {
        now_ready(Ok(self.tables().results.get(&message).cloned().unwrap_or_default()))
    }

    fn forget_results(&self, message: MessageId) -> BoxFuture<'_, ()> {
        let tables = &mut *self.tables();
        tables.results.remove(&message);
        tables.messages.get_mut(&message).into_iter().for_each(|message| message.watched = false);
        now_ready(Ok(()))
    }

    fn release(&self, lease: Lease, due: Timestamp) -> BoxFuture<'_, ()> {
        let released = self.tables().lent(&lease).map(|delivery| (delivery.lent, delivery.due) = (None, due));
        now_ready(self.tell(released))
    }

    fn begin_trial(&self, lease: &Lease) -> BoxFuture<'_, ()> {
        let on_trial = |delivery: &mut Delivery| {
            delivery.lent.as_mut().into_iter().for_each(|lent| lent.on_trial = true);
        };
        now_ready(self.tables().lent(lease).map(on_trial))
    }

    fn extend(&self, lease: &Lease, until: Timestamp) -> BoxFuture<'_, ()> {
        let extend = |delivery: &mut Delivery| {
            delivery.lent.as_mut().into_iter().for_each(|lent| lent.until = until);
        };
        now_ready(self.tables().lent(lease).map(extend))
    }

    fn list(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Vec<Listed>> {
        now_ready(Ok(self.tables().list(&filter, now)))
    }

    fn queues(&self, now: Timestamp) -> BoxFuture<'_, Vec<QueueSummary>> {
        now_ready(Ok(self.tables().queues(now)))
    }

    fn suspend(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        now_ready(Ok(self.tables().change(&filter, now, true, |delivery| delivery.suspended = true)))
    }

    fn resume(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        let changed = self.tables().change(&filter, now, true, |delivery| {
            delivery.suspended = false;
            if delivery.set_aside.take().is_some() {
                delivery.crashes = 0;
            }
        });
        now_ready(Ok(self.tell(changed)))
    }

    fn suspend_queue(&self, next_hop: &NextHop, suspended: bool) -> BoxFuture<'_, ()> {
        let all = &mut self.tables().suspended;
        let _ = if suspended { all.insert(next_hop.clone()) } else { all.remove(next_hop) };
        self.tell(());
        now_ready(Ok(()))
    }

    fn retry_now(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        let tables = &mut *self.tables();
        let mut hurried = BTreeSet::new();
        let changed = tables.change(&filter, now, false, |delivery| {
            delivery.due = delivery.due.min(now);
            hurried.insert(delivery.next_hop.clone());
        });
        tables.retries.append(&mut hurried);
        now_ready(Ok(self.tell(changed)))
    }

    fn take_retries(&self) -> BoxFuture<'_, Vec<NextHop>> {
        now_ready(Ok(std::mem::take(&mut self.tables().retries).into_iter().collect()))
    }

    fn remove(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        let tables = &mut *self.tables();
        let listed = tables.list(&filter, now);
        let mut changed = Changed::default();
        for listed in &listed {
            if matches!(listed.state, State::Active { .. }) {
                changed.active += 1;
            } else {
                changed.deliveries += 1;
                tables.deliveries.remove(&listed.delivery);
            }
        }
        listed.iter().for_each(|listed| tables.forget_if_gone(listed.message));
        now_ready(Ok(changed))
    }

    fn set_aside(&self, message: MessageId, reason: &str) -> BoxFuture<'_, ()> {
        let tables = &mut *self.tables();
        let of_it = tables.deliveries.values_mut().filter(|delivery| delivery.message == message);
        of_it.filter(|delivery| delivery.lent.is_none()).for_each(|delivery| {
            delivery.set_aside = Some(reason.to_owned());
        });
        let known = tables.messages.contains_key(&message);
        now_ready(known.then_some(()).ok_or(QueueError::UnknownMessage { message }))
    }

    fn version(&self) -> u64 {
        *self.changes.borrow()
    }

    fn changed(&self, seen: u64) -> BoxFuture<'_, u64> {
        let mut changes = self.changes.subscribe();
        Box::pin(async move {
            changes
                .wait_for(|version| *version != seen)
                .await
                .map(|version| *version)
                .map_err(|_| QueueError::Closed)
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), contract::Breach> {
    let store = MemoryStore::new();
    contract::check(async || Ok(Box::new(store.another_handle()) as Box<dyn QueueStore>)).await?;
    println!("it keeps every promise of the contract but those about power failure");
    Ok(())
}

#[test]
fn it_keeps_the_contract() {
    main().unwrap();
}
