//! One message on its way: the commands that carry its envelope, and what they need of the server.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;

use postroad_address_space::{Address, Domain, MailDomain, Mailbox, encapsulation};
use postroad_message::seven_bit::{Signatures, Unconvertible, to_seven_bit};
use postroad_message::{
    Body, Content, DeliverBy, EnhancedStatus, Envelope, Failure, Fault, Notify, Phase, Priority, Recipient,
    Return, ReversePath, Scope, Timestamp, TlsFacts, WhenLate,
};

use crate::capability::{Capabilities, SizeLimit};
use crate::client::content_task::ContentTask;
use crate::client::settings::EightBitContent;
use crate::parameter::LONGEST_ORIGINAL;
use crate::xtext;

/// A message, its sender and those of its recipients that this server is to take, ready for any server.
///
/// Duties that the server cannot take over stay with us: parameters are written only where they are offered, and what
/// cannot do without them is refused before MAIL.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Every path and original recipient, behind each other.
    text: String,
    reverse_path: Path,
    forward_paths: Vec<Forward>,
    content: Content,
    header_needs_smtputf8: bool,
    body: Body,
    /// Why it could not be put into seven bits, once that was tried.
    unconvertible: Option<Unconvertible>,
    ret: Option<Return>,
    envelope_id: Option<String>,
    require_tls: bool,
    deadline: Option<Deadline>,
    priority: Option<Priority>,
}

/// The sender's deadline, and the seconds left.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    by: DeliverBy,
    left: i64,
}

/// What stands between the angle brackets, as a part of the text; the domain always in A-labels.
#[derive(Clone, Debug)]
struct Path {
    text: Range<usize>,
    needs_smtputf8: bool,
}

#[derive(Clone, Debug)]
struct Forward {
    path: Result<Path, Box<Failure>>,
    notify: Option<Notify>,
    original: Option<Range<usize>>,
    wants_success: bool,
}

impl Transaction {
    /// Takes the recipients given, in their order, not those of the envelope.
    ///
    /// A recipient of another type than SMTP is written as an IMCEA mailbox in `imcea_domain`; without one it fails. What is
    /// left of the sender's deadline is counted from `now`.
    pub fn new<'a>(
        envelope: &Envelope,
        recipients: impl IntoIterator<Item = &'a Recipient>,
        content: &Content,
        imcea_domain: Option<&Domain>,
        now: Timestamp,
    ) -> Self {
        let mut text = String::with_capacity(128);
        let reverse_path = match &envelope.reverse_path {
            ReversePath::Null => Path { text: 0..0, needs_smtputf8: false },
            ReversePath::Mailbox(mailbox) => Path::new(mailbox, &mut text),
        };
        let forward_paths = recipients
            .into_iter()
            .map(|recipient| Forward::new(recipient, imcea_domain, &mut text))
            .collect();
        Self {
            text,
            reverse_path,
            forward_paths,
            content: content.clone(),
            // Without the sender's SMTPUTF8 an 8-bit header is an old program's habit, and every relay lets it pass.
            header_needs_smtputf8: envelope.smtputf8 && header_block_is_8bit(content.head()),
            body: envelope.body,
            unconvertible: None,
            ret: envelope.ret,
            envelope_id: envelope.envelope_id.clone(),
            require_tls: envelope.require_tls,
            deadline: envelope.deliver_by.map(|by| Deadline { by, left: by.seconds_left(now) }),
            priority: envelope.priority,
        }
    }

    /// How many recipients there are, and so how many outcomes there will be.
    pub fn recipients(&self) -> usize {
        self.forward_paths.len()
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// Whether the sender is to hear from us that the message went on to a server that offers this.
    ///
    /// One without DSN cannot tell him what he asked for. One without DELIVERBY will not tell him that it is late (RFC 2852
    /// section 4.1.4.2), and `T` asks every relay to tell (4.1.4).
    pub(crate) fn is_to_report_relay(&self, recipient: usize, offered: &Capabilities) -> bool {
        let Some(forward) = self.forward_paths.get(recipient) else { return false };
        let by_deadline = self.deadline.is_some_and(|Deadline { by, .. }| {
            by.trace || (by.when_late == WhenLate::Notify && offered.deliver_by.is_none())
        });
        (forward.wants_success && !offered.dsn)
            || (by_deadline && !forward.notify.is_some_and(Notify::is_never))
    }

    /// Puts the content into seven bits, where this server takes no others and no harm is done (RFC 6152 section 3).
    ///
    /// Of content that takes its time, or is not in memory, this is left to the caller, whose answer goes to
    /// [`converted`](Self::converted).
    pub(crate) fn adapt(
        &mut self,
        offered: &Capabilities,
        eight_bit: EightBitContent,
    ) -> Option<ContentTask> {
        const AT_ONCE: usize = 32 * 1024;
        if !self.is_too_wide(offered, eight_bit) {
            return None;
        }
        let signatures = match eight_bit {
            EightBitContent::Convert => Signatures::Break,
            EightBitContent::ConvertUnlessSigned | EightBitContent::SendAsItIs => Signatures::Spare,
        };
        if self.content.in_memory().is_some_and(|bytes| bytes.len() <= AT_ONCE)
            && let Ok(converted) = to_seven_bit(&self.content, signatures)
        {
            self.converted(converted);
            return None;
        }
        Some(ContentTask::convert(&self.content, signatures))
    }

    pub(crate) fn converted(&mut self, converted: Result<Content, Unconvertible>) {
        match converted {
            Ok(converted) => {
                self.content = converted;
                self.body = Body::SevenBit;
            }
            Err(why) => self.unconvertible = Some(why),
        }
    }

    fn is_too_wide(&self, offered: &Capabilities, eight_bit: EightBitContent) -> bool {
        // DATA has no place for what is no text, whoever says "anyway".
        (self.is_binary() && !self.goes_as_binary(offered))
            || (self.content.shape().has_8bit()
                && !offered.eight_bit_mime
                && eight_bit != EightBitContent::SendAsItIs
                && !self.goes_as_binary(offered))
    }

    /// Why this server can't have the message at all, whoever it is for.
    pub(crate) fn obstacle(
        &self,
        offered: &Capabilities,
        tls: Option<&TlsFacts>,
        eight_bit: EightBitContent,
    ) -> Option<Failure> {
        let obstacle = self.obstacle_in_any_form(offered, tls, eight_bit);
        if obstacle.is_some() || !self.is_too_wide(offered, eight_bit) {
            return obstacle;
        }
        let why = self.unconvertible.map_or_else(String::new, |why| format!(": {why}"));
        let text = format!("the next host takes 7-bit content only, and this can't be made that{why}");
        Some(Failure::new(EnhancedStatus::permanent(6, 3), Fault::Message, Scope::Message, Phase::Data, text))
    }

    /// The same, but for what becomes another where it is put into seven bits.
    pub(crate) fn obstacle_in_any_form(
        &self,
        offered: &Capabilities,
        tls: Option<&TlsFacts>,
        eight_bit: EightBitContent,
    ) -> Option<Failure> {
        let refuse = |status, phase, text: &str| {
            Some(Failure::new(status, Fault::Message, Scope::Message, phase, text))
        };
        let status = EnhancedStatus::permanent;
        if self.require_tls && !(offered.require_tls && tls.is_some_and(|facts| facts.authenticated)) {
            return refuse(
                status(7, 30),
                Phase::MailFrom,
                "the sender requires TLS all the way, and the next host can't promise it",
            );
        }
        if let Some(text) = self.deadline.and_then(|deadline| deadline.obstacle(offered)) {
            return refuse(status(4, 7), Phase::MailFrom, &text);
        }
        if let Some(SizeLimit::Bytes(limit)) = offered.size
            && self.content.len() as u64 > limit
        {
            let text = format!("the message has {} bytes, the next host takes {limit}", self.content.len());
            return refuse(status(3, 4), Phase::MailFrom, &text);
        }
        if self.reverse_path.needs_smtputf8 && !offered.smtputf8 {
            return refuse(
                status(6, 7),
                Phase::MailFrom,
                "the sender's address needs SMTPUTF8, which the next host does not offer",
            );
        }
        if self.header_needs_smtputf8 && !offered.smtputf8 && eight_bit != EightBitContent::SendAsItIs {
            return refuse(
                status(6, 7),
                Phase::Data,
                "the header needs SMTPUTF8, which the next host does not offer",
            );
        }
        None
    }

    /// Why this server can't have this recipient.
    pub(crate) fn recipient_obstacle(&self, recipient: usize, offered: &Capabilities) -> Option<Failure> {
        match &self.forward_paths.get(recipient)?.path {
            Err(failure) => Some(failure.as_ref().clone()),
            Ok(path) if path.needs_smtputf8 && !offered.smtputf8 => Some(Failure::new(
                EnhancedStatus::permanent(6, 7),
                Fault::Message,
                Scope::Recipient,
                Phase::RcptTo,
                "the recipient's address needs SMTPUTF8, which the next host does not offer",
            )),
            Ok(_) => None,
        }
    }

    /// `mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF` (RFC 5321 section 4.1.1.2)
    pub(crate) fn write_mail(&self, offered: &Capabilities, out: &mut Vec<u8>) {
        out.extend_from_slice(b"MAIL FROM:<");
        out.extend_from_slice(self.part(&self.reverse_path.text));
        out.push(b'>');
        if offered.size.is_some() {
            // Writing to a Vec can't fail.
            let _ = write!(out, " SIZE={}", self.content.len());
        }
        if self.goes_as_binary(offered) {
            out.extend_from_slice(b" BODY=BINARYMIME");
        } else if offered.eight_bit_mime
            && (self.content.shape().has_8bit() || self.body == Body::EightBitMime)
        {
            out.extend_from_slice(b" BODY=8BITMIME");
        }
        if offered.smtputf8 && self.needs_smtputf8() {
            out.extend_from_slice(b" SMTPUTF8");
        }
        if offered.dsn {
            match self.ret {
                Some(Return::Full) => out.extend_from_slice(b" RET=FULL"),
                Some(Return::Headers) => out.extend_from_slice(b" RET=HDRS"),
                None => {}
            }
            if let Some(id) = self.envelope_id.as_deref().filter(|id| id.is_ascii()) {
                let _ = write!(out, " ENVID={}", xtext::encode(id));
            }
        }
        if offered.require_tls && self.require_tls {
            out.extend_from_slice(b" REQUIRETLS");
        }
        if let Some(Deadline { by, left }) = self.deadline.filter(|_| offered.deliver_by.is_some()) {
            let mode = if by.when_late == WhenLate::Return { "R" } else { "N" };
            let _ = write!(out, " BY={left};{mode}{}", if by.trace { "T" } else { "" });
        }
        if let Some(priority) = self.priority.filter(|_| offered.priority) {
            let _ = write!(out, " MT-PRIORITY={}", priority.value());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// `rcpt = "RCPT TO:" Forward-path [SP Rcpt-parameters] CRLF` (RFC 5321 section 4.1.1.3)
    pub(crate) fn write_rcpt(&self, recipient: usize, offered: &Capabilities, out: &mut Vec<u8>) {
        let Some((Ok(path), forward)) =
            self.forward_paths.get(recipient).map(|forward| (&forward.path, forward))
        else {
            return;
        };
        out.extend_from_slice(b"RCPT TO:<");
        out.extend_from_slice(self.part(&path.text));
        out.push(b'>');
        if offered.dsn {
            if let Some(notify) = forward.notify {
                out.extend_from_slice(b" NOTIFY=");
                write_notify(notify, out);
            }
            if let Some(original) = &forward.original {
                out.extend_from_slice(b" ORCPT=");
                out.extend_from_slice(self.part(original));
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Whether the content goes out byte for byte (RFC 3030 section 3): only what is no text needs that.
    pub(crate) fn goes_as_binary(&self, offered: &Capabilities) -> bool {
        self.is_binary() && offered.binary_mime && offered.chunking
    }

    /// Whether there are bytes that DATA would change. A sender who calls text binary is taken at his content.
    fn is_binary(&self) -> bool {
        self.body == Body::BinaryMime && !self.content.shape().is_text()
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.text.as_bytes().get(range.clone()).unwrap_or_default()
    }

    fn needs_smtputf8(&self) -> bool {
        self.reverse_path.needs_smtputf8
            || self
                .forward_paths
                .iter()
                .any(|forward| forward.path.as_ref().is_ok_and(|path| path.needs_smtputf8))
            || self.header_needs_smtputf8
    }
}

impl Deadline {
    /// Why a message that is to come back when it is late can't go this way (RFC 2852 section 4.1.4).
    fn obstacle(self, offered: &Capabilities) -> Option<String> {
        let Self { by, left } = self;
        if by.when_late == WhenLate::Notify {
            return None;
        }
        let why = match offered.deliver_by {
            _ if left <= 0 => "and that time is over".to_owned(),
            None => "and the next host does not offer DELIVERBY".to_owned(),
            Some(least) if left < i64::from(least) => {
                format!("{left} s are left, and the next host wants {least} s at least")
            }
            Some(_) => return None,
        };
        Some(format!("the sender wants it back if it is not delivered in time, {why}"))
    }
}

impl Path {
    fn new(mailbox: &Mailbox, text: &mut String) -> Self {
        let start = text.len();
        text.push_str(mailbox.local_part());
        text.push('@');
        // Writing to a String can't fail.
        let _ = match mailbox.domain() {
            MailDomain::Name(domain) => text.write_str(domain.ascii()),
            MailDomain::Literal(literal) => write!(text, "{literal}"),
        };
        let needs_smtputf8 = !text.get(start..).is_some_and(str::is_ascii);
        Self { text: start..text.len(), needs_smtputf8 }
    }
}

impl Forward {
    fn new(recipient: &Recipient, imcea_domain: Option<&Domain>, text: &mut String) -> Self {
        let path = forward_path(&recipient.address, imcea_domain, text);
        // Other address types than rfc822 are ASCII; one that is not has no place in xtext and stays home. So does one that is
        // too long (XLONGADDR takes it): it is for reports only, and the recipient must not be refused for it.
        let original = recipient
            .original
            .as_ref()
            .filter(|original| original.address.is_ascii() && is_atom(&original.address_type))
            .map(|original| format!("{};{}", original.address_type, xtext::encode(&original.address)))
            .filter(|original| original.len() <= LONGEST_ORIGINAL)
            .map(|original| {
                let start = text.len();
                text.push_str(&original);
                start..text.len()
            });
        Self { path, notify: recipient.notify, original, wants_success: recipient.wants_success() }
    }
}

fn forward_path(
    address: &Address,
    imcea_domain: Option<&Domain>,
    text: &mut String,
) -> Result<Path, Box<Failure>> {
    let refuse = |fault, why: String| {
        let status = EnhancedStatus::permanent(1, 3);
        Box::new(Failure::new(status, fault, Scope::Recipient, Phase::RcptTo, why))
    };
    match (address, imcea_domain) {
        (Address::Smtp(mailbox), _) => Ok(Path::new(mailbox, text)),
        (other, Some(domain)) => match encapsulation::encapsulate(other, domain) {
            Ok(mailbox) => Ok(Path::new(&mailbox, text)),
            Err(error) => Err(refuse(Fault::Message, error.to_string())),
        },
        (other, None) => Err(refuse(
            Fault::Configuration,
            format!(
                "{} addresses can't go over SMTP without a domain to encapsulate them in",
                other.address_type()
            ),
        )),
    }
}

fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `notify-esmtp-value = "NEVER" / 1#notify-list-element` (RFC 3461 section 4.1)
fn write_notify(notify: Notify, out: &mut Vec<u8>) {
    if notify.is_never() {
        return out.extend_from_slice(b"NEVER");
    }
    let words = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    for (at, (_, word)) in words.into_iter().filter(|(wanted, _)| *wanted).enumerate() {
        out.extend_from_slice(if at > 0 { b"," } else { b"" });
        out.extend_from_slice(word.as_bytes());
    }
}

fn header_block_is_8bit(head: &[u8]) -> bool {
    let end = memchr::memmem::find(head, b"\r\n\r\n").unwrap_or(head.len());
    !head.get(..end).unwrap_or_default().is_ascii()
}
