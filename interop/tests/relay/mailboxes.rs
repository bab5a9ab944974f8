//! A mailbox server behind the relay: each recipient of a message has its own answer, and mail outlasts a server that is away.

use postroad_interop::dovecot::MAILBOXES;
use postroad_interop::{Dovecot, Sample, Scratch, mailbox, patience, port};

use crate::configuration::House;

/// What is for contoso.com goes to Dovecot; everything else, and what is reported to senders elsewhere, to Drop.
fn behind(dovecot: &Dovecot, scratch: Scratch, limits: &str) -> House {
    let connectors = format!(
        r#"
[[delivery_agent_connector]]
name = "Mailboxes"
address_spaces = ["contoso.com"]
delivery_protocol = "lmtp"
endpoint = "{}"
{limits}

[[foreign_connector]]
name = "Elsewhere"
address_spaces = ["SMTP:*;1"]
drop_directory = "Drop"
"#,
        dovecot.lmtp()
    );
    let house = House::in_scratch(scratch, &connectors);
    house.scratch.folder("Drop");
    house
}

fn dovecot(scratch: &Scratch) -> Dovecot {
    // Nothing is submitted to it.
    Dovecot::start(scratch, port::free())
}

fn send(house: &House, to: &[&str]) -> String {
    let said = house.application().send("joe@fabrikam.com", to, &Sample::plain().content).expect("a 250");
    said.rsplit(' ').next().expect("an id").to_owned()
}

fn until_nothing_waits(house: &House) {
    patience::until("an empty queue", || {
        house.command(&["queue", "list"], &[]).0.contains("no mail waits").then_some(())
    });
}

#[test]
#[ignore = "needs root and Debian's dovecot-submissiond, dovecot-lmtpd; .ci/run runs it"]
fn each_recipient_of_one_message_has_its_own_outcome() {
    let scratch = Scratch::new();
    let dovecot = dovecot(&scratch);
    let house = behind(&dovecot, scratch, "");
    let relay = house.start();
    let [jane, tim, full] = MAILBOXES;
    let id = send(&house, &[jane, "nobody@contoso.com", full, tim]);

    for kept in [jane, tim] {
        let arrived = dovecot.messages(kept, 1).remove(0);
        Sample::plain().assert_arrived_in(&arrived);
        let arrived = String::from_utf8_lossy(&arrived);
        assert!(arrived.contains(&format!("id {id}")), "the relay's Received field is not in {arrived}");
    }
    let report = mailbox::wait_for_one(&house.drop_directory());
    let report = String::from_utf8_lossy(&report).into_owned();
    assert!(report.contains("X-Receiver: <joe@fabrikam.com>"), "{report}");
    for (recipient, status) in [("nobody@contoso.com", "Status: 5.1.1"), (full, "Status: 5.2.2")] {
        let about = report.split("Final-Recipient: rfc822;").find(|block| block.starts_with(recipient));
        assert!(about.is_some_and(|block| block.contains(status)), "no {status} of {recipient}:\n{report}");
    }
    for kept in [jane, tim] {
        assert!(!report.contains(&format!("Final-Recipient: rfc822;{kept}")), "{report}");
    }
    until_nothing_waits(&house);
    assert!(relay.terminate().success());
    assert_eq!(mailbox::files(&house.drop_directory()).len(), 1, "one report for the two");
    assert_eq!([jane, tim, full].map(|name| mailbox::files(&dovecot.mailbox(name)).len()), [1, 1, 0]);
}

#[test]
#[ignore = "needs root and Debian's dovecot-submissiond, dovecot-lmtpd; .ci/run runs it"]
fn mail_waits_while_dovecot_is_away_until_somebody_says_retry() {
    let scratch = Scratch::new();
    let dovecot = dovecot(&scratch);
    let house = behind(&dovecot, scratch, "");
    house.without_retries();
    let _relay = house.start();
    let [jane, ..] = MAILBOXES;
    dovecot.stop();
    let id = send(&house, &[jane]);
    let listed = patience::until("a queue in retry", || {
        let (listed, _) = house.command(&["queue", "list", "--queues", "--json"], &[]);
        listed.contains(r#""status":"retry""#).then_some(listed)
    });
    assert!(listed.contains(r#""connector":"Mailboxes""#) && listed.contains("4.4.1"), "{listed}");
    let (shown, _) = house.command(&["queue", "show"], &[&id]);
    for words in ["Mailboxes", jane, "4.4.1", "cannot be reached: Connection refused"] {
        assert!(shown.contains(words), "no {words:?} in {shown}");
    }
    dovecot.start_again();
    let (said, code) = house.command(&["queue", "retry"], &["--connector", "Mailboxes"]);
    assert_eq!(code, Some(0), "{said}");
    Sample::plain().assert_arrived_in(&dovecot.messages(jane, 1)[0]);
    until_nothing_waits(&house);
    assert!(mailbox::files(&house.drop_directory()).is_empty(), "nobody is told of a delay of moments");
}

#[test]
#[ignore = "needs root and Debian's dovecot-submissiond, dovecot-lmtpd; .ci/run runs it"]
fn mail_that_waits_for_dovecot_leaves_by_the_retry_schedule_and_by_a_new_connection() {
    let scratch = Scratch::new();
    let dovecot = dovecot(&scratch);
    let house = behind(&dovecot, scratch, "");
    let _relay = house.start();
    let [jane, tim, _] = MAILBOXES;
    send(&house, &[jane]);
    dovecot.messages(jane, 1);
    // The connection that stands is of no more use, which the relay learns when it needs it.
    dovecot.stop();
    dovecot.start_again();
    send(&house, &[jane]);
    dovecot.messages(jane, 2);
    dovecot.stop();
    let id = send(&house, &[jane, tim]);
    patience::until("the first refusal", || {
        house.command(&["queue", "show"], &[&id]).0.contains("4.4.1").then_some(())
    });
    dovecot.start_again();
    dovecot.messages(jane, 3);
    dovecot.messages(tim, 1);
    until_nothing_waits(&house);
    assert_eq!(mailbox::files(&dovecot.mailbox(jane)).len(), 3);
}

#[test]
#[ignore = "needs root and Debian's dovecot-submissiond, dovecot-lmtpd; .ci/run runs it"]
fn a_connection_carries_as_many_messages_as_the_connector_allows() {
    let scratch = Scratch::new();
    let dovecot = dovecot(&scratch);
    let limits = "max_concurrent_connections = 1\nmax_messages_per_connection = 3";
    let house = behind(&dovecot, scratch, limits);
    let _relay = house.start();
    let [jane, ..] = MAILBOXES;
    for _ in 0..7 {
        send(&house, &[jane]);
    }
    dovecot.messages(jane, 7);
    // lmtp(jane@contoso.com)<process><session>: msgid=<...>: saved mail to INBOX
    let sessions = patience::until("seven lines about mail that was saved", || {
        let log = dovecot.log();
        let saved = log.lines().filter(|line| line.contains("saved mail to INBOX"));
        let sessions: Vec<String> =
            saved.filter_map(|line| Some(line.split('<').nth(2)?.to_owned())).collect();
        (sessions.len() == 7).then_some(sessions)
    });
    let connections = sessions.chunk_by(|one, other| session(one) == session(other)).map(<[_]>::len);
    assert_eq!(connections.collect::<Vec<_>>(), [3, 3, 1], "{sessions:?}");
}

/// Without the number of the transaction within it.
fn session(text: &str) -> &str {
    text.split(['>', ':']).next().unwrap_or_default()
}
