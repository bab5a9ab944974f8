//! A changed relay.toml: in force whole or not at all, and no client feels it.

use std::fs::{self, OpenOptions};
use std::io::Write;

use postroad_interop::{Sample, mailbox, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House, everything_to};

#[test]
fn a_session_outlasts_a_reload_and_nobody_is_refused_meanwhile() {
    let house = House::with(EVERYTHING_TO_DROP);
    fs::create_dir(house.drop_directory()).expect("make Drop");
    let relay = house.start();
    let mut before = house.application();
    before.say("MAIL FROM:<joe@contoso.com>").expect("a reply");
    append(&house, "# a changed file\n");
    relay.hang_up();
    patience::until("the reload", || {
        // Every connection is served, by the old doors or by the new ones.
        house.application();
        relay.log().contains("configuration reloaded").then_some(())
    });
    for command in ["RCPT TO:<jane@example.com>", "DATA", "Subject: begun before\r\n\r\nended after\r\n."] {
        let reply = before.say(command).expect("a reply");
        assert!(reply.starts_with(['2', '3']), "{command}: {reply}");
    }
    let file = mailbox::wait_for_one(&house.drop_directory());
    assert!(String::from_utf8_lossy(&file).contains("ended after"));
}

#[test]
fn a_recipient_that_no_connector_took_goes_as_soon_as_one_does() {
    let house = House::with("");
    fs::create_dir(house.drop_directory()).expect("make Drop");
    let relay = house.start();
    let sample = Sample::plain();
    house.application().send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
    append(&house, EVERYTHING_TO_DROP);
    relay.hang_up();
    sample.assert_arrived_in(&mailbox::wait_for_one(&house.drop_directory()));
}

#[test]
fn a_configuration_with_an_error_changes_nothing() {
    let house = House::with(EVERYTHING_TO_DROP);
    fs::create_dir(house.drop_directory()).expect("make Drop");
    let relay = house.start();
    append(&house, &everything_to(house.listener).replace("port", "prot"));
    relay.hang_up();
    patience::until("the refusal", || relay.log().contains("the old one stays in force").then_some(()));
    let sample = Sample::plain();
    house.application().send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
    sample.assert_arrived_in(&mailbox::wait_for_one(&house.drop_directory()));
}

fn append(house: &House, text: &str) {
    let mut file = OpenOptions::new().append(true).open(&house.configuration).expect("open relay.toml");
    file.write_all(text.as_bytes()).expect("write relay.toml");
}
