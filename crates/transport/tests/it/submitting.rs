//! A submission that does not come to its end as others do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postroad_message::content::Rest;
use postroad_message::{Content, ContentSource, Failure, NextHop, Recipient, Shape};
use postroad_smtp_server::Client;
use postroad_transport::{Observe, Seen};

use crate::support::{Relay, message};

/// Counts the messages that are said to be in the queue.
#[derive(Default)]
struct Queued(AtomicUsize);

impl Observe for Queued {
    fn queued(
        &self,
        _: &Seen<'_>,
        _: Option<&Client>,
        _: &[(NextHop, Vec<Recipient>)],
        _: &[(Recipient, Failure)],
    ) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A web request whose client goes: its message is queued, and a tracking log has it.
#[tokio::test(start_paused = true)]
async fn who_watches_hears_of_a_message_whose_caller_went_before_it_was_queued() {
    let queued = Arc::new(Queued::default());
    let relay = Relay::watched_by([], queued.clone());
    {
        let submitted = relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"]));
        tokio::select! {
            biased;
            _ = submitted => panic!("before the queue's thread has seen it"),
            () = std::future::ready(()) => {}
        }
    }
    relay.let_pass(Duration::from_secs(60)).await;
    assert_eq!((relay.waiting().await.len(), queued.0.load(Ordering::Relaxed)), (1, 1));
}

struct Harmful;

impl ContentSource for Harmful {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        panic!("this message breaks off whoever reads it")
    }
}

/// The queue is none the worse for it, and no other start helps.
#[tokio::test(start_paused = true)]
async fn what_panics_while_it_is_planned_is_a_panic_for_its_caller_and_no_closed_queue() {
    let relay = Relay::new([]);
    let mut harmful = message("app@contoso.com", &["MOBILE:1"]);
    let rest = Rest { source: Arc::new(Harmful), start: 0, length: 8, shape: Shape::of(b"a line\r\n") };
    harmful.content = Content::with_rest(b"Subject: x\r\n\r\n".to_vec(), rest);
    let pipeline = relay.pipeline.clone();
    let submitted = tokio::spawn(async move { pipeline.submit(harmful).await });
    assert!(submitted.await.is_err_and(|error| error.is_panic()));
    relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap();
}
