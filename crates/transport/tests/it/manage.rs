//! What an administrator asks of the queue, where the queue cannot do it: he hears of it, and nobody else hears of more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postroad_message::{NextHop, Outcome, Recipient};
use postroad_queue::{Changed, Filter, QueueError};
use postroad_transport::{Observe, Seen};

use crate::support::{Relay, message, table};

/// Counts what is said to have become of mail.
#[derive(Default)]
struct Told(AtomicUsize, Mutex<Vec<String>>);

impl Observe for Told {
    fn attempted(&self, _: &Seen<'_>, _: &NextHop, outcomes: &[(Recipient, Outcome)]) {
        self.0.fetch_add(outcomes.len(), Ordering::Relaxed);
    }

    fn rerouted(&self, _: &Seen<'_>, _: &NextHop, to: &NextHop, _: &[Recipient]) {
        self.1.lock().unwrap().push(to.to_string());
    }
}

/// Two letters that wait, and who watches them.
async fn two_letters() -> (Relay, Arc<Told>) {
    let told = Arc::new(Told::default());
    let relay = Relay::watched_by([], told.clone());
    for to in ["jane@contoso.com", "joe@contoso.com"] {
        relay.pipeline.submit(message("app@sender.test", &[to])).await.unwrap();
    }
    (relay, told)
}

async fn next_hops(relay: &Relay) -> Vec<String> {
    relay.waiting().await.iter().map(|listed| listed.next_hop.to_string()).collect()
}

const SMART_HOST: &str = "Partner -> [192.0.2.1]";

#[tokio::test(start_paused = true)]
async fn a_removal_that_cannot_be_written_down_is_no_success() {
    let (relay, told) = two_letters().await;
    relay.disk_full.store(1, Ordering::Relaxed);
    let mut seen = Vec::new();
    let removed = relay.pipeline.remove_with_report(Filter::all(), |done, of| seen.push((done, of))).await;
    assert_eq!(removed, Err(QueueError::DiskFull { code: 13 }));
    assert_eq!(seen, []);
    assert_eq!(next_hops(&relay).await, [SMART_HOST; 2], "all of it is there, and no report");
    assert_eq!(told.0.load(Ordering::Relaxed), 0, "nobody is told of what did not happen");

    // The delivery comes back with its lease.
    relay.let_pass(Duration::from_secs(120)).await;
    let removed = relay.pipeline.remove_with_report(Filter::all(), |_, _| ()).await.unwrap();
    assert_eq!((removed.deliveries, removed.active), (2, 0));
    assert_eq!(told.0.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_road_that_cannot_be_written_down_is_no_success() {
    let (relay, told) = two_letters().await;
    let (settings, table) = (relay.pipeline.settings(), table(&[("Other", &["contoso.com"])]));
    relay.pipeline.put_in_force(settings, table, relay.delivers());
    relay.disk_full.store(1, Ordering::Relaxed);
    let routed = relay.pipeline.resubmit(Filter::all(), |_, _| ()).await;
    assert_eq!(routed, Err(QueueError::DiskFull { code: 13 }));
    assert_eq!(next_hops(&relay).await, [SMART_HOST; 2]);
    assert!(told.1.lock().unwrap().is_empty(), "nobody is told of a road that nothing took");

    relay.let_pass(Duration::from_secs(120)).await;
    let routed = relay.pipeline.resubmit(Filter::all(), |_, _| ()).await.unwrap();
    assert_eq!((routed.deliveries, routed.active), (2, 0));
    assert_eq!(*told.1.lock().unwrap(), ["Other -> [192.0.2.1]"; 2]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_takes_over_meanwhile_counts_as_his_and_stops_nothing() {
    let (relay, told) = two_letters().await;
    relay.lease_lost.store(1, Ordering::Relaxed);
    let Changed { deliveries, active, .. } =
        relay.pipeline.remove_with_report(Filter::all(), |_, _| ()).await.unwrap();
    assert_eq!((deliveries, active), (1, 1));
    assert_eq!(told.0.load(Ordering::Relaxed), 1);
}
