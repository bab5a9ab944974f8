//! Replay: a file that brings its envelope along, from another Exchange or from a gateway.

use postroad_address_space::Domain;
use postroad_message::{Edits, HeaderBlock, firewall};

use crate::badmail::{Badmail, BadmailReason};
use crate::injected::{self, AddressForm, EncodeError, Injected, Strictness};
use crate::submission::{Kind, Submission};

/// How Replay files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// The X-CreatedBy that lets organisation and forest fields through; default `MSExchange15`.
    pub trusted_created_by: String,
    /// The default accepted domain: IMCEA recipients in it are opened. Default: none is.
    pub domain: Option<Domain>,
    /// What becomes of deviations that no document knows.
    pub strictness: Strictness,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            trusted_created_by: "MSExchange15".to_owned(),
            domain: None,
            strictness: Strictness::default(),
        }
    }
}

/// `injected-block message`: X-Sender once, X-Receiver once or more, the other X-headers, then the message.
///
/// The block and Bcc are taken out; `Received` and `Resent-*` stay; organisation and forest fields stay only for the
/// trusted X-CreatedBy. No limit on header or recipients.
///
/// ```
/// use postroad_message_directory::replay::{self, Rules};
/// let file = b"X-Receiver: <jane@contoso.com> NOTIFY=NEVER\r\nX-Sender: <app@contoso.com> RET=HDRS\r\n\
///     Subject: Tea\r\nX-Receiver: <smuggled@contoso.com>\r\n\r\nAt four.\r\n";
/// let submission = replay::decode(file, &Rules::default())?;
/// assert_eq!(submission.envelope.recipients.len(), 1);
/// # Ok::<(), postroad_message_directory::Badmail>(())
/// ```
///
/// # Errors
///
/// No or two X-Sender, no X-Receiver, one that is no address, an unreadable parameter, a blank X-CreatedBy. Nobody is
/// told: such a file was made by a program, and becomes `.bad`.
pub fn decode<'a>(file: &'a [u8], rules: &Rules) -> Result<Submission<'a>, Badmail> {
    if file.is_empty() {
        return Err(BadmailReason::Empty.into());
    }
    let header = HeaderBlock::scan(file);
    let extent = injected::extent(&header, rules.strictness)?;
    let block = Injected::read(&header, extent, rules.domain.as_ref(), rules.strictness)?;
    let mut edits = Edits::of(&header);
    injected::remove(&header, extent, &mut edits);
    edits.merge(firewall::blind_copies(&header));
    if block.origin.created_by.as_deref() != Some(rules.trusted_created_by.as_str()) {
        edits.merge(firewall::organization(&header));
    }
    Ok(Submission {
        envelope: block.envelope,
        rejected: Vec::new(),
        origin: block.origin,
        header,
        edits,
        kind: Kind::Replay,
    })
}

/// Writes what [`decode`] reads: the block, then `content` as it is. Exported messages look like this.
///
/// # Errors
///
/// [`EncodeError`]: a value with control characters, no recipient, a recipient without an IMCEA form in `domain`.
pub fn encode(
    injected: &Injected,
    content: &[u8],
    form: AddressForm,
    domain: &Domain,
) -> Result<Vec<u8>, EncodeError> {
    let mut file = injected.write(form, domain)?;
    file.extend_from_slice(content);
    Ok(file)
}
