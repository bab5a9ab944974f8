//! What becomes of mail by a program's exit status, and how every command of the relay speaks of agents.

use std::fs;

use postroad_interop::{Sample, Scratch, mailbox, patience};
use serde_json::Value;

use crate::configuration::{EVERYTHING_TO_DROP, House};
use crate::programs::{connector, desk, user};

/// Ends with the number that is the recipient's name.
const ENDS_AS_ASKED: &str = "cat > /dev/null; exit \"${RECIPIENT%@*}\"\n";

fn house() -> House {
    let scratch = Scratch::new();
    let desk = desk(&scratch);
    let keys = format!("{}\none_call_for_each_recipient = true\nmax_message_size = \"64KB\"", user());
    let programs = connector(&desk, r#""contoso.com""#, ENDS_AS_ASKED, "", &keys);
    let house = House::in_scratch(scratch, &format!("{programs}{EVERYTHING_TO_DROP}"));
    let text = fs::read_to_string(&house.configuration).expect("read relay.toml");
    let text = text.replace("[server]\n", "[server]\nmessage_tracking_log_path = \"log\"\n");
    fs::write(&house.configuration, text).expect("write relay.toml");
    house.scratch.folder("Drop");
    house
}

fn send(house: &House, to: &[&str]) -> String {
    let said = house.application().send("joe@fabrikam.com", to, &Sample::plain().content).expect("a 250");
    said.rsplit(' ').next().expect("an id").to_owned()
}

fn tracking_log(house: &House) -> String {
    mailbox::files(&house.scratch.path().join("log"))
        .iter()
        .map(|file| fs::read_to_string(file).expect("read a log"))
        .collect()
}

#[test]
fn each_exit_status_has_its_outcome() {
    let house = house();
    house.without_retries();
    let _relay = house.start();
    let failed = [
        (1, "5.3.0"),
        (64, "5.3.0"),
        (65, "5.6.0"),
        (66, "5.3.0"),
        (67, "5.1.1"),
        (68, "5.1.2"),
        (69, "5.3.0"),
        (70, "5.3.0"),
        (76, "5.5.0"),
        (77, "5.7.0"),
    ];
    let waits = [(71, "4.3.0"), (72, "4.3.0"), (73, "4.2.0"), (74, "4.3.0"), (75, "4.3.0"), (78, "4.3.5")];
    let to: Vec<String> = [0]
        .into_iter()
        .chain(failed.iter().chain(&waits).map(|(code, _)| *code))
        .map(|code| format!("{code}@contoso.com"))
        .collect();
    let id = send(&house, &to.iter().map(String::as_str).collect::<Vec<_>>());

    let report = mailbox::wait_for_one(&house.drop_directory());
    let report = String::from_utf8_lossy(&report).into_owned();
    let blocks: Vec<&str> = report.split("Final-Recipient: rfc822;").skip(1).collect();
    assert_eq!(blocks.len(), failed.len(), "{report}");
    for (code, status) in failed {
        let about = blocks.iter().find(|block| block.starts_with(&format!("{code}@contoso.com")));
        let about = about.unwrap_or_else(|| panic!("no word of {code} in\n{report}"));
        assert!(about.contains(&format!("Status: {status}")), "{code}: {about}");
    }
    let (listed, _) = house.command(&["queue", "list", "--json"], &[]);
    let rows = listed.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON object"));
    let row = rows.into_iter().find(|row| row["id"] == id.as_str()).expect("the message waits");
    let waiting = row["recipients"].as_array().expect("recipients");
    assert_eq!(waiting.len(), waits.len(), "{row}");
    for (code, status) in waits {
        let of_it = waiting.iter().find(|one| one["address"] == format!("{code}@contoso.com"));
        let why = of_it.and_then(|one| one["last_error"].as_str()).unwrap_or_default();
        assert!(
            why.starts_with(status) && why.contains(&format!("ended with status {code}")),
            "{code}: {why}"
        );
    }
}

#[test]
fn every_command_speaks_of_an_agent_as_of_any_connector() {
    let house = house();
    house.without_retries();
    let (checked, code) = house.command(&["check"], &[]);
    assert!(checked.contains("errors: 0, warnings: 0") && code == Some(0), "{checked}");

    let (explained, _) = house.command(&["route"], &["jane@contoso.com"]);
    assert!(explained.contains("jane@contoso.com: Programs -> SMTP (DeliveryAgent)"), "{explained}");
    let (routed, _) = house.command(&["route", "--json"], &["jane@contoso.com"]);
    let routed: Value = serde_json::from_str(&routed).expect("a JSON object");
    assert_eq!(
        (&routed["connector"], &routed["delivery_type"]),
        (&"Programs".into(), &"DeliveryAgent".into())
    );
    let (too_large, _) = house.command(&["route", "--json", "--size", "1MB"], &["jane@contoso.com"]);
    let too_large: Value = serde_json::from_str(&too_large).expect("a JSON object");
    assert_eq!(too_large["connector"], "Gateway", "the next match takes what is too large: {too_large}");

    let relay = house.start();
    let id = send(&house, &["75@contoso.com", "67@contoso.com", "0@contoso.com"]);
    let rows = patience::until("the report", || {
        let log = tracking_log(&house);
        let rows: Vec<String> = log.lines().filter(|row| row.contains(&id)).map(str::to_owned).collect();
        rows.iter().any(|row| row.contains(",DSN,DSN,")).then_some(rows)
    });
    for (event, recipient) in [
        (",SMTP,Programs,AGENT,SEND,", "0@contoso.com,250 2.0.0 taken by the agent"),
        (",AGENT,FAIL,", "67@contoso.com"),
        (",AGENT,DEFER,", "75@contoso.com"),
    ] {
        let found = rows.iter().any(|row| row.contains(event) && row.contains(recipient));
        assert!(found, "no {event} of {recipient} in {rows:#?}");
    }
    let (shown, _) = house.command(&["queue", "show"], &[&id]);
    for words in ["Programs", "75@contoso.com", "4.3.0", "ended with status 75"] {
        assert!(shown.contains(words), "no {words:?} in {shown}");
    }
    assert!(!shown.contains("67@contoso.com") && !shown.contains("0@contoso.com\n"), "{shown}");

    // Its connector goes, and whoever matches now has the mail.
    let text = fs::read_to_string(&house.configuration).expect("read relay.toml");
    fs::write(
        &house.configuration,
        text.replace("\"contoso.com\"]\ndelivery", "\"nowhere.test\"]\ndelivery"),
    )
    .expect("write relay.toml");
    relay.hang_up();
    patience::until("the reload", || relay.log().contains("configuration reloaded").then_some(()));
    let (said, code) = house.command(&["queue", "resubmit"], &[&id]);
    assert_eq!(code, Some(0), "{said}");
    patience::until("the message in Drop", || {
        let dropped = mailbox::files(&house.drop_directory());
        let holds = |file: &std::path::PathBuf| {
            fs::read_to_string(file).is_ok_and(|text| text.contains("X-Receiver: <75@contoso.com>"))
        };
        dropped.iter().any(holds).then_some(())
    });
    assert!(relay.terminate().success());
}

#[test]
fn a_check_tells_what_an_agent_lacks() {
    let scratch = Scratch::new();
    let connectors = "
[[delivery_agent_connector]]
name = \"Missing\"
address_spaces = [\"contoso.com\"]
delivery_protocol = \"pipe\"
command = [\"/nowhere/program\"]
user = \"no-such-user-here\"

[[delivery_agent_connector]]
name = \"No program\"
address_spaces = [\"fabrikam.com\"]
delivery_protocol = \"pipe\"
command = [\"/etc/passwd\"]
user = \"65534:65534\"
";
    let house = House::in_scratch(scratch, connectors);
    let (checked, code) = house.command(&["check"], &[]);
    assert_eq!(code, Some(0), "{checked}");
    for warning in [
        "warning: [[delivery_agent_connector]] command: /nowhere/program: No such file or directory (os error 2); mail for it waits",
        "warning: [[delivery_agent_connector]] user: /etc/passwd has no user \"no-such-user-here\"; mail for it waits",
        "warning: [[delivery_agent_connector]] command: /etc/passwd: is no program that may be run; mail for it waits",
        "errors: 0, warnings: 3",
    ] {
        assert!(checked.contains(warning), "no {warning:?} in {checked}");
    }
}
