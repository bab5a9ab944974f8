//! GNU SASL's own client, which proves that it knows the password, and binds that proof to its TLS connection.
//!
//! gsasl 2.2 binds by `tls-exporter` in TLS 1.3. In TLS 1.2 it has a binding that we do not (RFC 9266 section 4.2 says why),
//! and where it has one it says nothing by a mechanism without -PLUS, unless told `--no-cb`.

use std::process::Command;

use postroad_interop::Sample;
use postroad_interop::program::{command, run, run_with, said, successful};

use crate::clients::Office;
use crate::clients::command_line::msmtp;
use crate::configuration::PASSWORD;

const TLS_1_2: &str = "--priority=NORMAL:-VERS-TLS1.3";

#[test]
#[ignore = "needs Debian's gsasl; .ci/run runs it"]
fn it_binds_its_logon_to_the_tls_connection() {
    let office = Office::open_to_scram();
    let told = successful(run(gsasl(&office, "joe", PASSWORD).arg("--verbose")));
    assert!(told.contains("AUTH SCRAM-SHA-256-PLUS\n") && told.contains("235 2.7.0"), "{told}");
    // p=tls-exporter,,
    assert!(told.contains("cD10bHMtZXhwb3J0ZXIsL"), "{told}");
    assert!(told.contains("server trusted"), "{told}");
    assert!(office.relay.log().contains("SCRAM-SHA-256-PLUS"), "{}", office.relay.log());
}

#[test]
#[ignore = "needs Debian's gsasl; .ci/run runs it"]
fn it_logs_on_by_the_other_mechanisms() {
    let office = Office::open_to_scram();
    for words in [
        &["--mechanism=SCRAM-SHA-256", "--no-cb"][..],
        &["--mechanism=SCRAM-SHA-256", "--no-cb", TLS_1_2],
        &["--mechanism=SCRAM-SHA-256", "--no-cb", "--authorization-id=joe"],
        &["--mechanism=PLAIN"],
        &["--mechanism=PLAIN", "--authorization-id=joe"],
        &["--mechanism=LOGIN"],
        &["--mechanism=SCRAM-SHA-256-PLUS", "--authorization-id=joe"],
    ] {
        let told = successful(run(gsasl(&office, "joe", PASSWORD).args(words)));
        assert!(told.contains("235 2.7.0"), "{words:?}: {told}");
    }
    // Outside TLS 1.3 there is nothing that both sides can bind by, so it is not offered.
    let output = run(gsasl(&office, "joe", PASSWORD).args(["--no-cb", TLS_1_2]));
    let told = said(&output);
    assert!(output.status.success() && told.contains("250-AUTH SCRAM-SHA-256 PLAIN LOGIN"), "{told}");
}

#[test]
#[ignore = "needs Debian's gsasl; .ci/run runs it"]
fn a_wrong_password_or_another_name_is_refused() {
    let office = Office::open_to_scram();
    for (name, password, words) in [
        ("joe", "wrong horse", &["--mechanism=SCRAM-SHA-256-PLUS"][..]),
        ("joe", "wrong horse", &["--mechanism=SCRAM-SHA-256", "--no-cb"]),
        ("joe", "wrong horse", &["--mechanism=PLAIN"]),
        ("joe", PASSWORD, &["--mechanism=SCRAM-SHA-256-PLUS", "--authorization-id=jane"]),
        ("joe", PASSWORD, &["--mechanism=PLAIN", "--authorization-id=jane"]),
        ("jane", PASSWORD, &["--mechanism=SCRAM-SHA-256-PLUS"]),
    ] {
        let output = run(gsasl(&office, name, password).args(words));
        let told = said(&output);
        assert!(!output.status.success() && told.contains("535 5.7.8"), "{words:?}: {told}");
        assert!(!told.contains("235 "), "{words:?}: {told}");
    }
}

#[test]
#[ignore = "needs Debian's msmtp; .ci/run runs it"]
fn msmtp_sends_after_a_logon_by_scram() {
    let office = Office::open_to_scram();
    let sample = Sample::plain();
    let mut msmtp = msmtp(&office);
    msmtp.args(["--auth=scram-sha-256", "jane@example.com"]);
    successful(run_with(&mut msmtp, &sample.content));
    sample.assert_arrived_in(&office.arrived_for("jane@example.com"));
}

fn gsasl(office: &Office, name: &str, password: &str) -> Command {
    let mut gsasl = command("gsasl");
    gsasl.args(["--smtp", "--connect", &format!("127.0.0.1:{}", office.port())]);
    gsasl.arg(format!("--x509-ca-file={}", office.authority().display()));
    gsasl.args([format!("--authentication-id={name}"), format!("--password={password}")]);
    gsasl
}
