//! Clauses about settlements: who stays, who leaves, who moves, and the reports owed, in one step.

use super::{Breach, Clause, at, hop, message, names, refused};
use crate::error::QueueError;
use crate::item::{Claim, Kept, Settlement};
use crate::store::QueueStore;

pub(super) async fn check(
    open: &impl AsyncFn(&'static str) -> Result<Box<dyn QueueStore>, Breach>,
) -> Result<(), Breach> {
    let store = open("open").await?;
    some_stay_and_some_leave(&*store).await?;
    reports_come_with_it(&*store).await?;
    they_part_ways(&*store).await?;
    a_wrong_settlement_changes_nothing(&*store).await
}

const THREE: &[&str] = &["a@example.com", "b@example.com", "c@example.com"];

async fn some_stay_and_some_leave(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("recipients stay with their failure, or leave", store);
    let id = clause.ok(store.enqueue(message(&[("a", THREE)])?).await)?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    let keep = vec![Kept::deferred(0, at(10), refused("mailbox full")), Kept::waiting(2, at(10))];
    let ids = clause.ok(store.settle(lease, Settlement::keep(keep)).await)?;
    clause.that(ids.is_empty(), "no report was owed")?;
    clause.that(
        clause.claim(Claim::due(hop("a"), 9, at(9), at(15))).await?.is_empty(),
        "not before its new due time",
    )?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(10), at(15))).await?;
    clause.that(names(&lease) == ["a@example.com", "c@example.com"], "who was kept is there, in order")?;
    clause.that(
        lease.last_failures == [Some(refused("mailbox full")), None],
        "each with its own last failure",
    )?;
    clause.that(lease.attempts == 1, "the attempt was counted")?;
    let keep = vec![Kept::waiting(0, at(20)), Kept::waiting(1, at(20))];
    clause.ok(store.settle(lease, Settlement::keep(keep)).await)?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(20), at(25))).await?;
    clause.that(
        lease.last_failures == [Some(refused("mailbox full")), None],
        "a failure stays until the next one",
    )?;
    clause.that(clause.ok(store.content(id).await).is_ok(), "content stays while anyone waits")?;
    clause.ok(store.settle(lease, Settlement::all_leave()).await)?;
    clause.that(clause.list().await?.is_empty(), "a delivery goes with its last recipient")?;
    clause.that(
        store.content(id).await == Err(QueueError::UnknownMessage { message: id }),
        "content goes with the last delivery",
    )
}

async fn reports_come_with_it(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a report is queued with the settlement that owes it", store);
    clause.ok(store.enqueue(message(&[("a", &["jane@example.com"])])?).await)?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    let mut settlement = Settlement::all_leave();
    settlement.enqueue.push(message(&[("report", &["joe@contoso.com"])])?);
    let ids = clause.ok(store.settle(lease, settlement).await)?;
    let listed = clause.list().await?;
    clause.that(ids.len() == 1 && listed.len() == 1, "the report takes the place of the delivery")?;
    clause.that(listed.iter().all(|listed| ids.contains(&listed.message)), "its id comes back")?;
    clause.clear().await
}

async fn they_part_ways(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("recipients of one delivery can part ways", store);
    let id = clause.ok(store.enqueue(message(&[("a", THREE)])?).await)?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    let keep = vec![
        Kept::deferred(0, at(10), refused("later")),
        Kept::moved(1, at(0), hop("b")),
        Kept::waiting(2, at(1)),
    ];
    clause.ok(store.settle(lease, Settlement::keep(keep)).await)?;
    let soon = clause.claim_one(Claim::due(hop("a"), 9, at(1), at(15))).await?;
    clause.that(names(&soon) == ["c@example.com"] && soon.attempts == 1, "each is due in its own time")?;
    let moved = clause.claim_one(Claim::due(hop("b"), 9, at(1), at(15))).await?;
    clause.that(
        names(&moved) == ["b@example.com"] && moved.attempts == 0,
        "one that moved begins anew there",
    )?;
    let later = clause.claim_one(Claim::due(hop("a"), 9, at(10), at(15))).await?;
    clause.that(names(&later) == ["a@example.com"], "and the third waits")?;
    let leases = [soon, moved, later];
    clause.that(
        leases.iter().all(|lease| lease.message == id && lease.received_at == at(0)),
        "still one message",
    )?;
    for lease in leases {
        clause.that(store.content(id).await.is_ok(), "content stays until the last has left")?;
        clause.ok(store.settle(lease, Settlement::all_leave()).await)?;
    }
    clause.that(store.content(id).await.is_err(), "and then goes")?;
    clause.clear().await
}

async fn a_wrong_settlement_changes_nothing(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a settlement that does not fit changes nothing", store);
    clause.ok(store.enqueue(message(&[("a", &["jane@example.com"])])?).await)?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    let beyond = Settlement::keep(vec![Kept::waiting(1, at(9))]);
    let twice = Settlement::keep(vec![Kept::waiting(0, at(9)), Kept::moved(0, at(9), hop("b"))]);
    let mut goes_nowhere = Settlement::all_leave();
    goes_nowhere.enqueue.push(message(&[])?);
    for (settlement, error) in [
        (beyond, QueueError::NoSuchRecipient { index: 1 }),
        (twice, QueueError::NoSuchRecipient { index: 0 }),
        (goes_nowhere, QueueError::NothingToDeliver),
    ] {
        clause.that(
            store.settle(lease.clone(), settlement).await == Err(error),
            "it is refused with its reason",
        )?;
    }
    clause.that(clause.list().await?.len() == 1, "the delivery is still there")?;
    clause.ok(store.settle(lease, Settlement::all_leave()).await)?;
    clause.clear().await
}
