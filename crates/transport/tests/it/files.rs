//! Pickup and Replay: files become messages once, bad ones stay as `.bad`, and a crash between is harmless.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postroad_address_space::Domain;
use postroad_message::{Failure, NextHop, Recipient};
use postroad_message_directory::{BadmailDirectory, Dialect, Directory, pickup, replay};
use postroad_smtp_server::Client;
use postroad_transport::{Observe, Seen, WatchedDirectory};

use crate::support::{BEGIN, Relay, delivered, message};

const LETTER: &str = "From: erp@sender.test\nTo: jane@contoso.com\nBcc: FAX <IMCEAFAX-123@contoso.com>\nSubject: Tea\n\nAt four.\n";

fn pickup_of(relay: &Relay) -> WatchedDirectory {
    let path = relay.folder.path().join("Pickup");
    std::fs::create_dir_all(&path).unwrap();
    let mut rules = pickup::Rules::default();
    rules.domain = Some(Domain::parse("contoso.com").unwrap());
    WatchedDirectory::pickup(path, rules)
}

fn names(relay: &Relay, directory: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(relay.folder.path().join(directory))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Watches for one poll. Files that tests write bear the real clock's time, which is later than the test's: at rest.
async fn one_poll(relay: &Relay, watched: WatchedDirectory) {
    let shutdown = tokio::time::sleep(Duration::from_secs(1));
    relay.pipeline.clone().watch(watched, shutdown).await;
}

#[tokio::test(start_paused = true)]
async fn a_pickup_file_is_queued_for_everyone_and_deleted() {
    let relay = Relay::new([delivered()]);
    let watched = pickup_of(&relay);
    std::fs::write(watched.path().join("a.eml"), LETTER).unwrap();
    std::fs::write(watched.path().join("a.txt"), LETTER).unwrap();
    one_poll(&relay, watched).await;
    assert_eq!(names(&relay, "Pickup"), ["a.txt"]);
    relay.start().await;
    relay.until_empty().await;
    assert_eq!(relay.drop.attempts()[0].to, ["FAX:123"]);
    let sent = &relay.smtp.attempts()[0];
    assert!(!sent.content.contains("Bcc"), "{}", sent.content);
    assert!(sent.content.contains("\r\n\r\nAt four.\r\n"), "{}", sent.content);
}

#[tokio::test(start_paused = true)]
async fn more_files_than_are_held_at_once_are_each_queued_once() {
    let relay = Relay::new([delivered()]);
    let watched = pickup_of(&relay).at_most(20_000);
    for number in 0..150 {
        std::fs::write(watched.path().join(format!("{number}.eml")), LETTER).unwrap();
    }
    std::fs::write(watched.path().join("bad.eml"), "To: jane@contoso.com\n\nx\n").unwrap();
    one_poll(&relay, watched).await;
    assert_eq!(names(&relay, "Pickup"), ["bad.bad"]);
    assert_eq!(relay.waiting().await.len(), 300, "two next hops for each");
}

/// A decoder has a fault, say. Here what is asked for is a Message-ID.
#[tokio::test(start_paused = true)]
async fn a_file_that_breaks_off_its_reader_is_bad_and_those_beside_it_are_queued() {
    let relay = Relay::new([delivered()]);
    let watched = pickup_of(&relay).at_most(20_000);
    std::fs::write(watched.path().join("breaks.eml"), LETTER).unwrap();
    for number in 0..10 {
        let named = format!("Message-ID: <{number}@sender.test>\n{LETTER}");
        std::fs::write(watched.path().join(format!("{number}.eml")), named).unwrap();
    }
    relay.breaks.store(true, Ordering::Relaxed);
    one_poll(&relay, watched).await;
    assert_eq!(names(&relay, "Pickup"), ["breaks.bad"]);
    assert_eq!(relay.waiting().await.len(), 20, "two next hops for each of the others");
}

#[tokio::test(start_paused = true)]
async fn pickup_and_replay_have_each_their_own_allowance() {
    let relay = Relay::new([delivered()]);
    // Five in a poll.
    let pickup = pickup_of(&relay).at_most(60);
    let path = relay.folder.path().join("Replay");
    std::fs::create_dir_all(&path).unwrap();
    let replay = WatchedDirectory::replay(&path, replay::Rules::default()).at_most(60);
    for number in 0..7 {
        std::fs::write(pickup.path().join(format!("{number}.eml")), LETTER).unwrap();
        let file = "X-Sender: <>\nX-Receiver: <tim@contoso.com>\n\nx\n";
        std::fs::write(path.join(format!("{number}.eml")), file).unwrap();
    }
    tokio::join!(one_poll(&relay, pickup), one_poll(&relay, replay));
    assert_eq!((names(&relay, "Pickup").len(), names(&relay, "Replay").len()), (2, 2));
}

/// A letter that has come through so many hosts.
fn travelled(hops: usize) -> String {
    format!("{}From: erp@sender.test\nTo: jane@contoso.com\n\nx\n", "Received: by gateway\n".repeat(hops))
}

#[tokio::test(start_paused = true)]
async fn hops_are_counted_in_replay_which_keeps_them_and_not_in_pickup_which_does_not() {
    let relay = Relay::new([delivered()]);
    let pickup = pickup_of(&relay);
    let path = relay.folder.path().join("Replay");
    std::fs::create_dir_all(&path).unwrap();
    let envelope =
        "X-Sender: <erp@sender.test>\nX-Receiver: <jane@contoso.com>\nX-EndOfInjectedXHeaders: 0\n";
    std::fs::write(pickup.path().join("a.eml"), travelled(100)).unwrap();
    std::fs::write(path.join("a.eml"), format!("{envelope}{}", travelled(100))).unwrap();
    let from_nobody = envelope.replace("erp@sender.test", "");
    std::fs::write(path.join("report.eml"), format!("{from_nobody}{}", travelled(100))).unwrap();
    let replay = WatchedDirectory::replay(&path, replay::Rules::default());
    tokio::join!(one_poll(&relay, pickup), one_poll(&relay, replay));
    assert!(names(&relay, "Pickup").is_empty());
    assert_eq!(names(&relay, "Replay"), ["report.bad"], "nobody can be told of that one");
    relay.start().await;
    relay.until_empty().await;
    let sent = relay.smtp.attempts();
    let to = |to: &str| sent.iter().filter(|sent| sent.to == [to]).collect::<Vec<_>>();
    let (jane, report) = (to("jane@contoso.com"), to("erp@sender.test"));
    assert_eq!((jane.len(), report.len()), (1, 1), "{sent:?}");
    assert_eq!(jane[0].content.matches("Received:").count(), 1, "{}", jane[0].content);
    assert!(report[0].content.contains("Status: 5.4.6"), "{}", report[0].content);
}

/// Leaves one more file when the first is queued.
#[derive(Default)]
struct Latecomer(Mutex<Option<PathBuf>>);

impl Observe for Latecomer {
    fn queued(
        &self,
        _: &Seen<'_>,
        _: Option<&Client>,
        _: &[(NextHop, Vec<Recipient>)],
        _: &[(Recipient, Failure)],
    ) {
        if let Some(path) = self.0.lock().unwrap().take() {
            std::fs::write(path, LETTER).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_while_many_are_taken_waits_for_no_hint() {
    let latecomer = Arc::new(Latecomer::default());
    let relay = Relay::watched_by([delivered()], latecomer.clone());
    let watched = pickup_of(&relay).at_most(20_000).every(Duration::from_secs(3_600));
    for number in 0..100 {
        std::fs::write(watched.path().join(format!("{number}.eml")), LETTER).unwrap();
    }
    *latecomer.0.lock().unwrap() = Some(watched.path().join("late.eml"));
    one_poll(&relay, watched).await;
    assert!(names(&relay, "Pickup").is_empty());
    assert_eq!(relay.waiting().await.len(), 202, "two next hops for each");
}

#[tokio::test(start_paused = true)]
async fn a_file_without_sender_or_usable_recipient_stays_as_bad() {
    let relay = Relay::new([delivered()]);
    let watched = pickup_of(&relay);
    std::fs::write(watched.path().join("nobody.eml"), "To: jane@contoso.com\n\nx\n").unwrap();
    std::fs::write(watched.path().join("nowhere.eml"), "From: erp@sender.test\nSubject: x\n\nx\n").unwrap();
    std::fs::write(watched.path().join("rubbish.eml"), "From: erp@sender.test\nTo: not an address\n\nx\n")
        .unwrap();
    one_poll(&relay, watched).await;
    assert_eq!(names(&relay, "Pickup"), ["nobody.bad", "nowhere.bad", "rubbish.bad"]);
    assert!(relay.waiting().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn iis_keeps_a_bad_file_in_three() {
    let relay = Relay::new([delivered()]);
    let badmail = relay.folder.path().join("Badmail");
    std::fs::create_dir(&badmail).unwrap();
    let watched = pickup_of(&relay).badmail(Some(BadmailDirectory::new(&badmail)));
    let letter = "To: jane@contoso.com\n\nx\n";
    std::fs::write(watched.path().join("nobody.eml"), letter).unwrap();
    one_poll(&relay, watched).await;
    assert!(names(&relay, "Pickup").is_empty());
    let kept = names(&relay, "Badmail");
    let ends: Vec<&str> = kept.iter().map(|name| &name[32..]).collect();
    assert_eq!(ends, [".BAD", ".BDP", ".BDR"]);
    assert_eq!(std::fs::read_to_string(badmail.join(&kept[0])).unwrap(), letter);
    let properties = std::fs::read_to_string(badmail.join(&kept[1])).unwrap();
    assert!(properties.ends_with("Pickup/nobody.eml\r\n"), "by the name that its writer knows: {properties}");
    assert_eq!(std::fs::read_to_string(badmail.join(&kept[2])).unwrap(), "no sender\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_queued_before_a_crash_is_not_queued_again() {
    let relay = Relay::new([delivered()]);
    let watched = pickup_of(&relay);
    std::fs::write(watched.path().join("a.eml"), LETTER).unwrap();
    // The crash comes between the commit of the queue and the deletion of the file.
    let mut directory = Directory::new(watched.path(), Dialect::Exchange);
    let candidate = directory.poll(1, BEGIN).unwrap().candidates.remove(0);
    let claimed = directory.claim(&candidate, BEGIN).unwrap();
    let mut submission = message("erp@sender.test", &["jane@contoso.com"]);
    submission.source_key = Some(format!("pickup:{}", claimed.identity()));
    relay.pipeline.submit(submission).await.unwrap();
    drop(claimed);
    assert_eq!(names(&relay, "Pickup"), ["a.tmp"]);

    one_poll(&relay, watched).await;
    assert!(names(&relay, "Pickup").is_empty());
    assert_eq!(relay.waiting().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_left_over_tmp_is_taken_again_at_the_start() {
    let relay = Relay::new([delivered()]);
    let watched = pickup_of(&relay);
    std::fs::write(watched.path().join("a.tmp"), LETTER).unwrap();
    one_poll(&relay, watched).await;
    assert!(names(&relay, "Pickup").is_empty());
    assert_eq!(relay.waiting().await.len(), 2);
}

/// While there is no room nothing is taken: whatever bears its first name then could be taken by another relay that watches
/// the same directory with a queue of its own.
#[tokio::test(start_paused = true)]
async fn a_left_over_tmp_that_is_queued_never_gets_its_first_name_back() {
    let relay = Relay::new([delivered()]);
    let watched = pickup_of(&relay);
    let path = watched.path().to_owned();
    for name in ["queued.eml", "new.eml"] {
        std::fs::write(path.join(name), LETTER).unwrap();
    }
    let mut directory = Directory::new(&path, Dialect::Exchange);
    for candidate in directory.poll(2, BEGIN).unwrap().candidates {
        let claimed = directory.claim(&candidate, BEGIN).unwrap();
        if candidate.name == "queued.eml" {
            let mut submission = message("erp@sender.test", &["jane@contoso.com"]);
            submission.source_key = Some(format!("pickup:{}", claimed.identity()));
            relay.pipeline.submit(submission).await.unwrap();
        }
    }
    assert_eq!(names(&relay, "Pickup"), ["new.tmp", "queued.tmp"]);

    let mut settings = relay.pipeline.settings();
    settings.queue_folder = Some(relay.folder.path().to_owned());
    settings.minimum_free_space = 1_000;
    relay.put_in_force(settings);
    relay.free.store(0, Ordering::Relaxed);
    // The last look at the disk is that old.
    tokio::time::sleep(Duration::from_secs(2)).await;
    one_poll(&relay, watched).await;
    assert_eq!(names(&relay, "Pickup"), ["new.eml"]);
    assert_eq!(relay.waiting().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replay_file_brings_its_own_envelope() {
    let relay = Relay::new([delivered()]);
    let path = relay.folder.path().join("Replay");
    std::fs::create_dir_all(&path).unwrap();
    let file =
        "X-Receiver: <jane@contoso.com>\nX-Sender: <>\nReceived: by gateway\nTo: all@contoso.com\n\nbody\n";
    std::fs::write(path.join("a.eml"), file).unwrap();
    one_poll(&relay, WatchedDirectory::replay(&path, replay::Rules::default())).await;
    relay.start().await;
    relay.until_empty().await;
    let sent = &relay.smtp.attempts()[0];
    assert_eq!((sent.from.as_str(), sent.to.as_slice()), ("<>", ["jane@contoso.com".to_owned()].as_slice()));
    assert!(sent.content.contains("\r\nReceived: by gateway\r\n"), "{}", sent.content);
    assert!(!sent.content.contains("X-Receiver"), "{}", sent.content);
}

#[tokio::test(start_paused = true)]
async fn left_over_files_of_a_directory_that_comes_later_are_taken_again() {
    let relay = Relay::new([delivered()]);
    let watched = pickup_of(&relay);
    let path = watched.path().to_owned();
    std::fs::remove_dir(&path).unwrap();
    let shutdown = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("a.tmp"), LETTER).unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
    };
    relay.pipeline.clone().watch(watched, shutdown).await;
    assert!(names(&relay, "Pickup").is_empty());
    assert_eq!(relay.waiting().await.len(), 2, "Jane's and the fax");
}

/// By the clock of the wall, which is what the operating system hints by: the next look would come in an hour.
#[tokio::test]
async fn a_file_that_is_moved_in_is_taken_long_before_the_next_look() {
    let relay = Relay::new([delivered()]);
    let watched = pickup_of(&relay).every(Duration::from_secs(3600));
    let path = watched.path().to_owned();
    let shutdown = async {
        for (count, name) in ["found.eml", "hinted.eml", "hinted again.eml"].into_iter().enumerate() {
            std::fs::write(path.join("half"), LETTER).unwrap();
            std::fs::rename(path.join("half"), path.join(name)).unwrap();
            while relay.waiting().await.len() < 2 * (count + 1) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let taken =
        tokio::time::timeout(Duration::from_secs(60), relay.pipeline.clone().watch(watched, shutdown));
    taken.await.expect("nobody waits for the next look");
}

/// The test's clock stands still, so the file rests when the look that is due to its rest comes, and not a look earlier.
#[tokio::test(start_paused = true)]
async fn a_file_that_does_not_rest_yet_is_looked_at_as_soon_as_it_does() {
    let relay = Relay::new([delivered()]);
    let watched = pickup_of(&relay).every(Duration::from_secs(3600));
    let file = watched.path().join("fresh.eml");
    std::fs::write(&file, LETTER).unwrap();
    let begin = std::time::SystemTime::from(BEGIN);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(begin).unwrap();
    relay.pipeline.clone().watch(watched, tokio::time::sleep(Duration::from_secs(3))).await;
    assert!(names(&relay, "Pickup").is_empty());
}
