//! Which queue a recipient waits in, and what happens when the configuration changes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use postroad_message::{NextHop, Notify};
use postroad_transport::{Delivers, SubmitError};

use postroad_connector::{Connector, ForeignConnector, RoutingTable, SendConnector, Topology};

use tokio::task::JoinSet;

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
async fn who_is_named_twice_gets_one_copy_and_two_where_he_wishes_for_other_reports() {
    let relay = Relay::new([delivered()]);
    relay.start().await;
    let mut twice = message("app@contoso.com", &["jane@contoso.com", "joe@contoso.com", "jane@CONTOSO.com"]);
    let mut silent = twice.envelope.recipients[1].clone();
    silent.notify = Some(Notify::default());
    twice.envelope.recipients.push(silent);
    relay.pipeline.submit(twice).await.unwrap();
    relay.until_empty().await;
    let [sent] = relay.smtp.attempts().try_into().unwrap();
    assert_eq!(sent.to, ["jane@contoso.com", "joe@contoso.com", "joe@contoso.com"]);
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
async fn mail_that_an_earlier_run_could_not_place_is_routed_anew_beside_the_first_deliveries() {
    let relay = Relay::new([delivered()]);
    relay.pipeline.submit(message("app@contoso.com", &["jane@nowhere.test"])).await.unwrap();
    let everybody = table(&[("Everybody", &["*"])]);
    relay.pipeline.put_in_force(relay.pipeline.settings(), everybody, relay.delivers());
    relay.pipeline.recover().await.unwrap();
    assert_eq!(relay.waiting().await[0].next_hop, NextHop::unreachable(), "nobody waits for that");
    relay.start().await;
    relay.until_empty().await;
    assert_eq!(relay.smtp.attempts()[0].to, ["jane@nowhere.test"]);
}

/// Its next attempt would be the one at its expiry.
#[tokio::test(start_paused = true)]
async fn mail_that_could_not_be_routed_anew_for_want_of_room_is_with_the_next_sweep() {
    let relay = Relay::new([delivered()]);
    for to in ["jane@nowhere.test", "jim@elsewhere.test"] {
        relay.pipeline.submit(message("app@contoso.com", &[to])).await.unwrap();
    }
    let everybody = table(&[("Everybody", &["*"])]);
    relay.pipeline.put_in_force(relay.pipeline.settings(), everybody, relay.delivers());
    relay.pipeline.recover().await.unwrap();
    relay.disk_full.store(1, Ordering::Relaxed);
    let pipeline = relay.pipeline.clone();
    tokio::spawn(async move { pipeline.run(std::future::pending()).await });
    relay.let_pass(Duration::from_secs(180)).await;
    let mut to: Vec<_> = relay.smtp.attempts().into_iter().flat_map(|attempted| attempted.to).collect();
    to.sort();
    assert_eq!(to, ["jane@nowhere.test", "jim@elsewhere.test"]);
}

/// Whoever meets it first, the attempt or the routing anew beside it.
#[tokio::test(start_paused = true)]
async fn due_mail_whose_connector_went_is_not_held_up_for_long_by_a_full_disk() {
    let relay = Relay::new([delivered()]);
    relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap();
    let other = table(&[("Other", &["contoso.com"])]);
    relay.pipeline.put_in_force(relay.pipeline.settings(), other, relay.delivers());
    relay.start().await;
    relay.disk_full.store(2, Ordering::Relaxed);
    relay.let_pass(Duration::from_secs(600)).await;
    assert_eq!(relay.smtp.attempts().len(), 1, "{:?}", relay.waiting().await);
}

#[tokio::test(start_paused = true)]
async fn one_failure_to_route_anew_asks_for_one_more_look_and_what_stays_is_not_touched() {
    let relay = Relay::new([delivered()]);
    for to in ["jane@nowhere.test", "joe@elsewhere.test", "jim@elsewhere.test"] {
        relay.pipeline.submit(message("app@contoso.com", &[to])).await.unwrap();
    }
    let one_more = table(&[("One more", &["nowhere.test"])]);
    relay.pipeline.put_in_force(relay.pipeline.settings(), one_more, relay.delivers());
    relay.disk_full.store(1, Ordering::Relaxed);
    let pipeline = relay.pipeline.clone();
    tokio::spawn(async move { pipeline.run(std::future::pending()).await });
    relay.let_pass(Duration::from_secs(30 * 60)).await;
    assert_eq!(relay.smtp.attempts().len(), 1);
    let calls = relay.calls.lock().unwrap();
    let count = |what: &str| calls.iter().filter(|call| **call == what).count();
    assert_eq!((count("queues"), count("release")), (2, 1), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn all_mail_without_a_way_is_routed_anew_however_much_it_is() {
    let relay = Relay::new([]);
    let mut submitted = JoinSet::new();
    for number in 0..501 {
        let (pipeline, to) = (relay.pipeline.clone(), format!("{number}@nowhere.test"));
        submitted.spawn(async move { pipeline.submit(message("app@contoso.com", &[&to])).await.unwrap() });
    }
    submitted.join_all().await;
    relay.pipeline.replace_routing_table(table(&[("Everybody", &["*"])])).await.unwrap();
    let waiting = relay.waiting().await;
    assert_eq!(waiting.iter().filter(|listed| &*listed.next_hop.connector == "Everybody").count(), 501);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_came_around_too_often_is_not_taken() {
    let relay = Relay::new([delivered()]);
    let mut looping = message("app@contoso.com", &["jane@contoso.com"]);
    looping.content = "Received: by a\r\n".repeat(31).into_bytes().into();
    assert_eq!(relay.pipeline.submit(looping).await.unwrap_err(), SubmitError::Loop { hops: 31 });
}

/// A gateway that only Hub02 serves, seen from Hub01.
fn gateway_of_hub02(address: Option<&str>) -> RoutingTable {
    let mut gateway = ForeignConnector::new("Fax", vec!["FAX:*;1".parse().unwrap()]);
    gateway.source_transport_servers = vec!["Hub02".to_owned()];
    let mut topology = Topology::new("Hub01");
    topology.servers =
        [("Hub01", "Paris"), ("Hub02", "Lyon")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    topology.addresses =
        address.map(|address| ("Hub02".to_owned(), address.parse().unwrap())).into_iter().collect();
    RoutingTable::build(vec![Connector::Foreign(gateway)], topology, vec![]).unwrap()
}

#[tokio::test(start_paused = true)]
async fn mail_for_a_connector_of_another_server_is_relayed_to_that_server() {
    let relay = Relay::new([delivered()]);
    relay.pipeline.replace_routing_table(gateway_of_hub02(Some("10.0.0.2:2525"))).await.unwrap();
    relay.start().await;
    relay.pipeline.submit(message("app@contoso.com", &["FAX:123"])).await.unwrap();
    relay.until_empty().await;
    assert!(relay.drop.attempts().is_empty(), "the gateway's directory is on the other server");
    let [relayed] = relay.smtp.attempts().try_into().unwrap();
    assert_eq!((relayed.server.as_deref(), relayed.to), (Some("10.0.0.2:2525"), vec!["FAX:123".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn mail_for_a_server_whose_address_nobody_knows_waits() {
    let relay = Relay::new([delivered()]);
    relay.pipeline.replace_routing_table(gateway_of_hub02(None)).await.unwrap();
    relay.start().await;
    relay.pipeline.submit(message("app@contoso.com", &["FAX:123"])).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    assert!(relay.drop.attempts().is_empty() && relay.smtp.attempts().is_empty());
    let waiting = relay.waiting().await;
    assert!(waiting[0].last_failure().unwrap().text.contains("Hub02"));
}

#[tokio::test(start_paused = true)]
async fn mail_for_a_connector_for_which_nobody_delivers_waits_and_says_why() {
    let relay = Relay::new([]);
    let fax = table(&[("Fax", &["FAX:*;1"])]);
    relay.pipeline.put_in_force(relay.pipeline.settings(), fax, Delivers::default());
    relay.pipeline.submit(message("app@contoso.com", &["FAX:123"])).await.unwrap();
    relay.start().await;
    relay.let_pass(Duration::from_secs(60)).await;
    let [waiting] = relay.waiting().await.try_into().unwrap();
    let failure = waiting.last_failure().unwrap();
    assert!(failure.text.contains("nobody who delivers for connector \"Fax\""), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn mail_for_a_connector_that_went_out_of_reach_is_routed_anew() {
    let relay = Relay::new([delivered()]);
    relay.pipeline.submit(message("app@contoso.com", &["FAX:123"])).await.unwrap();
    let mut gateway = ForeignConnector::new("Fax", vec!["FAX:*;1".parse().unwrap()]);
    gateway.source_transport_servers = vec!["Hub03".to_owned()];
    let other = ForeignConnector::new("Other", vec!["FAX:*;5".parse().unwrap()]);
    let connectors = [gateway, other].map(Connector::Foreign).into();
    let table = RoutingTable::build(connectors, Topology::new("Hub01"), vec![]).unwrap();
    relay.pipeline.replace_routing_table(table).await.unwrap();
    assert_eq!(relay.waiting().await[0].next_hop, NextHop::new("Other", "FAX"));
}

/// Exchange resubmits the queue of a smart-host connector that is switched to DNS.
#[tokio::test(start_paused = true)]
async fn mail_for_a_connector_that_now_goes_by_mx_leaves_the_queue_of_its_smart_hosts() {
    let by_smart_host = |smart_host: &str| {
        let mut connector = SendConnector::new("Internet", vec!["*".parse().unwrap()]);
        connector.smart_hosts = smart_host.parse().into_iter().collect();
        RoutingTable::build(vec![connector.into()], Topology::new("Hub01"), vec![]).unwrap()
    };
    let relay = Relay::new([delivered()]);
    relay.pipeline.replace_routing_table(by_smart_host("relay.example.net")).await.unwrap();
    let to = ["jane@contoso.com", "joe@sender.test"];
    relay.pipeline.submit(message("app@contoso.com", &to)).await.unwrap();
    assert_eq!(relay.waiting().await[0].next_hop, NextHop::new("Internet", "relay.example.net"));

    relay.pipeline.replace_routing_table(by_smart_host("")).await.unwrap();
    relay.start().await;
    relay.until_empty().await;
    let attempts = relay.smtp.attempts();
    let mut sent: Vec<_> = attempts.iter().map(|one| (one.destination.as_str(), one.to.join(" "))).collect();
    sent.sort();
    let [jane, joe] = to.map(str::to_owned);
    assert_eq!(sent, [("contoso.com", jane), ("sender.test", joe)]);
}
