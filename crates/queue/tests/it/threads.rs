//! A thread of the store that ends before its time.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use postroad_queue::{Filter, QueueError, QueueStore};

use crate::mail::{at, message, open};

/// Of an executor that is broken, or gone.
struct Broken;

impl Wake for Broken {
    fn wake(self: Arc<Self>) {
        panic!("nobody is there to be woken");
    }
}

/// The thread that syncs wakes its callers, so that a waker that panics ends it.
#[tokio::test]
async fn where_the_syncing_thread_is_gone_callers_are_told_so_and_do_not_wait_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("queue.db"));
    let waker = Waker::from(Arc::new(Broken));
    let waiting = loop {
        let mut enqueued = store.enqueue(message("example.com", b"small"));
        if enqueued.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            break enqueued;
        }
    };
    let told = async { while store.enqueue(message("example.com", b"small")).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("callers wait for ever");
    assert_eq!(store.suspend(Filter::all(), at(0)).await, Err(QueueError::Closed));
    drop(waiting);
    store.close();
}
