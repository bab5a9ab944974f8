//! What an administrator does with mail that waits: routes it anew, or takes it out and tells its sender.

use std::sync::Arc;
use std::time::Duration;

use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Scope};
use postroad_queue::{Changed, Claim, Filter, Lease, QueueError, QueueStore};

use crate::attempt::{finish_as, leaving};
use crate::pipeline::{Pipeline, Shared};
use crate::reroute::{deliveries, reroute};
use crate::settlement::Settled;

/// How long a delivery is lent to an administrator: should his command die, the relay has it back soon.
const LEASE: Duration = Duration::from_secs(60);

impl Pipeline {
    /// The queue itself: to list, suspend, resume, retry, remove and export.
    pub fn store(&self) -> &Arc<dyn QueueStore> {
        &self.shared.store
    }

    /// Selects a connector again for everything that fits (`Retry-Queue -Resubmit`), and makes it due at once.
    ///
    /// What is suspended or set aside stays so. `seen` hears how many of how many are done, after each. What others work on is left
    /// alone and counted as active. Works beside a running relay; one that starts meanwhile loses nothing by it.
    ///
    /// # Errors
    ///
    /// The queue cannot be read, or a delivery not be written down. Those before it are done, as `seen` heard.
    pub async fn resubmit(
        &self,
        filter: Filter,
        seen: impl FnMut(u64, u64) + Send,
    ) -> Result<Changed, QueueError> {
        self.for_each(filter, seen, async |shared, lease| {
            let due = shared.first_due(&lease.next_hop, lease.received_at, shared.world.now());
            reroute(shared, lease, due).await
        })
        .await
    }

    /// Removes everything that fits, and tells the senders (`Remove-Message -WithNDR`), in one transaction for each
    /// delivery. Who asked for no reports gets none. The rest as for [`resubmit`](Self::resubmit).
    ///
    /// # Errors
    ///
    /// As for [`resubmit`](Self::resubmit).
    pub async fn remove_with_report(
        &self,
        filter: Filter,
        seen: impl FnMut(u64, u64) + Send,
    ) -> Result<Changed, QueueError> {
        self.for_each(filter, seen, async |shared, lease| {
            let content = match shared.store.content(lease.message).await {
                Ok(content) => content,
                Err(error) => {
                    let due = lease.due;
                    shared.store.release(lease, due).await?;
                    return Err(error);
                }
            };
            let left = (0..lease.envelope.recipients.len()).map(|index| (index, Outcome::Failed(removed())));
            let settled = Settled { left: left.collect(), ..Settled::default() };
            let observed = leaving(&lease, &settled.left);
            finish_as(shared, lease, settled, observed, &content, None).await
        })
        .await
    }

    /// Lends what fits, one delivery after another, and hands it to `work`. Ends at the first that cannot be written down,
    /// which comes back with its lease; what somebody else took meanwhile counts as active.
    ///
    /// The ids are looked up first: what `work` puts back under a new one is not met again.
    async fn for_each(
        &self,
        filter: Filter,
        mut seen: impl FnMut(u64, u64) + Send,
        work: impl AsyncFn(&Shared, Lease) -> Result<(), QueueError>,
    ) -> Result<Changed, QueueError> {
        let shared = &*self.shared;
        let ids = deliveries(shared, filter, |_| true).await?;
        let total = ids.len() as u64;
        let mut changed = Changed::default();
        for delivery in ids {
            let now = shared.world.now();
            let claim = Claim::delivery(delivery, now, now.after(LEASE));
            match shared.store.claim(claim).await?.leases.pop() {
                Some(lease) => match work(shared, lease).await {
                    Ok(()) => changed.deliveries += 1,
                    Err(QueueError::LeaseLost { .. }) => changed.active += 1,
                    Err(error) => return Err(error),
                },
                None => changed.active += 1,
            }
            seen(changed.deliveries + changed.active, total);
        }
        Ok(changed)
    }
}

/// What the sender of a removed message is told.
fn removed() -> Failure {
    let text = "an administrator removed the message from the queue";
    Failure::new(EnhancedStatus::permanent(0, 0), Fault::Local, Scope::Recipient, Phase::Queue, text)
}
