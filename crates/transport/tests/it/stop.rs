//! The order of a stop: what is in flight ends or is broken off within the grace, the rest goes back, and then there is silence.

use std::sync::atomic::Ordering;
use std::time::Duration;

use postroad_message::Timestamp;
use postroad_queue::State;

use postroad_message_directory::pickup;
use postroad_transport::WatchedDirectory;

use crate::support::{Relay, delivered, message};

const MESSAGES: usize = 30;
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn nothing_is_settled_after_a_stop_and_nothing_stays_lent() {
    // How long an attempt takes, and how long the stop may; what is in flight by then is delivered, or waits.
    for (name, takes, bound, delivered_by_then) in [
        ("nothing takes any time", Duration::ZERO, SECOND, true),
        ("they end within the grace", SECOND * 20, SECOND * 21, true),
        ("they would take a day", SECOND * 86_400, SECOND * 31, false),
    ] {
        let relay = Relay::new([delivered()]);
        assert_eq!(relay.pipeline.settings().shutdown_grace, SECOND * 30);
        for number in 0..MESSAGES {
            let to = format!("user{number}@contoso.com");
            relay.pipeline.submit(message("app@contoso.com", &[&to])).await.unwrap();
        }
        relay.pipeline.recover().await.unwrap();
        *relay.smtp.takes.lock().unwrap() = takes;
        let mut told = tokio::time::Instant::now();
        let run = relay.pipeline.run(async {
            relay.smtp.until(3).await;
            told = tokio::time::Instant::now();
        });
        run.await;
        assert!(told.elapsed() <= bound, "{name}: {:?}", told.elapsed());

        let calls = relay.calls.lock().unwrap().clone();
        assert_eq!(calls.iter().filter(|call| **call == "stop").count(), 1, "{name}: {calls:?}");
        assert_eq!(calls.last(), Some(&"stop"), "{name}: {calls:?}");
        let begun = relay.smtp.attempts().len();
        assert!((3..=MESSAGES).contains(&begun), "{name}: {begun} begun");
        let waiting = relay.waiting().await;
        if delivered_by_then {
            assert_eq!(waiting.len(), MESSAGES - begun, "{name}");
        } else {
            assert_eq!(waiting.len(), MESSAGES, "{name}");
        }
        assert!(waiting.iter().all(|listed| listed.state == State::Waiting), "{name}: {waiting:?}");

        relay.let_pass(SECOND * 3_600).await;
        assert_eq!(*relay.calls.lock().unwrap(), calls, "{name}: nobody touches it any more");
        assert_eq!(relay.smtp.attempts().len(), begun, "{name}: nothing is begun");
        assert_eq!(
            relay.store.start("hub01", Timestamp::from_unix_millis(0)).await,
            Ok(0),
            "{name}: nothing was lent"
        );

        *relay.smtp.takes.lock().unwrap() = Duration::ZERO;
        relay.start().await;
        relay.until_empty().await;
        let arrived = relay.smtp.attempts().len();
        let again = if delivered_by_then { 0 } else { begun };
        assert_eq!(arrived, MESSAGES + again, "{name}: the next start does the rest");
    }
}

/// A disk that does not answer, or a long queue.
#[tokio::test(start_paused = true)]
async fn whoever_still_takes_up_what_was_left_hears_of_a_stop() {
    let relay = Relay::new([]);
    relay.hangs.store(true, Ordering::Relaxed);
    let run = relay.pipeline.recover_and_run(async {
        while relay.calls.lock().unwrap().is_empty() {
            tokio::time::sleep(SECOND).await;
        }
    });
    tokio::time::timeout(SECOND * 60, run).await.expect("it waits for the queue");
    assert_eq!(*relay.calls.lock().unwrap(), ["start"]);
}

/// Whether the queue has the files that were left over is known when it is taken up.
#[tokio::test(start_paused = true)]
async fn a_directory_that_asks_for_what_was_left_over_hears_of_a_stop() {
    let relay = Relay::new([]);
    let path = relay.folder.path().join("Pickup");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("a.tmp"), "From: erp@sender.test\nTo: jane@contoso.com\n\nx\n").unwrap();
    relay.hangs.store(true, Ordering::Relaxed);
    let watched = WatchedDirectory::pickup(&path, pickup::Rules::default());
    let watch = relay.pipeline.clone().watch(watched, async {
        while relay.calls.lock().unwrap().is_empty() {
            tokio::time::sleep(SECOND).await;
        }
    });
    tokio::time::timeout(SECOND * 60, watch).await.expect("it waits for the queue");
    assert_eq!(*relay.calls.lock().unwrap(), ["known"]);
    assert!(path.join("a.tmp").exists(), "the next start takes it up");
}
