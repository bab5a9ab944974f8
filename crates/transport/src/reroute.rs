//! After a changed configuration: what waits is routed anew, where its old way is gone or it had none.

use std::sync::Arc;

use postroad_connector::RoutingTable;
use postroad_message::{Content, NextHop, Outcome, Timestamp};
use postroad_queue::{Claim, DeliveryId, Filter, Kept, Lease, Listed, QueueError, State};

use crate::attempt::{SWEEP, finish_as, leaving};
use crate::deliver::Delivers;
use crate::observe::Seen;
use crate::pipeline::{InForce, Pipeline, Shared};
use crate::plan::Plan;
use crate::settings::Settings;
use crate::settlement::Settled;

/// Deliveries looked up at a time.
const PAGE: usize = 500;

impl Pipeline {
    /// Puts another routing table in force, and routes anew what the old one left without a way.
    ///
    /// Mail that waits for a connector that still exists stays with it (Exchange selects once, and again only
    /// when the connector is deleted, disabled or the message is resubmitted).
    ///
    /// # Errors
    ///
    /// The table is in force, and not all was routed anew: as for [`Pipeline::reroute`].
    pub async fn replace_routing_table(&self, table: RoutingTable) -> Result<(), QueueError> {
        let force = self.shared.in_force();
        self.reconfigure(force.settings.clone(), table, force.delivers.clone()).await
    }

    /// Puts another configuration in force, all of it at once. What is under way ends under the old one; then mail
    /// that the old one left without a way is routed anew.
    ///
    /// # Errors
    ///
    /// The configuration is in force, and not all was routed anew: as for [`Pipeline::reroute`].
    pub async fn reconfigure(
        &self,
        settings: Settings,
        table: RoutingTable,
        delivers: Delivers,
    ) -> Result<(), QueueError> {
        self.put_in_force(settings, table, delivers);
        self.reroute().await
    }

    /// The same at once: [`Pipeline::run`](Pipeline::run) routes anew, beside its deliveries. For whoever must not wait
    /// as long as a large queue takes.
    pub fn put_in_force(&self, settings: Settings, table: RoutingTable, delivers: Delivers) {
        self.shared.replace(InForce { settings, table: Arc::new(table), delivers });
    }

    /// Routes anew what is unreachable, and what waits for a connector that is gone, disabled or out of reach. What could not be written
    /// down stays as it was, and holds up nothing else; what has no other way today is not touched.
    ///
    /// # Errors
    ///
    /// The queue cannot be read, or something could not be written down: the first of what went wrong.
    pub async fn reroute(&self) -> Result<(), QueueError> {
        let mut routed = Ok(());
        for queue in self.shared.store.queues(self.shared.world.now()).await? {
            let table = &self.shared.in_force().table;
            let served = table.usable_connector(&queue.next_hop.connector).is_some();
            if queue.next_hop.is_unreachable() || !served {
                let all = reroute_queue(&self.shared, &queue.next_hop).await;
                routed = routed.and(all);
            }
        }
        routed
    }
}

/// Everything at one next hop, suspended or not, that nobody works on and that has another way today.
pub(crate) async fn reroute_queue(shared: &Shared, next_hop: &NextHop) -> Result<(), QueueError> {
    let leaves = |listed: &Listed| {
        let recipients: Vec<_> = listed.recipients.iter().map(|queued| queued.recipient.clone()).collect();
        let is_free = matches!(listed.state, State::Waiting | State::Suspended);
        listed.sender.as_ref().filter(|_| is_free).is_some_and(|sender| {
            let plan = Plan::make(&shared.in_force().table, sender, &recipients, listed.size);
            !plan.stays_at(&listed.next_hop)
        })
    };
    let mut routed = Ok(());
    for delivery in deliveries(shared, Filter::next_hop(next_hop.clone()), leaves).await? {
        let now = shared.world.now();
        let claim = Claim::delivery(delivery, now, now.after(SWEEP));
        // Else somebody works on it by now.
        if let Some(lease) = shared.store.claim(claim).await?.leases.pop() {
            let due = lease.due;
            match reroute(shared, lease, due).await {
                Err(QueueError::LeaseLost { .. }) => {}
                ended => routed = routed.and(ended),
            }
        }
    }
    routed
}

/// Those that fit both, by age.
pub(crate) async fn deliveries(
    shared: &Shared,
    mut filter: Filter,
    fits: impl Fn(&Listed) -> bool,
) -> Result<Vec<DeliveryId>, QueueError> {
    filter.limit = Some(PAGE);
    let mut ids = Vec::new();
    loop {
        let page = shared.store.list(filter.clone(), shared.world.now()).await?;
        ids.extend(page.iter().filter(|listed| fits(listed)).map(|listed| listed.delivery));
        match page.last() {
            // Behind a page that is not full is nothing; to look for it takes as long as the whole queue is large, and there may be ten
            // thousand next hops.
            Some(last) if page.len() >= PAGE => filter.after = Some(last.delivery),
            _ => return Ok(ids),
        }
    }
}

/// Selects again for each recipient. Where nothing changes, or nothing can be written down, the lease is given back, due at `back`.
pub(crate) async fn reroute(shared: &Shared, lease: Lease, back: Timestamp) -> Result<(), QueueError> {
    let envelope = &lease.envelope;
    let plan = Plan::make(&shared.in_force().table, &envelope.reverse_path, &envelope.recipients, lease.size);
    let mut written = Ok(());
    if !plan.stays_at(&lease.next_hop) {
        written = follow(shared, &lease, plan).await;
        if matches!(written, Ok(()) | Err(QueueError::LeaseLost { .. })) {
            return written;
        }
    }
    let released = shared.store.release(lease, back).await;
    written.and(released)
}

/// Moves each recipient to where the plan has it, and reports those whom nobody takes any more.
async fn follow(shared: &Shared, lease: &Lease, plan: Plan) -> Result<(), QueueError> {
    let envelope = &lease.envelope;
    let now = shared.world.now();
    let mut settled = Settled::default();
    for (next_hop, indices) in &plan.groups {
        let due = shared.first_due(next_hop, lease.received_at, now);
        for index in indices {
            settled.keep.push(if *next_hop == lease.next_hop {
                Kept::waiting(*index, lease.due)
            } else {
                Kept::moved(*index, due, next_hop.clone())
            });
        }
    }
    settled.left =
        plan.refused.into_iter().map(|(index, failure)| (index, Outcome::Failed(failure))).collect();
    let failed = leaving(lease, &settled.left);
    // Only a report looks at the content.
    let content =
        if failed.is_empty() { Content::default() } else { shared.store.content(lease.message).await? };
    finish_as(shared, lease.clone(), settled, failed, &content, None).await?;
    let seen = Seen::lent(lease, now, None);
    for (next_hop, indices) in plan.groups.iter().filter(|(next_hop, _)| *next_hop != lease.next_hop) {
        tracing::info!(id = %lease.message, from = %lease.next_hop, to = %next_hop, "routed anew");
        let recipients: Vec<_> =
            indices.iter().filter_map(|index| envelope.recipients.get(*index).cloned()).collect();
        shared.observer.rerouted(&seen, &lease.next_hop, next_hop, &recipients);
    }
    Ok(())
}
