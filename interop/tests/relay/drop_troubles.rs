//! A Drop directory that cannot be written: the message waits, its log says why once, and it arrives once when all is well again.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use postroad_interop::{Relay, Sample, mailbox, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House, program};

fn send(house: &House) -> String {
    let sample = Sample::plain();
    let said = house.application().send("joe@contoso.com", &["jane@example.com"], &sample.content);
    said.expect("a 250").rsplit(' ').next().expect("an id").to_owned()
}

/// Sends a message that waits for this reason and with this status until `mend`, and then arrives.
fn waits_until_mended(house: &House, relay: &Relay, status: &str, why: &str, mend: impl FnOnce()) {
    let id = send(house);
    let shown = patience::until(why, || {
        let (shown, _) = house.command(&["queue", "show"], &[&id]);
        shown.contains(why).then_some(shown)
    });
    assert!(shown.contains(status), "{shown}");
    let drop = relay.sees(&house.drop_directory());
    if let Ok(entries) = fs::read_dir(&drop) {
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let halves: Vec<_> = names.filter(|name| name.starts_with('.')).collect();
        assert!(halves.is_empty(), "what was begun is taken away: {halves:?}");
    }
    let log = relay.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("deferred") && line.contains(&id)).collect();
    assert!(told.len() == 1 && told[0].contains(why) && told[0].contains(status), "{told:#?}");

    mend();
    arrives_once(house, relay);
}

fn arrives_once(house: &House, relay: &Relay) {
    let (said, code) = house.command(&["queue", "retry"], &["--connector", "Gateway"]);
    assert_eq!(code, Some(0), "{said}");
    patience::until("an empty queue", || {
        house.command(&["queue", "list"], &[]).0.contains("no mail waits").then_some(())
    });
    let files = mailbox::files(&relay.sees(&house.drop_directory()));
    let letters: Vec<_> =
        files.iter().filter(|file| file.extension().is_some_and(|end| end == "eml")).collect();
    assert_eq!(letters.len(), 1, "{files:?}");
    Sample::plain().assert_arrived_in(&fs::read(letters[0]).expect("a file of Drop"));
}

/// Nothing is tried again unless somebody asks, so that one attempt is one line of the log.
fn house() -> House {
    house_with("")
}

fn house_with(key: &str) -> House {
    let house = House::with(&format!("{EVERYTHING_TO_DROP}{key}"));
    house.without_retries();
    house
}

#[test]
fn a_missing_one() {
    let house = house();
    let relay = house.start();
    waits_until_mended(&house, &relay, "4.3.5", "does not exist", || {
        assert!(!house.drop_directory().exists(), "it is never made");
        house.scratch.folder("Drop");
    });
}

#[test]
fn one_that_the_gateway_has_not_emptied_for_long() {
    let house = house_with("drop_directory_quota = \"8KB\"\n");
    let waits = house.scratch.write("Drop/waits.fax", [b'x'; 8000]);
    let relay = house.start();
    waits_until_mended(&house, &relay, "4.3.1", "are over its quota of 8192", || {
        fs::remove_file(waits).expect("the gateway takes it");
    });
}

#[test]
fn it_is_tried_again_by_the_schedule_and_by_nobodys_word() {
    let house = House::with(EVERYTHING_TO_DROP);
    let relay = house.start();
    let id = send(&house);
    patience::until("the third attempt", || {
        let log = relay.log();
        (log.lines().filter(|line| line.contains("deferred") && line.contains(&id)).count() >= 3)
            .then_some(())
    });
    house.scratch.folder("Drop");
    Sample::plain().assert_arrived_in(&mailbox::wait_for_one(&house.drop_directory()));
}

#[test]
#[ignore = "needs root, for a disk of its own"]
fn one_on_a_full_disk() {
    let house = house();
    let drop = house.scratch.folder("Drop");
    let script = format!("mount -t tmpfs -o size=64k,mode=755 none {}", drop.display());
    let relay = Relay::run_mounted(program(), &house.configuration, &script);
    let filling = relay.sees(&drop).join("filling");
    let full = File::create(&filling).and_then(|mut file| file.write_all(&[0; 128 << 10]));
    assert!(full.is_err(), "the disk has 64 KiB");
    waits_until_mended(&house, &relay, "4.3.1", "no space for the Drop directory", || {
        fs::remove_file(filling).expect("room again");
    });
}

#[test]
#[ignore = "needs root, for a mount of its own"]
fn one_on_a_read_only_disk() {
    let house = house();
    let drop = house.scratch.folder("Drop");
    let drop = drop.display();
    let script = format!("mount --bind {drop} {drop}; mount -o remount,bind,ro {drop}");
    let relay = Relay::run_mounted(program(), &house.configuration, &script);
    waits_until_mended(&house, &relay, "4.3.2", "is read-only", || {
        relay.mount(&format!("mount -o remount,bind,rw {drop}"));
    });
}

#[test]
#[ignore = "needs root, to be less than root"]
fn one_that_may_not_be_written_to() {
    let house = house();
    let drop = house.scratch.folder("Drop");
    let allow = |mode| fs::set_permissions(&drop, Permissions::from_mode(mode)).expect("chmod");
    allow(0o500);
    let relay = Relay::run_mounted(program(), &house.configuration, "");
    waits_until_mended(&house, &relay, "4.3.5", "may not be written to", || allow(0o755));
}

#[test]
#[ignore = "needs strace"]
fn one_whose_disk_fails_when_the_name_is_to_last_makes_one_file_in_two_attempts() {
    let house = house();
    let drop = house.scratch.folder("Drop");
    let path = drop.to_string_lossy();
    let options = ["-qq", "-P", &path, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO"];
    let trace = house.scratch.path().join("trace");
    let relay = Relay::run_traced(program(), &house.configuration, &options, &trace);
    let id = send(&house);
    patience::until("the failure", || {
        let (shown, _) = house.command(&["queue", "show"], &[&id]);
        (shown.contains("4.3.0") && shown.contains("Input/output error")).then_some(())
    });
    assert_eq!(mailbox::files(&drop).len(), 1, "the first attempt has named it");
    relay.kill();
    arrives_once(&house, &house.start());
}
