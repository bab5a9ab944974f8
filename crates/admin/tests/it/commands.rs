//! Each command, on a queue that somebody filled.

use std::fs;

use postroad_address_space::Domain;
use postroad_admin::{AdminError, Command, Ending, Selection};
use postroad_message::ReversePath;
use postroad_message_directory::replay;
use postroad_queue::{Claim, MessageId, StateKind};
use postroad_transport::Pipeline;

use crate::support::{Queue, now, table};

const SMART_HOST: &str = "Provider -> [192.0.2.1]";

fn selection(set: impl FnOnce(&mut Selection)) -> Selection {
    let mut selection = Selection::default();
    set(&mut selection);
    selection
}

fn of(message: MessageId) -> Selection {
    selection(|to| to.messages = vec![message])
}

fn in_queue(name: &str) -> Selection {
    selection(|to| to.next_hop = Some(name.to_owned()))
}

#[tokio::test]
async fn the_queues_are_listed_with_what_they_hold() {
    let queue = Queue::new().await;
    let rows = queue.json(Command::List { queues: true }, Selection::default()).await;
    let seen: Vec<_> =
        rows.iter().map(|row| (row["queue"].as_str().unwrap(), row["waiting"].as_u64())).collect();
    assert_eq!(seen, [("Fax -> FAX", Some(1)), (SMART_HOST, Some(2))]);
    let (_, text) = queue.run(Command::List { queues: true }, in_queue("fax")).await;
    assert!(text.starts_with("QUEUE       STATUS"), "{text}");
    assert!(text.contains("Fax -> FAX  ready            1"), "{text}");
    assert!(!text.contains("Provider"), "{text}");
}

#[tokio::test]
async fn the_messages_are_listed_as_far_as_they_fit() {
    let queue = Queue::new().await;
    for (which, fit) in [
        (Selection::default(), 3),
        (of(queue.letter), 2),
        (in_queue("[192.0.2.1]"), 2),
        (in_queue("PROVIDER -> [192.0.2.1]"), 2),
        (selection(|to| (to.messages, to.next_hop) = (vec![queue.letter], Some("FAX".to_owned()))), 1),
        (selection(|to| to.messages = vec![queue.letter, queue.letter]), 2),
        (selection(|to| to.connector = Some("Fax".to_owned())), 1),
        (selection(|to| to.sender = Some("<>".to_owned())), 1),
        (selection(|to| to.recipient = Some("JANE@fabrikam.com".to_owned())), 1),
        (selection(|to| to.state = Some(StateKind::Suspended)), 0),
        (selection(|to| to.older_than = Some(std::time::Duration::from_secs(3600))), 0),
    ] {
        let rows = queue.json(Command::Messages, which.clone()).await;
        assert_eq!(rows.len(), fit, "{which:?}");
    }
    let (_, text) = queue.run(Command::Messages, of(queue.report)).await;
    assert!(text.contains("<> -> app@contoso.com"), "{text}");
}

#[tokio::test]
async fn a_message_is_shown_with_its_queues_and_recipients() {
    let queue = Queue::new().await;
    let (ending, text) = queue.run(Command::Show, of(queue.letter)).await;
    assert_eq!(ending, Ending::Done);
    for part in ["from       <joe@contoso.com>", "queue      Fax -> FAX", "to         jane@fabrikam.com"] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
}

#[tokio::test]
async fn who_names_what_is_not_there_hears_of_it() {
    let queue = Queue::new().await;
    let unknown = MessageId::from_u64(1);
    for command in
        [Command::Show, Command::Suspend { whole_queue: false }, Command::Remove { with_report: false }]
    {
        let both = selection(|to| to.messages = vec![unknown, queue.report]);
        let (ending, _) = queue.run(command, both).await;
        assert_eq!(ending, Ending::NotThere(vec![unknown]));
    }
    let refused =
        queue.try_run(Command::Suspend { whole_queue: false }, in_queue("nowhere.example"), false).await;
    assert!(matches!(refused, Err(AdminError::NoSuchQueue { name }) if name == "nowhere.example"));
}

#[tokio::test]
async fn suspended_mail_is_held_until_it_is_resumed() {
    let queue = Queue::new().await;
    let (_, text) = queue.run(Command::Suspend { whole_queue: false }, of(queue.letter)).await;
    assert_eq!(text, "2 deliveries suspended\n");
    let states: Vec<_> = queue.waiting().await.into_iter().map(|(_, _, status)| status).collect();
    assert_eq!(states, ["suspended", "suspended", "ready"]);
    queue.run(Command::Resume { whole_queue: false }, of(queue.letter)).await;
    assert!(queue.waiting().await.iter().all(|(_, _, status)| status == "ready"));
}

#[tokio::test]
async fn a_suspended_queue_holds_what_comes_later_too() {
    let queue = Queue::new().await;
    queue.run(Command::Suspend { whole_queue: true }, in_queue(SMART_HOST)).await;
    let rows = queue.json(Command::List { queues: true }, in_queue(SMART_HOST)).await;
    assert_eq!((rows[0]["status"].as_str(), rows[0]["suspended"].as_u64()), (Some("suspended"), Some(2)));
    assert_eq!(queue.pipeline.store().due(now()).await.unwrap().len(), 1);
    queue.run(Command::Resume { whole_queue: true }, in_queue(SMART_HOST)).await;
    assert_eq!(queue.pipeline.store().due(now()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_retry_asks_for_the_next_hop_though_it_is_held_back() {
    let queue = Queue::new().await;
    queue.run(Command::Retry, in_queue("FAX")).await;
    let asked = queue.pipeline.store().take_retries().await.unwrap();
    assert_eq!(asked.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Fax -> FAX"]);
}

#[tokio::test]
async fn resubmitted_mail_takes_the_road_that_is_right_today() {
    let queue = Queue::new().await;
    queue.run(Command::Suspend { whole_queue: false }, of(queue.report)).await;
    // A table in force that nobody rerouted for: the commands work beside a relay with an older one.
    let store = queue.pipeline.store().clone();
    let anew = Pipeline::builder(queue.pipeline.settings(), table("Cheaper"), store).build();
    let mut seen = Vec::new();
    let changed = anew.resubmit(Default::default(), |done, total| seen.push((done, total))).await.unwrap();
    assert_eq!((changed.deliveries, changed.active), (3, 0));
    assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);
    let mut waiting = queue.waiting().await;
    waiting.sort();
    let road = |to: &str, queue: &str, status: &str| (to.to_owned(), queue.to_owned(), status.to_owned());
    assert_eq!(
        waiting,
        [
            road("FAX:+1 425", "Fax -> FAX", "ready"),
            road("app@contoso.com", "Cheaper -> [192.0.2.1]", "suspended"),
            road("jane@fabrikam.com", "Cheaper -> [192.0.2.1]", "ready"),
        ]
    );
}

#[tokio::test]
async fn what_somebody_works_on_is_left_to_him() {
    let queue = Queue::new().await;
    let hour = now().after(std::time::Duration::from_secs(3600));
    let store = queue.pipeline.store();
    let held = store.claim(Claim::message(queue.report, now(), hour)).await.unwrap();
    assert_eq!(held.leases.len(), 1);
    for with_report in [true, false] {
        let (ending, text) = queue.run(Command::Remove { with_report }, of(queue.report)).await;
        assert_eq!(ending, Ending::Busy(1));
        assert_eq!(text, "0 deliveries removed; 1 left alone, someone works on them\n");
    }
}

#[tokio::test]
async fn removed_mail_is_gone_without_a_word_unless_one_is_asked_for() {
    let queue = Queue::new().await;
    let (_, text) = queue.run(Command::Remove { with_report: false }, in_queue("FAX")).await;
    assert_eq!(text, "1 deliveries removed\n");
    assert_eq!(queue.waiting().await.len(), 2);

    queue.run(Command::Remove { with_report: true }, Selection::default()).await;
    // The letter's sender is told; of a report nobody is.
    let rows = queue.json(Command::Messages, Selection::default()).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0]["sender"].as_str(), rows[0]["source"].as_str()), (Some("<>"), Some("dsn")));
    assert_eq!(rows[0]["recipients"][0]["address"].as_str(), Some("joe@contoso.com"));
    let id: MessageId = rows[0]["id"].as_str().unwrap().parse().unwrap();
    let content = queue.pipeline.store().content(id).await.unwrap();
    let text = String::from_utf8_lossy(content.in_memory().unwrap()).into_owned();
    assert!(text.contains("an administrator removed the message from the queue"), "{text}");
    assert!(text.contains("Final-Recipient: rfc822;jane@fabrikam.com\r\nAction: failed\r\n"), "{text}");
}

#[tokio::test]
async fn a_message_set_aside_can_be_removed_with_a_report_or_go_on() {
    let queue = Queue::new().await;
    let store = queue.pipeline.store();
    store.set_aside(queue.letter, "it broke the relay twice").await.unwrap();
    let (_, text) = queue.run(Command::Messages, of(queue.letter)).await;
    assert!(text.contains("set-aside") && text.contains(": it broke the relay twice"), "{text}");
    queue.run(Command::Resume { whole_queue: false }, in_queue("FAX")).await;
    queue.run(Command::Remove { with_report: true }, in_queue(SMART_HOST)).await;
    let left = queue.waiting().await;
    assert!(left.iter().any(|(to, _, status)| to == "FAX:+1 425" && status == "ready"), "{left:?}");
    assert!(left.iter().any(|(to, _, _)| to == "joe@contoso.com"), "{left:?}");
    assert_eq!(left.len(), 2);
}

#[tokio::test]
async fn exported_mail_can_be_replayed_and_stays_where_it_is() {
    let queue = Queue::new().await;
    let folder = queue.folder.path().join("out");
    fs::create_dir(&folder).unwrap();
    let export = || Command::Export(folder.clone());
    let (ending, text) = queue.run(export(), Selection::default()).await;
    assert_eq!((ending, text.as_str()), (Ending::Done, "2 messages exported\n"));
    assert_eq!(queue.waiting().await.len(), 3);

    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let file = fs::read(folder.join(format!("{}.eml", queue.letter))).unwrap();
    let mut rules = replay::Rules::default();
    rules.domain = Some(Domain::parse("contoso.com").unwrap());
    let back = replay::decode(&file, &rules).unwrap();
    assert_eq!(back.envelope.reverse_path, ReversePath::try_from("<joe@contoso.com>".to_owned()).unwrap());
    let mut to: Vec<_> = back.envelope.recipients.iter().map(|to| to.address.to_string()).collect();
    to.sort();
    assert_eq!(to, ["FAX:+1 425", "jane@fabrikam.com"]);
    assert!(file.ends_with(b"Subject: Tea\r\n\r\nAt four.\r\n"));

    let (ending, text) = queue.run(export(), of(queue.letter)).await;
    assert_eq!(ending, Ending::Incomplete, "nothing is overwritten: {text}");
    let nowhere = queue.try_run(Command::Export(folder.join("missing")), of(queue.letter), false).await;
    assert!(nowhere.is_err_and(|error| error.is_transient()));
}
