//! What must hold for any bytes, as functions: fuzz targets and property tests call them.

use postroad_address_space::{Domain, Mailbox};
use postroad_message::line_end::LineEnds;
use postroad_message::{Content, Envelope, Timestamp};

use crate::badmail::Badmail;
use crate::drop;
use crate::injected::AddressForm;
use crate::pickup::{self, Dialect};
use crate::replay;
use crate::submission::{Arrival, Submission};

/// Reads `file` in both dialects and judges what would enter the queue.
///
/// # Panics
///
/// If what must hold does not.
pub fn pickup(file: &[u8]) {
    for dialect in [Dialect::Exchange, Dialect::Iis] {
        let rules = pickup::Rules { dialect, domain: domain(), ..pickup::Rules::default() };
        judge(pickup::decode(file, &rules));
    }
}

/// Reads `file` as Replay does and judges what would enter the queue.
///
/// # Panics
///
/// If what must hold does not.
pub fn replay(file: &[u8]) {
    judge(replay::decode(file, &replay::Rules { domain: domain(), ..replay::Rules::default() }));
}

/// Whatever can be read as a Drop file is written and read again without a change, in both address forms.
///
/// # Panics
///
/// If it is not.
pub fn drop_replay_inverse(file: &[u8]) {
    let Some(domain) = domain() else { return };
    let Ok((block, content)) = drop::decode(file, &domain) else { return };
    // A content that starts with a blank gets the blank line that keeps it a body.
    if matches!(content.head().first(), Some(b' ' | b'\t')) {
        return;
    }
    for form in [AddressForm::Imcea, AddressForm::Native] {
        let Ok(written) = replay::encode(&block, content.head(), form, &domain) else { continue };
        let again = drop::decode(&written, &domain);
        assert_eq!(again.as_ref().map(|(block, content)| (block, content)), Ok((&block, &content)));
    }
}

fn domain() -> Option<Domain> {
    Domain::parse("contoso.com").ok()
}

fn judge(decoded: Result<Submission<'_>, Badmail>) {
    let Some(domain) = domain() else { return };
    let arrival = Arrival::new("hub01.contoso.com", &domain, Timestamp::from_unix_millis(0), [0; 16]);
    if let Ok((envelope, content)) = decoded.and_then(|submission| submission.into_message(&arrival)) {
        judge_message(&envelope, &content);
    }
}

fn judge_message(envelope: &Envelope, content: &Content) {
    assert!(LineEnds::judge(content.head()).is_clean(), "line ends");
    assert!(!envelope.recipients.is_empty(), "nobody to send to");
    let mailboxes = envelope.recipients.iter().filter_map(|recipient| recipient.address.mailbox());
    for mailbox in mailboxes.chain(envelope.reverse_path.mailbox()) {
        assert_eq!(Mailbox::parse(&mailbox.to_string()).as_ref(), Ok(mailbox), "an address that is none");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_must_hold_holds(
            file in "(X-Sender: |X-Receiver: |X-CreatedBy: |X-MS-Exchange-Organization-|<a@b.example>|<FAX:1>|From: |To: |Bcc: \
                |Date: |X-EndOfInjectedXHeaders: 1\r\n|NOTIFY=NEVER|\r\n|\n|\r|\\x00|[ <>@:;,\"a-zé]){0,24}"
        ) {
            pickup(file.as_bytes());
            replay(file.as_bytes());
            drop_replay_inverse(file.as_bytes());
        }
    }
}
