//! Whole reports as they leave, in `tests/golden/*.eml` (their line ends there are LF).
//!
//! `BLESS=1 cargo test` writes them anew; read the difference before you commit it.

use postroad_dsn::{Action, RecipientReport, Report, Wording};
use postroad_message::{EnhancedStatus, Envelope, OriginalRecipient, Outcome, Return};

use super::*;

const ORIGINAL: &[u8] =
    b"From: App <app@contoso.com>\r\nTo: jane@fabrikam.com\r\nSubject: Invoice 7\r\nMessage-ID: <7@contoso.com>\r\n\r\nPlease pay.\r\n";

fn check(name: &str, envelope: &Envelope, recipients: &[RecipientReport], set: impl FnOnce(&mut Report<'_>)) {
    let (_, content) = written(envelope, ORIGINAL, recipients, set).unwrap();
    let found = String::from_utf8(content.in_memory().unwrap().to_vec()).unwrap();
    assert!(!found.replace("\r\n", "").contains(['\r', '\n']));
    let found = found.replace("\r\n", "\n");
    let path = format!("{}/tests/golden/{name}.eml", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
}

#[test]
fn a_failure_brings_the_whole_original_back() {
    let mut jane = recipient("jane@fabrikam.com");
    jane.original = Some(OriginalRecipient::new("rfc822", "sales@contoso.com"));
    let outcome = refused(550, EnhancedStatus::permanent(1, 1), "5.1.1 <jane@fabrikam.com>: no such user");
    let mut envelope = sender("app@contoso.com");
    envelope.envelope_id = Some("batch 12".to_owned());
    check(
        "failed",
        &envelope,
        &[RecipientReport::new(Action::Failed, &jane, &outcome).last_attempt(AT)],
        |_| (),
    );
}

#[test]
fn a_sender_who_used_smtputf8_reads_his_own_letters() {
    let mut envelope = sender("bücher@contoso.com");
    envelope.smtputf8 = true;
    let mut jurgen = recipient("jürgen@fabrikam.com");
    jurgen.original = Some(OriginalRecipient::new("utf-8", "j+ü@contoso.com"));
    let outcome = refused(550, EnhancedStatus::permanent(1, 1), "5.1.1 jürgen ist unbekannt");
    let about = [RecipientReport::new(Action::Failed, &jurgen, &outcome).last_attempt(AT)];
    check("failed-international", &envelope, &about, |report| report.wording = Wording::Exchange);
    // Who did not use it may not be able to read it: the same in ASCII.
    let about = [RecipientReport::new(Action::Failed, &jurgen, &outcome)];
    check("failed-beyond-ascii", &sender("app@contoso.com"), &about, |_| ());
}

#[test]
fn exchange_wording_tells_administrators_more_and_keeps_4_4_7() {
    let mut envelope = sender("app@contoso.com");
    envelope.ret = Some(Return::Headers);
    let recipients = [
        failed("jane@fabrikam.com", &refused(552, EnhancedStatus::permanent(3, 4), "5.3.4 too big")),
        failed("FAX:+1 425 555 0100", &Outcome::Failed(expired())),
    ];
    check("failed-exchange", &envelope, &recipients, |report| report.wording = Wording::Exchange);
}

#[test]
fn a_delay_is_told_with_its_end() {
    let delayed =
        RecipientReport::new(Action::Delayed, &recipient("jane@fabrikam.com"), &Outcome::Deferred(expired()));
    check("delayed", &sender("app@contoso.com"), &[delayed], |report| {
        report.retry_until = Some(AT.after(std::time::Duration::from_secs(172_800)));
    });
}

#[test]
fn relayed_and_delivered_bring_headers_only() {
    let fax = RecipientReport::new(Action::Relayed, &recipient("FAX:+1 425 555 0100"), &relayed());
    let jane = RecipientReport::new(
        Action::Delivered,
        &recipient("jane@contoso.com"),
        // No host, and nothing for a stranger.
        &Outcome::Delivered(Receipt::new("unix:/run/dovecot/lmtp")),
    );
    check("relayed-and-delivered", &sender("app@contoso.com"), &[fax, jane], |_| ());
}

#[test]
fn an_unreadable_recipient_is_shown_as_it_was_written() {
    check(
        "unreadable-recipient",
        &sender("app@contoso.com"),
        &[RecipientReport::unreadable("jane at fabrikam")],
        |_| (),
    );
}
