//! Which queue a recipient waits in, and what happens when the configuration changes.

use postroad_message::NextHop;
use postroad_transport::SubmitError;

use crate::support::{Relay, delivered, message, table};

#[tokio::test(start_paused = true)]
async fn recipients_that_share_a_next_hop_share_a_transmission() {
    let relay = Relay::new([delivered()]);
    relay.start().await;
    let to = ["jane@contoso.com", "FAX:123", "joe@sender.test"];
    relay.pipeline.submit(message("app@contoso.com", &to)).await.unwrap();
    relay.until_empty().await;
    let [sent] = relay.smtp.attempts().try_into().unwrap();
    assert_eq!(sent.to, ["jane@contoso.com", "joe@sender.test"]);
    let [faxed] = relay.drop.attempts().try_into().unwrap();
    assert_eq!((faxed.destination.as_str(), faxed.to), ("FAX", vec!["FAX:123".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn an_smtp_recipient_that_no_connector_takes_waits_for_a_changed_configuration() {
    let relay = Relay::new([delivered()]);
    relay.start().await;
    let submitted = relay.pipeline.submit(message("app@contoso.com", &["jane@nowhere.test"])).await.unwrap();
    assert_eq!(submitted.deliveries[0].0, NextHop::unreachable());
    let waiting = relay.waiting().await;
    assert_eq!((waiting.len(), &waiting[0].next_hop), (1, &NextHop::unreachable()));
    assert!(relay.smtp.attempts().is_empty());

    relay.pipeline.replace_routing_table(table(&[("Everybody", &["*"])])).await.unwrap();
    relay.until_empty().await;
    assert_eq!(relay.smtp.attempts()[0].to, ["jane@nowhere.test"]);
}

#[tokio::test(start_paused = true)]
async fn mail_for_a_connector_that_is_gone_is_routed_anew_at_the_next_start() {
    let relay = Relay::new([delivered()]);
    relay.pipeline.submit(message("app@contoso.com", &["FAX:123", "jane@contoso.com"])).await.unwrap();
    relay
        .pipeline
        .replace_routing_table(table(&[("Other", &["contoso.com"]), ("Fax", &["FAX:*;1"])]))
        .await
        .unwrap();
    let hops: Vec<String> = relay.waiting().await.iter().map(|listed| listed.next_hop.to_string()).collect();
    assert_eq!(hops, ["Fax -> FAX", "Other -> [192.0.2.1]"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_came_around_too_often_is_not_taken() {
    let relay = Relay::new([delivered()]);
    let mut looping = message("app@contoso.com", &["jane@contoso.com"]);
    looping.content = "Received: by a\r\n".repeat(31).into_bytes().into();
    assert_eq!(relay.pipeline.submit(looping).await.unwrap_err(), SubmitError::Loop { hops: 31 });
}
