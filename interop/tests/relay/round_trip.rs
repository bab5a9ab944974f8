//! A fax from Pickup over Drop, a gateway's script and another relay's Replay to Postfix; and files that no hint tells of.

use std::fs;
use std::path::Path;

use postroad_interop::postfix::HOST;
use postroad_interop::{Postfix, Relay, Sample, Scratch, mailbox, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House, program};
use crate::postfix::connector;

const FAX: &str = "IMCEAFAX-+2B1+20425@contoso.com";

/// The fax gateway's connector, and nothing for SMTP.
const FAX_TO_DROP: &str = r#"
[[foreign_connector]]
name = "Gateway"
address_spaces = ["FAX:*;1"]
drop_directory = "Drop"
"#;

#[test]
#[ignore = "needs root and Debian's postfix, sasl2-bin, libsasl2-modules; .ci/run runs it"]
fn a_fax_goes_by_pickup_drop_and_replay_to_postfix_and_keeps_its_history() {
    let first = House::with(FAX_TO_DROP);
    let drop = first.scratch.folder("Drop");
    let scratch = Scratch::new();
    let postfix = Postfix::start(&scratch);
    let connector = connector(&scratch, &postfix, "plain", HOST);
    let second = House::in_scratch(scratch, &connector);
    // Nobody looks for files by himself in the time of this test. The second relay is another organisation's.
    edit(&first, &[("poll_interval = \"1s\"", "poll_interval = \"1h\"")]);
    let edits = [
        ("poll_interval = \"1s\"", "poll_interval = \"1h\""),
        ("accepted_domains = [\"contoso.com\"]", "accepted_domains = [\"fabrikam.com\"]"),
        ("hub01.contoso.com", "gateway.fabrikam.com"),
    ];
    edit(&second, &edits);
    let (_first, _second) = (first.start(), second.start());

    let letter = format!("From: ERP <erp@contoso.com>\nTo: Fax <{FAX}>\nSubject: Order 7\n\nTwo of them.\n");
    move_in(&letter, &first.scratch.path().join("Pickup/order.eml"));
    let dropped = mailbox::wait_for_one(&drop);
    assert!(String::from_utf8_lossy(&dropped).starts_with("X-Sender: <erp@contoso.com>\r\n"));
    // `mv Drop/*.eml Replay/`
    for file in mailbox::files(&drop) {
        let name = file.file_name().expect("a name");
        fs::rename(&file, second.scratch.path().join("Replay").join(name)).expect("moved");
    }
    let arrived = postfix.messages(1).remove(0);
    let arrived = String::from_utf8_lossy(&arrived).replace("\r\n", "\n");
    assert!(arrived.contains(&format!("Delivered-To: {FAX}\n")), "{arrived}");
    assert!(arrived.contains("Return-Path: <erp@contoso.com>\n"), "{arrived}");
    assert!(arrived.ends_with("\n\nTwo of them.\n"), "{arrived}");
    assert!(!arrived.to_ascii_lowercase().contains("x-receiver"), "the block is the envelope: {arrived}");
    let places: Vec<_> =
        ["from Replay\n\tby gateway.fabrikam.com", "from Pickup\n\tby hub01.contoso.com", "Subject: Order 7"]
            .iter()
            .map(|text| arrived.find(text).unwrap_or_else(|| panic!("no {text:?} in:\n{arrived}")))
            .collect();
    assert!(places.is_sorted(), "the newest hop stands on top: {arrived}");
    for (house, name) in [(&first, "Pickup"), (&second, "Replay")] {
        let directory = house.scratch.path().join(name);
        patience::until(name, || directory.read_dir().ok()?.next().is_none().then_some(()));
    }
}

#[test]
#[ignore = "needs strace"]
fn where_no_hints_are_to_be_had_files_are_found_by_looking_and_it_is_told_once() {
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let trace = house.scratch.path().join("trace");
    let options = ["-qq", "-e", "trace=inotify_init1", "-e", "inject=inotify_init1:error=EMFILE"];
    let relay = Relay::run_traced(program(), &house.configuration, &options, &trace);
    // The second is found by a later look than the first.
    for count in 1..=2 {
        let file = house.scratch.path().join(format!("Pickup/{count}.eml"));
        move_in(&String::from_utf8_lossy(&Sample::plain().content), &file);
        mailbox::wait_for(&house.drop_directory(), count);
    }
    let log = relay.log();
    let told = log.lines().filter(|line| line.contains("no hints of new files") && line.contains("Pickup"));
    assert_eq!(told.count(), 1, "{log}");
}

fn edit(house: &House, edits: &[(&str, &str)]) {
    let mut text = fs::read_to_string(&house.configuration).expect("the configuration");
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    fs::write(&house.configuration, text).expect("written");
}

/// Written elsewhere and renamed, as every producer should.
fn move_in(letter: &str, file: &Path) {
    let half = file.with_extension("half");
    fs::write(&half, letter).expect("room");
    fs::rename(half, file).expect("renamed");
}
