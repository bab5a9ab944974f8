//! A queue whose threads have ended, say of a bug: nothing can be taken or delivered any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use postroad_queue::{MessageId, QueueStore, SqliteStore};
use postroad_transport::NobodyWatches;
use tempfile::TempDir;

use crate::support::{Pretend, Relay};

struct Broken;

impl Wake for Broken {
    fn wake(self: Arc<Self>) {
        panic!("nobody is there to be woken");
    }
}

#[tokio::test]
async fn a_pipeline_whose_queue_has_closed_ends_so_that_somebody_starts_it_anew() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path().join("queue.db")).unwrap();
    let relay =
        Relay::with(folder, store.clone(), BTreeMap::new(), Pretend::new([]), Arc::new(NobodyWatches));
    relay.pipeline.recover().await.unwrap();
    let pipeline = relay.pipeline.clone();
    let running = tokio::spawn(async move { pipeline.run(std::future::pending()).await });
    // Its writing thread wakes this caller, and ends of it.
    let waker = Waker::from(Arc::new(Broken));
    let _waiting = loop {
        let mut forgotten = store.forget_results(MessageId::from_u64(1));
        if forgotten.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            break forgotten;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), running)
        .await
        .expect("it goes on without a queue")
        .unwrap();
}
