//! Proves the harness itself: swaks straight to Postfix, and our own application straight to the sink.

use postroad_interop::sink::Manner;
use postroad_interop::{Application, Postfix, Sample, Scratch, Sink, postfix, program, swaks};

#[test]
#[ignore = "needs root and Debian's postfix, sasl2-bin, libsasl2-modules, swaks, libnet-ssleay-perl; .ci/run runs it"]
fn postfix_keeps_every_sample_to_the_byte() {
    let scratch = Scratch::new();
    let postfix = Postfix::start(&scratch);
    for (index, sample) in Sample::all().iter().enumerate() {
        let mut command =
            swaks::command(postfix.address(), "joe@contoso.com", &format!("{index}@example.com"));
        command.args(["-tls", "--auth", "PLAIN", "--auth-user", postfix::USERNAME]);
        command.args(["--auth-password", postfix::PASSWORD]);
        swaks::send(&scratch, command, &sample.content);
    }
    let arrived = postfix.messages(Sample::all().len());
    for (index, sample) in Sample::all().iter().enumerate() {
        let for_it = format!("Delivered-To: {index}@example.com\n");
        let file = arrived.iter().find(|file| String::from_utf8_lossy(file).contains(&for_it));
        sample.assert_arrived_in(file.expect("one file for each recipient"));
    }
}

#[test]
#[ignore = "needs root and Debian's postfix, sasl2-bin, libsasl2-modules, swaks, libnet-ssleay-perl; .ci/run runs it"]
fn postfix_refuses_who_comes_without_tls_or_password() {
    let scratch = Scratch::new();
    let postfix = Postfix::start(&scratch);
    let mut clear = Application::connect(postfix.address()).expect("a greeting");
    let refusal =
        clear.send("joe@contoso.com", &["jane@example.com"], b"\r\n").expect_err("no mail in clear");
    assert!(refusal.to_string().starts_with("530 5.7.0"), "{refusal}");
    let mut command = swaks::command(postfix.address(), "joe@contoso.com", "jane@example.com");
    let output = command.arg("-tls").output().expect("run swaks");
    assert!(!output.status.success(), "Postfix relayed for somebody who did not log in");
}

#[test]
fn the_sink_keeps_every_sample_to_the_byte() {
    let sink = Sink::start();
    let mut application = Application::connect(sink.address()).expect("a greeting");
    for sample in Sample::all() {
        application.send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
        let taken = sink.taken().pop().expect("a transaction");
        assert_eq!(taken.recipients, ["<jane@example.com>"]);
        assert!(taken.content == sample.content, "{:?} came out changed", sample.name);
    }
}

#[test]
fn the_sink_behaves_as_told() {
    let sink = Sink::start();
    let mut application = Application::connect(sink.address()).expect("a greeting");
    for (manner, reply) in
        [(Manner::DefersAtMail, "451"), (Manner::RefusesRecipients, "550"), (Manner::Takes, "")]
    {
        sink.behave(manner);
        match application.send("joe@contoso.com", &["jane@example.com"], b"\r\n") {
            Ok(_) => assert_eq!(manner, Manner::Takes),
            Err(refusal) => assert!(refusal.to_string().starts_with(reply), "{manner:?}: {refusal}"),
        }
    }
    sink.behave(Manner::HangsUpAfterDot);
    application.send("joe@contoso.com", &["jane@example.com"], b"\r\n").expect_err("no reply");
    assert_eq!(sink.taken().len(), 1);
}

#[test]
#[should_panic(expected = "there is no no-such-program")]
fn a_missing_program_is_named() {
    program::run(&mut program::command("no-such-program"));
}
