//! Applications: Python's smtplib, nodemailer, and SQL Server's Database Mail as its dialogue.

use std::process::Command;

use postroad_interop::Sample;
use postroad_interop::program::{command, run, successful};

use crate::clients::{Office, script};
use crate::configuration::PASSWORD;

#[test]
#[ignore = "needs Debian's python3; .ci/run runs it"]
fn smtplib_sends_everything_in_one_session_and_hears_who_was_refused() {
    let office = Office::open();
    let mut python = command("python3");
    told_of(&office, python.arg(script("smtplib_client.py"))).arg(office.samples());
    successful(run(&mut python));
    office.assert_samples_arrived();
    office.arrived_for("some@example.com");
    let message = office.arrived_for("jörg@example.com");
    let message = String::from_utf8(message).expect("UTF-8 as it was sent");
    for part in ["X-Sender: <jürgen@contoso.com>", "UTF8SMTPSA", "Subject: Grüße", "\r\n\r\nSchöne Grüße\r\n"]
    {
        assert!(message.contains(part), "no {part:?} in\n{message}");
    }
}

#[test]
#[ignore = "needs Debian's nodejs and node-nodemailer; .ci/run runs it"]
fn nodemailer_sends_through_a_pool() {
    let office = Office::open();
    let mut node = command("node");
    // Where Debian's packages of modules are.
    node.env("NODE_PATH", "/usr/share/nodejs").arg(script("nodemailer.js"));
    successful(run(told_of(&office, &mut node).arg(office.samples())));
    office.assert_samples_arrived();
    office.arrived_for("some@example.com");
    let message = String::from_utf8(office.arrived_for("attached@example.com")).expect("an ASCII message");
    // The attachment, and a text of nothing but dots.
    for part in ["AC4NCi4NCv8=", "\r\n.\r\n..\r\n.\r\n"] {
        assert!(message.contains(part), "no {part:?} in\n{message}");
    }
}

#[test]
#[ignore = "needs Debian's python3; .ci/run runs it"]
fn database_mail_logs_on_over_starttls() {
    let office = Office::open();
    let sample = Sample::plain();
    let file = office.scratch().write("letter.eml", &sample.content);
    let mut python = command("python3");
    told_of(&office, python.arg(script("database_mail.py"))).args(["jane@example.com"]).arg(file);
    successful(run(&mut python));
    sample.assert_arrived_in(&office.arrived_for("jane@example.com"));
}

fn told_of<'a>(office: &Office, script: &'a mut Command) -> &'a mut Command {
    script.args(["localhost", &office.port()]).arg(office.authority()).args(["joe", PASSWORD])
}
