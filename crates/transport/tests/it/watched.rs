//! Watched messages: whoever sent one and waits learns what became of each recipient.

use std::time::Duration;

use postroad_message::{Outcome, Recipient};
use postroad_queue::Filter;

use crate::support::{Relay, delivered, host_is_down, message, no_such_user, table};

fn told(results: &[(Recipient, Outcome)]) -> Vec<String> {
    let word = |outcome: &Outcome| match outcome.failure() {
        Some(failure) => failure.to_string(),
        None => "delivered".to_owned(),
    };
    let mut told: Vec<String> = results
        .iter()
        .map(|(recipient, outcome)| format!("{} {}", recipient.address, word(outcome)))
        .collect();
    told.sort();
    told
}

#[tokio::test(start_paused = true)]
async fn a_watched_message_tells_who_was_delivered_and_who_failed() {
    // The fax goes to Drop; the smart host refuses jane, and takes the report about her.
    let relay = Relay::new([no_such_user(), delivered()]);
    relay.start().await;
    let submission = message("app@sender.test", &["jane@contoso.com", "FAX:1"]).watched();
    let id = relay.pipeline.submit(submission).await.unwrap().id;
    relay.until_empty().await;
    let results = relay.pipeline.results(id).await.unwrap();
    assert_eq!(told(&results), ["FAX:1 delivered", "jane@contoso.com 5.1.1 no such user"]);

    relay.pipeline.forget_results(id).await.unwrap();
    assert_eq!(relay.pipeline.results(id).await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn only_who_left_is_told_and_who_waits_is_told_when_it_ends() {
    let relay = Relay::new([host_is_down(), delivered()]);
    relay.start().await;
    let submission = message("app@contoso.com", &["jane@contoso.com", "FAX:1"]).watched();
    let id = relay.pipeline.submit(submission).await.unwrap().id;
    while relay.pipeline.list(Filter::message(id)).await.unwrap().len() > 1 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(told(&relay.pipeline.results(id).await.unwrap()), ["FAX:1 delivered"]);
    relay.until_empty().await;
    let results = relay.pipeline.results(id).await.unwrap();
    assert_eq!(told(&results), ["FAX:1 delivered", "jane@contoso.com delivered"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_expires_or_loses_its_connector_is_told_as_failed() {
    let relay = Relay::new([host_is_down()]);
    relay.start().await;
    let expires = relay.pipeline.submit(message("<>", &["jane@contoso.com"]).watched()).await.unwrap().id;
    relay.until_empty().await;
    let results = relay.pipeline.results(expires).await.unwrap();
    assert!(told(&results)[0].starts_with("jane@contoso.com 5.4.7 message expired"), "{results:?}");

    let relay = Relay::new([]);
    let loses = relay.pipeline.submit(message("<>", &["FAX:1"]).watched()).await.unwrap().id;
    relay.pipeline.replace_routing_table(table(&[("Partner", &["contoso.com"])])).await.unwrap();
    let results = relay.pipeline.results(loses).await.unwrap();
    assert!(told(&results)[0].starts_with("FAX:1 5.1.2"), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_watches_tells_nothing() {
    let relay = Relay::new([delivered()]);
    relay.start().await;
    let id = relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap().id;
    relay.until_empty().await;
    assert_eq!(relay.pipeline.results(id).await, Ok(vec![]));
}
