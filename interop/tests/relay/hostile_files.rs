//! Pickup with neighbours of every kind in it: what is no letter stays and is told of once, and letters pass.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use postroad_interop::{Relay, Sample, mailbox, patience, program as programs};

use crate::configuration::{EVERYTHING_TO_DROP, House, program};

#[test]
#[ignore = "needs strace"]
fn a_file_that_the_disk_cannot_read_goes_back_and_is_told_of_once_and_others_pass() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let pickup = house.scratch.path().join("Pickup");
    let paths = ["rotten.eml", "rotten.tmp"].map(|name| pickup.join(name).to_string_lossy().into_owned());
    let [as_left, as_claimed] = &paths;
    let options = ["-qq", "-P", as_left, "-P", as_claimed, "-e", "trace=read", "-e", "inject=read:error=EIO"];
    let relay =
        Relay::run_traced(program(), &house.configuration, &options, &house.scratch.path().join("trace"));
    for (count, name) in ["good", "better", "best"].into_iter().enumerate() {
        if count == 0 {
            fs::write(pickup.join("rotten.eml"), &Sample::plain().content).expect("room");
        }
        fs::write(pickup.join(format!("{name}.eml")), &Sample::plain().content).expect("room");
        mailbox::wait_for(&house.drop_directory(), count + 1);
    }
    patience::until("the file under its name", || pickup.join("rotten.eml").exists().then_some(()));
    let log = relay.log();
    assert_eq!(log.lines().filter(|line| line.contains("put back where it was")).count(), 1, "{log}");
    drop(relay);
    // Another disk, another day.
    let _relay = house.start();
    mailbox::wait_for(&house.drop_directory(), 4);
}

#[test]
fn what_is_no_letter_stays_in_pickup_and_letters_pass() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let pickup = house.scratch.path().join("Pickup");
    let secret = house.scratch.write("secret", "From: a@contoso.com\nTo: b@example.com\n\nnot for mail\n");
    fs::create_dir(pickup.join("directory.eml")).expect("room");
    symlink(&secret, pickup.join("symlink.eml")).expect("room");
    fs::hard_link(&secret, pickup.join("hardlink.eml")).expect("room");
    programs::successful(Command::new("mkfifo").arg(pickup.join("fifo.eml")).output().expect("mkfifo"));
    let relay = house.start();
    for count in 1..=2 {
        fs::write(pickup.join(format!("{count}.eml")), &Sample::plain().content).expect("room");
        mailbox::wait_for(&house.drop_directory(), count);
    }
    let log = relay.log();
    for name in ["directory", "symlink", "hardlink", "fifo"] {
        let told = log.lines().filter(|line| line.contains(&format!("{name}.eml"))).count();
        assert_eq!(told, 1, "{name}: {log}");
        assert!(fs::symlink_metadata(pickup.join(format!("{name}.eml"))).is_ok(), "{name} stays");
    }
    assert!(fs::read_to_string(secret).expect("it stays").contains("not for mail"));
}
