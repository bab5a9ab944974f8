//! Clauses about leases: lent once, in the order of due times, until they run out or their holder starts anew.

use super::{Breach, Clause, at, hop, message, names};
use crate::error::QueueError;
use crate::item::{Claim, Kept, Settlement};
use crate::store::QueueStore;

pub(super) async fn check(
    open: &impl AsyncFn(&'static str) -> Result<Box<dyn QueueStore>, Breach>,
) -> Result<(), Breach> {
    let store = open("open").await?;
    lent_once_and_in_order(&*store).await?;
    what_expired_or_is_delayed(&*store).await?;
    a_lease_runs_out(&*store).await?;
    extended_and_released(&*store).await?;
    let other = open("a second handle").await?;
    void_when_its_holder_starts(&*store, &*other).await
}

async fn lent_once_and_in_order(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a delivery is lent once, the longest due first", store);
    for (minutes, name) in
        [(3, "c@example.com"), (1, "a@example.com"), (9, "d@example.com"), (2, "b@example.com")]
    {
        let mut new = message(&[("a", &[name])])?;
        for delivery in &mut new.deliveries {
            delivery.due = at(minutes);
        }
        clause.ok(store.enqueue(new).await)?;
    }
    clause.ok(store.enqueue(message(&[("b", &["e@example.com"])])?).await)?;
    let none = clause.claim(Claim::due(hop("a"), 9, at(0), at(60))).await?;
    clause.that(none.is_empty(), "nothing is lent before it is due")?;
    let first = clause.ok(store.claim(Claim::due(hop("a"), 2, at(5), at(60))).await)?;
    let lent: Vec<_> = first.leases.iter().flat_map(names).collect();
    clause.that(
        lent == ["a@example.com", "b@example.com"],
        "as many as asked for, by due time, of that queue alone",
    )?;
    clause.that(first.next_due == Some(at(3)), "the claim says when the next is due")?;
    let second = clause.ok(store.claim(Claim::due(hop("a"), 9, at(5), at(60))).await)?;
    let lent: Vec<_> = second.leases.iter().flat_map(names).collect();
    clause.that(lent == ["c@example.com"], "what is lent is not lent again")?;
    clause.that(second.next_due == Some(at(9)), "the next due may lie ahead")?;
    let mut due = clause.ok(store.due(at(5)).await)?;
    due.sort();
    clause.that(
        due == [(hop("a"), at(9)), (hop("b"), at(0))],
        "due knows each queue's first that nobody works on",
    )?;
    let unknown = clause.ok(store.claim(Claim::due(hop("nobody"), 9, at(5), at(60))).await)?;
    clause
        .that(unknown.leases.is_empty() && unknown.next_due.is_none(), "a queue without mail lends none")?;
    for lease in first.leases.into_iter().chain(second.leases) {
        clause.ok(store.release(lease, at(0)).await)?;
    }
    clause.clear().await
}

async fn what_expired_or_is_delayed(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("what has waited too long is found, due or not", store);
    for (minutes, name) in [(0, "old@example.com"), (10, "young@example.com")] {
        let mut new = message(&[("a", &[name])])?;
        new.received_at = at(minutes);
        for delivery in &mut new.deliveries {
            delivery.due = at(600);
        }
        clause.ok(store.enqueue(new).await)?;
    }
    let lease = clause.claim_one(Claim::delayed(at(5), 9, at(20), at(60))).await?;
    clause.that(names(&lease) == ["old@example.com"], "only what was received by then")?;
    let mut settlement = Settlement::reroute(vec![crate::item::Kept::waiting(0, at(600))]);
    settlement.delay_notified = true;
    clause.ok(store.settle(lease, settlement).await)?;
    let again = clause.claim(Claim::delayed(at(5), 9, at(20), at(60))).await?;
    clause.that(again.is_empty(), "a delay is notified once")?;
    let lease = clause.claim_one(Claim::expired(at(5), 9, at(20), at(60))).await?;
    clause.that(lease.delay_notified && lease.attempts == 0, "and remembered")?;
    clause.ok(store.settle(lease, Settlement::all_leave()).await)?;
    clause.clear().await
}

async fn a_lease_runs_out(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a lease that ran out is lost once someone else has the delivery", store);
    for name in ["a", "b"] {
        clause.ok(store.enqueue(message(&[(name, &["jane@example.com"])])?).await)?;
    }
    let late = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    clause
        .that(clause.claim(Claim::due(hop("a"), 9, at(4), at(9))).await?.is_empty(), "not before its time")?;
    let due = clause.ok(store.due(at(5)).await)?;
    clause.that(due.contains(&(hop("a"), at(0))), "it is due again when its lease runs out")?;
    let taken = clause.claim_one(Claim::due(hop("a"), 9, at(5), at(60))).await?;
    let lost = Err(QueueError::LeaseLost { delivery: late.delivery });
    let mut settlement = Settlement::all_leave();
    settlement.enqueue.push(message(&[("report", &["joe@contoso.com"])])?);
    clause.that(store.settle(late.clone(), settlement).await == lost, "the late one cannot settle")?;
    let count = clause.list().await?.len();
    clause.that(count == 2, "its report is not queued, and the delivery is still there")?;
    clause.that(store.extend(&late, at(90)).await.is_err(), "nor extend")?;
    clause.that(store.release(late, at(0)).await.is_err(), "nor release")?;
    clause.ok(store.settle(taken.clone(), Settlement::all_leave()).await)?;
    clause.that(store.settle(taken, Settlement::all_leave()).await.is_err(), "a lease settles once")?;
    let late = clause.claim_one(Claim::due(hop("b"), 9, at(0), at(5))).await?;
    clause.that(
        clause.claim(Claim::due(hop("a"), 9, at(50), at(60))).await?.is_empty(),
        "time goes on elsewhere",
    )?;
    clause.ok(store.settle(late, Settlement::all_leave()).await)?;
    clause.clear().await
}

async fn extended_and_released(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a lease can be extended, and given back untried", store);
    clause.ok(store.enqueue(message(&[("a", &["jane@example.com"])])?).await)?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    clause.ok(store.extend(&lease, at(30)).await)?;
    clause.that(clause.claim(Claim::due(hop("a"), 9, at(20), at(30))).await?.is_empty(), "it runs on")?;
    clause.ok(store.release(lease.clone(), at(25)).await)?;
    clause.that(store.release(lease, at(0)).await.is_err(), "it is given back once")?;
    clause.that(
        clause.claim(Claim::due(hop("a"), 9, at(24), at(30))).await?.is_empty(),
        "it is due when it was said",
    )?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(25), at(30))).await?;
    clause.that(lease.attempts == 0, "no attempt was counted")?;
    clause.ok(store.settle(lease, Settlement::all_leave()).await)?;
    clause.clear().await
}

async fn void_when_its_holder_starts(store: &dyn QueueStore, other: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("what a server held is free as soon as it starts again", store);
    clause.ok(store.start("Hub01", at(0)).await)?;
    clause.ok(other.start("Hub02", at(0)).await)?;
    for name in ["a", "b"] {
        clause.ok(store.enqueue(message(&[(name, &["jane@example.com"])])?).await)?;
    }
    let before = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(60))).await?;
    Clause::new(clause.name, other).sees("b").await?;
    let elsewhere = Clause::new(clause.name, other).claim_one(Claim::due(hop("b"), 9, at(0), at(60))).await?;
    clause.that(clause.ok(store.start("Hub01", at(0)).await)? == 1, "only its own leases are void")?;
    clause.that(
        store.settle(before, Settlement::all_leave()).await.is_err(),
        "who held one before the start has lost it",
    )?;
    let after = clause.claim_one(Claim::due(hop("a"), 9, at(1), at(60))).await?;
    clause.that(after.crashes == 1 && after.attempts == 0, "the crash is counted, not as an attempt")?;
    clause.ok(store.start("Hub01", at(0)).await)?;
    let after = clause.claim_one(Claim::due(hop("a"), 9, at(1), at(60))).await?;
    clause.that(after.crashes == 1, "another death while it was merely lent is no evidence")?;
    clause.ok(store.begin_trial(&after).await)?;
    clause.ok(store.start("Hub01", at(0)).await)?;
    clause.that(store.begin_trial(&after).await.is_err(), "a lost lease begins no trial")?;
    let after = clause.claim_one(Claim::due(hop("a"), 9, at(1), at(60))).await?;
    clause.that(after.crashes == 2 && after.attempts == 0, "a death during its trial is")?;
    clause.ok(store.begin_trial(&after).await)?;
    clause.ok(store.release(after, at(1)).await)?;
    let after = clause.claim_one(Claim::due(hop("a"), 9, at(1), at(60))).await?;
    clause.ok(store.start("Hub01", at(0)).await)?;
    clause.that(after.crashes == 2, "a trial that was given up is none")?;
    let after = clause.claim_one(Claim::due(hop("a"), 9, at(1), at(60))).await?;
    clause.that(after.crashes == 2, "and leaves none behind")?;
    clause.ok(store.settle(after, Settlement::crashed(1, at(1))).await)?;
    let after = clause.claim_one(Claim::due(hop("a"), 9, at(1), at(60))).await?;
    clause
        .that(after.crashes == 3 && after.attempts == 0, "one that only broke off its work is counted too")?;
    clause.ok(store.settle(after, Settlement::keep(vec![Kept::waiting(0, at(1))])).await)?;
    let after = clause.claim_one(Claim::due(hop("a"), 9, at(1), at(60))).await?;
    clause.that(after.crashes == 0 && after.attempts == 1, "an attempt that ends forgets them")?;
    clause.that(clause.ok(store.stop().await)? == 1, "a server that ends in order gives back its own")?;
    clause.that(store.settle(after, Settlement::all_leave()).await.is_err(), "which it has lost then")?;
    let after = clause.claim_one(Claim::due(hop("a"), 9, at(1), at(60))).await?;
    clause.that(after.crashes == 0, "and nobody has crashed")?;
    clause.that(
        clause.claim(Claim::due(hop("b"), 9, at(1), at(60))).await?.is_empty(),
        "the other server keeps its own",
    )?;
    clause.ok(other.settle(elsewhere, Settlement::all_leave()).await)?;
    clause.ok(store.settle(after, Settlement::all_leave()).await)?;
    clause.clear().await
}
