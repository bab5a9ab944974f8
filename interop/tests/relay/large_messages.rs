//! Messages of megabytes: they lie in the queue's folder from their first quarter of a megabyte on, and leave nothing there.

use std::fs;

use postroad_interop::{Application, mailbox, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House};

const LINE: &[u8] = b"0123456789012345678901234567890123456789012345678901234567890\r\n";

/// Of so many megabytes; no line begins with a dot.
fn beginning(megabytes: usize) -> Vec<u8> {
    let lines = (megabytes << 20) / LINE.len();
    [b"Subject: large\r\n\r\n", LINE.repeat(lines).as_slice()].concat()
}

fn letter(megabytes: usize) -> Vec<u8> {
    [beginning(megabytes).as_slice(), b".dot\r\n\r\n.\r\nlast line\r\n"].concat()
}

/// How many large contents the relay has.
fn contents(house: &House) -> usize {
    let folder = house.scratch.path().join("relay-data/queue.db-content");
    fs::read_dir(folder).map_or(0, |entries| entries.count())
}

/// One whose content is on its way.
fn begun(house: &House, content: &[u8]) -> Application {
    let mut application = house.application();
    for (command, reply) in
        [("MAIL FROM:<joe@contoso.com>", "250"), ("RCPT TO:<jane@example.com>", "250"), ("DATA", "354")]
    {
        assert!(application.say(command).expect("a reply").starts_with(reply), "{command}");
    }
    application.write(content).expect("it is read");
    application
}

#[test]
fn a_large_message_arrives_byte_for_byte_and_one_that_is_given_up_leaves_nothing() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let relay = house.start();
    let given_up = begun(&house, &beginning(1));
    patience::until("a file for what has come", || (contents(&house) == 1).then_some(()));
    let content = letter(3);
    house.application().send("joe@contoso.com", &["jane@example.com"], &content).expect("a 250");
    let arrived = mailbox::wait_for_one(&house.drop_directory());
    assert!(arrived.ends_with(&content), "{} bytes arrived of {}", arrived.len(), content.len());
    drop(given_up);
    patience::until("no file of either", || (contents(&house) == 0).then_some(()));
    relay.terminate();
}

#[test]
fn a_relay_that_is_killed_in_the_middle_sweeps_away_what_was_not_whole() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let relay = house.start();
    let _begun = begun(&house, &beginning(1));
    patience::until("a file for what has come", || (contents(&house) == 1).then_some(()));
    relay.kill();
    assert_eq!(contents(&house), 1);
    let _relay = house.start();
    patience::until("it is swept away", || (contents(&house) == 0).then_some(()));
    house.application().send("joe@contoso.com", &["jane@example.com"], &letter(1)).expect("a 250");
    mailbox::wait_for_one(&house.drop_directory());
}

/// Their contents together are four times as much.
#[cfg(target_os = "linux")]
#[test]
fn forty_large_messages_on_their_way_take_less_than_a_megabyte_each() {
    let house = House::with(EVERYTHING_TO_DROP);
    let relay = house.start();
    let (before, content) = (relay.peak_memory(), beginning(4));
    let begun: Vec<Application> = (0..40).map(|_| begun(&house, &content)).collect();
    patience::until("all of them are read", || (contents(&house) == 40).then_some(()));
    let taken = relay.peak_memory() - before;
    assert!(taken < 40 << 10, "{taken} KiB for forty of four megabytes");
    drop(begun);
    patience::until("no file of theirs", || (contents(&house) == 0).then_some(()));
}
