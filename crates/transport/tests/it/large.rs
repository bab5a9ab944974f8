//! Messages that lie in a file of the queue: they leave from there as others leave from memory.

use std::fs;

use postroad_message::{Content, Outcome, Return, Timestamp};
use postroad_message_directory::{DropDirectory, drop};
use postroad_queue::Filter;

use crate::by_hand::{Delivery, contoso, gateway};
use crate::support::{Attempted, Relay, delivered, message, no_such_user};

const HEADER: &str = "X-MS-Exchange-Organization-SCL: 1\r\nSubject: Tea\r\n";

fn large() -> Vec<u8> {
    format!("{HEADER}\r\n{}the end\r\n", "A line like any other.\r\n".repeat(20_000)).into_bytes()
}

/// The same in a file of the relay's queue.
async fn in_file(relay: &Relay) -> Content {
    let mut submission = message("app@sender.test", &["FAX:1"]);
    submission.content = large().into();
    let id = relay.pipeline.submit(submission).await.unwrap().id;
    let content = relay.store.content(id).await.unwrap();
    assert!(content.in_memory().is_none() && content.len() == large().len());
    content
}

#[tokio::test]
async fn a_gateway_gets_all_of_it_but_what_is_the_organizations_own() {
    let relay = Relay::new([]);
    let content = in_file(&relay).await;
    // What has left meanwhile can be read to its end.
    let folder = tempfile::tempdir().unwrap();
    relay.store.remove(Filter::all(), Timestamp::from_unix_millis(0)).await.unwrap();
    let outcomes = Delivery::fax(1, content).by(&gateway(DropDirectory::new(folder.path()))).await;
    let [Outcome::Delivered(receipt)] = &outcomes[..] else { panic!("{outcomes:?}") };
    let (_, dropped) = drop::decode(&fs::read(&receipt.host).unwrap(), &contoso()).unwrap();
    let expected = large().split_off("X-MS-Exchange-Organization-SCL: 1\r\n".len());
    assert!(dropped == Content::from(expected));
}

fn report_of(attempts: &[Attempted]) -> &str {
    let mut reports = attempts.iter().filter(|attempt| attempt.from == "<>");
    let report = reports.next().unwrap();
    assert!(reports.next().is_none());
    &report.content
}

#[tokio::test(start_paused = true)]
async fn who_sent_it_gets_it_back_whole_or_its_header_as_he_said() {
    for (ret, whole) in [(None, true), (Some(Return::Full), true), (Some(Return::Headers), false)] {
        let relay = Relay::new([no_such_user(), delivered()]);
        relay.start().await;
        let mut submission = message("app@sender.test", &["jane@contoso.com"]);
        submission.content = large().into();
        submission.envelope.ret = ret;
        relay.pipeline.submit(submission).await.unwrap();
        relay.until_empty().await;
        let attempts = relay.smtp.attempts();
        let report = report_of(&attempts);
        assert!(report.contains("Action: failed") && report.contains("\r\nSubject: Tea\r\n"), "{ret:?}");
        assert_eq!(report.contains("\r\nthe end\r\n"), whole, "{ret:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_at_once_is_reported_with_all_of_it() {
    let relay = Relay::new([delivered()]);
    let content = in_file(&relay).await;
    relay.start().await;
    let mut submission = message("app@sender.test", &["X400:C=US;A=Nobody;P=X;S=Doe;", "jane@contoso.com"]);
    submission.content = content;
    relay.pipeline.submit(submission).await.unwrap();
    relay.until_empty().await;
    let attempts = relay.smtp.attempts();
    let report = report_of(&attempts);
    assert!(report.contains("Status: 5.1.2") && report.contains("\r\nthe end\r\n"));
    let copy = attempts.iter().find(|attempt| attempt.to == ["jane@contoso.com"]).unwrap();
    assert!(copy.content.as_bytes() == large());
}
