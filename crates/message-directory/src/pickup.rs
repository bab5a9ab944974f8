//! Pickup: a new message that an application left as a file, in Exchange's or IIS's dialect.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::ffi::OsStr;
use std::hash::BuildHasher;
use std::path::Path;

use postroad_address_space::{Address, Domain, Mailbox};
use postroad_message::{Edits, Envelope, Field, HeaderBlock, Recipient, ReversePath, firewall};

use crate::badmail::{Badmail, BadmailReason};
use crate::fields::{self, Only};
use crate::injected::{self, Injected, Strictness, opened};
use crate::submission::{Kind, Origin, Submission};

/// Whose Pickup directory this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
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
    decode_with(file, rules, Given::default())
}

/// What stands beside a file, and counts instead of what its address fields say.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) from: Option<ReversePath>,
    /// Nobody: those of the fields.
    pub(crate) to: Vec<Recipient>,
}

pub(crate) fn decode_with<'a>(
    file: &'a [u8],
    rules: &Rules,
    given: Given,
) -> Result<Submission<'a>, Badmail> {
    if file.is_empty() {
        return Err(BadmailReason::Empty.into());
    }
    let Some(header) = HeaderBlock::scan_within(file, rules.max_header_size) else {
        return Err(header_too_large(file, rules));
    };
    if header.is_empty() {
        return Err(BadmailReason::NoHeader.into());
    }
    let mut edits = Edits::of(&header);
    edits.remove_where(&header, |field| is_removed(field, rules.dialect));
    let injected = match rules.dialect {
        Dialect::Exchange => None,
        Dialect::Iis => injected_by_iis(&header, rules, &mut edits)?,
    };
    let (envelope, rejected) = match injected {
        Some(envelope) => (envelope, Vec::new()),
        None => from_fields(&header, rules, given, &mut edits)?,
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
    let fields = AddressFields::read(&header, rules);
    let recipients = fields.recipients.into_iter().take(rules.max_recipients).collect();
    Badmail::returned(reason, sender(fields.from, fields.sender, rules).ok().as_ref(), recipients)
}

fn is_removed(field: &Field<'_>, dialect: Dialect) -> bool {
    match (field.name().as_bytes().first().map(u8::to_ascii_lowercase), dialect) {
        (Some(b'b'), _) => field.is("Bcc"),
        (Some(b'r'), Dialect::Exchange) => firewall::is_routing(field),
        (Some(b'r'), Dialect::Iis) => field.is("Return-Path"),
        (Some(b'x'), _) => firewall::is_organization(field),
        _ => false,
    }
}

fn from_fields(
    header: &HeaderBlock<'_>,
    rules: &Rules,
    given: Given,
    edits: &mut Edits,
) -> Result<(Envelope, Vec<String>), Badmail> {
    let mut fields = AddressFields::read(header, rules);
    let sender = match given.from {
        Some(from) => from,
        None => ReversePath::Mailbox(sender(fields.from, fields.sender, rules)?),
    };
    if !given.to.is_empty() {
        (fields.recipients, fields.rejected) = (given.to, Vec::new());
    }
    if fields.recipients.is_empty() {
        return Err(match fields.rejected.into_iter().next() {
            Some(text) => {
                Badmail::returned(BadmailReason::NoValidRecipient { text }, sender.mailbox(), Vec::new())
            }
            None => BadmailReason::NoRecipient.into(),
        });
    }
    if !fields.named_openly {
        edits.remove_named(header, "To");
        edits.add("To: Undisclosed Recipients:;\r\n");
    }
    Ok((Envelope::new(sender, fields.recipients), fields.rejected))
}

/// The table of [`decode`].
fn sender(from: Only, sender: Only, rules: &Rules) -> Result<Mailbox, BadmailReason> {
    let chosen = match (from.count, sender.count) {
        (_, 2..) => return Err(BadmailReason::SeveralSenders),
        (0, 0) => return Err(BadmailReason::NoSender),
        (1, 1) if rules.sender_before_from => sender.first,
        (1, _) => from.first,
        (_, 1) => sender.first,
        (_, _) => return Err(BadmailReason::SeveralSenders),
    };
    match chosen {
        Some(Ok(mailbox)) => Ok(mailbox),
        Some(Err(text)) => Err(BadmailReason::InvalidSender { text }),
        None => Err(BadmailReason::NoSender),
    }
}

/// What the header says of sender and recipients.
#[derive(Default)]
struct AddressFields {
    from: Only,
    sender: Only,
    /// To, Cc and Bcc in the order of the header, each address once.
    recipients: Vec<Recipient>,
    /// What there is no address.
    rejected: Vec<String>,
    /// To or Cc names somebody.
    named_openly: bool,
}

impl AddressFields {
    fn read(header: &HeaderBlock<'_>, rules: &Rules) -> Self {
        let mut read = Self::default();
        let mut seen = Seen::default();
        for field in header.fields() {
            match field.name().len() {
                2 if field.is("To") || field.is("Cc") => read.add_recipients(field, true, rules, &mut seen),
                3 if field.is("Bcc") => read.add_recipients(field, false, rules, &mut seen),
                4 if field.is("From") => read.from.add(field),
                6 if field.is("Sender") => read.sender.add(field),
                _ => {}
            }
        }
        read
    }

    fn add_recipients(&mut self, field: Field<'_>, openly: bool, rules: &Rules, seen: &mut Seen) {
        fields::each_mailbox(field, |entry| {
            self.named_openly |= openly;
            match entry {
                Ok(mailbox) => {
                    let address = opened(Address::Smtp(mailbox), rules.domain.as_ref());
                    if seen.is_first(&address, &self.recipients) {
                        self.recipients.push(Recipient::new(address));
                    }
                }
                Err(text) => self.rejected.push(text),
            }
        });
    }
}

/// So few recipients are compared one by one.
const FEW: usize = 16;

/// Which recipients there are already, without a copy of them: where the first of each hash stands.
#[derive(Default)]
struct Seen {
    state: RandomState,
    places: HashMap<u64, usize>,
}

impl Seen {
    /// Whether `address` is not among `recipients`, which it is about to join at the end.
    fn is_first(&mut self, address: &Address, recipients: &[Recipient]) -> bool {
        let same = |recipient: &Recipient| recipient.address == *address;
        if recipients.len() < FEW {
            return !recipients.iter().any(same);
        }
        if self.places.is_empty() {
            let hashed = recipients.iter().map(|recipient| self.state.hash_one(&recipient.address));
            self.places = hashed.enumerate().map(|(place, hash)| (hash, place)).collect();
        }
        match self.places.entry(self.state.hash_one(address)) {
            Entry::Vacant(place) => {
                place.insert(recipients.len());
                true
            }
            // Two addresses of one hash are rare enough for a look at all.
            Entry::Occupied(place) => {
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
