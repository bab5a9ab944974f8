//! A changed relay.toml: in force whole or not at all, and no client feels it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use postroad_interop::certificate::Certificate;
use postroad_interop::{Relay, Sample, mailbox, patience, program};

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

#[test]
fn a_certificate_that_hangs_keeps_the_relay_neither_from_its_mail_nor_from_its_end() {
    let house = House::with(EVERYTHING_TO_DROP);
    fs::create_dir(house.drop_directory()).expect("make Drop");
    let relay = house.start();
    let _slow = reload_with_a_certificate_that_hangs(&house, &relay);
    let sample = Sample::plain();
    let mut application = house.application();
    assert!(!application.say("EHLO a").expect("a reply").contains("STARTTLS"), "half a change is in force");
    application.send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
    sample.assert_arrived_in(&mailbox::wait_for_one(&house.drop_directory()));
    assert!(!relay.log().contains("configuration reloaded"));
    assert_eq!(relay.terminate().code(), Some(0));
}

#[test]
fn a_signal_while_a_reload_hangs_counts_for_the_next_one() {
    let house = House::with(EVERYTHING_TO_DROP);
    let relay = house.start();
    let slow = reload_with_a_certificate_that_hangs(&house, &relay);
    relay.hang_up();
    // A certificate takes its place; relay.toml is as it was, so that nothing but the signal asks for another look.
    fs::rename(&slow.certificate.certificate, &slow.path).expect("mend it");
    drop(slow);
    patience::until("two reloads", || {
        let log = relay.log();
        let ended = log.matches("configuration reloaded").count() + log.matches("does not start").count();
        (ended == 2 && log.contains("configuration reloaded")).then_some(())
    });
    let offered = house.application().say("EHLO a").expect("a reply");
    assert!(offered.contains("STARTTLS"), "{offered}");
}

#[test]
fn a_relay_that_starts_beside_a_file_that_hangs_hears_that_it_shall_stop() {
    let house = House::with("[tls]\ntrust_anchors = \"slow.pem\"\n");
    let slow = fifo(&house.scratch.path().join("slow.pem"));
    // Open both ways it keeps nobody at `open`, and everybody at `read`.
    let _held = OpenOptions::new().read(true).write(true).open(slow).expect("hold it");
    let relay = Relay::spawn(crate::configuration::program(), &house.configuration);
    let lock = house.scratch.path().join("relay-data/relay.lock");
    patience::until("the start", || lock.exists().then_some(()));
    assert_eq!(relay.terminate().code(), Some(0));
}

/// A certificate that somebody reads, and nobody writes; reading ends when it is dropped.
struct Slow {
    path: PathBuf,
    certificate: Certificate,
    _writer: File,
}

/// Comes back when the relay has begun to read it.
fn reload_with_a_certificate_that_hangs(house: &House, relay: &Relay) -> Slow {
    let certificate = Certificate::for_hosts(&house.scratch, &["hub01.contoso.com"]);
    let path = fifo(&house.scratch.path().join("slow.pem"));
    let text = fs::read_to_string(&house.configuration).expect("read relay.toml");
    let named =
        format!("[[receive_connector]]\ntls_certificate = {path:?}\ntls_key = {:?}\n", certificate.key);
    fs::write(&house.configuration, text.replace("[[receive_connector]]\n", &named))
        .expect("write relay.toml");
    relay.hang_up();
    // Opens as soon as somebody opens it for reading.
    let writer = OpenOptions::new().write(true).open(&path).expect("open it");
    Slow { path, certificate, _writer: writer }
}

fn fifo(path: &Path) -> PathBuf {
    program::successful(program::run(Command::new("mkfifo").arg(path)));
    path.to_owned()
}

fn append(house: &House, text: &str) {
    let mut file = OpenOptions::new().append(true).open(&house.configuration).expect("open relay.toml");
    file.write_all(text.as_bytes()).expect("write relay.toml");
}
