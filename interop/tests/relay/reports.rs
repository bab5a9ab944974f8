//! Delivery reports as other programs read them: Python's email package, which many bounce handlers are built on.

use std::fs;
use std::process::Command;

use postroad_interop::mailbox;

use crate::configuration::{EVERYTHING_TO_DROP, House};

/// Prints each part's type, then the fields of the delivery status, one block after another.
const READER: &str = r#"
import email, email.policy, sys
message = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
assert message.get_content_type() == 'multipart/report', message.get_content_type()
assert message.get_param('report-type') == 'delivery-status'
assert message['Auto-Submitted'] == 'auto-replied'
for part in message.walk():
    assert not part.defects, part.defects
    print('part', part.get_content_type())
    if part.get_content_type() == 'message/delivery-status':
        for block in part.get_payload():
            for name, value in block.items():
                print(name, '=', value)
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

    let read = Command::new("python3").args(["-c", READER]).arg(&file).output().expect("run python3");
    let said = String::from_utf8_lossy(&read.stdout).into_owned();
    assert!(read.status.success(), "{read:?}\n{}", fs::read_to_string(&file).unwrap_or_default());
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
