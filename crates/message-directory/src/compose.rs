//! A message from a file and an envelope given beside it, as commands in the manner of `sendmail` get them.

use postroad_message::{Content, Envelope, Recipient, ReversePath};

use crate::badmail::{Badmail, BadmailReason};
use crate::injected::{AddressForm, Injected};
use crate::submission::Arrival;
use crate::{pickup, replay};

/// Reads `file` as Pickup does, but for what is given: `from` instead of its sender, `to` instead of its recipients.
///
/// With both given the file's own address fields are not looked at, and it is taken as Replay takes files.
///
/// # Errors
///
/// As [`pickup::decode`]; a recipient of the file that is no address is one, because somebody waits for the answer.
///
/// ```
/// use postroad_address_space::{Address, Domain};
/// use postroad_message::{Recipient, ReversePath, Timestamp};
/// use postroad_message_directory::{Arrival, compose};
/// let domain = Domain::parse("contoso.com")?;
/// let at = Timestamp::from_unix_millis(1_711_903_005_000);
/// let arrival = Arrival::new("hub01.contoso.com", &domain, at, [7; 16]);
/// let file = b"From: erp@contoso.com\nTo: jane@fabrikam.com\nSubject: Tea\n\nAt four.\n";
///
/// let (envelope, _) = compose(file, None, vec![], &arrival)?;
/// assert_eq!(envelope.reverse_path.to_string(), "<erp@contoso.com>");
/// assert_eq!(envelope.recipients[0].address.to_string(), "jane@fabrikam.com");
///
/// let fax = Recipient::new(Address::parse("FAX:123")?);
/// let (envelope, content) = compose(file, Some(ReversePath::Null), vec![fax], &arrival)?;
/// assert_eq!((envelope.reverse_path, envelope.recipients.len()), (ReversePath::Null, 1));
/// assert!(content.head().ends_with(b"\r\n\r\nAt four.\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compose(
    file: &[u8],
    from: Option<ReversePath>,
    to: Vec<Recipient>,
    arrival: &Arrival<'_>,
) -> Result<(Envelope, Content), Badmail> {
    if let (Some(from), false) = (&from, to.is_empty()) {
        let injected = Injected::new(Envelope::new(from.clone(), to));
        let replayed = replay::encode(&injected, file, AddressForm::Native, arrival.domain)
            .map_err(|error| BadmailReason::InvalidReceiver { text: error.to_string() })?;
        return replay::decode(&replayed, &replay::Rules::default())?.into_message(arrival);
    }
    let mut rules = pickup::Rules { domain: Some(arrival.domain.clone()), ..pickup::Rules::default() };
    rules.max_recipients = rules.max_recipients.max(to.len());
    let decoded = pickup::decode_with(file, &rules, pickup::Given { from, to })?;
    if let Some(text) = decoded.rejected.first() {
        return Err(BadmailReason::NoValidRecipient { text: text.clone() }.into());
    }
    decoded.into_message(arrival)
}
