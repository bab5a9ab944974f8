//! A disk to which the database cannot be synced: the relay does not go on without a queue, it ends as failed, to be started anew.

use std::fs;

use postroad_interop::{Relay, mailbox};

use crate::configuration::{EVERYTHING_TO_DROP, House, program};

const MESSAGES: usize = 40;

#[test]
#[ignore = "needs strace"]
fn a_relay_whose_database_cannot_be_synced_ends_as_failed_and_the_next_one_has_what_it_promised() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.without_retries();
    house.start().terminate();
    let database = house.scratch.path().join("relay-data/queue.db").to_string_lossy().into_owned();
    let calls = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"];
    let options = [&["-qq", "-P", &database][..], &calls].concat();
    let trace = house.scratch.path().join("trace");
    let relay = Relay::run_traced(program(), &house.configuration, &options, &trace);
    let mut application = house.application();
    // They have nowhere to go. Enough of them for SQLite's log to be carried over in the next quiet moment.
    let line = "x".repeat(70);
    for number in 0..MESSAGES {
        let content = format!("Subject: {number}\r\n\r\n{}", format!("{line}\r\n").repeat(1_400));
        application.send("joe@contoso.com", &["jane@example.com"], content.as_bytes()).expect("a 250");
    }
    let (ended, log) = relay.wait_for_end();
    assert!(!ended.success() && ended.code().is_some(), "{ended}");
    assert!(log.contains("the queue has closed") && log.contains("its disk failed"), "{log}");
    assert!(fs::read_to_string(&trace).expect("a trace").contains("EIO"));

    house.scratch.folder("Drop");
    let _relay = house.start();
    let (said, code) = house.command(&["queue", "retry"], &["--connector", "Gateway"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(mailbox::wait_for(&house.drop_directory(), MESSAGES).len(), MESSAGES);
}
