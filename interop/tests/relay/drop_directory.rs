//! What plain `relay` promises: mail over SMTP, in Pickup and in Replay ends as files in Drop, and nowhere else.

use std::fs;

use postroad_interop::{Sample, mailbox, patience, swaks};

use crate::configuration::{EVERYTHING_TO_DROP, House};

#[test]
fn every_sample_over_smtp_ends_in_drop_to_the_byte() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let _relay = house.start();
    let mut application = house.application();
    for (count, sample) in Sample::all().iter().enumerate() {
        application.send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
        let dropped = mailbox::wait_for(&house.drop_directory(), count + 1);
        let name = format!("Subject: {}\r\n", sample.name);
        let file = dropped.iter().find(|file| has_text(file, &name) || has_text(file, "<odd@contoso.com>"));
        sample.assert_arrived_in(file.unwrap_or_else(|| panic!("{:?} is not in Drop", sample.name)));
    }
}

#[test]
#[ignore = "needs Debian's swaks; .ci/run runs it"]
fn a_message_from_swaks_ends_in_drop() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let _relay = house.start();
    let sample = Sample::plain();
    let command = swaks::command(house.listener, "joe@contoso.com", "jane@contoso.com");
    swaks::send(&house.scratch, command, &sample.content);
    sample.assert_arrived_in(&mailbox::wait_for_one(&house.drop_directory()));
}

#[test]
fn a_file_put_into_pickup_ends_in_drop_and_leaves_pickup() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let _relay = house.start();
    let sample = Sample::plain();
    house.scratch.write("Pickup/letter.new", &sample.content);
    fs::rename(
        house.scratch.path().join("Pickup/letter.new"),
        house.scratch.path().join("Pickup/letter.eml"),
    )
    .expect("rename into place");
    let dropped = mailbox::wait_for_one(&house.drop_directory());
    sample.assert_arrived_in(&dropped);
    assert!(has_text(&dropped, "<jane@contoso.com>"), "the envelope comes from the To field");
    patience::until("an empty Pickup", || {
        fs::read_dir(house.scratch.path().join("Pickup")).ok()?.next().is_none().then_some(())
    });
}

#[test]
fn a_drop_file_put_into_replay_ends_in_drop_for_the_same_recipient() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let _relay = house.start();
    let sample = Sample::plain();
    house.application().send("joe@contoso.com", &["hidden@example.com"], &sample.content).expect("a 250");
    let first = mailbox::wait_for_one(&house.drop_directory());
    for file in mailbox::files(&house.drop_directory()) {
        fs::remove_file(file).expect("take the file as a gateway does");
    }
    house.scratch.write("Replay/back.eml", &first);
    let second = mailbox::wait_for_one(&house.drop_directory());
    sample.assert_arrived_in(&second);
    assert!(has_text(&second, "<hidden@example.com>"), "the envelope comes from X-Receiver, not from To");
}

#[test]
fn what_a_crash_left_half_written_is_removed_and_told_of() {
    let house = House::with(EVERYTHING_TO_DROP);
    let half = house.scratch.write("Drop/.0123456789abcdef0123456789abcdef.eml.tmp", "X-Sender: <jo");
    let theirs = house.scratch.write("Drop/.theirs.tmp", "a gateway's own");
    let relay = house.start();
    assert!(!half.exists() && theirs.exists());
    let told = relay.log();
    let line = told.lines().find(|line| line.contains("half-written files")).unwrap_or_default();
    assert!(line.contains("/Drop\"") && line.contains("\"files\":1"), "{told}");
}

#[test]
fn sigterm_ends_the_relay_with_success() {
    let house = House::with(EVERYTHING_TO_DROP);
    let relay = house.start();
    assert!(relay.terminate().success());
}

fn has_text(file: &[u8], text: &str) -> bool {
    file.windows(text.len()).any(|window| window == text.as_bytes())
}
