//! Reports as files, as other programs read them, and against hostile text.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod golden;
mod hostile;
mod readable;

use postroad_address_space::{Address, Mailbox};
use postroad_dsn::{Action, RecipientReport, Report, Stamp, report};
use postroad_message::{
    Content, EnhancedStatus, Envelope, Failure, Fault, Outcome, Phase, Receipt, Recipient, RemoteReply,
    ReversePath, Scope, Timestamp,
};

const AT: Timestamp = Timestamp::from_unix_millis(1_711_903_005_000);

fn sender(mailbox: &str) -> Envelope {
    Envelope::new(ReversePath::Mailbox(Mailbox::parse(mailbox).unwrap()), Vec::new())
}

fn recipient(address: &str) -> Recipient {
    Recipient::new(Address::parse(address).unwrap())
}

fn refused(code: u16, status: EnhancedStatus, said: &str) -> Outcome {
    let mut failure = Failure::new(
        status,
        Fault::Remote,
        Scope::Recipient,
        Phase::RcptTo,
        "The receiving server refused this recipient.",
    );
    failure.host = Some("mx.fabrikam.com [192.0.2.25]:25".to_owned());
    failure.reply = Some(RemoteReply::new(code, vec![said.to_owned()]));
    Outcome::Failed(failure)
}

fn expired() -> Failure {
    Failure::new(
        EnhancedStatus::transient(4, 7),
        Fault::Remote,
        Scope::NextHop,
        Phase::Connect,
        "The message could not be delivered in time.",
    )
}

fn relayed() -> Outcome {
    Outcome::Relayed(Receipt::new("faxgate.contoso.com"))
}

fn failed(address: &str, outcome: &Outcome) -> RecipientReport {
    RecipientReport::new(Action::Failed, &recipient(address), outcome).last_attempt(AT)
}

/// Writes the report with the same stamp always.
fn written(
    envelope: &Envelope,
    content: &[u8],
    recipients: &[RecipientReport],
    set: impl FnOnce(&mut Report<'_>),
) -> Option<(Envelope, Content)> {
    let postmaster = Mailbox::parse("postmaster@contoso.com").unwrap();
    let content = Content::from(content.to_vec());
    let mut asked = Report::new(envelope, &content, recipients, "hub01.contoso.com", &postmaster);
    asked.arrived_at = Some(AT);
    set(&mut asked);
    report(&asked, &Stamp::new("4f2a", AT, "<r1@contoso.com>"))
}
