//! What senders hear: failures, delays, expiry, and never a report about a report.

use std::time::Duration;

use postroad_connector::{Connector, RoutingTable, SendConnector, Topology};

use crate::support::{Attempted, Relay, delivered, host_is_down, message, no_such_user, table};

fn reports(attempts: &[Attempted]) -> Vec<&Attempted> {
    attempts.iter().filter(|attempt| attempt.from == "<>").collect()
}

#[tokio::test(start_paused = true)]
async fn a_refused_recipient_is_reported_to_the_sender() {
    let relay = Relay::new([no_such_user(), delivered()]);
    relay.start().await;
    relay.pipeline.submit(message("app@sender.test", &["jane@contoso.com"])).await.unwrap();
    relay.until_empty().await;
    let attempts = relay.smtp.attempts();
    let [report] = reports(&attempts).try_into().unwrap();
    assert_eq!(report.to, ["app@sender.test"]);
    assert!(report.content.contains("Action: failed\r\nStatus: 5.1.1"), "{}", report.content);
}

#[tokio::test(start_paused = true)]
async fn an_x400_recipient_that_no_connector_takes_is_reported_at_once_and_the_others_go() {
    let relay = Relay::new([delivered()]);
    relay.start().await;
    let to = ["X400:C=US;A=Nobody;P=X;S=Doe;", "jane@contoso.com"];
    let submitted = relay.pipeline.submit(message("app@sender.test", &to)).await.unwrap();
    assert_eq!(submitted.refused[0].1.status.to_string(), "5.1.2");
    relay.until_empty().await;
    let attempts = relay.smtp.attempts();
    let [report] = reports(&attempts).try_into().unwrap();
    assert!(report.content.contains("Status: 5.1.2"), "{}", report.content);
    assert!(attempts.iter().any(|attempt| attempt.to == ["jane@contoso.com"]));
}

#[tokio::test(start_paused = true)]
async fn a_message_too_large_for_every_connector_is_reported() {
    let relay = Relay::new([delivered()]);
    relay.start().await;
    let mut large = message("app@sender.test", &["jane@contoso.com"]);
    large.content = vec![b'a'; 36 << 20].into();
    let submitted = relay.pipeline.submit(large).await.unwrap();
    assert_eq!(submitted.refused[0].1.status.to_string(), "5.3.4");
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_told_once_and_expiry_is_told_after_two_days() {
    let relay = Relay::new([host_is_down()]);
    relay.start().await;
    relay.pipeline.submit(message("app@sender.test", &["FAX:1", "jane@contoso.com"])).await.unwrap();
    // The reports cannot leave either: they wait in the queue, and expire in silence two days later.
    relay.let_pass(Duration::from_secs(50 * 3600)).await;
    let attempts = relay.smtp.attempts();
    let told = |word: &str| {
        let mut texts: Vec<&str> = reports(&attempts).iter().map(|report| report.content.as_str()).collect();
        texts.retain(|text| text.contains(word));
        texts.dedup();
        texts.len()
    };
    assert_eq!(told("Action: delayed"), 1);
    assert_eq!(told("Action: failed"), 1);
    let expired =
        reports(&attempts).into_iter().find(|report| report.content.contains("Action: failed")).unwrap();
    assert!(expired.content.contains("Status: 5.4.7"), "{}", expired.content);
    assert!(expired.content.contains("connection refused"), "{}", expired.content);
    let original =
        attempts.iter().filter(|attempt| attempt.to == ["jane@contoso.com"]).map(|attempt| attempt.at).max();
    assert!(original.unwrap() <= Duration::from_secs(48 * 3600 + 60));
    relay.until_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_report_is_never_answered_with_a_report() {
    let relay = Relay::new([no_such_user()]);
    relay.start().await;
    relay.pipeline.submit(message("app@sender.test", &["jane@contoso.com"])).await.unwrap();
    relay.until_empty().await;
    let attempts = relay.smtp.attempts();
    assert_eq!(attempts.len(), 2, "the message and its report: {attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_told_once_for_a_message_however_many_next_hops_are_down() {
    let relay = Relay::new([host_is_down()]);
    let connectors = [("Partner", &["contoso.com", "sender.test"][..]), ("Other", &["fabrikam.com"])];
    relay.pipeline.replace_routing_table(table(&connectors)).await.unwrap();
    relay.start().await;
    let to = ["jane@contoso.com", "bob@fabrikam.com"];
    let id = relay.pipeline.submit(message("app@sender.test", &to)).await.unwrap().id;
    relay.let_pass(Duration::from_secs(4 * 3600 + 300)).await;
    let waiting = relay.waiting().await;
    let (about, reports): (Vec<_>, Vec<_>) = waiting.iter().partition(|listed| listed.message == id);
    assert!(about.len() == 2 && about.iter().all(|listed| listed.delay_notified), "{about:?}");
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = relay.pipeline.store().content(reports[0].message).await.unwrap();
    let report = String::from_utf8_lossy(report.in_memory().unwrap()).into_owned();
    for to in to {
        assert!(report.contains(&format!("Final-Recipient: rfc822;{to}\r\nAction: delayed")), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_too_large_for_the_way_back_has_the_header_only() {
    let relay = Relay::new([no_such_user(), delivered()]);
    let connector = |name, space: &str, size| {
        let mut send = SendConnector::new(name, vec![space.parse().unwrap()]);
        send.smart_hosts = vec!["[192.0.2.1]".parse().unwrap()];
        send.max_message_size = Some(size);
        Connector::Send(send)
    };
    let connectors = vec![connector("Out", "contoso.com", 100_000), connector("Back", "sender.test", 50_000)];
    let table = RoutingTable::build(connectors, Topology::new("Hub01"), vec![]).unwrap();
    relay.pipeline.replace_routing_table(table).await.unwrap();
    relay.start().await;
    let mut large = message("app@sender.test", &["jane@contoso.com"]);
    large.content = format!("Subject: Tea\r\n\r\n{}", "At four.\r\n".repeat(8_000)).into_bytes().into();
    relay.pipeline.submit(large).await.unwrap();
    relay.until_empty().await;
    let attempts = relay.smtp.attempts();
    let [report] = reports(&attempts).try_into().unwrap();
    assert!(report.content.contains("Action: failed") && report.content.contains("Subject: Tea"));
    assert!(!report.content.contains("At four."), "{} octets", report.content.len());
}
