//! Drop: the file a foreign gateway fetches, in Replay's form, so that it can be replayed.

use postroad_address_space::Domain;
use postroad_message::{Content, Envelope, HeaderBlock, firewall};

use crate::badmail::{Badmail, BadmailReason};
use crate::injected::{self, AddressForm, EncodeError, Injected, Strictness};

/// How Drop files are written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// How recipients that are no SMTP mailboxes are written.
    pub form: AddressForm,
    /// The default accepted domain: IMCEA addresses are made in it, and opened in it again.
    pub domain: Domain,
    /// X-CreatedBy. Never the value that some Replay trusts: this content came from anywhere. Default `postroad`.
    pub created_by: String,
}

impl Rules {
    /// IMCEA addresses in this domain.
    pub fn new(domain: Domain) -> Self {
        Self { form: AddressForm::default(), domain, created_by: "postroad".to_owned() }
    }
}

/// Writes one Drop file: X-Sender, an X-Receiver for each of the envelope's recipients, X-CreatedBy, the end marker, and
/// the content without organisation and forest fields. `Received` and `Resent-*` stay.
///
/// The envelope holds this connector's recipients only: who else gets the message is not the gateway's business.
/// The end marker is always written, so the content's own X-Receiver never joins the block. A content that starts with a
/// blank, and so has no header, gets the blank line before it that keeps it a body.
///
/// ```
/// use postroad_address_space::{Address, Domain};
/// use postroad_message::{Content, Envelope, Recipient};
/// use postroad_message_directory::drop::{self, Rules};
/// let fax = Recipient::new(Address::parse("FAX:+1 425")?);
/// let envelope = Envelope::new("jane@contoso.com".parse()?, vec![fax]);
/// let content = Content::from("Subject: Tea\r\n\r\nAt four.\r\n");
/// let file = drop::encode(&envelope, &content, &Rules::new(Domain::parse("contoso.com")?))?;
/// assert_eq!(
///     String::from_utf8_lossy(file.head()),
///     "X-Sender: <jane@contoso.com>\r\nX-Receiver: <IMCEAFAX-+2B1+20425@contoso.com>\r\n\
///      X-CreatedBy: postroad\r\nX-EndOfInjectedXHeaders: 100\r\nSubject: Tea\r\n\r\nAt four.\r\n",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`EncodeError`]: no recipient, or one that cannot be written in this form.
pub fn encode(envelope: &Envelope, content: &Content, rules: &Rules) -> Result<Content, EncodeError> {
    let mut block = Injected::new(envelope.clone());
    block.origin.created_by = Some(rules.created_by.clone());
    let mut file = block.write(rules.form, &rules.domain)?;
    let header = HeaderBlock::scan(content.head());
    if matches!(content.head().first(), Some(b' ' | b'\t')) {
        file.extend_from_slice(b"\r\n");
    }
    let edits = firewall::organization(&header);
    Ok(content.clone().edited(&edits).after(file))
}

/// Reads a Drop file back: the block, and the content exactly as it was written. For gateways.
///
/// IMCEA recipients of `domain` are opened. Nothing is stamped, repaired or removed but the block.
///
/// # Errors
///
/// As [`replay::decode`](crate::replay::decode).
pub fn decode(file: &[u8], domain: &Domain) -> Result<(Injected, Content), Badmail> {
    if file.is_empty() {
        return Err(BadmailReason::Empty.into());
    }
    let header = HeaderBlock::scan(file);
    let extent = injected::extent(&header, Strictness::Strict)?;
    let block = Injected::read(&header, extent, Some(domain), Strictness::Strict)?;
    let start = header.fields().take(extent).next_back().map_or(0, |field| field.range().end);
    let content = file.get(start..).unwrap_or_default().to_vec();
    Ok((block, Content::from(content)))
}
