//! A clock that jumps, both ways: ids still ascend, what is lent stays lent, and nothing is lost or stuck.

use postroad_queue::{Claim, QueueStore, Settlement};

use crate::mail::{at, hop, list, message, open};

#[tokio::test]
async fn a_clock_that_jumps_both_ways_loses_nothing_and_lends_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("queue.db"));
    let mut ids = Vec::new();
    for minutes in [0, 1_000_000, -1_000_000, i64::from(i32::MIN), 0] {
        let mut new = message("example.com", b"hello");
        new.received_at = at(minutes);
        for delivery in &mut new.deliveries {
            delivery.due = at(0);
        }
        ids.push(store.enqueue(new).await.expect("room"));
    }
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert_eq!(
        list(&store).await.iter().map(|listed| listed.message).collect::<Vec<_>>(),
        ids,
        "by age of arrival"
    );

    let due = |now| Claim::due(hop("example.com"), 9, at(now), at(now + 60));
    let lent = store.claim(due(10)).await.expect("a claim").leases;
    assert_eq!(lent.len(), ids.len());
    // Back by a year: what is lent is not lent again, and what waits is not due.
    let back = store.claim(due(-500_000)).await.expect("a claim");
    assert!(back.leases.is_empty());
    // Forward by a year: the leases have run out. Whoever takes the mail has it; the late ones are told so.
    let again = store.claim(due(500_000)).await.expect("a claim").leases;
    assert_eq!(again.len(), ids.len());
    for late in lent {
        store.settle(late, Settlement::all_leave()).await.expect_err("someone else has it");
    }
    // And back: they can be settled whatever the clock says.
    for lease in again {
        store.settle(lease, Settlement::all_leave()).await.expect("it is ours");
    }
    assert!(list(&store).await.is_empty());
}
