//! The message tracking log of scripted runs, as the postmaster reads it: every message followed from door to outcome by its id.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use postroad_address_space::Address;
use postroad_message::{
    EnhancedStatus, Failure, Fault, Outcome, Phase, Receipt, Recipient, RemoteReply, Scope, TlsFacts,
};
use postroad_smtp_server::Client;
use postroad_transport::logs::MessageTracking;
use postroad_transport::tracking::{Format, LogSettings};

use crate::support::{Relay, message, table};

/// What stands in the log of this folder, ids and Message-IDs of a run made the same in every run.
fn written(folder: &std::path::Path, ids: &[&str]) -> String {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut text: String = names.iter().map(|name| fs::read_to_string(name).unwrap()).collect();
    for (number, id) in ids.iter().enumerate() {
        text = text.replace(id, &format!("ID{number}"));
    }
    without_times(&text.replace("\r\n", "\n").replace(env!("CARGO_PKG_VERSION"), "VERSION"))
}

/// Virtual time runs on while the queue's own thread works: the minutes of a run are its own.
fn without_times(text: &str) -> String {
    let is_time = |token: &str| token.len() == 24 && token.starts_with("2024-03-") && token.ends_with('Z');
    let tokens = text.split_inclusive([',', '"', '\n', ' ']).map(|piece| {
        let token = piece.trim_end_matches([',', '"', '\n', ' ']);
        if is_time(token) { piece.replace(token, "TIME") } else { piece.to_owned() }
    });
    tokens.collect()
}

fn compare(written: &str, expected: &str, file: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(format!("{}/tests/it/{file}", env!("CARGO_MANIFEST_DIR")), written).unwrap();
    } else {
        assert_eq!(written, expected, "BLESS=1 writes what is written now into {file}");
    }
}

fn taken(host: &str) -> Outcome {
    let mut receipt = Receipt::new(host);
    receipt.reply = Some(RemoteReply::new(250, vec!["2.0.0 OK, queued".to_owned()]));
    receipt.tls = Some(TlsFacts::new("TLSv1.3", "X", true));
    Outcome::Delivered(receipt)
}

fn refused() -> Outcome {
    let status = EnhancedStatus::permanent(1, 1);
    let mut failure =
        Failure::new(status, Fault::Remote, Scope::Recipient, Phase::RcptTo, "RCPT TO was refused");
    failure.host = Some("mx.contoso.com [192.0.2.1]:25".to_owned());
    failure.reply = Some(RemoteReply::new(550, vec!["5.1.1 no such user; sorry".to_owned()]));
    Outcome::Failed(failure)
}

fn silent_name_service() -> Outcome {
    let status = EnhancedStatus::transient(4, 3);
    Outcome::Deferred(Failure::new(status, Fault::Remote, Scope::NextHop, Phase::Lookup, "no answer"))
}

/// A log beside the relay's queue, and the relay it watches.
fn tracked(answers: Vec<Outcome>, format: Format, subjects: bool) -> (Relay, Arc<MessageTracking>) {
    let tracking = Arc::new(MessageTracking::new("hub01.contoso.com"));
    let relay = Relay::watched_by(answers, tracking.clone());
    let mut settings = LogSettings::message_tracking(relay.folder.path().join("log"));
    settings.format = format;
    tracking.configure(Some(&settings), subjects);
    (relay, tracking)
}

/// Waits until the log is so far: whoever sees that a message has left the queue may be ahead of the observer.
async fn told(relay: &Relay, tracking: &MessageTracking, is_so_far: impl Fn(&str) -> bool) -> bool {
    for _ in 0..1000 {
        tracking.log().flush();
        if is_so_far(&written(&relay.folder.path().join("log"), &[])) {
            return true;
        }
        relay.let_pass(Duration::from_secs(60)).await;
    }
    false
}

/// Whether it has as many rows as this.
fn as_long_as(expected: &str) -> impl Fn(&str) -> bool {
    let rows = expected.lines().count();
    move |written| written.lines().count() >= rows
}

fn application() -> Client {
    let mut client =
        Client::new("Applications", "10.0.0.7:4711".parse().unwrap(), "10.0.0.1:25".parse().unwrap());
    client.hello_name = Some("app.contoso.com".to_owned());
    client.session = 0x0123_4567_89AB_CDEF;
    client.user = Some("=joe,\"the\" app".to_owned());
    client.may_relay = true;
    client
}

#[tokio::test(start_paused = true)]
async fn messages_are_followed_from_their_door_to_their_outcomes() {
    let answers = vec![silent_name_service(), refused(), taken("smtp-relay.example.com [192.0.2.25]:587")];
    let (relay, tracking) = tracked(answers, Format::Csv, true);
    relay.start().await;
    let mut ids = Vec::new();

    // A hostile subject, two recipients at one next hop, one at another: deferred once, then refused, and reported.
    let mut by_smtp = message("app@sender.test", &["jane@contoso.com", "\"a;b\"@contoso.com"]);
    by_smtp.content = b"Message-ID: <1@app>\r\nFrom: \"App, the\" <app@sender.test>\r\nSubject: =HYPERLINK(\"http://x\")\x1b[31m\r\n\
                        2024-01-01T00:00:00.000Z,forged\r\n\r\nnot a word of this\r\n".to_vec().into();
    by_smtp.client = Some(Box::new(application()));
    ids.push(relay.pipeline.submit(by_smtp).await.unwrap().id.to_string());
    relay.until_empty().await;

    // A file for a gateway, and a recipient that nobody takes.
    let mut by_pickup =
        message("app@sender.test", &["FAX:+1 (425) 555-0100", "X400:C=US;A=Nobody;P=X;S=Doe;"]);
    by_pickup.source = "pickup";
    ids.push(relay.pipeline.submit(by_pickup).await.unwrap().id.to_string());
    relay.until_empty().await;

    // Nobody takes it yet, then somebody does.
    let mut by_replay = message("<>", &["tim@elsewhere.test"]);
    by_replay.source = "replay";
    ids.push(relay.pipeline.submit(by_replay).await.unwrap().id.to_string());
    relay.pipeline.replace_routing_table(table(&[("Everything", &["*"])])).await.unwrap();
    relay.until_empty().await;

    assert!(told(&relay, &tracking, as_long_as(include_str!("tracking.csv"))).await);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let written = written(&relay.folder.path().join("log"), &ids);
    assert!(!written.contains("not a word"), "content: {written}");
    compare(&mask_reports(&written), include_str!("tracking.csv"), "tracking.csv");
}

/// The ids and Message-IDs of reports are new in each run, and what two deliveries do at the same moment comes in any order.
fn mask_reports(written: &str) -> String {
    let mut masked = written.to_owned();
    let rows = written.lines().filter(|line| line.contains(",DSN,DSN,"));
    for (number, row) in rows.enumerate() {
        let behind: Vec<&str> =
            row.split(",DSN,DSN,").nth(1).unwrap_or_default().split(',').take(2).collect();
        for (what, text) in ["REPORT", "MESSAGE-ID"].iter().zip(behind) {
            masked = masked.replace(text, &format!("{what}{number}"));
        }
    }
    let mut lines: Vec<&str> = masked.lines().collect();
    lines.sort_unstable();
    lines.join("\n") + "\n"
}

#[tokio::test(start_paused = true)]
async fn as_json_and_without_subjects() {
    let (relay, tracking) = tracked(vec![taken("mx.contoso.com [192.0.2.1]:25")], Format::Json, false);
    relay.start().await;
    let mut mail = message("app@sender.test", &["jane@contoso.com", "\"a;b\"@contoso.com"]);
    mail.client = Some(Box::new(application()));
    let id = relay.pipeline.submit(mail).await.unwrap().id.to_string();
    relay.until_empty().await;
    assert!(told(&relay, &tracking, as_long_as(include_str!("tracking.jsonl"))).await);
    let written = written(&relay.folder.path().join("log"), &[&id]);
    compare(&written, include_str!("tracking.jsonl"), "tracking.jsonl");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_written_stops_no_mail() {
    let (relay, tracking) = tracked(vec![taken("mx.contoso.com [192.0.2.1]:25")], Format::Csv, true);
    // A file where the directory should be.
    fs::write(relay.folder.path().join("log"), b"").unwrap();
    relay.start().await;
    for _ in 0..3 {
        relay.pipeline.submit(message("app@sender.test", &["jane@contoso.com"])).await.unwrap();
    }
    relay.until_empty().await;
    assert_eq!(relay.smtp.attempts().len(), 3);
    for _ in 0..1000 {
        tracking.log().flush();
        if tracking.log().lost() == 6 {
            return;
        }
        relay.let_pass(Duration::from_secs(60)).await;
    }
    panic!("{} rows are known to be lost", tracking.log().lost());
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_time_is_up_fails_in_the_queue() {
    let (relay, tracking) = tracked(vec![silent_name_service()], Format::Json, true);
    relay.start().await;
    relay.pipeline.submit(message("<>", &["jane@contoso.com"])).await.unwrap();
    relay.until_empty().await;
    assert!(told(&relay, &tracking, |log| log.contains("FAIL")).await);
    let written = written(&relay.folder.path().join("log"), &[]);
    let last = written.lines().last().unwrap();
    for expected in ["\"event-id\":\"FAIL\"", "\"source\":\"QUEUE\"", "550 5.4.7 message expired"] {
        assert!(last.contains(expected), "{expected} is not in {last}");
    }
    let to = Recipient::new(Address::parse("jane@contoso.com").unwrap());
    assert_eq!(written.matches(&to.address.to_string()).count(), written.lines().count());
}
