//! Clauses about watched messages: what became of each recipient is known after it left.

use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Receipt, Recipient, Scope};

use super::{Breach, Clause, at, hop, message, recipient};
use crate::error::QueueError;
use crate::item::{Claim, Kept, NewMessage, Settlement};
use crate::message_id::MessageId;
use crate::store::QueueStore;

pub(super) async fn check(
    open: &impl AsyncFn(&'static str) -> Result<Box<dyn QueueStore>, Breach>,
) -> Result<(), Breach> {
    let store = open("open").await?;
    let other = open("a second handle").await?;
    results_outlive_the_message(&*store, &*other).await?;
    others_leave_none(&*store).await?;
    written_with_the_settlement(&*store).await?;
    watching_ends(&*store).await?;
    start_forgets_what_is_gone(&*store).await
}

const TWO: &[&str] = &["a@example.com", "b@example.com"];

async fn results_outlive_the_message(store: &dyn QueueStore, other: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("what became of a watched message's recipients is known after they left", store);
    let id = clause.ok(store.enqueue(watched(message(&[("a", TWO)])?)).await)?;
    clause.that(clause.ok(store.results(id).await)?.is_empty(), "nobody has left yet")?;

    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    clause.that(lease.watched, "the lease says that results are wanted")?;
    let mut settlement = Settlement::keep(vec![Kept::waiting(0, at(10))]);
    settlement.results = vec![(named("b@example.com")?, failed())];
    clause.ok(store.settle(lease, settlement).await)?;
    let results = clause.ok(other.results(id).await)?;
    clause.that(results == [(named("b@example.com")?, failed())], "who left is there, seen from anywhere")?;

    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(10), at(15))).await?;
    clause.that(lease.watched, "the message stays watched")?;
    let mut settlement = Settlement::all_leave();
    settlement.results = vec![(named("a@example.com")?, delivered())];
    clause.ok(store.settle(lease, settlement).await)?;
    let results = clause.ok(store.results(id).await)?;
    let both = [(named("b@example.com")?, failed()), (named("a@example.com")?, delivered())];
    clause.that(results == both, "all of them, as they were given, in the order in which they left")?;

    clause.ok(other.forget_results(id).await)?;
    clause.that(clause.ok(store.results(id).await)?.is_empty(), "until they are forgotten")?;
    clause.ok(store.forget_results(id).await)?;
    clause.clear().await
}

async fn others_leave_none(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a message that nobody watches leaves no results", store);
    let id = clause.ok(store.enqueue(message(&[("a", TWO)])?).await)?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    clause.that(!lease.watched, "the lease says that none are wanted")?;
    let mut settlement = Settlement::all_leave();
    settlement.results = vec![(named("a@example.com")?, delivered())];
    clause.ok(store.settle(lease, settlement).await)?;
    clause.that(clause.ok(store.results(id).await)?.is_empty(), "though some were given")?;
    let unknown = MessageId::from_u64(1);
    clause.that(clause.ok(store.results(unknown).await)?.is_empty(), "nor does one that was never there")?;
    clause.ok(store.forget_results(unknown).await)?;
    clause.clear().await
}

async fn written_with_the_settlement(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("results are written with the settlement or not at all", store);
    let id = clause.ok(store.enqueue(watched(message(&[("a", TWO)])?)).await)?;
    let late = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(5), at(60))).await?;
    let mut settlement = Settlement::all_leave();
    settlement.results = vec![(named("a@example.com")?, failed()), (named("b@example.com")?, failed())];
    let mut goes_nowhere = settlement.clone();
    goes_nowhere.enqueue.push(message(&[])?);
    let mut beyond = settlement.clone();
    beyond.keep.push(Kept::waiting(2, at(9)));
    let lost = QueueError::LeaseLost { delivery: late.delivery };
    for (lease, settlement, error) in [
        (late, settlement.clone(), lost),
        (lease.clone(), goes_nowhere, QueueError::NothingToDeliver),
        (lease.clone(), beyond, QueueError::NoSuchRecipient { index: 2 }),
    ] {
        clause.that(store.settle(lease, settlement).await == Err(error), "one that fails is refused")?;
        clause.that(clause.ok(store.results(id).await)?.is_empty(), "and leaves no result")?;
    }
    settlement.enqueue.push(message(&[("report", &["joe@contoso.com"])])?);
    clause.ok(store.settle(lease, settlement).await)?;
    let reports = clause.list().await?.len();
    let results = clause.ok(store.results(id).await)?.len();
    clause.that((reports, results) == (1, 2), "the reports owed and the results are there together")?;
    clause.ok(store.forget_results(id).await)?;
    clause.clear().await
}

async fn watching_ends(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("who leaves after the watching ended leaves no result", store);
    let id = clause.ok(store.enqueue(watched(message(&[("a", &["a@example.com"])])?)).await)?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    clause.ok(store.forget_results(id).await)?;
    let mut settlement = Settlement::all_leave();
    settlement.results = vec![(named("a@example.com")?, delivered())];
    clause.ok(store.settle(lease, settlement).await)?;
    clause.that(clause.ok(store.results(id).await)?.is_empty(), "also under a lease from before")?;
    clause.clear().await
}

async fn start_forgets_what_is_gone(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a start forgets the results of messages that are gone", store);
    let mut ids = Vec::new();
    for stays in [false, true] {
        ids.push(clause.ok(store.enqueue(watched(message(&[("a", TWO)])?)).await)?);
        let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
        let keep = if stays { vec![Kept::waiting(0, at(10))] } else { Vec::new() };
        let mut settlement = Settlement::keep(keep);
        settlement.results = vec![(named("b@example.com")?, delivered())];
        clause.ok(store.settle(lease, settlement).await)?;
    }
    clause.ok(store.start("Hub01", at(0)).await)?;
    let mut left = Vec::new();
    for id in &ids {
        left.push(clause.ok(store.results(*id).await)?.len());
    }
    clause.that(left == [0, 1], "those of a message that still waits stay")?;
    for id in ids {
        clause.ok(store.forget_results(id).await)?;
    }
    clause.clear().await
}

fn watched(mut message: NewMessage) -> NewMessage {
    message.watched = true;
    message
}

fn named(address: &str) -> Result<Recipient, Breach> {
    let promise = "its addresses can be read";
    recipient(address).map_err(|_| Breach::Broken { clause: "the contract itself", promise })
}

fn delivered() -> Outcome {
    Outcome::Delivered(Receipt::new("mx.example.com [192.0.2.1]:25"))
}

fn failed() -> Outcome {
    let status = EnhancedStatus::permanent(1, 1);
    let text = "no such \"user\"";
    Outcome::Failed(Failure::new(status, Fault::Remote, Scope::Recipient, Phase::RcptTo, text))
}
