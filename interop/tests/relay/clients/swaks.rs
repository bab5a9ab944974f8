//! swaks, which knows each corner of a session.

use postroad_interop::program::{run, said};
use postroad_interop::{Sample, mailbox, swaks};

use crate::clients::Office;
use crate::configuration::PASSWORD;

#[test]
#[ignore = "needs Debian's swaks and libnet-ssleay-perl; .ci/run runs it"]
fn it_logs_on_over_starttls_by_what_is_offered_and_by_nothing_else() {
    let office = Office::open();
    let mut clear = office.house.application();
    let refusal = clear.say("AUTH PLAIN AGpvZQBjb3JyZWN0IGhvcnNl").expect("a reply");
    assert!(refusal.starts_with('5'), "a password was taken in clear: {refusal}");

    for mechanism in ["PLAIN", "LOGIN"] {
        let recipient = format!("{mechanism}@example.com");
        let mut command = swaks::command(office.house.listener, "joe@contoso.com", &recipient);
        command.args(["-tls", "--tls-verify", "--tls-sni", "hub01.contoso.com", "--tls-ca-path"]);
        command.arg(office.authority());
        command.args(["--auth", mechanism, "--auth-user", "joe", "--auth-password", PASSWORD]);
        let sample = Sample::plain();
        swaks::send(office.scratch(), command, &sample.content);
        sample.assert_arrived_in(&office.arrived_for(&recipient));
    }
    for mechanism in ["CRAM-MD5", "CRAM-SHA1"] {
        let mut command = swaks::command(office.house.listener, "joe@contoso.com", "jane@example.com");
        command.args(["-tls", "--auth", mechanism, "--auth-user", "joe", "--auth-password", PASSWORD]);
        let output = run(&mut command);
        assert_eq!(output.status.code(), Some(28), "{}", said(&output));
        assert!(said(&output).contains("requested type not available"), "{}", said(&output));
    }
    assert_eq!(mailbox::files(&office.house.drop_directory()).len(), 2);
}

#[test]
#[ignore = "needs Debian's swaks and libnet-ssleay-perl; .ci/run runs it"]
fn a_wrong_password_sends_nothing() {
    let office = Office::open();
    let mut command = swaks::command(office.house.listener, "joe@contoso.com", "jane@example.com");
    command.args(["-tls", "--auth", "PLAIN", "--auth-user", "joe", "--auth-password", "wrong horse"]);
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(28), "{}", said(&output));
    assert!(said(&output).contains("535 5.7.8"), "{}", said(&output));
    assert!(mailbox::files(&office.house.drop_directory()).is_empty());
}

#[test]
#[ignore = "needs Debian's swaks and libnet-ssleay-perl; .ci/run runs it"]
fn it_pipelines_inside_tls() {
    let office = Office::open_to_this_machine();
    for (number, sample) in Sample::all().iter().enumerate() {
        let recipient = format!("{number}@example.com");
        let mut command = swaks::command(office.house.listener, "joe@contoso.com", &recipient);
        command.args(["-tls", "--pipeline"]);
        swaks::send(office.scratch(), command, &sample.content);
    }
    office.assert_samples_arrived();
}
