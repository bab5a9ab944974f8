//! Who may send: strangers to our own domains at most, those who log in to everywhere.

use postroad_interop::{Sample, Scratch, mailbox};

use crate::configuration::{EVERYTHING_TO_DROP, House, PASSWORD, users};

/// `\0joe\0correct horse` in base64.
const PLAIN: &str = "AGpvZQBjb3JyZWN0IGhvcnNl";

#[test]
fn a_stranger_may_send_nowhere_when_nobody_says_so() {
    let house = House::in_scratch_with(Scratch::new(), "", EVERYTHING_TO_DROP);
    let _relay = house.start();
    for recipient in ["jane@contoso.com", "jane@example.com"] {
        let refusal =
            house.application().send("joe@contoso.com", &[recipient], b"\r\n").expect_err("a refusal");
        assert!(refusal.to_string().starts_with('5'), "{recipient}: {refusal}");
    }
}

#[test]
fn an_anonymous_user_may_send_to_accepted_domains_only() {
    let anonymous = "permission_groups = [\"anonymous-users\"]";
    let house = House::in_scratch_with(Scratch::new(), anonymous, EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let _relay = house.start();
    let mut application = house.application();
    let refusal =
        application.send("joe@example.org", &["jane@example.com"], b"\r\n").expect_err("no relaying");
    assert!(refusal.to_string().starts_with("550 5.7.1"), "{refusal}");
    application.say("RSET").expect("a reply");
    let sample = Sample::plain();
    application.send("joe@example.org", &["jane@contoso.com"], &sample.content).expect("a 250");
    sample.assert_arrived_in(&mailbox::wait_for_one(&house.drop_directory()));
}

#[test]
fn who_logs_in_may_send_everywhere_and_a_wrong_password_may_not() {
    let scratch = Scratch::new();
    let who = users(&scratch, "\"basic-auth\"");
    let house = House::in_scratch_with(scratch, &who, EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let relay = house.start();
    let mut application = house.application();
    let wrong = application.say("AUTH PLAIN AGpvZQB3cm9uZw==").expect("a reply");
    assert!(wrong.starts_with("535 5.7.8"), "{wrong}");
    let right = application.say(&format!("AUTH PLAIN {PLAIN}")).expect("a reply");
    assert!(right.starts_with("235 2.7.0"), "{right}");
    let sample = Sample::plain();
    application.send("joe@contoso.com", &["jane@example.com"], &sample.content).expect("a 250");
    sample.assert_arrived_in(&mailbox::wait_for_one(&house.drop_directory()));
    for secret in [PASSWORD, PLAIN] {
        assert!(!relay.log().contains(secret), "the password is in the log");
    }
}
