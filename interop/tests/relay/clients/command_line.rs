//! msmtp, curl, openssl and Postfix's load generator: what stands in cron jobs, scripts and monitoring.

use postroad_interop::program::{command, run, run_with, said, successful};
use postroad_interop::{Sample, mailbox, swaks};

use crate::clients::Office;
use crate::configuration::PASSWORD;

#[test]
#[ignore = "needs Debian's msmtp; .ci/run runs it"]
fn msmtp_sends_from_standard_input_over_starttls() {
    let office = Office::open_to_this_machine();
    for (number, sample) in Sample::all().iter().enumerate() {
        let mut msmtp = msmtp(&office);
        msmtp.args(["--auth=off", &format!("{number}@example.com")]);
        successful(run_with(&mut msmtp, &sample.content));
    }
    office.assert_samples_arrived();
}

#[test]
#[ignore = "needs Debian's msmtp; .ci/run runs it"]
fn msmtp_logs_on_by_what_is_offered_and_by_nothing_else() {
    let office = Office::open();
    let sample = Sample::plain();
    for mechanism in ["on", "plain", "login"] {
        let recipient = format!("{mechanism}@example.com");
        let mut msmtp = msmtp(&office);
        msmtp.args([&format!("--auth={mechanism}"), &recipient]);
        successful(run_with(&mut msmtp, &sample.content));
        sample.assert_arrived_in(&office.arrived_for(&recipient));
    }
    for mechanism in ["cram-md5", "digest-md5", "ntlm"] {
        let mut msmtp = msmtp(&office);
        msmtp.args([&format!("--auth={mechanism}"), "jane@example.com"]);
        let output = run_with(&mut msmtp, &sample.content);
        let told = said(&output);
        assert!(!output.status.success() && told.contains("does not support authentication"), "{told}");
    }
}

#[test]
#[ignore = "needs Debian's curl; .ci/run runs it"]
fn curl_uploads_a_file_over_starttls() {
    let office = Office::open_to_this_machine();
    let samples = office.samples();
    for number in 0..Sample::all().len() {
        let mut curl = curl(&office);
        curl.args(["--mail-rcpt", &format!("{number}@example.com"), "--upload-file"]);
        curl.arg(samples.join(format!("{number}.eml")));
        successful(run(&mut curl));
    }
    office.assert_samples_arrived();
}

#[test]
#[ignore = "needs Debian's curl; .ci/run runs it"]
fn curl_logs_on_and_sends_to_two() {
    let office = Office::open();
    let sample = Sample::plain();
    let file = office.scratch().write("letter.eml", &sample.content);
    for mechanism in ["PLAIN", "LOGIN"] {
        let recipients = ["one", "two"].map(|name| format!("{name}.{mechanism}@example.com"));
        let mut curl = curl(&office);
        curl.args(["--login-options", &format!("AUTH={mechanism}"), "--user", &format!("joe:{PASSWORD}")]);
        curl.args(["--mail-rcpt", &recipients[0], "--mail-rcpt", &recipients[1], "--upload-file"]).arg(&file);
        successful(run(&mut curl));
        for recipient in &recipients {
            sample.assert_arrived_in(&office.arrived_for(recipient));
        }
    }
    let mut curl = curl(&office);
    curl.args(["--user", "joe:wrong", "--mail-rcpt", "jane@example.com", "--upload-file"]).arg(&file);
    // 67: the user name or the password was not accepted.
    assert_eq!(run(&mut curl).status.code(), Some(67));
}

#[test]
#[ignore = "needs Debian's curl, msmtp, swaks, libnet-ssleay-perl; .ci/run runs it"]
fn tls_may_come_before_the_greeting() {
    let office = Office::open_to_this_machine();
    let port = office.implicit.port();
    let sample = Sample::plain();
    let file = office.scratch().write("letter.eml", &sample.content);
    let mut curl = command("curl");
    curl.args(["--disable", "--silent", "--show-error", "--cacert"]).arg(office.authority());
    curl.args(["--url", &format!("smtps://localhost:{port}/application.test")]);
    curl.args(["--mail-from", "joe@contoso.com", "--mail-rcpt", "curl@example.com", "--upload-file"]);
    successful(run(curl.arg(file)));
    let mut msmtp = msmtp(&office);
    msmtp.args([&format!("--port={port}"), "--tls-starttls=off", "--auth=off", "msmtp@example.com"]);
    successful(run_with(&mut msmtp, &sample.content));
    let mut swaks = swaks::command(office.implicit, "joe@contoso.com", "swaks@example.com");
    swaks.arg("--tls-on-connect");
    swaks::send(office.scratch(), swaks, &sample.content);
    for client in ["curl", "msmtp", "swaks"] {
        let arrived = office.arrived_for(&format!("{client}@example.com"));
        sample.assert_arrived_in(&arrived);
        assert!(String::from_utf8_lossy(&arrived).contains("ESMTPS"), "{}", arrived.escape_ascii());
    }
}

#[test]
#[ignore = "needs Debian's openssl; .ci/run runs it"]
fn openssl_verifies_the_certificate_under_tls_1_2_and_1_3_and_gets_no_older() {
    let office = Office::open();
    let connect = |version: &str, host: &str| {
        let mut openssl = command("openssl");
        openssl.args(["s_client", "-brief", "-ign_eof", "-starttls", "smtp", version, "-connect"]);
        openssl.arg(office.house.listener.to_string()).args(["-servername", host, "-verify_hostname", host]);
        openssl.arg("-verify_return_error").arg("-CAfile").arg(office.authority());
        run_with(&mut openssl, b"EHLO application.test\r\nQUIT\r\n")
    };
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let told = successful(connect(version, "hub01.contoso.com"));
        for part in [name, "Verification: OK", "250-AUTH PLAIN LOGIN", "221 2.0.0"] {
            assert!(told.contains(part), "no {part:?} with {version}:\n{told}");
        }
        assert!(!told.contains("250-STARTTLS"), "offered inside TLS:\n{told}");
    }
    for version in ["-tls1", "-tls1_1"] {
        let refused = connect(version, "hub01.contoso.com");
        assert!(!refused.status.success(), "{version}");
        assert!(said(&refused).contains("SSL alert number"), "{version}:\n{}", said(&refused));
    }
    assert!(!connect("-tls1_3", "another.contoso.com").status.success());
}

#[test]
#[ignore = "needs Debian's postfix; .ci/run runs it"]
fn smtp_source_sends_two_hundred_messages_in_twenty_sessions() {
    let office = Office::open_to_this_machine();
    for more in [&["-d"][..], &[]] {
        let mut source = command("smtp-source");
        source.args(more).args(["-s", "20", "-m", "100", "-l", "10240"]);
        source.args(["-f", "joe@contoso.com", "-t", "jane@example.com"]);
        successful(run(source.arg(office.house.listener.to_string())));
    }
    mailbox::wait_for(&office.house.drop_directory(), 200);
}

/// `msmtp` with the office as its only host, and joe's password from a command, which it asks only where it logs on.
pub(super) fn msmtp(office: &Office) -> std::process::Command {
    let mut msmtp = command("msmtp");
    // No file of the user or of the machine: all is said here.
    msmtp.args(["--file=/dev/null", "--host=localhost", &format!("--port={}", office.port())]);
    msmtp.args(["--from=joe@contoso.com", "--domain=application.test", "--tls=on", "--tls-starttls=on"]);
    msmtp.arg(format!("--tls-trust-file={}", office.authority().display()));
    msmtp.args(["--user=joe", &format!("--passwordeval=printf %s '{PASSWORD}'")]);
    msmtp
}

/// `curl` that insists on STARTTLS and on the certificate.
fn curl(office: &Office) -> std::process::Command {
    let mut curl = command("curl");
    curl.args(["--disable", "--silent", "--show-error", "--ssl-reqd", "--cacert"]).arg(office.authority());
    curl.args(["--url", &format!("smtp://localhost:{}/application.test", office.port())]);
    curl.args(["--mail-from", "joe@contoso.com"]);
    curl
}
