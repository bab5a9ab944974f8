//! Programs behind the relay: what they are told, as whom they run, and that neither their time nor their words are without bound.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use postroad_interop::{Sample, Scratch, mailbox, patience, program};

use crate::configuration::{EVERYTHING_TO_DROP, House};

/// A folder for the program's own files, in which it may write as whoever it runs as.
pub(crate) fn desk(scratch: &Scratch) -> PathBuf {
    let desk = scratch.folder("desk");
    fs::set_permissions(&desk, Permissions::from_mode(0o777)).expect("open a folder to everybody");
    desk
}

/// The key `user`, where we are root: nothing is run as root.
pub(crate) fn user() -> &'static str {
    if program::is_root() { "user = \"65534:65534\"" } else { "" }
}

/// A connector for `script`, which `/bin/sh` runs in the desk with these further arguments.
pub(crate) fn connector(desk: &Path, spaces: &str, script: &str, arguments: &str, keys: &str) -> String {
    fs::write(desk.join("program.sh"), script).expect("write a script");
    let desk = desk.display();
    format!(
        r#"
[[delivery_agent_connector]]
name = "Programs"
address_spaces = [{spaces}]
delivery_protocol = "pipe"
command = ["/bin/sh", "{desk}/program.sh"{arguments}]
working_directory = "{desk}"
{keys}
"#
    )
}

fn house(script: &str, arguments: &str, keys: &str) -> (House, PathBuf) {
    let scratch = Scratch::new();
    let desk = desk(&scratch);
    let keys = format!("{}\n{keys}", user());
    let programs = connector(&desk, r#""contoso.com", "FAX:*;1""#, script, arguments, &keys);
    let elsewhere = EVERYTHING_TO_DROP.replace(r#", "FAX:*;1""#, "");
    let house = House::in_scratch(scratch, &format!("{programs}{elsewhere}"));
    house.scratch.folder("Drop");
    (house, desk)
}

fn send(house: &House, to: &[&str]) -> String {
    let said = house.application().send("joe@fabrikam.com", to, &Sample::plain().content).expect("a 250");
    said.rsplit(' ').next().expect("an id").to_owned()
}

/// The content of a file that the program completes by a rename.
fn wait_for(file: &Path) -> Vec<u8> {
    patience::until(&format!("{}", file.display()), || fs::read(file).ok())
}

#[test]
fn a_program_reads_the_message_as_it_is_and_no_address_is_a_word_of_a_shell() {
    let script = "cat > message.new; printf '%s\\n' \"$@\" > arguments.new\n\
                  mv message.new message; mv arguments.new arguments\n";
    let arguments = r#", "-f", "{sender}", "--", "{recipients}""#;
    let (house, desk) = house(script, arguments, "");
    let _relay = house.start();
    let hostile = [
        "\"$(touch pwned)\"@contoso.com",
        "\"; touch pwned; \"@contoso.com",
        "\"`touch pwned`\"@contoso.com",
        "\"a b  c*\"@contoso.com",
        "\"-rf\"@contoso.com",
    ];
    send(&house, &hostile);
    let told = String::from_utf8(wait_for(&desk.join("arguments"))).expect("UTF-8");
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told, [&["-f", "joe@fabrikam.com", "--"], &hostile[..]].concat());
    let message = fs::read(desk.join("message")).expect("the message");
    Sample::plain().assert_arrived_in(&message);
    assert!(!desk.join("pwned").exists());
}

#[test]
#[ignore = "needs root; .ci/run runs it"]
fn a_program_runs_as_its_user_and_in_that_users_first_group_alone() {
    let script =
        "{ id -u; id -G; cat /proc/self/status | grep -E '^(Uid|Gid|Groups)'; } > who.new; mv who.new who\n";
    let (house, desk) = house(script, "", "");
    let _relay = house.start();
    send(&house, &["jane@contoso.com"]);
    let who = String::from_utf8(wait_for(&desk.join("who"))).expect("UTF-8");
    let expected =
        "65534\n65534\nUid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\nGroups:";
    assert_eq!(who.trim_end(), expected);
}

#[test]
#[ignore = "needs root; .ci/run runs it"]
fn nothing_runs_as_root_and_everybody_is_told() {
    let scratch = Scratch::new();
    let desk = desk(&scratch);
    let script = "id -un > who.new; mv who.new who\n";
    let programs = connector(&desk, r#""contoso.com""#, script, "", "");
    let house = House::in_scratch(scratch, &programs);
    let warning = "[[delivery_agent_connector]] user: a program is never run as root; name another user; mail for it waits";
    let (checked, code) = house.command(&["check"], &[]);
    assert!(checked.contains(warning), "{checked}");
    assert_eq!(code, Some(0), "a warning: {checked}");

    let relay = house.start();
    assert!(relay.log().contains(warning), "{}", relay.log());
    let id = send(&house, &["jane@contoso.com"]);
    let shown = patience::until("the refusal", || {
        let (shown, _) = house.command(&["queue", "show"], &[&id]);
        shown.contains("never run as root").then_some(shown)
    });
    assert!(shown.contains("4.3.5"), "{shown}");
    assert!(!desk.join("who").exists());

    let text = fs::read_to_string(&house.configuration).expect("read relay.toml");
    let text = text.replace("delivery_protocol", "user = \"nobody\"\ndelivery_protocol");
    fs::write(&house.configuration, text).expect("write relay.toml");
    relay.hang_up();
    assert_eq!(wait_for(&desk.join("who")), b"nobody\n");
}

#[test]
fn time_and_words_are_bounded() {
    // It never ends, and its child neither; it talks all the time.
    let script = "sleep 1000 & echo $! > child; echo $$ > self.new; mv self.new self; exec yes\n";
    let (house, desk) = house(script, "", "time_limit = \"1s\"\n");
    house.without_retries();
    let _relay = house.start();
    let id = send(&house, &["jane@contoso.com"]);
    let shown = patience::until("the end of its time", || {
        let (shown, _) = house.command(&["queue", "show"], &[&id]);
        shown.contains("time limit").then_some(shown)
    });
    assert!(shown.contains("4.3.0") && shown.len() < 4096, "{shown}");
    for process in ["self", "child"] {
        let id = fs::read_to_string(desk.join(process)).expect("a process id");
        let status = format!("/proc/{}/status", id.trim());
        patience::until("the end of the process", || {
            // A zombie has ended; init or whoever took it in may be slow to notice.
            let status = fs::read_to_string(&status).unwrap_or_default();
            (status.is_empty() || status.contains("State:\tZ")).then_some(())
        });
    }
}

#[test]
fn what_a_program_says_without_end_is_quoted_in_one_line_of_the_report() {
    let script = "cat > /dev/null; head -c 1000000 /dev/zero | tr '\\0' 'x'; printf '\\r\\nX-Forged: yes\\r\\n\\r\\n'; exit 67\n";
    let (house, _) = house(script, "", "");
    let _relay = house.start();
    send(&house, &["jane@contoso.com"]);
    let report = mailbox::wait_for_one(&house.drop_directory());
    let text = String::from_utf8_lossy(&report);
    assert!(text.contains("Status: 5.1.1") && text.contains("xxxx"), "{text}");
    assert!(!text.contains("X-Forged") && report.len() < 20_000, "{} bytes", report.len());
}

#[test]
fn no_more_programs_run_at_a_time_than_the_connector_allows() {
    // Each counts who runs, itself included, and waits until somebody comes to its gate.
    let script = "touch running-$$; ls -d running-* | wc -l >> counts; mkfifo gate-$$; cat gate-$$; rm running-$$; echo x >> done\n";
    let (house, desk) = house(script, "", "max_concurrent_connections = 2\n");
    let _relay = house.start();
    for _ in 0..20 {
        send(&house, &["jane@contoso.com"]);
    }
    let lines = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(desk.join(name)).unwrap_or_default();
        text.lines().map(|line| line.trim().to_owned()).collect()
    };
    let gates = || -> Vec<PathBuf> {
        let entries = fs::read_dir(&desk).expect("the desk").map(|entry| entry.expect("an entry").path());
        entries
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("gate-")))
            .collect()
    };
    patience::until("two programs", || (gates().len() == 2).then_some(()));
    patience::until("twenty calls", || {
        for gate in gates() {
            let opened = OpenOptions::new().write(true).open(&gate).expect("somebody waits there");
            fs::remove_file(&gate).expect("once for each");
            drop(opened);
        }
        (lines("done").len() == 20).then_some(())
    });
    let counts = lines("counts");
    assert_eq!(counts.len(), 20, "{counts:?}");
    assert!(counts.iter().all(|count| count == "1" || count == "2"), "{counts:?}");
    assert!(counts.contains(&"2".to_owned()), "{counts:?}");
}
