//! Clauses about what a postmaster sees and does.

use super::{Breach, Clause, at, hop, message, names, refused};
use crate::item::{Claim, Kept, Settlement};
use crate::listing::{Changed, Filter, State, StateKind};
use crate::store::QueueStore;

pub(super) async fn check(
    open: &impl AsyncFn(&'static str) -> Result<Box<dyn QueueStore>, Breach>,
) -> Result<(), Breach> {
    let store = open("open").await?;
    listed_and_counted(&*store).await?;
    suspended_and_resumed(&*store).await?;
    a_whole_queue_suspended(&*store).await?;
    retried_and_removed(&*store).await?;
    set_aside(&*store).await
}

async fn listed_and_counted(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("what waits is listed, filtered and counted", store);
    let id = clause
        .ok(store.enqueue(message(&[("a", &["jane@example.com"]), ("b", &["bob@example.com"])])?).await)?;
    clause.ok(store.enqueue(message(&[("a", &["eve@example.com"])])?).await)?;
    let lease = clause.claim_one(Claim::due(hop("b"), 9, at(0), at(5))).await?;
    clause
        .ok(store.settle(lease, Settlement::keep(vec![Kept::deferred(0, at(7), refused("busy"))])).await)?;
    clause.claim(Claim::due(hop("a"), 1, at(0), at(5))).await?;

    let count = async |filter: Filter| clause.ok(store.list(filter, at(1)).await).map(|listed| listed.len());
    let mut by = Filter::message(id);
    clause.that(count(by.clone()).await? == 2, "by message")?;
    by.next_hop = Some(hop("b"));
    clause.that(count(by).await? == 1, "by message and queue at once")?;
    clause.that(count(Filter::next_hop(hop("a"))).await? == 2, "by queue")?;
    clause.that(
        count(Filter { connector: Some("contract".into()), ..Filter::all() }).await? == 3,
        "by connector",
    )?;
    clause.that(
        count(Filter { sender: Some("JOE@contoso.com".into()), ..Filter::all() }).await? == 3,
        "by sender",
    )?;
    clause.that(
        count(Filter { sender: Some("<>".into()), ..Filter::all() }).await? == 0,
        "by the null sender",
    )?;
    clause.that(
        count(Filter { recipient: Some("BOB@example.com".into()), ..Filter::all() }).await? == 1,
        "by recipient",
    )?;
    clause.that(
        count(Filter { state: Some(StateKind::Active), ..Filter::all() }).await? == 1,
        "by state: active",
    )?;
    clause.that(
        count(Filter { state: Some(StateKind::Waiting), ..Filter::all() }).await? == 2,
        "by state: waiting",
    )?;
    clause.that(count(Filter { received_before: Some(at(-1)), ..Filter::all() }).await? == 0, "by age")?;

    let first = clause.ok(store.list(Filter { limit: Some(1), ..Filter::all() }, at(1)).await)?;
    let after = first.first().map(|listed| listed.delivery);
    clause.that(after.is_some() && count(Filter { after, ..Filter::all() }).await? == 2, "page by page")?;

    let listed = clause.ok(store.list(Filter::next_hop(hop("b")), at(1)).await)?;
    let shown = listed.first().is_some_and(|listed| {
        listed.attempts == 1
            && listed.due == at(7)
            && listed.last_failure() == Some(&refused("busy"))
            && listed.message == id
    });
    clause.that(shown, "with attempts, due time and last failure")?;

    let queues = clause.ok(store.queues(at(1)).await)?;
    let counts: Vec<_> = queues
        .iter()
        .map(|queue| (queue.next_hop.clone(), queue.waiting, queue.active, queue.next_due))
        .collect();
    clause.that(
        counts == [(hop("a"), 1, 1, Some(at(0))), (hop("b"), 1, 0, Some(at(7)))],
        "and counted for each queue",
    )?;
    clause.clear().await
}

async fn suspended_and_resumed(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("what is suspended waits until it is resumed", store);
    let id = clause.ok(store.enqueue(message(&[("a", &["jane@example.com"])])?).await)?;
    let changed = clause.ok(store.suspend(Filter::message(id), at(0)).await)?;
    clause.that(changed == Changed { deliveries: 1, active: 0 }, "it says how many")?;
    clause.that(clause.claim(Claim::due(hop("a"), 9, at(1), at(5))).await?.is_empty(), "it is not lent")?;
    clause.that(clause.ok(store.due(at(1)).await)?.is_empty(), "nor due")?;
    clause.that(clause.claim(Claim::expired(at(1), 9, at(1), at(5))).await?.is_empty(), "nor given up")?;
    let lease = clause.claim_one(Claim::to_reroute(hop("a"), 9, at(1), at(5))).await?;
    clause.ok(store.settle(lease, Settlement::reroute(vec![Kept::moved(0, at(0), hop("b"))])).await)?;
    let listed = clause.list().await?;
    let still = listed.iter().all(|listed| listed.next_hop == hop("b") && listed.state == State::Suspended);
    clause.that(listed.len() == 1 && still, "it can be routed anew, and stays suspended there")?;
    clause.ok(store.resume(Filter::message(id), at(1)).await)?;
    let lease = clause.claim_one(Claim::due(hop("b"), 9, at(1), at(5))).await?;
    let changed = clause.ok(store.suspend(Filter::message(id), at(2)).await)?;
    clause.that(changed.active == 1, "one that is worked on")?;
    clause.ok(store.settle(lease, Settlement::keep(vec![Kept::waiting(0, at(2))])).await)?;
    clause.that(
        clause.claim(Claim::due(hop("b"), 9, at(9), at(20))).await?.is_empty(),
        "is held when that work ends",
    )?;
    clause.clear().await
}

async fn a_whole_queue_suspended(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a suspended queue holds what it has and what comes", store);
    clause.ok(store.suspend_queue(&hop("a"), true).await)?;
    clause.ok(store.enqueue(message(&[("a", &["jane@example.com"]), ("b", &["bob@example.com"])])?).await)?;
    clause.that(
        clause.claim(Claim::due(hop("a"), 9, at(0), at(5))).await?.is_empty(),
        "nothing of it is lent",
    )?;
    clause.that(clause.ok(store.due(at(0)).await)? == [(hop("b"), at(0))], "other queues go on")?;
    let queues = clause.ok(store.queues(at(0)).await)?;
    let shown = queues.iter().any(|queue| {
        queue.next_hop == hop("a") && queue.suspended_as_a_whole && (queue.waiting, queue.suspended) == (0, 1)
    });
    clause.that(shown, "the listing says so")?;
    clause.ok(store.suspend_queue(&hop("a"), false).await)?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    clause.that(names(&lease) == ["jane@example.com"], "and it goes on")?;
    clause.ok(store.release(lease, at(0)).await)?;
    clause.clear().await
}

async fn retried_and_removed(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("a postmaster can hurry mail, and remove it", store);
    let mut new = message(&[("a", &["jane@example.com"]), ("b", &["bob@example.com"])])?;
    for delivery in &mut new.deliveries {
        delivery.due = at(100);
    }
    let id = clause.ok(store.enqueue(new).await)?;
    clause.that(clause.ok(store.take_retries().await)?.is_empty(), "nobody asked for a retry yet")?;
    clause.ok(store.retry_now(Filter::next_hop(hop("a")), at(3)).await)?;
    clause.that(
        clause.ok(store.take_retries().await)? == [hop("a")],
        "the next hop is to be tried though held back",
    )?;
    clause.that(clause.ok(store.take_retries().await)?.is_empty(), "once")?;
    clause.that(
        clause.claim(Claim::due(hop("b"), 9, at(3), at(5))).await?.is_empty(),
        "only what fits is hurried",
    )?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(3), at(50))).await?;
    let changed = clause.ok(store.remove(Filter::message(id), at(4)).await)?;
    clause.that(changed == Changed { deliveries: 1, active: 1 }, "what is worked on is not removed")?;
    clause.that(store.content(id).await.is_ok(), "and keeps its content")?;
    clause.ok(store.settle(lease, Settlement::all_leave()).await)?;
    clause.that(store.content(id).await.is_err() && clause.list().await?.is_empty(), "then all of it is gone")
}

async fn set_aside(store: &dyn QueueStore) -> Result<(), Breach> {
    let clause = Clause::new("what was set aside stops nobody", store);
    let bad = clause.ok(store.enqueue(message(&[("a", &["bad@example.com"])])?).await)?;
    clause.ok(store.enqueue(message(&[("a", &["good@example.com"])])?).await)?;
    clause.ok(store.set_aside(bad, "poison").await)?;
    let lease = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    clause.that(names(&lease) == ["good@example.com"], "the others are lent")?;
    clause.ok(store.settle(lease, Settlement::all_leave()).await)?;
    clause.that(
        clause.claim(Claim::to_reroute(hop("a"), 9, at(0), at(5))).await?.is_empty(),
        "it is lent to nobody",
    )?;
    let reasons: Vec<State> = clause.list().await?.into_iter().map(|listed| listed.state).collect();
    clause.that(reasons == [State::SetAside { reason: "poison".to_owned() }], "the reason is listed")?;
    let named: Vec<_> = clause.list().await?.into_iter().map(|listed| listed.delivery).collect();
    for delivery in named {
        let lease = clause.claim_one(Claim::delivery(delivery, at(0), at(5))).await?;
        clause.that(lease.due == at(0), "lent to an administrator who names it, and says when it was due")?;
        clause.ok(store.release(lease, at(0)).await)?;
    }
    clause.that(
        clause.claim(Claim::to_reroute(hop("a"), 9, at(0), at(5))).await?.is_empty(),
        "and set aside still when he gives it back",
    )?;
    clause.ok(store.resume(Filter::message(bad), at(0)).await)?;
    let _lent = clause.claim_one(Claim::due(hop("a"), 9, at(0), at(5))).await?;
    clause.that(
        store.set_aside(crate::MessageId::from_u64(1), "").await.is_err(),
        "an unknown message is an error",
    )?;
    clause.clear().await
}
