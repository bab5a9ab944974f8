//! The loop that delivers: what is due is claimed, carried out somewhere else, and settled.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use postroad_connector::{Connector, DeliveryAgentConnector};
use postroad_message::{NextHop, Timestamp};
use postroad_queue::{Claim, Contact, Lease, QueueError, Scheduler, Slot};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::attempt::{self, SWEEP};
use crate::observe::Way;
use crate::pipeline::{InForce, Pipeline, Shared};
use crate::poison::{self, Hand};
use crate::reroute;

/// Deliveries that one slot carries out one after another. With an agent it is one: a program takes as long as it likes, its
/// connections outlast a slot, and what the connector allows to run side by side runs side by side.
const BATCH: usize = 8;
/// The pause after the queue itself failed.
const QUEUE_PAUSE: Duration = Duration::from_secs(1);
/// The longest one, where it cannot be taken up.
const LONGEST_QUEUE_PAUSE: Duration = Duration::from_secs(30);

/// How long a suspect waits while another one is tried at its next hop.
const SUSPECT_PAUSE: Duration = Duration::from_secs(1);

/// What a finished slot says.
type Finished = (Slot, Result<Contact, tokio::task::JoinError>);

impl Pipeline {
    /// Takes up what an earlier run left behind: leases that it held are void. Call it before anything is taken in, or beside the
    /// first that comes: that waits for it, and is refused where this fails.
    ///
    /// # Errors
    ///
    /// The queue cannot be taken up; nothing is delivered before it is.
    pub async fn recover(&self) -> Result<(), QueueError> {
        let now = self.shared.world.now();
        self.shared.store.start(&self.shared.in_force().settings.server, now).await?;
        self.shared.trials.put_off(self.shared.world.now().after(SUSPECT_PAUSE));
        Ok(())
    }

    /// Takes up what an earlier run left, and then [delivers](Self::run). Tries again, more and more seldom, where there is no
    /// room or somebody else has the queue; ends unasked where only another start helps, or somebody who mends its disk.
    pub async fn recover_and_run(&self, shutdown: impl Future<Output = ()> + Send) {
        tokio::pin!(shutdown);
        let mut pause = QUEUE_PAUSE;
        loop {
            let recovered = tokio::select! {
                biased;
                // Nobody has a lease yet that would have to be given back.
                () = &mut shutdown => return,
                recovered = self.recover() => recovered,
            };
            let Err(error) = recovered else { break };
            if !may_pass(&error) {
                tracing::error!(%error, "what an earlier run left in the queue cannot be taken up");
                return;
            }
            tracing::error!(
                %error,
                again_in = pause.as_secs(),
                "what an earlier run left in the queue cannot be taken up now; nothing is taken in before"
            );
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = &mut shutdown => return,
            }
            pause = (pause * 2).min(LONGEST_QUEUE_PAUSE);
        }
        self.run(shutdown).await;
    }

    /// Delivers until `shutdown` is ready, then lets what is in flight finish within
    /// [`Settings::shutdown_grace`](crate::Settings::shutdown_grace). Ends unasked where the queue has closed: only another
    /// start helps then. Mail whose connector is gone, or that was unreachable, is routed anew beside the first deliveries.
    ///
    /// Call it once, after [`Pipeline::recover`]. Dropped, it ends what is in flight at once: the next start takes it up, as after a crash.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        let shared = &self.shared;
        let mut force = shared.in_force();
        let mut scheduler = Scheduler::new(force.settings.concurrency, force.settings.retry_schedule.clone());
        let mut running: JoinSet<Finished> = JoinSet::new();
        let (phase, told) = watch::channel(Phase::Working);
        // Sweeps and re-routing take as long as the queue is large; deliveries and the end do not wait for them.
        let mut chores: JoinSet<bool> = JoinSet::new();
        let mut next_sweep = shared.world.now();
        // With how many sweeps what waits is routed anew; two are a change that no sweep has seen. An earlier run may have had another
        // configuration.
        let mut reroutes = 1_u8;
        let mut look = Look { seen: None, not_before: Instant::now() };
        tokio::pin!(shutdown);
        loop {
            let seen = shared.store.version();
            let now_in_force = shared.in_force();
            if !Arc::ptr_eq(&force, &now_in_force) {
                force = now_in_force;
                // Again with the next sweep: what was still on its way into the queue under the old configuration was
                // not there to be routed anew.
                reroutes = 2;
                next_sweep = shared.world.now();
                scheduler.reconfigure(force.settings.concurrency, force.settings.retry_schedule.clone());
                look.seen = None;
            }
            let now = shared.world.now();
            if now >= next_sweep {
                if chores.is_empty() {
                    chores.spawn(chore(self.clone(), reroutes > 0));
                    reroutes = reroutes.saturating_sub(1);
                }
                next_sweep = now.after(SWEEP);
                // Leases that ran out change nothing that the store could tell of.
                look.seen = None;
            }
            let started = tokio::select! {
                biased;
                () = &mut shutdown => break,
                started = async {
                    look.offer(&force, &mut scheduler, (shared, seen), now).await?;
                    start_due(shared, &mut scheduler, &mut running, &told, now).await
                } => started,
            };
            let pause = match started {
                Ok(()) => until(scheduler.wake_at(), next_sweep, shared.world.now()).min(look.pause(seen)),
                Err(QueueError::Closed) => break closed(),
                Err(error) => {
                    tracing::error!(%error, "the queue cannot be read; trying again");
                    QUEUE_PAUSE
                }
            };
            tokio::select! {
                () = &mut shutdown => break,
                Some(finished) = running.join_next(), if !running.is_empty() => {
                    let next = std::iter::from_fn(|| running.try_join_next());
                    for finished in std::iter::once(finished).chain(next) {
                        if let Some(idle) = give_back(shared, &mut scheduler, finished) {
                            chores.spawn(resubmit(self.clone(), idle));
                        }
                    }
                }
                changed = shared.store.changed(seen), if started.is_ok() => {
                    if changed == Err(QueueError::Closed) {
                        break closed();
                    }
                }
                Some(ended) = chores.join_next(), if !chores.is_empty() => {
                    let now = shared.world.now();
                    let broke_off = |error: &_| tracing::error!(%error, "a sweep broke off; the next one takes it up");
                    if !ended.inspect_err(broke_off).unwrap_or(false) {
                        // By then what could not be given back either is free.
                        (reroutes, next_sweep) = (reroutes.max(1), now.after(SWEEP));
                    }
                    if reroutes > 1 {
                        next_sweep = now;
                    }
                }
                () = shared.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        phase.send_replace(Phase::Finishing);
        chores.abort_all();
        finish(running, force.settings.shutdown_grace).await;
        while chores.join_next().await.is_some() {}
        // One that was broken off may be in the middle of a step: what it writes down comes before the end.
        drop(told);
        phase.closed().await;
        // What broke off is nobody's crash.
        if let Err(error) = shared.store.stop().await {
            tracing::error!(%error, "what was in flight could not be given back; the next start does it");
        }
    }
}

/// One of its threads ended by a panic. Whoever asked it something was told, and nothing was promised.
fn closed() {
    tracing::error!(
        "the queue has closed (its disk failed, see the system log, or one of its threads did): nothing can be taken or delivered before the next start"
    );
}

/// How often the store is asked which next hops have mail that is due. It answers in the time that all of them take, so
/// that with a hundred thousand it is not asked after every change: [`Look::SHARE`] of the time at most goes into it.
struct Look {
    /// The version of the queue at the last look; `None`: look again.
    seen: Option<u64>,
    not_before: Instant,
}

impl Look {
    /// One part in so many.
    const SHARE: u32 = 10;

    async fn offer(
        &mut self,
        force: &InForce,
        scheduler: &mut Scheduler,
        (shared, version): (&Shared, u64),
        now: Timestamp,
    ) -> Result<(), QueueError> {
        let begun = Instant::now();
        if self.seen == Some(version) || begun < self.not_before {
            return Ok(());
        }
        for (next_hop, due) in shared.store.due(now).await? {
            scheduler.offer(&next_hop, due);
            if let Some(most) = agent_of(force, &next_hop).and_then(connections) {
                scheduler.limit(&next_hop, most);
            }
        }
        for next_hop in shared.store.take_retries().await? {
            scheduler.retry_now(&next_hop);
        }
        self.seen = Some(version);
        let ended = Instant::now();
        self.not_before = ended + (ended - begun) * (Self::SHARE - 1);
        Ok(())
    }

    /// How long the loop may sleep for its sake.
    fn pause(&self, version: u64) -> Duration {
        let waits = self.seen != Some(version);
        if waits { self.not_before.saturating_duration_since(Instant::now()) } else { Duration::MAX }
    }
}

/// The connector of a next hop, where it is an agent that hands its mail over here.
fn agent_of<'a>(force: &'a InForce, next_hop: &NextHop) -> Option<&'a DeliveryAgentConnector> {
    match force.table.usable_connector(&next_hop.connector)? {
        connector @ Connector::DeliveryAgent(agent) if attempt::way(force, connector) == Way::Agent => {
            Some(agent)
        }
        _ => None,
    }
}

/// What the connector says counts, whatever holds for domains.
fn connections(agent: &DeliveryAgentConnector) -> Option<NonZeroUsize> {
    NonZeroUsize::new(usize::try_from(agent.max_concurrent_connections).ok()?)
}

/// Whether the next delivery of a batch is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Working,
    Finishing,
}

/// Whether it may be over by itself: the others want another start, or somebody's hand.
fn may_pass(error: &QueueError) -> bool {
    matches!(error, QueueError::DiskFull { .. } | QueueError::Busy { .. })
}

/// What is done beside the deliveries. Gives whether nothing is left that should be routed anew.
async fn chore(pipeline: Pipeline, reroute: bool) -> bool {
    let routed = if reroute { pipeline.reroute().await } else { Ok(()) };
    if let Err(error) = &routed {
        tracing::error!(%error, "mail that waits could not be routed anew; the next sweep does it");
    }
    attempt::sweep(&pipeline.shared).await;
    routed.is_ok()
}

/// The mail of a next hop that has failed for long: perhaps another connector takes it today.
async fn resubmit(pipeline: Pipeline, next_hop: NextHop) -> bool {
    tracing::warn!(%next_hop, "no success for long; its mail is routed anew");
    if let Err(error) = reroute::reroute_queue(&pipeline.shared, &next_hop).await {
        tracing::error!(%error, %next_hop, "mail could not be routed anew");
    }
    // It has its next attempt.
    true
}

/// Starts as much of what is due as may run.
async fn start_due(
    shared: &Arc<Shared>,
    scheduler: &mut Scheduler,
    running: &mut JoinSet<Finished>,
    told: &watch::Receiver<Phase>,
    now: Timestamp,
) -> Result<(), QueueError> {
    let force = shared.in_force();
    let settings = &force.settings;
    while let Some(slot) = scheduler.next(now) {
        let until = now.after(settings.lease);
        let batch = if agent_of(&force, slot.next_hop()).is_some() { 1 } else { BATCH };
        let claim = Claim::due(slot.next_hop().clone(), batch, now, until);
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
        let (hand, told) = (Hand::of(claimed.leases), told.clone());
        // A delivery in a task of its own: if it panics, its slot and the rest of its batch come back all the same.
        let work = {
            let (shared, hand) = (Arc::clone(&shared), hand.clone());
            // Made where it stays: a task is moved several times on its way to a worker.
            tokio::spawn(Box::pin(async move {
                carry_out(&shared, &next_hop, &hand, &told, next_hop_retry).await
            }))
        };
        running.spawn(async move {
            let worked = AbortOnDrop(work).await;
            if worked.is_err() {
                Box::pin(poison::broke_off(&shared, &hand, next_hop_retry)).await;
            }
            (slot, worked)
        });
    }
    Ok(())
}

/// One lease after another; once the next hop itself fails, or the relay stops, the rest goes back untried.
async fn carry_out(
    shared: &Shared,
    next_hop: &NextHop,
    hand: &Hand,
    told: &watch::Receiver<Phase>,
    next_hop_retry: Timestamp,
) -> Contact {
    let mut contact = Contact::None;
    while contact != Contact::Failed
        && *told.borrow() == Phase::Working
        && let Some(lease) = hand.next()
    {
        // Those before it may have taken long. Whoever has it by now delivers it.
        let half = lease.until.since(shared.world.now()) < shared.in_force().settings.lease / 2;
        if half && let Err(error) = shared.renew(&lease).await {
            tracing::warn!(id = %lease.message, %next_hop, %error, "left to whoever has it now");
            continue;
        }
        if lease.crashes > 0 {
            // Should it be the one that crashes us, nobody is to be found beside it.
            give_up_waiting(shared, hand, None).await;
        }
        let span =
            tracing::info_span!("attempt", id = %lease.message, %next_hop, host = tracing::field::Empty);
        contact = attempt_or_try(shared, lease, next_hop_retry).instrument(span).await;
    }
    give_up_waiting(shared, hand, (contact == Contact::Failed).then_some(next_hop_retry)).await;
    contact
}

/// Gives back what nobody has begun with, due as it was or at `due`.
async fn give_up_waiting(shared: &Shared, hand: &Hand, due: Option<Timestamp>) {
    for untried in hand.take_waiting() {
        let (id, due) = (untried.message, due.unwrap_or(untried.due));
        if let Err(error) = shared.store.release(untried, due).await {
            tracing::error!(%id, %error, "a delivery could not be given back; its lease will run out");
        }
    }
}

/// An attempt; a message that was in flight when the relay died is tried when no other such one is there.
async fn attempt_or_try(shared: &Shared, lease: Lease, next_hop_retry: Timestamp) -> Contact {
    if lease.crashes == 0 {
        return attempt::attempt(shared, lease, next_hop_retry).await;
    }
    if poison::is_convicted(shared, &lease) {
        poison::set_aside(shared, lease).await;
        return Contact::None;
    }
    let trial = shared.trials.begin(&lease, shared.world.now());
    let begun = match &trial {
        Some(_) => shared.store.begin_trial(&lease).await.inspect_err(|error| {
            tracing::error!(id = %lease.message, %error, "a trial could not be written down; it is put off");
        }),
        None => Err(QueueError::Busy { code: 0 }),
    };
    if begun.is_err() {
        let due = shared.world.now().after(SUSPECT_PAUSE);
        if let Err(error) = shared.store.release(lease, due).await {
            tracing::error!(%error, "a delivery could not be given back; its lease will run out");
        }
        return Contact::None;
    }
    attempt::attempt(shared, lease, next_hop_retry).await
}

/// Takes a slot back; gives the next hop if it has failed for so long that its mail is to be routed anew.
fn give_back(
    shared: &Shared,
    scheduler: &mut Scheduler,
    finished: Result<Finished, tokio::task::JoinError>,
) -> Option<NextHop> {
    let (slot, worked) =
        finished.inspect_err(|error| tracing::error!(%error, "a slot is lost until the next start")).ok()?;
    let next_hop = slot.next_hop().clone();
    let contact = worked.unwrap_or_else(|error| {
        tracing::error!(%error, %next_hop, "a delivery broke off");
        Contact::None
    });
    let now = shared.world.now();
    let held_until = scheduler.finished(slot, contact, now, shared.random64())?;
    tracing::warn!(%next_hop, %held_until, "next hop failed; its queue waits");
    let idle = shared.in_force().settings.max_idle_time_before_resubmit;
    scheduler.take_idle(&next_hop, idle, now).then_some(next_hop)
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
