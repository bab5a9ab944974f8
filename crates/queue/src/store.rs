//! The contract of a queue store: what each call promises about durability, cost and failure.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use postroad_message::{Content, Envelope, NextHop, Outcome, Recipient, Timestamp};

use crate::draft::ContentDraft;
use crate::error::QueueError;
use crate::item::{Claim, Claimed, Lease, NewMessage, Settlement};
use crate::listing::{Changed, Filter, Listed, QueueSummary};
use crate::message_id::MessageId;

/// What every call of a store gives: a box beside a sync to disk is nothing.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueueError>> + Send + 'a>>;

/// How long a source key is remembered that nobody comes with or asks for, and nobody forgets: its source has ended between deleting its file and
/// telling of it.
pub const SOURCE_KEYS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Where accepted mail waits, so that none of it is ever lost.
///
/// **Durability.** A call that is marked *durable* has reached the disk, synced, when its future is ready with
/// `Ok`: neither kill -9 nor a power failure undoes it. The others survive the end of the process as a rule,
/// and losing one costs no mail.
///
/// **All or nothing.** A call that gives an error changed nothing that anyone can see. A future dropped before
/// it is ready leaves open whether the call took place; so does a sync that failed with the machine soon after.
/// After a sync that failed nothing is promised until all that it may have lost was written and synced again.
/// A delivery is lent to nobody before its message is durable.
///
/// **Many at once.** Calls may come from any number of tasks; the store lets them share its syncs. Other
/// processes may use the same store at the same time.
///
/// **Leases.** A claimed delivery is lent to nobody else until it is settled or released, or the lease runs out.
/// A lease that ran out can still be settled until someone else claims the delivery; from then on it is lost.
///
/// **Damage.** A record that cannot be read sets its message aside, with the reason in the listing; it never
/// stops the others. What [`content`](Self::content) gives is what was queued, to the byte, or an error.
///
/// [`contract::check`](crate::contract::check) runs these promises, those about power failure aside, on any store.
pub trait QueueStore: Send + Sync {
    /// Declares that the server `owner` starts: what it held under leases is free at once, because the one that
    /// held them is gone. Leases taken through this store bear that name from now on. The
    /// [`results`](Self::results) of messages of which nothing waits any more are forgotten, and the source keys that an earlier
    /// start found [`SOURCE_KEYS_KEPT`] before `now` already, if no source has come with them since, or
    /// [asked](Self::known_source_keys) for them.
    ///
    /// What was lent is suspected of its end, and [`crashes`](Lease::crashes) is 1 at least; a delivery whose
    /// [trial](Self::begin_trial) had begun has one more.
    ///
    /// Gives the number of leases made void. Commands that work beside a running server do not call this.
    /// Durable. Cost: the number of deliveries under lease, of results, and of source keys.
    fn start(&self, owner: &str, now: Timestamp) -> BoxFuture<'_, u64>;

    /// Declares that this server ends in good order: what it still holds under leases is free at once, and nobody's
    /// crash is counted. Gives the number of leases freed. A store may leave it to the next [`start`](Self::start),
    /// which then cannot tell it from a crash. Cost: as for `start`.
    fn stop(&self) -> BoxFuture<'_, u64>;

    /// Queues one message: see [`enqueue_all`](Self::enqueue_all).
    fn enqueue(&self, message: NewMessage) -> BoxFuture<'_, MessageId> {
        let all = self.enqueue_all(vec![message]);
        Box::pin(async move { all.await?.first().copied().ok_or(QueueError::NothingToDeliver) })
    }

    /// Queues all of these messages or none, and gives their ids in the same order: a message, and the reports
    /// it already owes for recipients that were refused.
    ///
    /// Where the `source_key` of any of them was queued before, nothing is queued; the answer is the earlier
    /// messages' ids, as many as there were, also when they have left since. So a source that was interrupted
    /// between queueing and deleting its file simply tries again.
    /// A store may answer [`QueueError::Busy`] while another call with such a `source_key` is on its way, and while another
    /// server may know such keys as only that one sees.
    ///
    /// Fails with [`QueueError::NothingToDeliver`] for a message that has no delivery, or one without recipients.
    ///
    /// Durable. Cost: the size of the messages, and a sync that is shared with whoever calls at the time.
    fn enqueue_all(&self, messages: Vec<NewMessage>) -> BoxFuture<'_, Vec<MessageId>>;

    /// Those of these source keys under which something was queued, and that were not forgotten: a source that was
    /// interrupted asks before it lets go of a file that another may take. It counts as having come with them.
    /// Cost: a look-up each, and where a start has found some a commit.
    fn known_source_keys(&self, source_keys: Vec<String>) -> BoxFuture<'_, Vec<String>>;

    /// From how many bytes on a content should come in pieces, by a [`draft`](Self::draft): it lies elsewhere than most. `None`, which
    /// is where nobody says otherwise: contents come whole.
    fn large_content(&self) -> Option<usize> {
        None
    }

    /// Begins a content that comes in pieces, which begins with `head`: its header block at least. `None` where it must come whole.
    ///
    /// See [`ContentDraft`] for what stays of it, which is nothing before [`enqueue`](Self::enqueue). Cost: nothing; of each piece, its
    /// size; at the end a sync.
    fn draft(&self, head: Vec<u8>) -> Option<Box<dyn ContentDraft>> {
        let _ = head;
        None
    }

    /// Forgets each `source_key`: its source has deleted the file and will not come with it again. Forgetting one
    /// that is not known is no error.
    fn forget_source_keys(&self, source_keys: Vec<String>) -> BoxFuture<'_, ()>;

    /// For each queue that is not suspended and has a delivery that nobody works on: when the first is due.
    ///
    /// Leases that ran out by `now` count as free. Cost: O(q log d) for q queues and d deliveries.
    fn due(&self, now: Timestamp) -> BoxFuture<'_, Vec<(NextHop, Timestamp)>>;

    /// Lends deliveries, those longest due first. Cost: O(log d) and the size of what is lent.
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Claimed>;

    /// The content of a message, exactly as it was queued. A large one may have only its head in memory: it can be read as long as
    /// somebody has it, even where the message has left.
    ///
    /// Fails with [`QueueError::UnknownMessage`], or with [`QueueError::Corrupt`] after setting the message
    /// aside. Cost: its size.
    fn content(&self, message: MessageId) -> BoxFuture<'_, Content>;

    /// The envelope of a message with everyone who still waits, over all its deliveries: for an export, which
    /// [`content`](Self::content) completes. Fails as `content` does.
    fn envelope(&self, message: MessageId) -> BoxFuture<'_, Envelope>;

    /// Ends a lease: who stays, who leaves, the results of a watched message, and the reports owed, all at once.
    /// Gives the ids of the reports.
    ///
    /// Fails with [`QueueError::LeaseLost`] where someone else has the delivery by now or it was removed; the
    /// reports are not queued then either, nor the results written. Fails with [`QueueError::NoSuchRecipient`] where `keep` does not fit.
    ///
    /// Durable where it queues reports. Without any it survives the end of the process, and a power failure as soon as
    /// something else was synced, half a second later at most: what that undoes is delivered again, never lost.
    /// Cost: the recipients, the size of the reports, and a shared sync for these.
    fn settle(&self, lease: Lease, settlement: Settlement) -> BoxFuture<'_, Vec<MessageId>>;

    /// What became of the recipients of a watched message that have left the queue, in the order in which they
    /// left: what the settlements gave as `results`. Who still waits, or was removed, is not among them.
    ///
    /// They outlive the message and the process: until they are forgotten, or a server [starts](Self::start)
    /// when nothing of the message waits any more. A message that is not watched, or not known, has none.
    /// Fails with [`QueueError::Corrupt`] where a result cannot be read, and sets nothing aside for it.
    ///
    /// Cost: the number of its results.
    fn results(&self, message: MessageId) -> BoxFuture<'_, Vec<(Recipient, Outcome)>>;

    /// Ends the watching: forgets the results of a message, and writes none down for who leaves later. Forgetting
    /// those of a message that is not watched, or not known, is no error.
    fn forget_results(&self, message: MessageId) -> BoxFuture<'_, ()>;

    /// Gives the delivery back untried, due at `due`; no attempt is counted.
    fn release(&self, lease: Lease, due: Timestamp) -> BoxFuture<'_, ()>;

    /// Tells that a suspect is worked on now: should the server die before the lease is settled or released, that is
    /// evidence, and counted at its next [`start`](Self::start). Fails with [`QueueError::LeaseLost`].
    ///
    /// It outlives the process at once, a power failure half a second later at most: no message is guilty of that.
    fn begin_trial(&self, lease: &Lease) -> BoxFuture<'_, ()>;

    /// Lets the lease run until `until`. Fails with [`QueueError::LeaseLost`].
    fn extend(&self, lease: &Lease, until: Timestamp) -> BoxFuture<'_, ()>;

    /// The deliveries that fit, by age. Cost: a filter by message or queue reads those only, others all.
    fn list(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Vec<Listed>>;

    /// Every queue that has a delivery, or is suspended. Cost: all deliveries.
    fn queues(&self, now: Timestamp) -> BoxFuture<'_, Vec<QueueSummary>>;

    /// Holds the deliveries that fit until they are resumed. One that someone works on is held as well, from the
    /// end of that work on. Durable.
    fn suspend(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed>;

    /// Lets suspended deliveries go on, and those set aside, whose crashes are forgotten. Durable.
    fn resume(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed>;

    /// Holds a whole queue, with what comes into it later; or lets it go on. Durable.
    fn suspend_queue(&self, next_hop: &NextHop, suspended: bool) -> BoxFuture<'_, ()>;

    /// Makes waiting deliveries due now, and asks for their next hops to be tried though they are held back.
    /// Durable.
    fn retry_now(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed>;

    /// The next hops that [`retry_now`](Self::retry_now) asked for, by this process or another, since this was
    /// last called: for [`Scheduler::retry_now`](crate::Scheduler::retry_now). Cost: nothing much where there are none.
    fn take_retries(&self) -> BoxFuture<'_, Vec<NextHop>>;

    /// Removes deliveries without a report, and messages that have none left. To report, claim them and settle.
    /// Those that someone works on stay. Durable.
    fn remove(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed>;

    /// Sets a message aside, all its deliveries that nobody works on: working on it does harm. Durable.
    fn set_aside(&self, message: MessageId, reason: &str) -> BoxFuture<'_, ()>;

    /// The number of changes seen so far that may have made something due: queued, kept, released, resumed, by
    /// this process or another.
    fn version(&self) -> u64;

    /// Ready with the new [`version`](Self::version) as soon as it is not `seen` any more: at once for a change by
    /// this process, within a second for one by another; for mail that another server accepted within three, and not
    /// for what it delivers meanwhile.
    fn changed(&self, seen: u64) -> BoxFuture<'_, u64>;
}
