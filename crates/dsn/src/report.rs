//! The report itself: `multipart/report` of text, delivery-status and what comes back of the original.

use std::borrow::Cow;

use mail_builder::MessageBuilder;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use memchr::memmem;
use postroad_address_space::{Address, Mailbox};
use postroad_message::line_end::normalise;
use postroad_message::{Body, Content, Envelope, HeaderBlock, Recipient, Return, ReversePath, Timestamp};

use crate::clean::{Letters, ascii, push_field};
use crate::owed::Action;
use crate::recipient::RecipientReport;
use crate::text;

/// How a report is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Wording {
    /// Short; an expired message is 5.4.7.
    #[default]
    Plain,
    /// With Exchange's section for administrators; an expired message stays 4.4.7.
    Exchange,
}

/// All that a report is made of. Build it with [`Report::new`], then set what is known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report<'a> {
    /// The original's envelope.
    pub envelope: &'a Envelope,
    /// The original's content.
    pub content: &'a Content,
    /// Those the report is about, at least one.
    pub recipients: &'a [RecipientReport],
    /// This server's full name, or the domain that reports are made in.
    pub reporting_mta: &'a str,
    /// Whom the report is from, for the reader; its envelope sender is null.
    pub postmaster: &'a Mailbox,
    /// When the original came in.
    pub arrived_at: Option<Timestamp>,
    /// How long a delayed message is tried.
    pub retry_until: Option<Timestamp>,
    /// An original longer than this, bytes, comes back as its header only. Default 10 MiB, as in Exchange
    /// (ExternalDsnMaxMessageAttachSize).
    pub headers_only_above: usize,
    /// How the text is worded.
    pub wording: Wording,
}

/// The default of [`Report::headers_only_above`].
pub const HEADERS_ONLY_ABOVE: usize = 10 * 1024 * 1024;

impl<'a> Report<'a> {
    /// A report in plain wording, of unknown moments.
    pub fn new(
        envelope: &'a Envelope,
        content: &'a Content,
        recipients: &'a [RecipientReport],
        reporting_mta: &'a str,
        postmaster: &'a Mailbox,
    ) -> Self {
        Self {
            envelope,
            content,
            recipients,
            reporting_mta,
            postmaster,
            arrived_at: None,
            retry_until: None,
            headers_only_above: HEADERS_ONLY_ABOVE,
            wording: Wording::default(),
        }
    }

    pub(crate) fn has(&self, action: Action) -> bool {
        self.recipients.iter().any(|recipient| recipient.action == action)
    }

    /// The gravest action, which names the report.
    fn gravest(&self) -> Option<Action> {
        self.recipients.iter().map(|recipient| recipient.action).max()
    }
}

/// What makes a report this one and no other: the clock and randomness of the caller.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stamp<'a> {
    /// Parts the parts: letters and digits, at most 60. Made longer if the original holds it.
    pub boundary: &'a str,
    /// `Date:`
    pub date: Timestamp,
    /// `Message-ID:` with its brackets, as [`repair::new_message_id`](postroad_message::repair::new_message_id) makes it.
    pub message_id: &'a str,
}

impl<'a> Stamp<'a> {
    /// All three.
    pub fn new(boundary: &'a str, date: Timestamp, message_id: &'a str) -> Self {
        Self { boundary, date, message_id }
    }
}

/// Writes the report and its envelope: from nobody, to the original's sender.
///
/// `None` where no report may be sent: the original came from nobody, so it was a report itself; or there is no recipient
/// to report about.
///
/// How much comes back (RFC 3461 section 4.3): the whole original only with a failure, unless the sender said `RET=HDRS` or
/// it is longer than [`Report::headers_only_above`], or not [in memory](Content::in_memory); else its header. An original with bytes above 127 comes back whole
/// only where the sender said `RET=FULL`; the report's envelope then says `BODY=8BITMIME`. Binary content, and lines of more
/// than 998 octets, never do. A sender who used SMTPUTF8 gets an international report (RFC 6533: `message/global-delivery-status`,
/// `message/global` or `message/global-headers`) where there is something beyond ASCII to tell. Every other report is 7-bit.
pub fn report(report: &Report<'_>, stamp: &Stamp<'_>) -> Option<(Envelope, Content)> {
    let sender = report.envelope.reverse_path.mailbox()?;
    let action = report.gravest()?;
    let boundary = boundary(stamp.boundary, report.content.in_memory().unwrap_or(report.content.head()));
    let content_type = ContentType::new("multipart/report")
        .attribute("report-type", "delivery-status")
        .attribute("boundary", boundary);
    let letters = letters(report, sender);
    let (text_type, status_type, encoding) = match letters {
        Letters::Ascii => ("text/plain; charset=us-ascii", "message/delivery-status", "7bit"),
        Letters::Unicode => ("text/plain; charset=utf-8", "message/global-delivery-status", "8bit"),
    };
    let (original_type, original_encoding, original) = original(report, letters);
    // The frame is of the kind of its widest part (RFC 2045 section 6.4); 7-bit goes without saying.
    let eight_bit = encoding == "8bit" || original_encoding == "8bit";
    let parts = vec![
        part(text_type, encoding, text::text(report, letters).into_bytes()),
        part(status_type, encoding, delivery_status(report, letters).into_bytes()),
        part(original_type, original_encoding, original),
    ];
    let mut frame = MimePart::new(content_type, parts);
    if eight_bit {
        frame = frame.transfer_encoding("8bit");
    }
    let mut message = MessageBuilder::new()
        .header("From", Raw::new(format!("<{}>", report.postmaster)))
        .header("To", Raw::new(format!("<{sender}>")))
        .header("Subject", Raw::new(subject(report, action, letters)))
        .header("Date", Raw::new(stamp.date.to_rfc5322()))
        .header("Message-ID", Raw::new(ascii(stamp.message_id, 250)))
        .header("Auto-Submitted", Raw::new("auto-replied"));
    if let Some(id) = original_message_id(report.content) {
        message = message.header("In-Reply-To", Raw::new(id.clone())).header("References", Raw::new(id));
    }
    let message = message.header("MIME-Version", Raw::new("1.0")).body(frame);
    // Writing into memory cannot fail.
    let content = Content::from(message.write_to_vec().unwrap_or_default());
    let recipient = Recipient::new(Address::Smtp(sender.clone()));
    let mut envelope = Envelope::new(ReversePath::Null, vec![recipient]);
    // RFC 8689 section 5: a report tells of the original, and is protected as it was to be.
    envelope.require_tls = report.envelope.require_tls;
    // RFC 6710 section 4.2: a report is as urgent as what it tells of.
    envelope.priority = report.envelope.priority;
    envelope.smtputf8 =
        letters == Letters::Unicode || sender.needs_smtputf8() || report.postmaster.needs_smtputf8();
    if content.shape().has_8bit() {
        envelope.body = Body::EightBitMime;
    }
    Some((envelope, content))
}

/// A part that is written as it is: naming the transfer encoding keeps mail-builder from choosing another.
fn part(content_type: &str, encoding: &str, body: Vec<u8>) -> MimePart<'static> {
    MimePart::new(ContentType::new(content_type.to_owned()), BodyPart::Binary(Cow::Owned(body)))
        .transfer_encoding(encoding.to_owned())
}

/// Unicode for a sender who used SMTPUTF8, and so can read it, where there is something beyond ASCII to tell.
fn letters(report: &Report<'_>, sender: &Mailbox) -> Letters {
    let reads_it = report.envelope.smtputf8 || sender.needs_smtputf8();
    let needs_it = || {
        sender.needs_smtputf8()
            || report.recipients.iter().any(RecipientReport::needs_unicode)
            || std::str::from_utf8(header(report.content)).is_ok_and(|header| !header.is_ascii())
    };
    if reads_it && needs_it() { Letters::Unicode } else { Letters::Ascii }
}

/// The fields of the original's header.
fn header(content: &Content) -> &[u8] {
    let fields = HeaderBlock::scan(content.head()).fields_end();
    content.head().get(..fields).unwrap_or_default()
}

/// `delivery-status-content = per-message-fields 1*( CRLF per-recipient-fields )` (RFC 3464 section 2.1).
fn delivery_status(report: &Report<'_>, letters: Letters) -> String {
    let mut block = String::with_capacity(512);
    if let Some(id) = &report.envelope.envelope_id {
        push_field(&mut block, "Original-Envelope-Id", id, letters);
    }
    push_field(&mut block, "Reporting-MTA", &format!("dns;{}", report.reporting_mta), letters);
    if let Some(at) = report.arrived_at {
        push_field(&mut block, "Arrival-Date", &at.to_rfc5322(), letters);
    }
    if let Some(by) = report.envelope.deliver_by {
        // RFC 2852 section 5.
        push_field(&mut block, "Deliver-By-Date", &by.deadline.to_rfc5322(), letters);
    }
    for recipient in report.recipients {
        recipient.push_fields(&mut block, report.wording, report.retry_until, letters);
    }
    block
}

/// The longest line of 7-bit and 8-bit content, its end aside (RFC 5322 section 2.1.1).
const LONGEST_LINE: usize = 998;

/// Whether a report of a failure may bring all of this content back, as [`report`] tells: then it must be in memory, which is for
/// whoever makes the report to see to.
pub fn may_return_all(envelope: &Envelope, content: &Content, headers_only_above: usize) -> bool {
    let is_wanted = match envelope.ret {
        Some(Return::Full) => true,
        Some(Return::Headers) => false,
        None => !content.shape().has_8bit(),
    };
    is_wanted
        && content.len() <= headers_only_above
        && envelope.body != Body::BinaryMime
        && !envelope.reverse_path.is_null()
}

/// Type, transfer encoding and bytes of the third part.
fn original(report: &Report<'_>, letters: Letters) -> (&'static str, &'static str, Vec<u8>) {
    let content = report.content;
    let eight_bit = content.shape().has_8bit();
    if let Some(whole) = content.in_memory()
        && report.has(Action::Failed)
        && may_return_all(report.envelope, content, report.headers_only_above)
    {
        let body = printable(&normalise(whole), true);
        // A message within a message may be neither base64 nor quoted-printable (RFC 2046 section 5.2.1), and binary
        // is for those who asked for it: what has longer lines comes back as its header.
        if body.split(|&byte| byte == b'\n').all(|line| line.len() <= LONGEST_LINE + 1) {
            let kind = if letters == Letters::Unicode { "message/global" } else { "message/rfc822" };
            return (kind, if eight_bit { "8bit" } else { "7bit" }, body);
        }
    }
    match letters {
        Letters::Unicode => ("message/global-headers", "8bit", header_lines(content, true)),
        Letters::Ascii => ("text/rfc822-headers", "7bit", header_lines(content, false)),
    }
}

/// The header, its lines cut where they are longer than any may be: a field goes on after the cut.
fn header_lines(content: &Content, eight_bit: bool) -> Vec<u8> {
    let fields = printable(&normalise(header(content)), eight_bit);
    let mut lines = Vec::with_capacity(fields.len());
    for line in fields.split_inclusive(|&byte| byte == b'\n') {
        let mut rest = line;
        while rest.len() > LONGEST_LINE + 2 {
            let mut cut = LONGEST_LINE - 8;
            // Never within a character.
            while cut > 1 && rest.get(cut).is_some_and(|byte| byte & 0xC0 == 0x80) {
                cut -= 1;
            }
            let (piece, after) = rest.split_at(cut);
            lines.extend_from_slice(piece);
            lines.extend_from_slice(b"\r\n ");
            rest = after;
        }
        lines.extend_from_slice(rest);
    }
    lines
}

/// What no mail may hold becomes `?`: NUL always, bytes above 127 where the part is 7-bit.
fn printable(bytes: &[u8], eight_bit: bool) -> Vec<u8> {
    bytes.iter().map(|&byte| if byte == 0 || (byte > 127 && !eight_bit) { b'?' } else { byte }).collect()
}

fn subject(report: &Report<'_>, action: Action, letters: Letters) -> String {
    let (word, _) = text::heading(action);
    let header = HeaderBlock::scan(report.content.head());
    let original = header.field("Subject").map(|field| field.unfolded().into_owned()).unwrap_or_default();
    match std::str::from_utf8(&original) {
        Ok(subject)
            if !subject.is_empty()
                && subject.len() <= 400
                && (subject.is_ascii() || letters == Letters::Unicode) =>
        {
            format!("{word}: {}", letters.clean(subject, 400))
        }
        _ => format!("{word}: your message"),
    }
}

/// The original's Message-ID, where it is one that can be repeated safely.
fn original_message_id(content: &Content) -> Option<String> {
    let header = HeaderBlock::scan(content.head());
    let id = header.field("Message-ID")?.unfolded().into_owned();
    let plain =
        id.len() <= 250 && id.iter().all(u8::is_ascii_graphic) && id.starts_with(b"<") && id.ends_with(b">");
    String::from_utf8(id).ok().filter(|_| plain)
}

fn boundary(wish: &str, content: &[u8]) -> String {
    let mut boundary: String = wish.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    boundary.push_str("dsn");
    let holds = |boundary: &str| memmem::find(content, boundary.as_bytes()).is_some();
    // Ends: each letter more can be in the content at fewer places.
    while holds(&boundary) && boundary.len() < 70 {
        boundary.push('x');
    }
    boundary
}
