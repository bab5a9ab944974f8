//! Bad input gets a clear error and loses nothing.

use std::fs;
use std::process::Command;

use postroad_interop::{Scratch, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House, program};

#[test]
fn a_broken_configuration_is_refused_with_every_error_and_its_place() {
    let scratch = Scratch::new();
    let broken = "[server]\nname = \"Hub01\"\ncolour = \"red\"\n\n[[send_connector]]\nname = \"S\"\n\
                  address_spaces = [\"SMTP:*;1000\"]\nmax_message_size = \"many\"\n";
    let configuration = scratch.write("relay.toml", broken);
    for verb in ["check", "run"] {
        let output =
            Command::new(program()).args([verb, "--config"]).arg(&configuration).output().expect("relay");
        let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(78), "relay {verb}: {told}");
        for place in ["relay.toml:3:", "relay.toml:7:", "relay.toml:8:"] {
            assert!(told.contains(place), "relay {verb} does not name {place}\n{told}");
        }
    }
}

#[test]
fn pickup_files_that_are_no_messages_become_bad_with_a_reason_in_the_log() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let relay = house.start();
    house.scratch.write("Pickup/no-sender.eml", "To: jane@contoso.com\r\nSubject: x\r\n\r\ntext\r\n");
    house.scratch.write("Pickup/no-recipient.eml", "From: joe@contoso.com\r\nSubject: x\r\n\r\ntext\r\n");
    let pickup = house.scratch.path().join("Pickup");
    for name in ["no-sender", "no-recipient"] {
        patience::until(&format!("{name}.bad"), || {
            let entries = fs::read_dir(&pickup).ok()?.filter_map(Result::ok);
            let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            names.find(|found| found.starts_with(name) && found.ends_with(".bad"))
        });
        // It is told when its name is safe on the disk.
        patience::until(&format!("{name} in the log"), || relay.log().contains(name).then_some(()));
    }
}
