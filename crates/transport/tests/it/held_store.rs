//! The queue's store under virtual time: the clock stands still while the store's own threads are at work.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use postroad_message::{Content, Envelope, NextHop, Outcome, Recipient, Timestamp};
use postroad_queue::{
    BoxFuture, Changed, Claim, Claimed, ContentDraft, Filter, Lease, Listed, MessageId, NewMessage,
    QueueError, QueueStore, QueueSummary, Settlement, SqliteStore,
};

/// Tokio moves a paused clock on as soon as every task waits; it cannot know that some wait for a thread of SQLite.
/// A blocking task of its own is what it does wait for.
///
/// The second field is how many starts and settlements more find the disk full, the third how many after these find their lease lost;
/// the fourth is what source keys stand for in the store, where files have been laid out anew and their numbers are others;
/// the fifth takes down what was done, in order (see [`Calls`]); the last is whether neither a start nor a question for source keys is ever answered.
pub(crate) struct HeldStore(
    pub(crate) SqliteStore,
    pub(crate) Arc<AtomicUsize>,
    pub(crate) Arc<AtomicUsize>,
    pub(crate) BTreeMap<String, String>,
    pub(crate) Calls,
    pub(crate) Arc<AtomicBool>,
);

/// `stop`, a `start` or a question for source keys (`known`) that is never answered, what is done to a lease, and each look at all `queues`.
pub(crate) type Calls = Arc<Mutex<Vec<&'static str>>>;

impl HeldStore {
    fn finds_the_disk_full(&self) -> Option<QueueError> {
        is_one_less(&self.1).then_some(QueueError::DiskFull { code: 13 })
    }

    fn called(&self, what: &'static str) {
        self.4.lock().unwrap().push(what);
    }
}

fn is_one_less(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

fn held<'a, T>(work: impl Future<Output = Result<T, QueueError>> + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(async move {
        let (done, until_done) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || until_done.recv());
        let answer = work.await;
        drop(done);
        answer
    })
}

struct HeldDraft(Box<dyn ContentDraft>);

impl ContentDraft for HeldDraft {
    fn write(&mut self, piece: Vec<u8>) -> BoxFuture<'_, ()> {
        held(self.0.write(piece))
    }

    fn finish(self: Box<Self>, rest: Vec<u8>) -> BoxFuture<'static, Content> {
        held(self.0.finish(rest))
    }
}

impl QueueStore for HeldStore {
    fn start(&self, owner: &str, now: Timestamp) -> BoxFuture<'_, u64> {
        let owner = owner.to_owned();
        if self.5.load(Ordering::Relaxed) {
            self.called("start");
            return Box::pin(std::future::pending());
        }
        match self.finds_the_disk_full() {
            Some(error) => Box::pin(std::future::ready(Err(error))),
            None => held(async move { self.0.start(&owner, now).await }),
        }
    }

    fn stop(&self) -> BoxFuture<'_, u64> {
        let stopped = self.0.stop();
        held(async move {
            let ended = stopped.await;
            self.called("stop");
            ended
        })
    }

    fn enqueue_all(&self, messages: Vec<NewMessage>) -> BoxFuture<'_, Vec<MessageId>> {
        let messages = messages.into_iter().map(|mut message| {
            message.source_key = message.source_key.map(|key| self.3.get(&key).cloned().unwrap_or(key));
            message
        });
        held(self.0.enqueue_all(messages.collect()))
    }

    fn known_source_keys(&self, source_keys: Vec<String>) -> BoxFuture<'_, Vec<String>> {
        if self.5.load(Ordering::Relaxed) {
            self.called("known");
            return Box::pin(std::future::pending());
        }
        held(async move {
            let mut known = Vec::new();
            for key in source_keys {
                let stored = self.3.get(&key).cloned().unwrap_or_else(|| key.clone());
                if !self.0.known_source_keys(vec![stored]).await?.is_empty() {
                    known.push(key);
                }
            }
            Ok(known)
        })
    }

    fn large_content(&self) -> Option<usize> {
        self.0.large_content()
    }

    fn draft(&self, head: Vec<u8>) -> Option<Box<dyn ContentDraft>> {
        self.0.draft(head).map(|draft| Box::new(HeldDraft(draft)) as Box<dyn ContentDraft>)
    }

    fn forget_source_keys(&self, source_keys: Vec<String>) -> BoxFuture<'_, ()> {
        let stored = |key| self.3.get(&key).cloned().unwrap_or(key);
        held(self.0.forget_source_keys(source_keys.into_iter().map(stored).collect()))
    }

    fn begin_trial(&self, lease: &Lease) -> BoxFuture<'_, ()> {
        self.called("trial");
        let lease = lease.clone();
        held(async move { self.0.begin_trial(&lease).await })
    }

    fn due(&self, now: Timestamp) -> BoxFuture<'_, Vec<(NextHop, Timestamp)>> {
        held(self.0.due(now))
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Claimed> {
        held(self.0.claim(claim))
    }

    fn content(&self, message: MessageId) -> BoxFuture<'_, Content> {
        held(self.0.content(message))
    }

    fn envelope(&self, message: MessageId) -> BoxFuture<'_, Envelope> {
        held(self.0.envelope(message))
    }

    fn settle(&self, lease: Lease, settlement: Settlement) -> BoxFuture<'_, Vec<MessageId>> {
        self.called("settle");
        if let Some(error) = self.finds_the_disk_full() {
            return Box::pin(std::future::ready(Err(error)));
        }
        if is_one_less(&self.2) {
            let lost = QueueError::LeaseLost { delivery: lease.delivery };
            return Box::pin(std::future::ready(Err(lost)));
        }
        held(self.0.settle(lease, settlement))
    }

    fn results(&self, message: MessageId) -> BoxFuture<'_, Vec<(Recipient, Outcome)>> {
        held(self.0.results(message))
    }

    fn forget_results(&self, message: MessageId) -> BoxFuture<'_, ()> {
        held(self.0.forget_results(message))
    }

    fn release(&self, lease: Lease, due: Timestamp) -> BoxFuture<'_, ()> {
        self.called("release");
        held(self.0.release(lease, due))
    }

    fn extend(&self, lease: &Lease, until: Timestamp) -> BoxFuture<'_, ()> {
        self.called("extend");
        let lease = lease.clone();
        held(async move { self.0.extend(&lease, until).await })
    }

    fn list(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Vec<Listed>> {
        held(self.0.list(filter, now))
    }

    fn queues(&self, now: Timestamp) -> BoxFuture<'_, Vec<QueueSummary>> {
        self.called("queues");
        held(self.0.queues(now))
    }

    fn suspend(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        held(self.0.suspend(filter, now))
    }

    fn resume(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        held(self.0.resume(filter, now))
    }

    fn suspend_queue(&self, next_hop: &NextHop, suspended: bool) -> BoxFuture<'_, ()> {
        let next_hop = next_hop.clone();
        held(async move { self.0.suspend_queue(&next_hop, suspended).await })
    }

    fn retry_now(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        held(self.0.retry_now(filter, now))
    }

    fn take_retries(&self) -> BoxFuture<'_, Vec<NextHop>> {
        held(self.0.take_retries())
    }

    fn remove(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        held(self.0.remove(filter, now))
    }

    fn set_aside(&self, message: MessageId, reason: &str) -> BoxFuture<'_, ()> {
        self.called("set aside");
        let reason = reason.to_owned();
        held(async move { self.0.set_aside(message, &reason).await })
    }

    fn version(&self) -> u64 {
        self.0.version()
    }

    fn changed(&self, seen: u64) -> BoxFuture<'_, u64> {
        self.0.changed(seen)
    }
}
