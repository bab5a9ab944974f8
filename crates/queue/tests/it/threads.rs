//! A thread of the store that ends before its time.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use postroad_queue::{Filter, MessageId, QueueError, QueueStore};

use crate::mail::{at, body, message, named, open, started};

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

/// What was delivered could not be written down any more, and would be delivered again: so the store ends with it.
#[tokio::test]
async fn where_the_thread_of_the_log_is_gone_the_store_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = started(&path).await;
    let promised = store.enqueue(named(0, "example.com", b"small")).await.expect("room");
    let waker = Waker::from(Arc::new(Broken));
    let mut number = 1;
    let waiting = loop {
        let mut enqueued = store.enqueue(named(number, "example.com", &body(number as usize, 900)));
        if enqueued.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            break enqueued;
        }
        number += 1;
    };
    let told = async {
        let mut seen = store.version();
        while let Ok(version) = store.changed(seen).await {
            seen = version;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("it goes on without its log");
    assert_eq!(store.enqueue(message("example.com", b"small")).await, Err(QueueError::Closed));
    drop(waiting);
    store.close();
    assert!(open(&path).content(promised).await.is_ok());
}

/// It ends beside a start that waits for it.
#[tokio::test]
async fn where_the_writing_thread_ends_before_what_was_left_is_taken_up_whoever_waits_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("queue.db"));
    let waker = Waker::from(Arc::new(Broken));
    let _waiting = loop {
        let mut forgotten = store.forget_results(MessageId::from_u64(1));
        if forgotten.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            break forgotten;
        }
    };
    let started = tokio::time::timeout(Duration::from_secs(60), store.start("Hub01", at(0))).await;
    assert_eq!(started, Ok(Err(QueueError::Closed)));
}
