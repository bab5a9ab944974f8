//! What the SMTP door does to a message before the queue has it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use postroad_message::{Content, Envelope, ReversePath};
use postroad_smtp_server::{Client, IncomingMessage, Submit};
use postroad_transport::{Settings, SubmitError, WatchedDirectory};

use crate::support::{Relay, delivered, message};

fn client() -> Client {
    Client::new("Applications", "192.0.2.7:40000".parse().unwrap(), "127.0.0.1:2525".parse().unwrap())
}

async fn accepted(relay: &Relay, client: &Client, header: &str) -> String {
    let envelope: Envelope = message("app@contoso.com", &["jane@contoso.com"]).envelope;
    let content = Content::from(format!("{header}Subject: Tea\r\n\r\nAt four.\r\n").into_bytes());
    relay.pipeline.accept_message(client, envelope, content).await.unwrap();
    relay.start().await;
    relay.until_empty().await;
    relay.smtp.attempts()[0].content.clone()
}

#[tokio::test(start_paused = true)]
async fn the_received_line_names_the_connector_by_its_own_fqdn() {
    let relay = Relay::new([delivered()]);
    let mut client = client();
    client.connector_fqdn = Some("apps.contoso.com".to_owned());
    let content = accepted(&relay, &client, "").await;
    assert!(content.contains("by apps.contoso.com"), "{content}");
    assert!(!content.contains("hub01"), "{content}");
}

#[tokio::test(start_paused = true)]
async fn the_received_line_has_the_name_that_the_client_is_told() {
    let relay = Relay::new([delivered(), delivered()]);
    let envelope: Envelope = message("app@contoso.com", &["jane@contoso.com"]).envelope;
    let content = Content::from(b"Subject: Tea\r\n\r\nAt four.\r\n".to_vec());
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(relay.pipeline.accept_message(&client(), envelope.clone(), content.clone()).await.unwrap());
    }
    relay.start().await;
    relay.until_empty().await;
    for (id, attempt) in ids.iter().zip(relay.smtp.attempts()) {
        let named = format!(" with SMTP id {id}\r\n\tfor <jane@contoso.com>;");
        assert!(attempt.content.contains(&named), "{id}: {}", attempt.content);
    }
}

#[tokio::test(start_paused = true)]
async fn hops_are_counted_by_the_connector_and_its_own_limit_holds() {
    let relay = Relay::new([delivered()]);
    accepted(&relay, &client(), &"Received: by a.test\r\n".repeat(60)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_in_while_the_disk_is_nearly_full_and_all_of_it_afterwards() {
    let relay = Relay::new([delivered()]);
    let floor = |settings: &mut Settings| settings.minimum_free_space = 1_000;
    comes_in_only_with_room(&relay, &relay.free, floor).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_in_while_memory_is_nearly_full_and_what_waits_is_delivered() {
    let relay = Relay::new([delivered()]);
    relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await.unwrap();
    relay.memory.store(0, Ordering::Relaxed);
    relay.start().await;
    relay.until_empty().await;
    let floor = |settings: &mut Settings| settings.minimum_free_memory = 1_000;
    comes_in_only_with_room(&relay, &relay.memory, floor).await;
}

/// With 1,000 bytes of `room` as the floor.
async fn comes_in_only_with_room(relay: &Relay, room: &AtomicU64, floor: impl Fn(&mut Settings)) {
    let settings = &mut relay.pipeline.settings();
    settings.queue_folder = Some(relay.folder.path().to_owned());
    floor(settings);
    relay.put_in_force(settings.clone());
    let sender = ReversePath::try_from("<app@contoso.com>".to_owned()).unwrap();
    let asked = async |size| {
        relay.pipeline.accept_sender(&client(), &sender, size).await.map_err(|no| format!("{no:?}"))
    };
    let pickup = relay.folder.path().join("Pickup");
    std::fs::create_dir(&pickup).unwrap();
    std::fs::write(pickup.join("a.eml"), "From: erp@sender.test\nTo: jane@contoso.com\n\nAt four.\n")
        .unwrap();
    let watched = || {
        let directory = WatchedDirectory::pickup(&pickup, Default::default());
        relay.pipeline.clone().watch(directory, tokio::time::sleep(Duration::from_secs(1)))
    };

    room.store(999, Ordering::Relaxed);
    assert!(
        asked(None).await.is_err_and(|no| no.contains("insufficient system storage")),
        "said before the content comes"
    );
    assert_eq!(
        relay.pipeline.submit(message("app@contoso.com", &["jane@contoso.com"])).await,
        Err(SubmitError::NoRoom)
    );
    watched().await;
    assert!(pickup.join("a.eml").exists(), "Pickup leaves its files where they are");

    room.store(5_000, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(asked(Some(4_000)).await, Ok(()));
    assert!(asked(Some(4_001)).await.is_err(), "its declared size would not fit");
    watched().await;
    assert!(!pickup.join("a.eml").exists());
}

const PIECE: usize = 200_000;

/// What the queue has of large contents.
fn drafts(relay: &Relay) -> usize {
    std::fs::read_dir(relay.folder.path().join("queue.db-content")).unwrap().count()
}

/// One that has begun with a header, and one piece.
async fn begun(relay: &Relay, envelope: &Envelope) -> Box<dyn IncomingMessage> {
    let header = b"X-MS-Exchange-Organization-SCL: -1\r\nSubject: Tea\r\n\r\n";
    let mut large = relay.pipeline.begin_message(&client(), envelope, header).await.unwrap().unwrap();
    large.write(vec![b'x'; PIECE]).await.unwrap();
    assert_eq!(drafts(relay), 1);
    large
}

#[tokio::test(start_paused = true)]
async fn a_large_message_comes_in_pieces_and_is_traced_and_judged_as_any_other() {
    let relay = Relay::new([delivered()]);
    let envelope: Envelope = message("app@contoso.com", &["jane@contoso.com"]).envelope;
    let mut large = begun(&relay, &envelope).await;
    for _ in 0..10 {
        large.write(vec![b'x'; PIECE]).await.unwrap();
    }
    let id = large.finish(&client(), envelope, b"end\r\n".to_vec()).await.unwrap();
    assert_eq!(drafts(&relay), 1, "it lies where it came");
    let waiting = relay.waiting().await;
    let content = relay.store.content(waiting[0].message).await.unwrap().load().unwrap().into_owned();
    let content = String::from_utf8(content).unwrap();
    let named = format!(" with SMTP id {id}\r\n\tfor <jane@contoso.com>;");
    assert!(content.starts_with("Received: from ") && content[..400].contains(&named), "{}", &content[..400]);
    let body = format!("\r\nSubject: Tea\r\n\r\n{}end\r\n", "x".repeat(11 * PIECE));
    assert!(content.ends_with(&body) && !content.contains("X-MS-Exchange-Organization"));
}

#[tokio::test(start_paused = true)]
async fn below_the_floor_no_large_message_begins_and_those_under_way_have_half_of_it() {
    let relay = Relay::new([delivered()]);
    let settings = &mut relay.pipeline.settings();
    settings.queue_folder = Some(relay.folder.path().to_owned());
    settings.minimum_free_space = 1_000_000;
    relay.put_in_force(settings.clone());
    let envelope: Envelope = message("app@contoso.com", &["jane@contoso.com"]).envelope;
    let mut large = begun(&relay, &envelope).await;
    let with_free = async |free| {
        relay.free.store(free, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(2)).await;
        relay.pipeline.room_for_unfinished()
    };
    assert_eq!(with_free(999_999).await, 499_999);
    let another = relay.pipeline.begin_message(&client(), &envelope, b"Subject: Tea\r\n\r\n").await;
    assert_eq!(another.err().map(|refusal| refusal.line().code()), Some(452));
    large.write(vec![b'x'; PIECE]).await.unwrap();
    large.finish(&client(), envelope, Vec::new()).await.unwrap();
    assert_eq!(with_free(500_000).await, 0, "the other half is for what was promised already");
}

#[tokio::test(start_paused = true)]
async fn a_large_message_that_is_given_up_leaves_nothing() {
    let relay = Relay::new([delivered()]);
    let envelope: Envelope = message("app@contoso.com", &["jane@contoso.com"]).envelope;
    drop(begun(&relay, &envelope).await);
    assert!(relay.waiting().await.is_empty());
    // The queue's threads remove it, beside their other work.
    for _ in 0..10_000 {
        if drafts(&relay) > 0 {
            relay.waiting().await;
        }
    }
    let large = begun(&relay, &envelope).await;
    large.finish(&client(), envelope, Vec::new()).await.unwrap();
    assert_eq!(drafts(&relay), 1);
}
