//! When a host is down, or a recipient is not taken now: what waits how long.

use std::time::Duration;

use postroad_queue::QueueError;
use postroad_transport::SubmitError;

use crate::support::{BEGIN, Relay, delivered, host_is_down, message, table};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_smart_host_that_is_down_is_tried_again_by_exchanges_schedule() {
    let relay = Relay::new([host_is_down()]);
    relay.start().await;
    relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap();
    let attempts = relay.smtp.until(12).await;
    let gaps: Vec<Duration> = attempts.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    for (gap, minutes) in gaps.iter().zip([1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 10]) {
        // Never earlier than the schedule, and later by its tenth for jitter and the second of a poll.
        let (earliest, latest) = (MINUTE * minutes, MINUTE * minutes * 11 / 10 + MINUTE);
        assert!((earliest..latest).contains(gap), "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waited_is_delivered_once_when_the_host_is_back() {
    let relay = Relay::new([host_is_down(), host_is_down(), delivered()]);
    relay.start().await;
    relay
        .pipeline
        .submit(message("app@contoso.com", &["jane@contoso.com", "joe@contoso.com"]))
        .await
        .unwrap();
    relay.until_empty().await;
    let attempts = relay.smtp.attempts();
    assert_eq!(attempts.len(), 3);
    assert_eq!(attempts[2].to, ["jane@contoso.com", "joe@contoso.com"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_down_holds_back_its_own_queue_only() {
    let relay = Relay::new([host_is_down()]);
    relay.start().await;
    relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap();
    relay.smtp.until(1).await;
    relay.pipeline.submit(message("app@contoso.com", &["FAX:1"])).await.unwrap();
    let [faxed] = relay.drop.until(1).await.try_into().unwrap();
    assert_eq!(faxed.to, ["FAX:1"]);
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_outlast_their_lease_are_not_begun_a_second_time() {
    let relay = Relay::new([delivered()]);
    *relay.smtp.takes.lock().unwrap() = relay.pipeline.settings().lease * 3 / 2;
    for _ in 0..5 {
        relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap();
    }
    relay.start().await;
    relay.until_empty().await;
    // The others are notices of the delay.
    let to_jane = relay.smtp.attempts().iter().filter(|attempt| attempt.to == ["jane@contoso.com"]).count();
    assert_eq!(to_jane, 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_unreachable_is_left_alone_after_its_sender_has_heard_of_the_delay() {
    let relay = Relay::new([delivered()]);
    relay.start().await;
    relay.pipeline.submit(message("app@contoso.com", &["jane@nowhere.test"])).await.unwrap();
    relay.smtp.until(1).await;
    relay.let_pass(MINUTE * 60).await;
    let [waiting] = relay.waiting().await.try_into().unwrap();
    assert!(waiting.due > BEGIN.after(MINUTE * 60 * 24), "nothing but a changed configuration helps it");
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_while_the_disk_was_full_is_not_delivered_again() {
    let relay = Relay::new([delivered()]);
    relay.start().await;
    relay.disk_full.store(5, std::sync::atomic::Ordering::Relaxed);
    relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap();
    relay.until_empty().await;
    assert_eq!(relay.smtp.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_down_for_long_has_its_mail_routed_anew() {
    let relay = Relay::new([host_is_down()]);
    relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap();
    relay.start().await;
    relay.smtp.until(1).await;
    // A connector that fits more closely came without a word to what waits: its own still exists.
    let better = table(&[("Partner", &["*"]), ("Better", &["contoso.com"]), ("Fax", &["FAX:*;1"])]);
    relay.pipeline.replace_routing_table(better).await.unwrap();
    let queue = async || relay.waiting().await[0].next_hop.connector.to_string();
    relay.let_pass(MINUTE * 60 * 11).await;
    assert_eq!(queue().await, "Partner");
    relay.let_pass(MINUTE * 90).await;
    assert_eq!(queue().await, "Better");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_moves_nobodys_turn() {
    let relay = Relay::new([host_is_down()]);
    relay.start().await;
    relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap();
    relay.smtp.until(1).await;
    let notified = async || {
        let waiting = relay.waiting().await;
        waiting
            .into_iter()
            .find(|listed| listed.recipients[0].recipient.address.to_string().starts_with("jane"))
    };
    let mut before = notified().await.unwrap();
    while !before.delay_notified {
        tokio::time::sleep(MINUTE / 2).await;
        let now = notified().await.unwrap();
        if now.attempts == before.attempts {
            assert_eq!(now.due, before.due, "the notice of the delay is no attempt");
        }
        before = now;
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_left_is_taken_up_once_that_can_be_done() {
    let relay = Relay::new([delivered()]);
    relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap();
    relay.disk_full.store(5, std::sync::atomic::Ordering::Relaxed);
    let pipeline = relay.pipeline.clone();
    let begun = tokio::time::Instant::now();
    tokio::spawn(async move { pipeline.recover_and_run(std::future::pending()).await });
    relay.smtp.until(1).await;
    let waited = begun.elapsed().as_secs();
    assert!((31..40).contains(&waited), "1, 2, 4, 8 and 16 seconds, and not {waited}");
    relay.until_empty().await;
}

#[tokio::test]
async fn a_run_that_can_never_take_up_what_was_left_ends() {
    let relay = Relay::new([]);
    let segment = relay.folder.path().join("queue.db-fresh").join("1");
    std::fs::create_dir(segment).expect("what no relay can read as a file");
    let run = relay.pipeline.recover_and_run(std::future::pending());
    tokio::time::timeout(MINUTE, run).await.expect("it goes on for ever");
    let refused = relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await;
    assert!(matches!(refused, Err(SubmitError::Queue(QueueError::Io { .. }))), "{refused:?}");
}
