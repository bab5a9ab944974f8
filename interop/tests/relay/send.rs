//! `relay send`: one message into the queue of a running relay, and an exit code that says how it went.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use postroad_interop::{Sample, mailbox, program as programs};

use crate::configuration::{EVERYTHING_TO_DROP, House, program};

#[test]
fn it_ends_well_when_the_message_is_delivered() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let _relay = house.start();
    let sample = Sample::plain();
    let file = house.scratch.write("letter.eml", &sample.content);
    let output = send(&house, "30s", &file);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    sample.assert_arrived_in(&mailbox::wait_for_one(&house.drop_directory()));
}

#[test]
fn it_reads_standard_input_whose_header_is_the_envelope() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let _relay = house.start();
    let letter =
        "From: joe@contoso.com\nTo: jane@example.com\nBcc: tim@example.com\nSubject: Tea\n\nAt four.\n";
    let mut command = Command::new(program());
    command.args(["send", "--wait", "30s", "-"]).env("RELAY_CONFIG", &house.configuration);
    let output = programs::run_with(&mut command, letter.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8_lossy(&mailbox::wait_for_one(&house.drop_directory())).into_owned();
    for part in ["X-Receiver: <jane@example.com>", "X-Receiver: <tim@example.com>", "\r\n\r\nAt four.\r\n"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(!text.contains("Bcc"), "{text}");
}

#[test]
fn it_reads_no_more_than_pickup_takes() {
    let house = House::with(EVERYTHING_TO_DROP);
    for endless in ["-", "/dev/zero"] {
        let mut command = Command::new(program());
        command.args(["send", endless, "--config"]).arg(&house.configuration);
        let output = command.stdin(File::open("/dev/zero").expect("open")).output().expect("relay send");
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("more than 134217728 bytes"), "{said}");
    }
}

#[test]
fn it_says_75_when_the_message_still_waits() {
    let house = House::with(EVERYTHING_TO_DROP);
    let _relay = house.start();
    let file = house.scratch.write("letter.eml", Sample::plain().content);
    let output = send(&house, "2s", &file);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("waits: "), "{output:?}");
}

#[test]
fn it_says_why_what_nobody_tried_waits() {
    let house = House::with(EVERYTHING_TO_DROP);
    let file = house.scratch.write("letter.eml", Sample::plain().content);
    let output = send(&house, "200ms", &file);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("waits: not tried yet (its next hop may be held back"), "{text}");

    let house = House::with(&EVERYTHING_TO_DROP.replace("SMTP:*;1", "SMTP:fabrikam.com"));
    let file = house.scratch.write("letter.eml", Sample::plain().content);
    let output = send(&house, "200ms", &file);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("waits: no connector takes it until the configuration changes"), "{text}");
}

fn send(house: &House, wait: &str, file: &Path) -> Output {
    Command::new(program())
        .args(["send", "--config"])
        .arg(&house.configuration)
        .args(["--from", "joe@contoso.com", "--to", "jane@example.com", "--wait", wait])
        .arg(file)
        .output()
        .expect("relay send")
}
