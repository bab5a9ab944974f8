//! `relay route --json`: one line for every recipient asked, in their order, in the shape that other programs read.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use crate::configuration::{EVERYTHING_TO_DROP, House, program};

const KEYS: &[&str] = &[
    "recipient",
    "type",
    "result",
    "connector",
    "next_hop",
    "address_space",
    "delivery_type",
    "status",
    "candidates",
];

#[test]
fn a_thousand_recipients_from_standard_input_are_a_thousand_lines() {
    let house = House::with(EVERYTHING_TO_DROP);
    let recipients: Vec<String> = (0..1000)
        .map(|number| match number % 4 {
            0 => format!("user{number}@example.com"),
            1 => format!("FAX:+1 425 {number}"),
            2 => format!("X400:c=US;a=Fabrikam;p=Contoso;s=Doe{number};"),
            _ => format!("NOTES:Doe{number}/Sales"),
        })
        .collect();
    let mut child = Command::new(program())
        .args(["route", "--json", "--config"])
        .arg(&house.configuration)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("relay route");
    let mut stdin = child.stdin.take().expect("its standard input");
    let asked = recipients.join("\n");
    let writer = thread::spawn(move || stdin.write_all(asked.as_bytes()));
    let output = child.wait_with_output().expect("wait for relay route");
    writer.join().expect("the writer ends").expect("relay route reads all of its input");
    assert!(output.status.success(), "{}", output.status);

    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    assert_eq!(lines.len(), recipients.len());
    for (line, recipient) in lines.iter().zip(&recipients) {
        for key in KEYS {
            assert!(line.get(key).is_some(), "no {key:?} in {line}");
        }
        let expected = if recipient.starts_with("NOTES") { "refused" } else { "route" };
        assert_eq!(line["result"], expected, "{line}");
    }
    assert_eq!(lines[0]["recipient"], "user0@example.com");
    assert_eq!(lines[999]["type"], "NOTES");
}

#[test]
fn of_an_encapsulated_address_it_says_what_comes_out() {
    let house = House::with(EVERYTHING_TO_DROP);
    let (told, exit) = house.command(&["route"], &["IMCEAFAX-+2B1+20425@contoso.com"]);
    assert_eq!(exit, Some(0), "{told}");
    assert!(told.ends_with("it is opened: ask for FAX:+1 425\n"), "{told}");
}

#[test]
fn what_cannot_be_parsed_is_refused_in_its_place() {
    let house = House::with(EVERYTHING_TO_DROP);
    let output = Command::new(program())
        .args(["route", "--json", "--config"])
        .arg(&house.configuration)
        .args(["jane@example.com", "not an address", "FAX:1"])
        .output()
        .expect("relay route");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["recipient"], "not an address");
    assert_eq!(lines[1]["result"], "refused");
    assert_eq!(lines[1]["status"], "5.1.3");
    assert!(lines[1]["error"].is_string(), "{}", lines[1]);
    assert_eq!(lines[2]["result"], "route");
}

#[test]
fn a_line_that_is_not_utf8_is_refused_and_the_others_go_on() {
    let house = House::with(EVERYTHING_TO_DROP);
    let mut child = Command::new(program())
        .args(["route", "--json", "--config"])
        .arg(&house.configuration)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("relay route");
    let mut stdin = child.stdin.take().expect("its standard input");
    stdin.write_all(b"jane@example.com\r\nj\xe9r\xf4me@example.com\n\nFAX:1").expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("wait for relay route");
    assert!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(
        lines[1],
        "{\"recipient\":\"j\u{fffd}r\u{fffd}me@example.com\",\"type\":null,\"result\":\"refused\",\"connector\":null,\
         \"next_hop\":null,\"address_space\":null,\"delivery_type\":null,\"status\":\"5.1.3\",\
         \"error\":\"not UTF-8\",\"candidates\":[]}"
    );
    // The keys of an answer stand in the same order.
    let places: Vec<_> = KEYS.iter().map(|key| lines[0].find(&format!("\"{key}\":"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}", lines[0]);
    assert!(lines[2].contains("\"result\":\"route\""), "{}", lines[2]);
}

#[test]
fn help_is_a_command_too_and_names_the_exit_codes() {
    let help = |argument: &str| Command::new(program()).arg(argument).output().expect("relay");
    let (command, option) = (help("help"), help("--help"));
    assert!(command.status.success() && command.stdout == option.stdout, "{command:?}");
    assert!(String::from_utf8_lossy(&command.stdout).contains("78 wrong configuration"), "{command:?}");
}
