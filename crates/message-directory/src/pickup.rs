//! Pickup: a new message that an application left as a file, in Exchange's or IIS's dialect.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::ffi::OsStr;
use std::hash::BuildHasher;
use std::path::Path;

use postroad_address_space::{Address, Domain, Mailbox};
use postroad_message::{Edits, Envelope, HeaderBlock, Recipient, ReversePath, firewall};

use crate::badmail::{Badmail, BadmailReason};
use crate::fields;
use crate::injected::{self, Injected, Strictness, opened};
use crate::submission::{Kind, Origin, Submission};

/// Whose Pickup directory this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Exchange 2007 and later: the header fields are the envelope; X-Sender and X-Receiver are ordinary fields.
    #[default]
    Exchange,
    /// IIS SMTP: `x-sender`, then an `x-receiver` for each recipient, as the very first lines; where they are missing,
    /// the header fields.
    Iis,
}

impl Dialect {
    /// Whether a file of this name is a message: `*.eml`, or (IIS) anything but `*.tmp`, `*.bad` and dot-files.
    pub fn takes(self, name: &OsStr) -> bool {
        match self {
            Self::Exchange => has_extension(name, "eml"),
            Self::Iis => {
                let hidden = name.as_encoded_bytes().starts_with(b".");
                !hidden && !has_extension(name, "tmp") && !has_extension(name, "bad")
            }
        }
    }
}

/// Letter case does not matter.
pub(crate) fn has_extension(name: &OsStr, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// How Pickup files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// Whose directory this is.
    pub dialect: Dialect,
    /// The longest header, bytes: PickupDirectoryMaxHeaderSize, 32768 to 2147483647, default 64 KiB.
    pub max_header_size: usize,
    /// The most recipients: PickupDirectoryMaxRecipientsPerMessage, 1 to 10000, default 100.
    pub max_recipients: usize,
    /// The default accepted domain: IMCEA recipients in it are opened. Default: none is.
    pub domain: Option<Domain>,
    /// With one From and one Sender, Sender is the envelope's sender, as in Exchange 5.5. Default: From is.
    pub sender_before_from: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            dialect: Dialect::Exchange,
            max_header_size: 64 * 1024,
            max_recipients: 100,
            domain: None,
            sender_before_from: false,
        }
    }
}

/// `message` with its envelope in the header: the sender from From or Sender, the recipients from To, Cc and Bcc.
///
/// Taken out: Bcc, Return-Path, organisation and forest fields, and (Exchange) `Received` and `Resent-*`. Where only Bcc
/// names recipients, `To: Undisclosed Recipients:;` is put in.
///
/// | From | Sender | the sender is |
/// |---|---|---|
/// | one | none | From |
/// | none | one | Sender |
/// | one | one | From |
/// | several | one | Sender |
/// | several | none | nobody: bad |
/// | any | several | nobody: bad |
///
/// ```
/// use postroad_message_directory::pickup::{self, Rules};
/// let file = b"From: App <app@contoso.com>\nTo: jane@contoso.com\nBcc: boss@contoso.com\n\nAt four.\n";
/// let submission = pickup::decode(file, &Rules::default())?;
/// assert_eq!(submission.envelope.reverse_path.to_string(), "<app@contoso.com>");
/// assert_eq!(submission.envelope.recipients.len(), 2);
/// # Ok::<(), postroad_message_directory::Badmail>(())
/// ```
///
/// # Errors
///
/// A file without sender or recipient becomes `.bad`. Where there is a good sender, [`Badmail::return_to`] names it:
/// too many recipients, none of them an address, too long a header.
pub fn decode<'a>(file: &'a [u8], rules: &Rules) -> Result<Submission<'a>, Badmail> {
    if file.is_empty() {
        return Err(BadmailReason::Empty.into());
    }
    let Some(header) = HeaderBlock::scan_within(file, rules.max_header_size) else {
        return Err(header_too_large(file, rules));
    };
    if header.is_empty() {
        return Err(BadmailReason::NoHeader.into());
    }
    let mut edits = firewall::organization(&header);
    edits.merge(firewall::blind_copies(&header));
    let (envelope, rejected) = match rules.dialect {
        Dialect::Exchange => {
            edits.merge(firewall::routing(&header));
            from_fields(&header, rules, &mut edits)?
        }
        Dialect::Iis => {
            edits.remove_named(&header, "Return-Path");
            match injected_by_iis(&header, rules, &mut edits)? {
                Some(envelope) => (envelope, Vec::new()),
                None => from_fields(&header, rules, &mut edits)?,
            }
        }
    };
    let count = envelope.recipients.len();
    if count > rules.max_recipients {
        let reason = BadmailReason::TooManyRecipients { count, limit: rules.max_recipients };
        return Err(Badmail::returned(reason, envelope.reverse_path.mailbox(), envelope.recipients));
    }
    Ok(Submission { envelope, rejected, origin: Origin::default(), header, edits, kind: Kind::Pickup })
}

/// The sender may still be found among the fields that fit.
fn header_too_large(file: &[u8], rules: &Rules) -> Badmail {
    let reason = BadmailReason::HeaderTooLarge { limit: rules.max_header_size };
    let start = file.get(..rules.max_header_size).unwrap_or(file);
    // The last field may be cut: it is left out.
    let whole =
        start.iter().rposition(|&byte| byte == b'\n').and_then(|at| start.get(..=at)).unwrap_or_default();
    let header = HeaderBlock::scan(whole);
    let sender = sender(&header, rules).ok();
    let recipients = recipients(&header, rules).valid.into_iter().take(rules.max_recipients).collect();
    Badmail::returned(reason, sender.as_ref(), recipients)
}

fn from_fields(
    header: &HeaderBlock<'_>,
    rules: &Rules,
    edits: &mut Edits,
) -> Result<(Envelope, Vec<String>), Badmail> {
    let sender = sender(header, rules)?;
    let found = recipients(header, rules);
    if found.valid.is_empty() {
        return Err(match found.invalid.into_iter().next() {
            Some(text) => {
                Badmail::returned(BadmailReason::NoValidRecipient { text }, Some(&sender), Vec::new())
            }
            None => BadmailReason::NoRecipient.into(),
        });
    }
    if !found.named_openly {
        edits.remove_named(header, "To");
        edits.add("To: Undisclosed Recipients:;\r\n");
    }
    Ok((Envelope::new(ReversePath::Mailbox(sender), found.valid), found.invalid))
}

/// The table of [`decode`].
fn sender(header: &HeaderBlock<'_>, rules: &Rules) -> Result<Mailbox, BadmailReason> {
    let listed = |name: &str| header.named(name).flat_map(fields::mailboxes).collect::<Vec<_>>();
    let (mut from, mut sender) = (listed("From"), listed("Sender"));
    let chosen = match (from.len(), sender.len()) {
        (_, 2..) => return Err(BadmailReason::SeveralSenders),
        (0, 0) => return Err(BadmailReason::NoSender),
        (1, 1) if rules.sender_before_from => sender.pop(),
        (1, _) => from.pop(),
        (_, 1) => sender.pop(),
        (_, _) => return Err(BadmailReason::SeveralSenders),
    };
    match chosen {
        Some(Ok(mailbox)) => Ok(mailbox),
        Some(Err(text)) => Err(BadmailReason::InvalidSender { text }),
        None => Err(BadmailReason::NoSender),
    }
}

struct Recipients {
    valid: Vec<Recipient>,
    invalid: Vec<String>,
    /// To or Cc names somebody.
    named_openly: bool,
}

/// To, Cc and Bcc in the order of the header, each address once.
fn recipients(header: &HeaderBlock<'_>, rules: &Rules) -> Recipients {
    let mut found = Recipients { valid: Vec::new(), invalid: Vec::new(), named_openly: false };
    let mut seen = Seen::default();
    for field in header.fields() {
        let blind = field.is("Bcc");
        if !blind && !field.is("To") && !field.is("Cc") {
            continue;
        }
        for entry in fields::mailboxes(field) {
            found.named_openly |= !blind;
            match entry {
                Ok(mailbox) => {
                    let address = opened(Address::Smtp(mailbox), rules.domain.as_ref());
                    if seen.is_first(&address, &found.valid) {
                        found.valid.push(Recipient::new(address));
                    }
                }
                Err(text) => found.invalid.push(text),
            }
        }
    }
    found
}

/// Which recipients there are already, without a copy of them: where the first of each hash stands.
#[derive(Default)]
struct Seen {
    state: RandomState,
    places: HashMap<u64, usize>,
}

impl Seen {
    /// Whether `address` is not among `recipients`, which it is about to join at the end.
    fn is_first(&mut self, address: &Address, recipients: &[Recipient]) -> bool {
        match self.places.entry(self.state.hash_one(address)) {
            Entry::Vacant(place) => {
                place.insert(recipients.len());
                true
            }
            Entry::Occupied(place) => {
                let same = |recipient: &Recipient| recipient.address == *address;
                // Two addresses of one hash are rare enough for a look at all.
                !recipients.get(*place.get()).is_some_and(same) && !recipients.iter().any(same)
            }
        }
    }
}

/// The envelope that stands before the message, where there is one.
fn injected_by_iis(
    header: &HeaderBlock<'_>,
    rules: &Rules,
    edits: &mut Edits,
) -> Result<Option<Envelope>, BadmailReason> {
    match header.fields().next() {
        Some(first) if first.is("X-Sender") => (),
        Some(first) if first.is("X-Receiver") => return Err(BadmailReason::ReceiverBeforeSender),
        _ => return Ok(None),
    }
    let extent = injected::extent(header, Strictness::Strict)?;
    let block = Injected::read(header, extent, rules.domain.as_ref(), Strictness::Lenient)?;
    injected::remove(header, extent, edits);
    Ok(Some(block.envelope))
}
