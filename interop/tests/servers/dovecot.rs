//! Dovecot: each way to log in, told by its own log; mailboxes behind LMTP, with an answer for each recipient.

use std::fs;

use postroad_interop::dovecot::{HOST, MAILBOXES, PASSWORD, TOKEN, USERNAME};
use postroad_interop::{Dovecot, Sample, Scratch, Sink, mailbox, patience};
use postroad_message::{Fault, Outcome, Phase, Scope};
use postroad_smtp_client::{Authentication, ClientCertificate, Credential, Destination, Mechanism, Secret};

use crate::client::{Client, at, over_tls};

/// A submission service and what stands behind it.
struct Submission {
    dovecot: Dovecot,
    sink: Sink,
    client: Client,
}

impl Submission {
    fn start() -> Self {
        let sink = Sink::start();
        let dovecot = Dovecot::start(&Scratch::new(), sink.address());
        let client = Client::trusting(dovecot.authority());
        Self { dovecot, sink, client }
    }

    fn destination(&self, credential: Credential, mechanism: Mechanism) -> Destination {
        let mut destination = over_tls(self.dovecot.submission(), HOST);
        let mut authentication = Authentication::new(credential);
        authentication.mechanisms = vec![mechanism];
        destination.authentication = Some(authentication);
        if mechanism == Mechanism::External {
            let person = self.dovecot.person();
            let shown = ClientCertificate::from_pem_files(&person.certificate, &person.key);
            destination.client_certificate = Some(shown.expect("a certificate"));
        }
        destination
    }
}

fn credential(mechanism: Mechanism, secret: &str) -> Credential {
    let secret = Secret::new(secret);
    match mechanism {
        Mechanism::External => Credential::certificate(None),
        Mechanism::OAuthBearer | Mechanism::XOAuth2 => Credential::token(USERNAME, secret),
        _ => Credential::new(USERNAME, secret),
    }
}

/// Those that Dovecot 2.3 knows: it binds no login to a TLS connection.
const KNOWN: [Mechanism; 8] = [
    Mechanism::ScramSha256,
    Mechanism::ScramSha1,
    Mechanism::External,
    Mechanism::OAuthBearer,
    Mechanism::XOAuth2,
    Mechanism::CramMd5,
    Mechanism::Plain,
    Mechanism::Login,
];

#[test]
#[ignore = "needs root and Debian's dovecot-submissiond, dovecot-lmtpd; .ci/run runs it"]
fn each_login_is_the_one_that_dovecot_saw() {
    let submission = Submission::start();
    for (count, mechanism) in KNOWN.into_iter().enumerate() {
        let token = matches!(mechanism, Mechanism::OAuthBearer | Mechanism::XOAuth2);
        let right = credential(mechanism, if token { TOKEN } else { PASSWORD });
        let destination = submission.destination(right, mechanism);
        let sample = Sample::plain();
        let outcomes = submission.client.deliver(
            &destination,
            "joe@contoso.com",
            &["jane@fabrikam.com"],
            sample.content.clone(),
        );
        let [Outcome::Delivered(receipt)] = outcomes.as_slice() else { panic!("{mechanism}: {outcomes:?}") };
        let tls = receipt.tls.as_ref().expect("TLS");
        assert!(tls.authenticated && tls.version == "TLSv1.3", "{tls:?}");
        let seen = format!("Login: user=<{USERNAME}>, method={mechanism}, ");
        patience::until(&seen, || submission.dovecot.log().contains(&seen).then_some(()));
        sample.assert_arrived_in(&submission.sink.wait_for(count + 1).remove(count).content);
    }
}

#[test]
#[ignore = "needs root and Debian's dovecot-submissiond, dovecot-lmtpd; .ci/run runs it"]
fn the_strongest_login_is_taken_where_all_are_allowed() {
    let submission = Submission::start();
    for (right, expected) in [
        (credential(Mechanism::Plain, PASSWORD), Mechanism::ScramSha256),
        (credential(Mechanism::XOAuth2, TOKEN), Mechanism::OAuthBearer),
    ] {
        let mut destination = submission.destination(right, expected);
        destination.authentication.as_mut().expect("a login").mechanisms.clear();
        let outcomes =
            submission.client.deliver(&destination, "joe@contoso.com", &["jane@fabrikam.com"], *b"\r\n");
        assert!(matches!(outcomes.as_slice(), [Outcome::Delivered(_)]), "{outcomes:?}");
        let seen = format!("method={expected}, ");
        patience::until(&seen, || submission.dovecot.log().contains(&seen).then_some(()));
    }
}

#[test]
#[ignore = "needs root and Debian's dovecot-submissiond, dovecot-lmtpd; .ci/run runs it"]
fn a_wrong_secret_is_our_configurations_fault_and_goes_out_once() {
    let submission = Submission::start();
    for mechanism in KNOWN.into_iter().filter(|mechanism| *mechanism != Mechanism::External) {
        let wrong = TOKEN.replace(".eyJ", ".eyK");
        let destination = submission.destination(credential(mechanism, &wrong), mechanism);
        let outcomes =
            submission.client.deliver(&destination, "joe@contoso.com", &["jane@fabrikam.com"], *b"\r\n");
        let [Outcome::Deferred(failure)] = outcomes.as_slice() else { panic!("{mechanism}: {outcomes:?}") };
        assert_eq!(
            (failure.fault, failure.scope, failure.phase),
            (Fault::Configuration, Scope::NextHop, Phase::Authentication),
            "{mechanism}: {failure}"
        );
        let said = submission.client.said();
        assert_eq!(said.iter().filter(|line| line.starts_with("> AUTH ")).count(), 1, "{said:#?}");
        assert!(!said.concat().contains(&wrong) && !failure.to_string().contains(&wrong), "{said:#?}");
    }
    assert!(submission.sink.taken().is_empty());
}

#[test]
#[ignore = "needs root and Debian's dovecot-submissiond, dovecot-lmtpd; .ci/run runs it"]
fn tls_from_the_first_byte_on() {
    let submission = Submission::start();
    let mut destination =
        submission.destination(credential(Mechanism::ScramSha256, PASSWORD), Mechanism::ScramSha256);
    destination.port = submission.dovecot.submissions().port();
    destination.implicit_tls = true;
    let sample = Sample::plain();
    let outcomes = submission.client.deliver(
        &destination,
        "joe@contoso.com",
        &["jane@fabrikam.com"],
        sample.content.clone(),
    );
    assert!(matches!(outcomes.as_slice(), [Outcome::Delivered(_)]), "{outcomes:?}");
    assert!(!submission.client.said().contains(&"> STARTTLS".to_owned()));
    sample.assert_arrived_in(&submission.sink.wait_for(1).remove(0).content);
}

#[test]
#[ignore = "needs root and Debian's dovecot-submissiond, dovecot-lmtpd; .ci/run runs it"]
fn lmtp_answers_for_each_mailbox() {
    let submission = Submission::start();
    let dovecot = &submission.dovecot;
    let mut destination = at(dovecot.lmtp());
    destination.lmtp = true;
    let [jane, tim, full] = MAILBOXES;
    let to = [jane, "nobody@contoso.com", full, tim];
    let outcomes = submission.client.deliver(&destination, "joe@fabrikam.com", &to, Sample::plain().content);
    let [Outcome::Delivered(_), Outcome::Failed(nobody), Outcome::Failed(no_room), Outcome::Delivered(_)] =
        outcomes.as_slice()
    else {
        panic!("{outcomes:#?}")
    };
    assert_eq!((nobody.phase, nobody.status.to_string().as_str()), (Phase::RcptTo, "5.1.1"), "{nobody}");
    assert_eq!((no_room.phase, no_room.status.to_string().as_str()), (Phase::FinalDot, "5.2.2"), "{no_room}");
    for mailbox in [jane, tim] {
        Sample::plain().assert_arrived_in(&dovecot.messages(mailbox, 1)[0]);
    }
    assert!(mailbox::files(&dovecot.mailbox(full)).is_empty());
}

#[test]
#[ignore = "needs root and Debian's dovecot-submissiond, dovecot-lmtpd; .ci/run runs it"]
fn lmtp_keeps_every_sample_to_the_byte() {
    let submission = Submission::start();
    let mut destination = over_tls(submission.dovecot.lmtp(), HOST);
    destination.lmtp = true;
    let [jane, ..] = MAILBOXES;
    let folder = submission.dovecot.mailbox(jane);
    for (count, sample) in Sample::all().iter().enumerate() {
        let before = mailbox::files(&folder);
        let outcomes =
            submission.client.deliver(&destination, "joe@fabrikam.com", &[jane], sample.content.clone());
        assert!(matches!(outcomes.as_slice(), [Outcome::Delivered(_)]), "{:?}: {outcomes:?}", sample.name);
        submission.dovecot.messages(jane, count + 1);
        let new = mailbox::files(&folder).into_iter().find(|file| !before.contains(file));
        sample.assert_arrived_in(&fs::read(new.expect("a new file")).expect("read a new file"));
    }
}
