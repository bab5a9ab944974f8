//! Plain `relay`, in an empty folder and without a configuration: mail in by every way, and nothing but files out.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use postroad_interop::{Application, Relay, Sample, Scratch, mailbox, port};

use crate::configuration::program;

#[test]
#[ignore = "needs port 2525 for itself; .ci/run runs it"]
fn the_safe_default_keeps_mail_in_drop_across_a_kill() {
    let scratch = Scratch::new();
    let folder = scratch.folder("empty");
    let address = SocketAddr::from(([127, 0, 0, 1], 2525));
    let drop_directory = folder.join("relay-data/Drop");
    let relay = Relay::plain(program(), &folder);
    port::wait_for(address);
    let sample = Sample::plain();
    let mut application = Application::connect(address).expect("a greeting");
    application.send("joe@contoso.com", &["jane@contoso.com"], &sample.content).expect("a 250");
    sample.assert_arrived_in(&mailbox::wait_for_one(&drop_directory));

    // Without its directory the next message waits in the queue, through a kill.
    fs::rename(&drop_directory, folder.join("taken")).expect("take Drop away");
    application.send("joe@contoso.com", &["jane@contoso.com"], &sample.content).expect("a 250");
    relay.kill();
    let _relay = Relay::plain(program(), &folder);
    sample.assert_arrived_in(&mailbox::wait_for_one(&drop_directory));

    put_into(&folder.join("relay-data/Pickup"), &sample.content);
    mailbox::wait_for(&drop_directory, 2);
}

fn put_into(pickup: &Path, content: &[u8]) {
    let written: PathBuf = pickup.join("letter.new");
    fs::write(&written, content).expect("write into Pickup");
    fs::rename(&written, pickup.join("letter.eml")).expect("rename into place");
}
