//! The block of X-headers that carries an envelope in front of a message: what Replay reads and Drop writes.

use postroad_address_space::encapsulation::{decapsulate, encapsulate};
use postroad_address_space::{Address, Domain, Mailbox};
use postroad_message::{Edits, Envelope, Field, HeaderBlock, Recipient, ReversePath};

use crate::badmail::BadmailReason;
use crate::fields::printable;
use crate::parameter::{ReceiverParameters, SenderParameters, split_address};
use crate::submission::Origin;

/// How deviations are read that neither the documents nor exported files know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Strictness {
    /// Refused: unknown parameters, `NEVER` beside other wishes, unknown fields before the end marker.
    #[default]
    Strict,
    /// Passed over. An unknown `X-` field before the end marker stays in the message. Only for files whose writer always
    /// writes the end marker: otherwise the message's own first X-fields could join the block and add recipients.
    Lenient,
}

impl Strictness {
    pub(crate) fn tolerate(self, refusal: impl FnOnce() -> BadmailReason) -> Result<(), BadmailReason> {
        match self {
            Self::Strict => Err(refusal()),
            Self::Lenient => Ok(()),
        }
    }
}

/// How recipients that are no SMTP mailboxes stand in X-Receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AddressForm {
    /// `IMCEAFAX-1234@contoso.com`
    #[default]
    Imcea,
    /// `FAX:1234`
    Native,
}

/// Everything the block holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injected {
    /// X-Sender and X-Receiver with their parameters.
    pub envelope: Envelope,
    /// `AUTH` of X-Sender, xtext decoded.
    pub auth: Option<String>,
    /// X-CreatedBy, X-HeloDomain, X-Source, X-SourceIPAddress.
    pub origin: Origin,
    /// X-ExtendedMessageProps, which exported files call X-ExtendedProps: base64 that means something to Exchange only.
    pub extended_properties: Option<String>,
}

/// A block that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A recipient cannot be put into this form; another form may do.
    #[error("recipient {address} cannot be written: {reason}")]
    Recipient {
        /// The recipient.
        address: String,
        /// Why.
        reason: &'static str,
    },
    /// A value holds CR, LF, NUL or another control character, or is blank.
    #[error("{name} cannot be written: control character, or nothing")]
    Value {
        /// The field's name.
        name: &'static str,
    },
    /// There is no recipient.
    #[error("no recipient to write")]
    NoRecipient,
}

const END: &str = "X-EndOfInjectedXHeaders";
const NAMES: [&str; 9] = [
    "X-Sender",
    "X-Receiver",
    "X-CreatedBy",
    "X-HeloDomain",
    "X-ExtendedMessageProps",
    "X-ExtendedProps",
    "X-Source",
    "X-SourceIPAddress",
    END,
];

/// Where the block ends: how many of the header's first fields belong to it.
///
/// It is the leading run of known names, and never goes past the end marker. The marker's number is not trusted:
/// exported files have numbers there that fit nothing.
pub(crate) fn extent(header: &HeaderBlock<'_>, strictness: Strictness) -> Result<usize, BadmailReason> {
    let marker = header.fields().take_while(|field| field.starts_with("X-")).position(|field| field.is(END));
    let run = header.fields().take_while(is_injected).count();
    match marker {
        Some(at) if at < run => Ok(at + 1),
        // Something unknown stands between the run and a marker: is the message's own X-Receiver meant, or ours?
        Some(at) if run > 0 => {
            strictness.tolerate(|| BadmailReason::UnknownInjectedHeader {
                name: header.fields().nth(run).map(|field| printable(field.name())).unwrap_or_default(),
            })?;
            Ok(at + 1)
        }
        _ => Ok(run),
    }
}

fn is_injected(field: &Field<'_>) -> bool {
    NAMES.iter().any(|name| field.is(name))
}

/// Takes the block out of the message.
pub(crate) fn remove(header: &HeaderBlock<'_>, extent: usize, edits: &mut Edits) {
    for field in header.fields().take(extent).filter(is_injected) {
        edits.remove(field);
    }
}

impl Injected {
    /// A block that says nothing beyond the envelope.
    pub fn new(envelope: Envelope) -> Self {
        Self { envelope, auth: None, origin: Origin::default(), extended_properties: None }
    }

    /// Reads the first `extent` fields. `domain` is the one whose IMCEA recipients are opened.
    pub(crate) fn read(
        header: &HeaderBlock<'_>,
        extent: usize,
        domain: Option<&Domain>,
        strictness: Strictness,
    ) -> Result<Self, BadmailReason> {
        let mut sender = None;
        let mut recipients = Vec::new();
        let mut read = Self::new(Envelope::new(ReversePath::Null, Vec::new()));
        for field in header.fields().take(extent) {
            let value = field.unfolded();
            let value = String::from_utf8_lossy(&value);
            let name = NAMES.iter().find(|name| field.is(name)).copied().unwrap_or_default();
            match name {
                "X-Sender" if sender.is_some() => return Err(BadmailReason::SeveralSenders),
                "X-Sender" => sender = Some(read_sender(&value, strictness)?),
                "X-Receiver" => recipients.push(read_receiver(&value, domain, strictness)?),
                "X-CreatedBy" if value.is_empty() => return Err(BadmailReason::BlankCreatedBy),
                "X-CreatedBy" => read.origin.created_by = Some(printable(&value)),
                "X-HeloDomain" => read.origin.hello_domain = text(&value),
                "X-Source" => read.origin.source = text(&value),
                "X-SourceIPAddress" => {
                    read.origin.source_ip_address = value.trim_matches(['[', ']']).parse().ok()
                }
                "X-ExtendedMessageProps" | "X-ExtendedProps" => read.extended_properties = text(&value),
                _ => (),
            }
        }
        let (reverse_path, parameters) = sender.ok_or(BadmailReason::NoSender)?;
        if recipients.is_empty() {
            return Err(BadmailReason::NoRecipient);
        }
        read.envelope.reverse_path = reverse_path;
        read.envelope.recipients = recipients;
        read.envelope.body = parameters.body;
        read.envelope.ret = parameters.ret;
        read.envelope.envelope_id = parameters.envelope_id;
        read.envelope.smtputf8 = parameters.smtputf8;
        read.envelope.require_tls = parameters.require_tls;
        read.auth = parameters.auth;
        Ok(read)
    }

    /// Writes the block with its end marker, CRLF lines, in the order of the documents: sender, receivers, the rest.
    ///
    /// `domain` is the one that IMCEA addresses are made in.
    pub(crate) fn write(&self, form: AddressForm, domain: &Domain) -> Result<Vec<u8>, EncodeError> {
        if self.envelope.recipients.is_empty() {
            return Err(EncodeError::NoRecipient);
        }
        let mut block = String::with_capacity(128 * (self.envelope.recipients.len() + 4));
        let mut words = vec![format!("X-Sender: {}", self.envelope.reverse_path)];
        self.sender_parameters().write(&mut words);
        push_line(&mut block, &words);
        for recipient in &self.envelope.recipients {
            let mut words =
                vec![format!("X-Receiver: <{}>", written_address(&recipient.address, form, domain)?)];
            ReceiverParameters { notify: recipient.notify, original: recipient.original.clone() }
                .write(&mut words);
            push_line(&mut block, &words);
        }
        let source_ip_address = self.origin.source_ip_address.map(|address| address.to_string());
        for (name, value) in [
            ("X-CreatedBy", self.origin.created_by.as_deref()),
            ("X-HeloDomain", self.origin.hello_domain.as_deref()),
            ("X-ExtendedMessageProps", self.extended_properties.as_deref()),
            ("X-Source", self.origin.source.as_deref()),
            ("X-SourceIPAddress", source_ip_address.as_deref()),
        ] {
            if let Some(value) = value {
                let value = checked(name, value)?;
                push_line(&mut block, &[format!("{name}:"), value.to_owned()]);
            }
        }
        let size = block.len();
        push_line(&mut block, &[format!("{END}: {size}")]);
        Ok(block.into_bytes())
    }

    fn sender_parameters(&self) -> SenderParameters {
        SenderParameters {
            body: self.envelope.body,
            ret: self.envelope.ret,
            envelope_id: self.envelope.envelope_id.clone(),
            auth: self.auth.clone(),
            smtputf8: self.envelope.smtputf8,
            require_tls: self.envelope.require_tls,
        }
    }
}

fn read_sender(
    value: &str,
    strictness: Strictness,
) -> Result<(ReversePath, SenderParameters), BadmailReason> {
    let invalid = || BadmailReason::InvalidSender { text: printable(value) };
    let (address, rest) = split_address(value).ok_or_else(invalid)?;
    let reverse_path = match address {
        "" => ReversePath::Null,
        _ => Mailbox::parse(address).map(ReversePath::Mailbox).map_err(|_| invalid())?,
    };
    Ok((reverse_path, SenderParameters::read(rest, strictness)?))
}

fn read_receiver(
    value: &str,
    domain: Option<&Domain>,
    strictness: Strictness,
) -> Result<Recipient, BadmailReason> {
    let invalid = || BadmailReason::InvalidReceiver { text: printable(value) };
    let (address, rest) = split_address(value).ok_or_else(invalid)?;
    let mut recipient = Recipient::new(opened(Address::parse(address).map_err(|_| invalid())?, domain));
    let parameters = ReceiverParameters::read(rest, strictness)?;
    recipient.notify = parameters.notify;
    recipient.original = parameters.original;
    Ok(recipient)
}

/// An encapsulated address in its own type, where its domain is `domain`; any other as it is.
pub(crate) fn opened(address: Address, domain: Option<&Domain>) -> Address {
    let ours = |mailbox: &&Mailbox| mailbox.domain().name().is_some_and(|name| Some(name) == domain);
    address.mailbox().filter(ours).and_then(decapsulate).unwrap_or(address)
}

fn written_address(address: &Address, form: AddressForm, domain: &Domain) -> Result<String, EncodeError> {
    let refused = |reason| EncodeError::Recipient { address: printable(&address.to_string()), reason };
    let text = match (form, address) {
        (_, Address::Smtp(mailbox)) => mailbox.to_string(),
        (AddressForm::Imcea, _) => encapsulate(address, domain)
            .map_err(|_| refused("it has no IMCEA form, or one that is too long"))?
            .to_string(),
        (AddressForm::Native, _) => address.to_string(),
    };
    // What is written must be read back as the same address.
    match split_address(&format!("<{text}>")) {
        Some((read, "")) if read == text && !text.chars().any(char::is_control) => Ok(text),
        _ => Err(refused("it holds an angle bracket")),
    }
}

fn checked<'a>(name: &'static str, value: &'a str) -> Result<&'a str, EncodeError> {
    let fit = !value.trim().is_empty() && value.trim() == value && !value.chars().any(char::is_control);
    if fit { Ok(value) } else { Err(EncodeError::Value { name }) }
}

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// Puts the words on one line, folding before one that would make it longer than SMTP allows.
fn push_line(block: &mut String, words: &[String]) {
    let mut length = 0;
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            if length + word.len() + 1 > 990 {
                block.push_str("\r\n");
                length = 0;
            }
            block.push(' ');
        }
        block.push_str(word);
        length += word.len() + 1;
    }
    block.push_str("\r\n");
}
