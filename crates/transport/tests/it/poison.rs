//! Messages that do harm: counted, set aside, and let go on when somebody says so.

use std::time::Duration;

use postroad_queue::{Filter, Listed, State};

use crate::support::{Relay, delivered, message};

const SECOND: Duration = Duration::from_secs(1);

async fn waiting_for(relay: &Relay, to: &str) -> Option<Listed> {
    let mut filter = Filter::all();
    filter.recipient = Some(to.to_owned());
    relay.pipeline.list(filter).await.unwrap().pop()
}

async fn until_set_aside(relay: &Relay, to: &str) -> Listed {
    for _ in 0..600 {
        match waiting_for(relay, to).await {
            Some(listed) if matches!(listed.state, State::SetAside { .. }) => return listed,
            _ => tokio::time::sleep(SECOND).await,
        }
    }
    panic!("not set aside in ten minutes: {:?}", relay.waiting().await);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_breaks_its_delivery_off_twice_is_set_aside_and_the_rest_arrives() {
    let relay = Relay::new([delivered()]);
    *relay.smtp.harmful.lock().unwrap() = Some("bad@contoso.com".to_owned());
    for to in ["one@contoso.com", "bad@contoso.com", "two@contoso.com"] {
        relay.pipeline.submit(message("app@contoso.com", &[to])).await.unwrap();
    }
    relay.start().await;
    let listed = until_set_aside(&relay, "bad@contoso.com").await;
    let tries = relay.smtp.attempts().iter().filter(|attempt| attempt.to == ["bad@contoso.com"]).count();
    assert_eq!((tries, listed.attempts), (2, 0));
    // The second in the batch did not wait out a lease.
    let two = relay.smtp.attempts().into_iter().find(|attempt| attempt.to == ["two@contoso.com"]).unwrap();
    assert!(two.at < SECOND * 120, "{two:?}");
    assert_eq!(relay.waiting().await.len(), 1);

    *relay.smtp.harmful.lock().unwrap() = None;
    let now = listed.due;
    relay.pipeline.store().resume(Filter::message(listed.message), now).await.unwrap();
    relay.until_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_past_the_grace_is_no_crash_and_gives_everything_back() {
    let relay = Relay::new([delivered()]);
    *relay.smtp.takes.lock().unwrap() = Duration::from_secs(3600);
    for to in ["one@contoso.com", "two@contoso.com"] {
        relay.pipeline.submit(message("app@contoso.com", &[to])).await.unwrap();
    }
    for _ in 0..5 {
        relay.pipeline.recover().await.unwrap();
        let begun = relay.smtp.attempts().len();
        let stopped = relay.pipeline.run(async {
            relay.smtp.until(begun + 1).await;
        });
        stopped.await;
        let states: Vec<State> = relay.waiting().await.into_iter().map(|listed| listed.state).collect();
        assert_eq!(states, [State::Waiting, State::Waiting], "nothing is lent any more");
    }
    *relay.smtp.takes.lock().unwrap() = Duration::ZERO;
    relay.start().await;
    relay.until_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_dies_again_and_again_convicts_only_who_was_there_each_time() {
    let relay = Relay::new([delivered()]);
    *relay.smtp.takes.lock().unwrap() = Duration::from_secs(3600);
    for to in ["one@contoso.com", "two@contoso.com", "three@contoso.com"] {
        relay.pipeline.submit(message("app@contoso.com", &[to])).await.unwrap();
        // Each is due after the one before.
        tokio::time::sleep(SECOND).await;
    }
    for _ in 0..3 {
        relay.pipeline.recover().await.unwrap();
        let begun = relay.smtp.attempts().len();
        let pipeline = relay.pipeline.clone();
        let dying = tokio::spawn(async move { pipeline.run(std::future::pending()).await });
        relay.smtp.until(begun + 1).await;
        // Long enough for those that may not be tried beside it to be given back.
        tokio::time::sleep(SECOND / 4).await;
        dying.abort();
        let _ = dying.await;
    }
    *relay.smtp.takes.lock().unwrap() = Duration::ZERO;
    relay.start().await;
    let convicted = until_set_aside(&relay, "one@contoso.com").await;
    tokio::time::sleep(SECOND * 60).await;
    let waiting: Vec<_> = relay.waiting().await.into_iter().map(|listed| listed.message).collect();
    assert_eq!(waiting, [convicted.message], "the others arrived");
}

#[tokio::test(start_paused = true)]
async fn mail_that_is_only_there_when_the_relay_dies_is_never_set_aside() {
    let relay = Relay::new([delivered()]);
    let slow = Duration::from_secs(3600);
    for number in 0..30 {
        relay
            .pipeline
            .submit(message("app@contoso.com", &[&format!("user{number}@contoso.com")]))
            .await
            .unwrap();
    }
    for _ in 0..8 {
        *relay.smtp.takes.lock().unwrap() = slow;
        relay.pipeline.recover().await.unwrap();
        let begun = relay.smtp.attempts().len();
        let pipeline = relay.pipeline.clone();
        let dying = tokio::spawn(async move { pipeline.run(std::future::pending()).await });
        relay.smtp.until(begun + 1).await;
        dying.abort();
        let _ = dying.await;
        // Nobody is guilty: before the next death each suspect arrives that was tried at this one.
        let tried: Vec<_> =
            relay.smtp.attempts().iter().skip(begun).flat_map(|attempt| attempt.to.clone()).collect();
        *relay.smtp.takes.lock().unwrap() = Duration::ZERO;
        relay.pipeline.recover().await.unwrap();
        relay.pipeline.run(relay.until_gone(&tried)).await;
        if relay.waiting().await.is_empty() {
            break;
        }
    }
    *relay.smtp.takes.lock().unwrap() = Duration::ZERO;
    relay.start().await;
    relay.until_empty().await;
}
