//! Postfix and Exim with our relay as their smart host, over TLS and with a password.

use postroad_interop::postfix::Logon;
use postroad_interop::{Application, Exim, Postfix, Sample, Scratch};

use crate::clients::Office;
use crate::configuration::{House, PASSWORD};

#[test]
#[ignore = "needs root and Debian's postfix, libsasl2-modules; .ci/run runs it"]
fn postfix_passes_on_every_sample_and_what_the_extensions_say() {
    let office = Office::open();
    let postfix = Postfix::passing_on_with(office.scratch(), office.house.listener, office.logon());
    let mut application = Application::connect(postfix.address()).expect("Postfix's greeting");
    for (number, sample) in Sample::all().iter().enumerate() {
        let recipient = format!("{number}@example.com");
        application.send("joe@contoso.com", &[&recipient], &sample.content).expect("a 250 of Postfix");
    }
    let sample = Sample::plain();
    let commands = [
        "MAIL FROM:<jürgen@contoso.com> SMTPUTF8 BODY=8BITMIME ENVID=here+2Bthere RET=HDRS",
        "RCPT TO:<jörg@example.com> NOTIFY=SUCCESS,FAILURE",
    ];
    for command in commands {
        let reply = application.say(command).expect("a reply");
        assert!(reply.starts_with('2'), "{command}: {reply}");
    }
    application.data(&sample.content).expect("a 250 of Postfix");
    office.assert_samples_arrived();
    let arrived = office.arrived_for("jörg@example.com");
    sample.assert_arrived_in(&arrived);
    let envelope = String::from_utf8_lossy(&arrived);
    let mut lines = envelope.lines();
    for (line, parts) in [
        (
            "X-Sender",
            &["<jürgen@contoso.com>", "BODY=8BITMIME", "RET=HDRS", "ENVID=here+2Bthere", "SMTPUTF8"][..],
        ),
        (
            "X-Receiver",
            &["<jörg@example.com>", "NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;j+C3+B6rg@example.com"],
        ),
    ] {
        let line = lines.find(|found| found.starts_with(line)).unwrap_or_default();
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    let log = postfix.log();
    assert!(log.contains("status=sent (250 2.6.0 Queued"), "{log}");
}

#[test]
#[ignore = "needs root and Debian's postfix, libsasl2-modules; .ci/run runs it"]
fn postfix_proves_that_it_knows_the_password() {
    let office = Office::open_to_scram();
    let logon = Logon { mechanism: "scram-sha-256", ..office.logon() };
    let postfix = Postfix::passing_on_with(office.scratch(), office.house.listener, logon);
    let sample = Sample::plain();
    let mut application = Application::connect(postfix.address()).expect("Postfix's greeting");
    application.send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250 of Postfix");
    sample.assert_arrived_in(&office.arrived_for("jane@example.com"));
}

#[test]
#[ignore = "needs root and Debian's postfix; .ci/run runs it"]
fn postfix_passes_on_a_hundred_messages_at_once() {
    let office = Office::open_to_this_machine();
    let postfix = Postfix::passing_on_to(office.scratch(), office.house.listener);
    let mut application = Application::connect(postfix.address()).expect("Postfix's greeting");
    for number in 0..100 {
        let recipient = format!("{number}@example.com");
        application.send("joe@contoso.com", &[&recipient], &Sample::plain().content).expect("a 250");
    }
    assert_eq!(postfix.wait_until_empty(100), 100, "{}", postfix.log());
    for number in 0..100 {
        Sample::plain().assert_arrived_in(&office.arrived_for(&format!("{number}@example.com")));
    }
}

#[test]
#[ignore = "needs root and Debian's exim4-daemon-light, unpacked; .ci/run runs it"]
fn exim_passes_on_every_sample_in_chunks() {
    let office = Office::open();
    let exim = Exim::passing_on_with(office.scratch(), office.house.listener, office.logon());
    for (number, sample) in Sample::all().iter().enumerate() {
        let line = exim.send("joe@contoso.com", &format!("{number}@example.com"), &sample.content);
        // By an authenticated TLS session, certificate verified, with CHUNKING.
        for part in ["X=TLS1.3", "CV=yes", "A=plain", " K "] {
            assert!(line.contains(part), "no {part:?} in {line}");
        }
    }
    office.assert_samples_arrived();
}

#[test]
fn our_own_relay_binds_its_logon_to_the_connection() {
    let office = Office::open_to_scram();
    let scratch = Scratch::new();
    scratch.write("secrets/office", PASSWORD);
    let connector = format!(
        r#"
[tls]
trust_anchors = "{}"

[[send_connector]]
name = "Office"
address_spaces = ["SMTP:*;1"]
smart_hosts = ["[127.0.0.1]"]
port = {}
smart_host_auth_mechanism = "basic-auth-require-tls"
authentication_credential = "office"
require_tls = true
tls_auth_level = "domain-validation"
tls_domain = "hub01.contoso.com"

[credentials.office]
username = "joe"
password_file = "secrets/office"
"#,
        office.authority().display(),
        office.port()
    );
    let branch = House::in_scratch(scratch, &connector);
    let _relay = branch.start();
    let sample = Sample::plain();
    branch.application().send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
    sample.assert_arrived_in(&office.arrived_for("jane@example.com"));
    assert!(office.relay.log().contains("SCRAM-SHA-256-PLUS"), "{}", office.relay.log());
}
