//! The loop that delivers: what is due is claimed, carried out somewhere else, and settled.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use postroad_message::{NextHop, Timestamp};
use postroad_queue::{Claim, Contact, Lease, QueueError, Scheduler, Slot};
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument as _;

use crate::attempt::{self, SWEEP};
use crate::pipeline::{Pipeline, Shared};

/// Deliveries that one slot carries out one after another.
const BATCH: usize = 8;
/// The pause after the queue itself failed.
const QUEUE_PAUSE: Duration = Duration::from_secs(1);

/// What a finished slot says.
type Finished = (Slot, Result<Contact, tokio::task::JoinError>);

impl Pipeline {
    /// Takes up what an earlier run left behind: leases that it held are void, and mail whose connector is gone or
    /// that was unreachable is routed anew. Before anything else is taken in.
    pub async fn recover(&self) -> Result<(), QueueError> {
        self.shared.store.start(&self.shared.in_force().settings.server).await?;
        self.reroute().await
    }

    /// Delivers until `shutdown` is ready, then lets what is in flight finish within
    /// [`Settings::shutdown_grace`](crate::Settings::shutdown_grace).
    ///
    /// Call it once, after [`Pipeline::recover`].
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        let shared = &self.shared;
        let mut force = shared.in_force();
        let mut scheduler = Scheduler::new(force.settings.concurrency, force.settings.retry_schedule.clone());
        let mut running: JoinSet<Finished> = JoinSet::new();
        let mut next_sweep = shared.world.now();
        let mut reconfigured = false;
        tokio::pin!(shutdown);
        loop {
            let seen = shared.store.version();
            let now_in_force = shared.in_force();
            if !Arc::ptr_eq(&force, &now_in_force) {
                force = now_in_force;
                reconfigured = true;
                scheduler.reconfigure(force.settings.concurrency, force.settings.retry_schedule.clone());
            }
            let now = shared.world.now();
            if now >= next_sweep {
                // What was still on its way into the queue under the old configuration was not there to be routed anew.
                if reconfigured && self.reroute().await.is_ok() {
                    reconfigured = false;
                }
                attempt::sweep(shared).await;
                next_sweep = now.after(SWEEP);
            }
            let started = start_due(shared, &mut scheduler, &mut running, now).await;
            let pause = match started {
                Ok(()) => until(scheduler.wake_at(), next_sweep, shared.world.now()),
                Err(error) => {
                    tracing::error!(%error, "the queue cannot be read; trying again");
                    QUEUE_PAUSE
                }
            };
            tokio::select! {
                () = &mut shutdown => break,
                Some(finished) = running.join_next(), if !running.is_empty() => {
                    give_back(shared, &mut scheduler, finished);
                    while let Some(finished) = running.try_join_next() {
                        give_back(shared, &mut scheduler, finished);
                    }
                }
                _ = shared.store.changed(seen), if started.is_ok() => {}
                () = shared.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        finish(running, force.settings.shutdown_grace).await;
    }
}

/// Offers what is due, and starts as much of it as may run.
async fn start_due(
    shared: &Arc<Shared>,
    scheduler: &mut Scheduler,
    running: &mut JoinSet<Finished>,
    now: Timestamp,
) -> Result<(), QueueError> {
    for (next_hop, due) in shared.store.due(now).await? {
        scheduler.offer(&next_hop, due);
    }
    for next_hop in shared.store.take_retries().await? {
        scheduler.retry_now(&next_hop);
    }
    let settings = &shared.in_force().settings;
    while let Some(slot) = scheduler.next(now) {
        let until = now.after(settings.lease);
        let claim = Claim::due(slot.next_hop().clone(), BATCH, now, until);
        let claimed = match shared.store.claim(claim).await {
            Ok(claimed) => claimed,
            Err(error) => {
                scheduler.finished(slot, Contact::None, now, 0);
                return Err(error);
            }
        };
        scheduler.claimed(&slot, claimed.next_due);
        if claimed.leases.is_empty() {
            scheduler.finished(slot, Contact::None, now, 0);
            continue;
        }
        let failures = scheduler.standing(slot.next_hop()).map_or(0, |standing| standing.failures);
        let next_hop_retry = settings.retry_schedule.retry_at(now, failures + 1, shared.random64());
        let (shared, next_hop) = (Arc::clone(shared), slot.next_hop().clone());
        // A delivery in a task of its own: if it panics, its slot comes back all the same.
        let work =
            tokio::spawn(async move { carry_out(&shared, &next_hop, claimed.leases, next_hop_retry).await });
        running.spawn(async move { (slot, AbortOnDrop(work).await) });
    }
    Ok(())
}

/// One lease after another; once the next hop itself fails, the rest goes back untried.
async fn carry_out(
    shared: &Shared,
    next_hop: &NextHop,
    leases: Vec<Lease>,
    next_hop_retry: Timestamp,
) -> Contact {
    let mut leases = leases.into_iter();
    let mut contact = Contact::None;
    for lease in leases.by_ref() {
        // Those before it may have taken long. Whoever has it by now delivers it.
        let half = lease.until.since(shared.world.now()) < shared.in_force().settings.lease / 2;
        if half && let Err(error) = shared.renew(&lease).await {
            tracing::warn!(id = %lease.message, %next_hop, %error, "left to whoever has it now");
            continue;
        }
        let span = tracing::info_span!("attempt", id = %lease.message, %next_hop);
        contact = attempt::attempt(shared, lease, next_hop_retry).instrument(span).await;
        if contact == Contact::Failed {
            break;
        }
    }
    for untried in leases {
        if let Err(error) = shared.store.release(untried, next_hop_retry).await {
            tracing::error!(%error, %next_hop, "a delivery could not be given back; its lease will run out");
        }
    }
    contact
}

fn give_back(shared: &Shared, scheduler: &mut Scheduler, finished: Result<Finished, tokio::task::JoinError>) {
    match finished {
        Ok((slot, worked)) => {
            let next_hop = slot.next_hop().clone();
            // Its lease stays until it runs out or the next start, which counts a crash against the message.
            let contact = worked.unwrap_or_else(|error| {
                tracing::error!(%error, %next_hop, "a delivery broke off");
                Contact::None
            });
            let held = scheduler.finished(slot, contact, shared.world.now(), shared.random64());
            if let Some(held_until) = held {
                tracing::warn!(%next_hop, %held_until, "next hop failed; its queue waits");
            }
        }
        Err(error) => tracing::error!(%error, "a slot is lost until the next start"),
    }
}

/// How long the loop may sleep.
fn until(wake_at: Option<Timestamp>, next_sweep: Timestamp, now: Timestamp) -> Duration {
    wake_at.map_or(next_sweep, |wake_at| wake_at.min(next_sweep)).since(now).max(Duration::from_millis(1))
}

/// What is in flight gets its time; what is not done then is tried again by the next start.
async fn finish(mut running: JoinSet<Finished>, grace: Duration) {
    let all = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all).await.is_err() {
        tracing::warn!(
            deliveries = running.len(),
            "stopped before these ended; they are tried again at the next start"
        );
        running.shutdown().await;
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop(JoinHandle<Contact>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Future for AbortOnDrop {
    type Output = Result<Contact, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl Shared {
    pub(crate) fn random64(&self) -> u64 {
        u64::try_from(self.world.random() & u128::from(u64::MAX)).unwrap_or(0)
    }
}
