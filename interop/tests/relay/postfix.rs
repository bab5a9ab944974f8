//! Our relay between swaks and a real Postfix that wants STARTTLS and a password: every message arrives to the byte.

use postroad_interop::postfix::{HOST, PASSWORD, USERNAME};
use postroad_interop::{Postfix, Sample, Scratch, patience, swaks};

use crate::configuration::House;

#[test]
#[ignore = "needs root and Debian's postfix, sasl2-bin, libsasl2-modules, libsasl2-modules-db; .ci/run runs it"]
fn a_password_is_proved_and_not_said_where_both_sides_can() {
    for mechanism in ["cram-md5", "scram-sha-1", "scram-sha-256"] {
        let scratch = Scratch::new();
        let postfix = Postfix::start(&scratch);
        let connector = connector(&scratch, &postfix, mechanism, HOST);
        let house = House::in_scratch(scratch, &connector);
        let _relay = house.start();
        let sample = Sample::plain();
        house.application().send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
        sample.assert_arrived_in(&postfix.messages(1).remove(0));
        assert!(postfix.log().contains(&format!("sasl_method={}", mechanism.to_ascii_uppercase())));
    }
}

#[test]
#[ignore = "needs root and Debian's postfix, sasl2-bin, libsasl2-modules, swaks; .ci/run runs it"]
fn every_sample_passes_to_the_byte_by_plain_and_by_login() {
    for mechanism in ["plain", "login"] {
        let scratch = Scratch::new();
        let postfix = Postfix::start(&scratch);
        let connector = connector(&scratch, &postfix, mechanism, HOST);
        let house = House::in_scratch(scratch, &connector);
        let _relay = house.start();
        for (index, sample) in Sample::all().iter().enumerate() {
            let recipient = format!("{index}@example.com");
            let command = swaks::command(house.listener, "joe@contoso.com", &recipient);
            swaks::send(&house.scratch, command, &sample.content);
        }
        let arrived = postfix.messages(Sample::all().len());
        for (index, sample) in Sample::all().iter().enumerate() {
            let for_it = format!("Delivered-To: {index}@example.com\n");
            let file = arrived.iter().find(|file| String::from_utf8_lossy(file).contains(&for_it));
            sample.assert_arrived_in(file.expect("one file for each recipient"));
        }
        assert!(postfix.log().contains(&format!("sasl_method={}", mechanism.to_ascii_uppercase())));
    }
}

#[test]
#[ignore = "needs root and Debian's postfix, sasl2-bin, libsasl2-modules, swaks; .ci/run runs it"]
fn killed_while_postfix_is_down() {
    let scratch = Scratch::new();
    let postfix = Postfix::prepare(&scratch);
    let connector = connector(&scratch, &postfix, "plain", HOST);
    let house = House::in_scratch(scratch, &connector);
    let relay = house.start();
    let sample = Sample::plain();
    let command = swaks::command(house.listener, "joe@contoso.com", "jane@example.com");
    swaks::send(&house.scratch, command, &sample.content);
    relay.kill();
    let _relay = house.start();
    postfix.resume();
    sample.assert_arrived_in(&postfix.messages(1).remove(0));
}

#[test]
#[ignore = "needs root and Debian's postfix, sasl2-bin, libsasl2-modules, swaks; .ci/run runs it"]
fn a_certificate_for_another_name_gets_neither_password_nor_mail() {
    let scratch = Scratch::new();
    let postfix = Postfix::start(&scratch);
    let connector = connector(&scratch, &postfix, "plain", "another.test");
    let house = House::in_scratch(scratch, &connector);
    let relay = house.start();
    let command = swaks::command(house.listener, "joe@contoso.com", "jane@example.com");
    swaks::send(&house.scratch, command, &Sample::plain().content);
    // Postfix tells when the client turned away; only then is there something to look at.
    patience::until("the end of a TLS session", || {
        postfix.log().contains("disconnect from localhost[127.0.0.1] ehlo=1 starttls").then_some(())
    });
    assert!(!postfix.log().contains("sasl_method"), "the password went to a host with the wrong name");
    assert!(!relay.log().contains(PASSWORD), "the password is in the log");
}

/// Everything goes to that Postfix, with a password, over TLS.
pub(crate) fn connector(scratch: &Scratch, postfix: &Postfix, mechanism: &str, tls_domain: &str) -> String {
    scratch.write("secrets/smart-host", PASSWORD);
    format!(
        r#"
[tls]
trust_anchors = "{}"

[[send_connector]]
name = "Smart host"
address_spaces = ["SMTP:*;1"]
smart_hosts = ["[127.0.0.1]"]
port = {}
smart_host_auth_mechanism = "basic-auth-require-tls"
sasl_mechanisms = ["{mechanism}"]
authentication_credential = "smart-host"
require_tls = true
tls_auth_level = "domain-validation"
tls_domain = "{tls_domain}"

[credentials.smart-host]
username = "{USERNAME}"
password_file = "secrets/smart-host"
"#,
        postfix.authority().display(),
        postfix.address().port()
    )
}
