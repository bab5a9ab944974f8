//! After a changed configuration: what waits is routed anew, where its old way is gone or it had none.

use std::sync::Arc;

use postroad_connector::RoutingTable;
use postroad_message::{Content, NextHop, Outcome, Recipient};
use postroad_queue::{Claim, Kept, Lease, QueueError};

use crate::attempt::{Observed, finish_as};
use crate::deliver::Delivers;
use crate::observe::Seen;
use crate::pipeline::{InForce, Pipeline, Shared};
use crate::plan::Plan;
use crate::settings::Settings;
use crate::settlement::Settled;

/// Leases taken at a time.
const BATCH: usize = 100;

impl Pipeline {
    /// Puts another routing table in force, and routes anew what the old one left without a way.
    ///
    /// Mail that waits for a connector that still exists stays with it (Exchange selects once, and again only
    /// when the connector is deleted, disabled or the message is resubmitted).
    pub async fn replace_routing_table(&self, table: RoutingTable) -> Result<(), QueueError> {
        let force = self.shared.in_force();
        self.reconfigure(force.settings.clone(), table, force.delivers.clone()).await
    }

    /// Puts another configuration in force, all of it at once. What is under way ends under the old one; then mail
    /// that the old one left without a way is routed anew.
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
    /// down stays as it was, and holds up nothing else.
    ///
    /// # Errors
    ///
    /// The queue cannot be read, or something could not be written down.
    pub async fn reroute(&self) -> Result<(), QueueError> {
        let now = self.shared.world.now();
        let mut routed = Ok(());
        for queue in self.shared.store.queues(now).await? {
            let table = &self.shared.in_force().table;
            let served = table.usable_connector(&queue.next_hop.connector).is_some();
            if queue.next_hop.is_unreachable() || !served {
                routed = worse(routed, reroute_queue(&self.shared, &queue.next_hop).await);
            }
        }
        routed
    }
}

/// Whether it may be over by itself: the others want another start, or somebody's hand.
pub(crate) fn may_pass(error: &QueueError) -> bool {
    matches!(error, QueueError::DiskFull { .. } | QueueError::Busy { .. })
}

/// Of two that went wrong, the one that may pass.
fn worse(one: Result<(), QueueError>, another: Result<(), QueueError>) -> Result<(), QueueError> {
    match (&one, &another) {
        (Err(error), Err(_)) if may_pass(error) => one,
        (_, Err(_)) => another,
        _ => one,
    }
}

/// Selects again for each recipient. Gives the lease back where nothing would change; what fails is logged.
pub(crate) async fn reroute(shared: &Shared, lease: Lease) -> Result<Option<Lease>, QueueError> {
    let envelope = &lease.envelope;
    let plan = Plan::make(&shared.in_force().table, &envelope.reverse_path, &envelope.recipients, lease.size);
    if plan.refused.is_empty() && plan.groups.iter().all(|(next_hop, _)| *next_hop == lease.next_hop) {
        return Ok(Some(lease));
    }
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
    let of = |index: &usize| envelope.recipients.get(*index).cloned();
    let failed = settled.left.iter().filter_map(|(index, outcome)| Some((of(index)?, outcome.clone())));
    let failed: Observed = failed.collect();
    let moved = plan.groups.iter().filter(|(next_hop, _)| *next_hop != lease.next_hop);
    let moved: Vec<(NextHop, Vec<Recipient>)> = moved
        .map(|(next_hop, indices)| (next_hop.clone(), indices.iter().filter_map(of).collect()))
        .collect();
    // Only a report looks at the content.
    let content = if settled.left.is_empty() {
        Ok(Content::default())
    } else {
        shared.store.content(lease.message).await
    };
    let content = match content {
        Ok(content) => content,
        Err(error) => {
            tracing::error!(id = %lease.message, %error, "the content cannot be read");
            return Err(error);
        }
    };
    finish_as(shared, lease.clone(), settled, failed, &content, None).await?;
    let seen = Seen::lent(&lease, now, None);
    for (next_hop, recipients) in &moved {
        tracing::info!(id = %lease.message, from = %lease.next_hop, to = %next_hop, "routed anew");
        shared.observer.rerouted(&seen, &lease.next_hop, next_hop, recipients);
    }
    Ok(None)
}

/// Everything at one next hop, suspended or not; what stays there keeps its turn.
pub(crate) async fn reroute_queue(shared: &Shared, next_hop: &NextHop) -> Result<(), QueueError> {
    // What stays keeps its lease until the end: given back earlier, it would be claimed again and again.
    let mut stay = Vec::new();
    let claimed = reroute_all(shared, next_hop, &mut stay).await;
    for lease in stay {
        let (id, due) = (lease.message, lease.due);
        if let Err(error) = shared.store.release(lease, due).await {
            tracing::error!(%id, %error, "a delivery that stays could not be given back; its lease has to run out");
        }
    }
    claimed
}

async fn reroute_all(shared: &Shared, next_hop: &NextHop, stay: &mut Vec<Lease>) -> Result<(), QueueError> {
    let mut routed = Ok(());
    loop {
        let now = shared.world.now();
        let claim =
            Claim::to_reroute(next_hop.clone(), BATCH, now, now.after(shared.in_force().settings.lease));
        let leases = shared.store.claim(claim).await?.leases;
        if leases.is_empty() {
            return routed;
        }
        for lease in leases {
            let back = match reroute(shared, lease.clone()).await {
                Ok(stays) => stays,
                Err(QueueError::LeaseLost { .. }) => None,
                Err(error) => {
                    routed = worse(routed, Err(error));
                    Some(lease)
                }
            };
            stay.extend(back);
        }
    }
}
