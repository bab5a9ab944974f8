//! Delivery reports as other programs take them: Postfix, and Python's email package, which many bounce handlers are built on.

use std::fs;
use std::path::Path;
use std::process::Command;

use postroad_interop::postfix::HOST;
use postroad_interop::{Postfix, Scratch, mailbox};

use crate::configuration::{EVERYTHING_TO_DROP, House};
use crate::postfix;

/// Prints each part's type, then the fields of the delivery status, one block after another.
const READER: &str = r#"
import email, email.policy, sys
sys.stdout.reconfigure(errors='backslashreplace')
message = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
assert message.get_content_type() == 'multipart/report', message.get_content_type()
assert message.get_param('report-type') in ('delivery-status', 'global-delivery-status')
assert message['Auto-Submitted'] == 'auto-replied'
for part in message.walk():
    assert not part.defects, part.defects
    print('part', part.get_content_type())
    if part.get_content_type().endswith('delivery-status'):
        for block in part.get_payload():
            for name, value in block.items():
                print(name, '=', value)
            # Of the international kind it takes all but the first block for a text.
            print(block.get_payload().replace(': ', ' = '))
    elif part.get_content_type() == 'text/plain' and part.get_content_charset():
        part.get_content()
print('subject', message['Subject'])
"#;

#[test]
#[ignore = "needs python3"]
fn python_reads_what_was_refused_and_what_comes_back() {
    // Nobody takes fabrikam's X.400 users, so their report is due at once.
    let house = House::with(&EVERYTHING_TO_DROP.replace(r#""X400:*;1", "#, ""));
    house.scratch.folder("Drop");
    let _relay = house.start();
    let content = "Subject: Grüße\r\nMessage-ID: <7@contoso.com>\r\n\r\nUm vier.\r\n".as_bytes();
    let to = ["IMCEAX400-C=US+3BA=Fabrikam+3BP=Contoso+3BS=Doe+3B@contoso.com", "jane@example.com"];
    house.application().send("joe@contoso.com", &to, content).expect("a 250");
    let files = mailbox::wait_for(&house.drop_directory(), 2);
    let report = files.iter().find(|file| String::from_utf8_lossy(file).contains("multipart/report"));
    // Behind the envelope of the Drop file.
    let text = String::from_utf8_lossy(report.expect("a report")).into_owned();
    let (_, message) = text.split_once("X-EndOfInjectedXHeaders").expect("the end of the envelope");
    let (_, message) = message.split_once("\r\n").expect("a line");
    let file = house.scratch.write("report.eml", message);

    let said = read(&file);
    for line in [
        "part multipart/report",
        "part message/delivery-status",
        "part text/rfc822-headers",
        "Reporting-MTA = dns;hub01.contoso.com",
        "Action = failed",
        "Status = 5.1.2",
        "subject Undeliverable: your message",
    ] {
        assert!(said.lines().any(|said| said == line), "{line:?} is missing:\n{said}");
    }
    assert!(said.contains("Final-Recipient = x400;"), "{said}");
}

#[test]
#[ignore = "needs python3"]
fn python_reads_every_kind_of_report() {
    let scratch = Scratch::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/dsn/tests/golden");
    let reports = mailbox::files(&golden);
    assert!(reports.len() >= 7, "{reports:?}");
    for report in reports {
        let text = fs::read_to_string(&report).expect("a report").replace('\n', "\r\n");
        let said = read(&scratch.write("report.eml", text));
        for line in ["part multipart/report", "Reporting-MTA = dns;hub01.contoso.com"] {
            assert!(said.lines().any(|said| said == line), "{line:?} is missing in {report:?}:\n{said}");
        }
        for part in ["part message/", "-status\n", "Final-Recipient = ", "Action = ", "Status = "] {
            assert!(said.contains(part), "{part:?} is missing in {report:?}:\n{said}");
        }
    }
}

#[test]
#[ignore = "needs root and Debian's postfix, sasl2-bin, libsasl2-modules, python3; .ci/run runs it"]
fn postfix_delivers_a_report_from_nobody_with_what_the_sender_asked_for() {
    let scratch = Scratch::new();
    let postfix = Postfix::start(&scratch);
    let connector = postfix::connector(&scratch, &postfix, "plain", HOST);
    let house = House::in_scratch(scratch, &connector);
    let _relay = house.start();
    let mut application = house.application();
    for command in [
        "MAIL FROM:<joe@contoso.com> RET=HDRS ENVID=batch+2B7",
        "RCPT TO:<IMCEAX400-C=US+3BS=Doe+3B@contoso.com> NOTIFY=FAILURE ORCPT=rfc822;sales+2Bdoe@contoso.com",
    ] {
        let said = application.say(command).expect("a reply");
        assert!(said.starts_with("250"), "{command}: {said}");
    }
    application.data(b"Subject: Tea\r\nMessage-ID: <7@contoso.com>\r\n\r\nAt four.\r\n").expect("a 250");

    let arrived = postfix.messages(1).remove(0);
    let text = String::from_utf8_lossy(&arrived).into_owned();
    assert!(text.starts_with("Return-Path: <>\n"), "{text}");
    assert!(text.contains("Delivered-To: joe@contoso.com\n"), "{text}");
    let said = read(&house.scratch.write("report.eml", &text));
    for line in [
        "part text/rfc822-headers",
        "Original-Envelope-Id = batch+7",
        "Original-Recipient = rfc822;sales+doe@contoso.com",
        "Action = failed",
        "Status = 5.1.2",
    ] {
        assert!(said.lines().any(|said| said == line), "{line:?} is missing:\n{said}");
    }
    assert!(!text.contains("At four."), "headers only:\n{text}");
}

/// What Python's email package says of a report.
fn read(file: &Path) -> String {
    let read = Command::new("python3").args(["-c", READER]).arg(file).output().expect("run python3");
    assert!(read.status.success(), "{read:?}\n{}", fs::read_to_string(file).unwrap_or_default());
    String::from_utf8_lossy(&read.stdout).into_owned()
}
