//! One attempt at one delivery, and what it leaves behind in the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use postroad_connector::Connector;
use postroad_message::{
    Content, EnhancedStatus, Envelope, Failure, Fault, NextHop, Outcome, Phase, Recipient, Scope, Timestamp,
};
use postroad_queue::{Claim, Contact, Lease, MessageId, NewMessage, QueueError, Settlement};
use tracing::Instrument as _;

use crate::deliver::Job;
use crate::observe::{Seen, Way};
use crate::pipeline::{InForce, Shared, joined};
use crate::plan;
use crate::report::{self, Original};
use crate::reroute::reroute;
use crate::settlement::{self, Moments, Settled};

/// How often expired and delayed messages are looked for among those that wait.
pub(crate) const SWEEP: Duration = Duration::from_secs(60);
/// How many waiting messages one sweep gives up or sends notices for at a time.
const SWEEP_BATCH: usize = 100;

/// The seconds after which an outcome is written down once more, where the disk was full or failed.
const WRITE_AGAIN: [u64; 8] = [1, 2, 4, 8, 15, 30, 60, 120];

/// Delivers what was lent, or routes it anew where its connector is gone or sends another way; then settles.
pub(crate) async fn attempt(shared: &Shared, lease: Lease, next_hop_retry: Timestamp) -> Contact {
    let force = shared.in_force();
    let table = &force.table;
    let usable = table.usable_connector(&lease.next_hop.connector);
    let Some(connector) = usable.filter(|connector| plan::is_queue_of(connector, &lease)) else {
        let due = shared.first_due(&lease.next_hop, lease.received_at, next_hop_retry);
        // Never due at once: what has expired meanwhile is for the next sweep to give up.
        let (id, due) = (lease.message, due.max(shared.world.now().after(SWEEP)));
        if let Err(error) = Box::pin(reroute(shared, lease, due)).await {
            tracing::error!(%id, %error, "mail that is due could not be routed anew");
        }
        return Contact::None;
    };
    let content = match shared.store.content(lease.message).await {
        Ok(content) => content,
        Err(error) => {
            // The store has set a corrupt message aside; anything else is this machine's fault and passes.
            tracing::error!(id = %lease.message, %error, "the content cannot be read");
            let _ = shared.store.release(lease, next_hop_retry).await;
            return Contact::None;
        }
    };
    let work = carry_out(&force, connector, &lease, &content);
    let outcomes = renewing(shared, &lease, work).await;
    let contact = settlement::contact(&outcomes);
    let moments = shared.moments(next_hop_retry);
    let outcomes = settlement::judge(&lease, outcomes, &moments);
    for (recipient, outcome) in lease.envelope.recipients.iter().zip(&outcomes) {
        log(&lease, recipient, outcome);
    }
    let observed = lease.envelope.recipients.iter().cloned().zip(outcomes.iter().cloned()).collect();
    let settled = settlement::settle(&lease, outcomes, &moments);
    let (id, way) = (lease.message, Some(way(&force, connector)));
    if let Err(error) = finish_as(shared, lease, settled, observed, &content, way).await {
        // The delivery comes again when its lease runs out: a duplicate, not a loss.
        tracing::error!(%id, %error, "the outcome could not be written down");
    }
    contact
}

/// Gives up what has waited too long, and tells the senders of what takes long: due or not, one report for a message.
pub(crate) async fn sweep(shared: &Shared) {
    // What is claimed is judged by the same timers and clock: judged not overdue, it would be claimed again for ever.
    let moments = shared.moments(shared.world.now());
    let (now, timers) = (moments.now, &moments.timers);
    let until = now.after(shared.in_force().settings.lease);
    let claims = [
        Claim::expired(timers.expired_before(now), SWEEP_BATCH, now, until),
        Claim::delayed(timers.delayed_before(now), SWEEP_BATCH, now, until),
    ];
    for claim in claims {
        loop {
            match sweep_batch(shared, &claim, &moments).await {
                Ok(claimed) if claimed == SWEEP_BATCH => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(%error, "the queue cannot be swept");
                    return;
                }
            }
        }
    }
}

/// Gives how many deliveries the claim found, those aside that belong to the same messages.
async fn sweep_batch(shared: &Shared, claim: &Claim, moments: &Moments) -> Result<usize, QueueError> {
    let claimed = shared.store.claim(claim.clone()).await?.leases;
    let found = claimed.len();
    let mut messages: BTreeMap<MessageId, Vec<Lease>> = BTreeMap::new();
    for lease in claimed {
        messages.entry(lease.message).or_default().push(lease);
    }
    for (message, mut leases) in messages {
        if found == SWEEP_BATCH {
            let mut others = claim.clone();
            others.message = Some(message);
            leases.extend(shared.store.claim(others).await?.leases);
        }
        let span = tracing::info_span!("overdue", id = %message);
        overdue(shared, leases, moments).instrument(span).await;
    }
    Ok(found)
}

/// Settles the deliveries of one message that are past a timer, without an attempt.
///
/// Their one report goes with the first of them. Should we die before the others are settled, their recipients are
/// told a second time; nobody is left untold.
async fn overdue(shared: &Shared, leases: Vec<Lease>, moments: &Moments) {
    let Some(first) = leases.first() else { return };
    let content = match shared.store.content(first.message).await {
        Ok(content) => content,
        Err(error) => {
            tracing::error!(id = %first.message, %error, "the content cannot be read");
            return;
        }
    };
    let (mut envelope, received_at) = (first.envelope.clone(), first.received_at);
    envelope.recipients.clear();
    let mut together = Settled::default();
    let mut each = Vec::new();
    for lease in leases {
        let settled = overdue_one(&lease, moments);
        let before = envelope.recipients.len();
        envelope.recipients.extend(lease.envelope.recipients.iter().cloned());
        let moved = |(index, of): &(usize, Outcome)| (before + index, of.clone());
        together.left.extend(settled.left.iter().map(moved));
        let moved = |(index, of): &(usize, Failure)| (before + index, of.clone());
        together.delayed.extend(settled.delayed.iter().map(moved));
        each.push((lease, settled));
    }
    let returned = returned(&envelope, &content, &together).await;
    let content_of_report = returned.as_ref().unwrap_or(&content);
    let original =
        Original { envelope: &envelope, content: content_of_report, received_at, attempted_at: None };
    let mut reports = report::reports(shared, &original, &together);
    for (lease, settled) in each {
        let given_up = leaving(&lease, &settled.left);
        for (recipient, outcome) in &given_up {
            log(&lease, recipient, outcome);
        }
        let (id, reports) = (lease.message, std::mem::take(&mut reports));
        if let Err(error) = finish_with(shared, lease, settled, given_up, &content, None, reports).await {
            tracing::error!(%id, %error, "the outcome could not be written down");
            // Without the report nobody else may count as told; what is still lent comes back with its lease.
            return;
        }
    }
}

fn overdue_one(lease: &Lease, moments: &Moments) -> Settled {
    let last = |index: usize| lease.last_failures.get(index).cloned().flatten();
    let outcomes: Vec<Outcome> = (0..lease.envelope.recipients.len())
        .map(|index| Outcome::Deferred(last(index).unwrap_or_else(|| waiting(&lease.next_hop))))
        .collect();
    let judged = settlement::judge(lease, outcomes, moments);
    settlement::settle_overdue(lease, judged, moments)
}

/// Works for as long as it takes, and keeps the delivery lent to us meanwhile: nobody else may begin it as well.
async fn renewing<T>(shared: &Shared, lease: &Lease, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(shared.in_force().settings.lease / 2) => {
                if let Err(error) = shared.renew(lease).await {
                    tracing::error!(id = %lease.message, %error, "a lease could not be renewed");
                }
            }
        }
    }
}

async fn carry_out(force: &InForce, connector: &Connector, lease: &Lease, content: &Content) -> Vec<Outcome> {
    let (table, everyone) =
        (&force.table, |failure: Failure| vec![Outcome::Deferred(failure); lease.envelope.recipients.len()]);
    let elsewhere = table.source_server(connector.name());
    let server = elsewhere.and_then(|server| table.topology().address_of(server));
    if let (Some(elsewhere), None) = (elsewhere, server) {
        return everyone(no_address(elsewhere));
    }
    let (destination, envelope) = (&lease.next_hop.destination, &lease.envelope);
    let mut job = Job::new(connector, destination, envelope, content, lease.message, lease.delivery);
    job.server = server;
    let deliver = match way(force, connector) {
        Way::Smtp => &force.delivers.smtp,
        Way::Drop => &force.delivers.drop,
        Way::Agent => &force.delivers.agent,
    };
    deliver.deliver(job).await
}

/// By SMTP where another server has the connector.
pub(crate) fn way(force: &InForce, connector: &Connector) -> Way {
    match connector {
        _ if force.table.source_server(connector.name()).is_some() => Way::Smtp,
        Connector::Send(_) => Way::Smtp,
        Connector::Foreign(_) => Way::Drop,
        Connector::DeliveryAgent(_) => Way::Agent,
    }
}

/// What became of recipients, for whoever watches.
pub(crate) type Observed = Vec<(Recipient, Outcome)>;

/// Writes down the end of an attempt and the reports it owes, in one transaction; then tells whoever watches.
pub(crate) async fn finish_as(
    shared: &Shared,
    lease: Lease,
    settled: Settled,
    observed: Observed,
    content: &Content,
    attempted: Option<Way>,
) -> Result<(), QueueError> {
    let attempted_at = attempted.map(|_| shared.world.now());
    let returned = returned(&lease.envelope, content, &settled).await;
    let (content_of_report, received_at) = (returned.as_ref().unwrap_or(content), lease.received_at);
    let original =
        Original { envelope: &lease.envelope, content: content_of_report, received_at, attempted_at };
    let reports = report::reports(shared, &original, &settled);
    finish_with(shared, lease, settled, observed, content, attempted, reports).await
}

/// The content as a report of a failure wants it, where that is not what lies in memory already.
async fn returned(envelope: &Envelope, content: &Content, settled: &Settled) -> Option<Content> {
    let failed = settled.left.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    if !failed || content.in_memory().is_some() {
        return None;
    }
    let (envelope, content) = (envelope.clone(), content.clone());
    joined(tokio::task::spawn_blocking(move || report::returned(&envelope, &content)).await).ok()
}

/// The same with reports that are made. Of a verdict without an attempt nobody hears where it was not written down.
async fn finish_with(
    shared: &Shared,
    lease: Lease,
    settled: Settled,
    observed: Observed,
    content: &Content,
    attempted: Option<Way>,
    reports: Vec<NewMessage>,
) -> Result<(), QueueError> {
    let now = shared.world.now();
    let results = if lease.watched { leaving(&lease, &settled.left) } else { Vec::new() };
    let mut settlement =
        if attempted.is_some() { Settlement::keep(settled.keep) } else { Settlement::reroute(settled.keep) };
    settlement.delay_notified = !settled.delayed.is_empty();
    settlement.results = results;
    settlement.enqueue.clone_from(&reports);
    let written = if attempted.is_some() {
        settle_at_last(shared, lease.clone(), settlement).await
    } else {
        shared.store.settle(lease.clone(), settlement).await
    };
    let seen = Seen { way: attempted, ..Seen::lent(&lease, now, Some(content)) };
    if !observed.is_empty() && (attempted.is_some() || written.is_ok()) {
        shared.observer.attempted(&seen, &lease.next_hop, &observed);
    }
    let ids = written?;
    for report in &ids {
        tracing::info!(id = %report, about = %lease.message, "report queued");
    }
    report::observe(shared, &seen, &ids, &reports);
    Ok(())
}

/// Writes down what cannot be done again: a message that was delivered goes out twice if nobody knows of it.
async fn settle_at_last(
    shared: &Shared,
    lease: Lease,
    settlement: Settlement,
) -> Result<Vec<MessageId>, QueueError> {
    for pause in WRITE_AGAIN {
        match shared.store.settle(lease.clone(), settlement.clone()).await {
            Err(error) if error.is_transient() && error != QueueError::Closed => {
                tracing::error!(id = %lease.message, %error, "the outcome could not be written down; trying again");
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
            ended => return ended,
        }
    }
    shared.store.settle(lease, settlement).await
}

pub(crate) fn leaving(lease: &Lease, left: &[(usize, Outcome)]) -> Observed {
    let recipient = |index: usize| lease.envelope.recipients.get(index).cloned();
    left.iter().filter_map(|(index, outcome)| Some((recipient(*index)?, outcome.clone()))).collect()
}

fn log(lease: &Lease, recipient: &Recipient, outcome: &Outcome) {
    let (message, to, next_hop, attempt) =
        (lease.message, &recipient.address, &lease.next_hop, lease.attempts + 1);
    match outcome {
        Outcome::Deferred(failure) => {
            tracing::warn!(id = %message, %to, %next_hop, attempt, %failure, "deferred")
        }
        Outcome::Ambiguous(failure) => {
            tracing::warn!(id = %message, %to, %next_hop, attempt, %failure, "ambiguous")
        }
        Outcome::Failed(failure) => {
            tracing::warn!(id = %message, %to, %next_hop, attempt, %failure, "failed")
        }
        Outcome::Delivered(receipt) | Outcome::Relayed(receipt) | Outcome::Expanded(receipt) => {
            let reply = receipt.reply.as_ref().map(ToString::to_string).unwrap_or_default();
            let tls = receipt.tls.as_ref().map_or("none", |facts| facts.version.as_str());
            tracing::info!(id = %message, %to, %next_hop, attempt, host = receipt.host, reply, tls, "delivered");
        }
        _ => {}
    }
}

fn waiting(next_hop: &NextHop) -> Failure {
    if next_hop.is_unreachable() {
        let status = EnhancedStatus::transient(4, 4);
        let text = "no connector takes this recipient; it waits for a changed configuration";
        return Failure::new(status, Fault::Configuration, Scope::Recipient, Phase::Routing, text);
    }
    settlement::never_attempted()
}

/// The queue is not shared, so that server cannot fetch it here.
fn no_address(server: &str) -> Failure {
    let text = format!("server {server:?} sends for this connector, and has no address in the topology");
    Failure::new(EnhancedStatus::transient(3, 5), Fault::Configuration, Scope::NextHop, Phase::Routing, text)
}

impl Shared {
    /// Lets a lease run for its full time again; fails where somebody else has the delivery by now.
    pub(crate) async fn renew(&self, lease: &Lease) -> Result<(), QueueError> {
        self.store.extend(lease, self.world.now().after(self.in_force().settings.lease)).await
    }

    fn moments(&self, next_hop_retry: Timestamp) -> Moments {
        Moments {
            now: self.world.now(),
            timers: self.in_force().settings.timers,
            next_hop_retry,
            random: self.random64(),
            wording: self.in_force().settings.dsn_wording,
        }
    }
}
