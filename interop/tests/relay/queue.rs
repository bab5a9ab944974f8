//! `relay queue`: what waits is listed, held, hurried, removed and exported while the relay runs.

use std::fs;
use std::process::{Command, Output};

use postroad_interop::{Sample, mailbox, patience};
use serde_json::Value;

use crate::configuration::{EVERYTHING_TO_DROP, House, program};

#[test]
fn held_and_let_go_while_the_relay_runs() {
    let house = House::with(EVERYTHING_TO_DROP);
    let _relay = house.start();
    let sample = Sample::plain();
    house.application().send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");

    assert_eq!(code(&queue(&house, &["suspend", "--all"])), Some(0));
    house.scratch.folder("Drop");
    let row = patience::until("the suspended message", || {
        json(&queue(&house, &["list", "--json"])).into_iter().find(|row| row["type"] == "message")
    });
    assert_eq!(
        (row["status"].as_str(), row["sender"].as_str()),
        (Some("suspended"), Some("<joe@contoso.com>"))
    );
    let shown = queue(&house, &["show", row["id"].as_str().expect("an id")]);
    assert!(text(&shown).contains("to         jane@example.com"), "{shown:?}");
    assert!(mailbox::files(&house.drop_directory()).is_empty(), "suspended mail is not delivered");

    assert_eq!(code(&queue(&house, &["resume", "--recipient", "jane@example.com"])), Some(0));
    sample.assert_arrived_in(&mailbox::wait_for_one(&house.drop_directory()));
    patience::until("an empty queue", || {
        text(&queue(&house, &["list"])).contains("no mail waits").then_some(())
    });
}

#[test]
fn removed_with_a_report_and_exported() {
    let house = House::with(EVERYTHING_TO_DROP);
    let _relay = house.start();
    for to in ["jane@example.com", "bob@example.com"] {
        let sent = house.application().send("joe@contoso.com", &[to], &Sample::plain().content);
        sent.expect("a 250");
    }
    queue(&house, &["suspend", "--all"]);
    let folder = house.scratch.folder("out");
    let exported = queue(&house, &["export", folder.to_str().expect("UTF-8"), "--all"]);
    assert_eq!(text(&exported), "2 messages exported\n", "{exported:?}");
    assert_eq!(mailbox::files(&folder).len(), 2);

    let removed = queue(&house, &["remove", "--with-ndr", "--recipient", "jane@example.com"]);
    assert_eq!(text(&removed), "1 deliveries removed\n", "{removed:?}");
    queue(&house, &["remove", "--recipient", "bob@example.com"]);
    house.scratch.folder("Drop");
    let report = mailbox::wait_for_one(&house.drop_directory());
    let report = String::from_utf8_lossy(&report).into_owned();
    assert!(report.contains("X-Receiver: <joe@contoso.com>"), "{report}");
    assert!(report.contains("Final-Recipient: rfc822;jane@example.com"), "{report}");

    // An exported file, replayed, arrives as the message would have.
    let file =
        mailbox::files(&folder).into_iter().find(|file| holds(file, "<bob@example.com>")).expect("Bob's");
    let replay = house.scratch.path().join("Replay/again.tmp");
    fs::copy(&file, &replay).expect("copy");
    fs::rename(&replay, replay.with_extension("eml")).expect("rename into place");
    patience::until("Bob's message", || {
        let files = mailbox::files(&house.drop_directory());
        files.iter().any(|file| holds(file, "<bob@example.com>")).then_some(())
    });
}

#[test]
#[ignore = "needs Debian's bsdutils; .ci/run runs it"]
fn long_work_shows_how_far_it_is_on_a_terminal_only() {
    let house = House::with(EVERYTHING_TO_DROP);
    let _relay = house.start();
    for number in 0..40 {
        let to = format!("user{number}@example.com");
        house.application().send("joe@contoso.com", &[&to], &Sample::plain().content).expect("a 250");
    }
    queue(&house, &["suspend", "--all"]);
    patience::until("all of it suspended", || {
        let rows = json(&queue(&house, &["list", "--json", "--status", "suspended"]));
        (rows.iter().filter(|row| row["type"] == "message").count() == 40).then_some(())
    });
    for folder in ["out", "more"] {
        house.scratch.folder(folder);
    }
    for action in
        ["export out", "resubmit", "export more --json", "resubmit --json", "remove --with-ndr --json"]
    {
        let (config, relay) = (house.configuration.display(), program().display());
        // Standard error is a terminal, standard output is none.
        let words = format!("{relay} queue {action} --config {config} --all >said.txt");
        let ran = Command::new("script")
            .args(["-q", "-e", "-c", &words, "typescript"])
            .current_dir(house.scratch.path())
            .output()
            .expect("script");
        assert!(ran.status.success(), "{action}: {ran:?}");
        let read = |name| fs::read_to_string(house.scratch.path().join(name)).expect("a file");
        let (shown, said) = (read("typescript"), read("said.txt"));
        for step in [" 20 of 40", " 40 of 40", "[##############################]"] {
            assert!(shown.contains(step), "{action}: {step:?} is missing: {shown:?}");
        }
        let (_, last) = shown.rsplit_once("of 40").expect("a step");
        assert!(last.starts_with("\r\u{1b}[K"), "{action}: wiped in the end: {shown:?}");
        assert!(!said.is_empty() && !said.contains("of 40") && !said.contains('\u{1b}'), "{action}: {said}");
        if action.ends_with("--json") {
            for row in said.lines() {
                serde_json::from_str::<Value>(row).expect("a JSON object");
            }
        }
    }
    let quiet = queue(&house, &["retry", "--all"]);
    assert!(quiet.stderr.is_empty(), "{quiet:?}");
}

#[test]
fn it_says_what_it_cannot_do() {
    let house = House::with(EVERYTHING_TO_DROP);
    assert_eq!(code(&queue(&house, &["list"])), Some(69), "no relay ever ran here");
    let _relay = house.start();
    assert_eq!(code(&queue(&house, &["list"])), Some(0));
    for (arguments, exit) in [
        (&["remove"][..], 64),
        (&["remove", "not-an-id"], 64),
        (&["list", "--status", "lost"], 64),
        (&["show", "031d7de1a5a00000"], 69),
        (&["suspend", "--next-hop", "nowhere.example"], 69),
        (&["export", "missing-folder", "--all"], 0),
    ] {
        let output = queue(&house, arguments);
        assert_eq!(code(&output), Some(exit), "{arguments:?}: {output:?}");
    }
}

#[test]
fn without_a_configuration_it_says_whose_queue_is_meant() {
    let house = House::with(EVERYTHING_TO_DROP);
    let mut command = Command::new(program());
    command.args(["queue", "remove", "--all"]).env_remove("RELAY_CONFIG").current_dir(house.scratch.path());
    let output = command.output().expect("relay queue");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("this is about the safe default"), "{said}");
    assert!(said.ends_with("there is no queue; --config or RELAY_CONFIG names another\n"), "{said}");
    assert_eq!(code(&output), Some(69));
}

fn holds(file: &std::path::Path, text: &str) -> bool {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).contains(text)
}

fn queue(house: &House, arguments: &[&str]) -> Output {
    let (action, rest) = arguments.split_first().expect("an action");
    let mut command = Command::new(program());
    command.args(["queue", action, "--config"]).arg(&house.configuration).args(rest);
    command.output().expect("relay queue")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Vec<Value> {
    text(output).lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}
