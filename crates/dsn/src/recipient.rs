//! What a report says of one recipient: the per-recipient fields of `message/delivery-status`.

use postroad_address_space::{Address, encapsulation};
use postroad_message::{
    EnhancedStatus, Failure, OriginalRecipient, Outcome, Receipt, Recipient, RemoteReply, StatusClass,
    Timestamp,
};

use crate::clean::{Letters, address_xtext, push_field};
use crate::owed::Action;
use crate::report::Wording;

/// One recipient's part of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecipientReport {
    /// What became of it.
    pub action: Action,
    /// `rfc822`, `x400`, `fax`: the type of [`address`](Self::address).
    pub address_type: String,
    /// Who it is.
    pub address: String,
    /// The address the sender first wrote.
    pub original: Option<OriginalRecipient>,
    /// The enhanced status, unchanged from whoever gave it.
    pub status: EnhancedStatus,
    /// One sentence for a person.
    pub text: String,
    /// The host that took or refused it; a file or a socket, which has a slash in its name, is not told of.
    pub host: Option<String>,
    /// What that host said.
    pub reply: Option<RemoteReply>,
    /// When the last attempt was made.
    pub last_attempt: Option<Timestamp>,
}

impl RecipientReport {
    /// What `outcome` did for `recipient`, told as `action` ([`owed`](crate::owed) says which).
    pub fn new(action: Action, recipient: &Recipient, outcome: &Outcome) -> Self {
        let (address_type, address) = typed(&recipient.address);
        let told = Told::of(outcome);
        Self {
            action,
            address_type,
            address,
            original: recipient.original.clone(),
            status: told.status,
            text: told.text,
            host: told.host,
            reply: told.reply,
            last_attempt: None,
        }
    }

    /// A recipient that could not even be read as an address: failed, 5.1.3.
    pub fn unreadable(text: &str) -> Self {
        Self {
            action: Action::Failed,
            address_type: "rfc822".to_owned(),
            address: text.to_owned(),
            original: None,
            status: EnhancedStatus::permanent(1, 3),
            text: "The recipient's address is not one.".to_owned(),
            host: None,
            reply: None,
            last_attempt: None,
        }
    }

    /// A recipient that was never tried, because the message itself was refused: a Pickup file that is too long.
    pub fn refused(recipient: &Recipient, status: EnhancedStatus, text: impl Into<String>) -> Self {
        let (address_type, address) = typed(&recipient.address);
        Self {
            address_type,
            original: recipient.original.clone(),
            status,
            text: text.into(),
            ..Self::unreadable(&address)
        }
    }

    /// The same, with the moment of the last attempt.
    #[must_use]
    pub fn last_attempt(self, at: Timestamp) -> Self {
        Self { last_attempt: Some(at), ..self }
    }

    /// `per-recipient-fields` (RFC 3464 section 2.3), the blank line before them included.
    pub(crate) fn push_fields(
        &self,
        block: &mut String,
        wording: Wording,
        retry_until: Option<Timestamp>,
        letters: Letters,
    ) {
        block.push_str("\r\n");
        let mut push = |name: &str, value: &str| push_field(block, name, value, letters);
        if let Some(original) = &self.original {
            push("Original-Recipient", &written_address(&original.address_type, &original.address, letters));
        }
        push("Final-Recipient", &written_address(&self.address_type, &self.address, letters));
        push("Action", &self.action.to_string());
        push("Status", &self.written_status(wording).to_string());
        // A file or a socket is no host, and where it lies is nothing for a sender.
        let host = self.host.as_deref().filter(|host| !host.contains(['/', '\\']));
        if let Some(name) = host.and_then(|host| host.split_whitespace().next()) {
            push("Remote-MTA", &format!("dns;{name}"));
        }
        match &self.reply {
            Some(reply) => push("Diagnostic-Code", &format!("smtp;{reply}")),
            None if self.action == Action::Failed || self.action == Action::Delayed => {
                push("Diagnostic-Code", &format!("x-postroad;{}", self.text));
            }
            None => (),
        }
        if let Some(at) = self.last_attempt {
            push("Last-Attempt-Date", &at.to_rfc5322());
        }
        if let Some(until) = retry_until.filter(|_| self.action == Action::Delayed) {
            push("Will-Retry-Until", &until.to_rfc5322());
        }
    }

    /// Whether anything that is written of it lies beyond ASCII.
    pub(crate) fn needs_unicode(&self) -> bool {
        let original = self.original.as_ref().is_some_and(|original| !original.address.is_ascii());
        let reply = || self.reply.as_ref().is_some_and(|reply| !reply.to_string().is_ascii());
        original || !self.address.is_ascii() || reply()
    }

    /// Exchange writes `failed` beside 4.4.7 for an expired message; to everyone else the digit and the action agree.
    pub(crate) fn written_status(&self, wording: Wording) -> EnhancedStatus {
        match (wording, self.action, self.status.class()) {
            (Wording::Plain, Action::Failed, StatusClass::Transient) => {
                EnhancedStatus::permanent(self.status.subject(), self.status.detail())
            }
            _ => self.status,
        }
    }

    /// The address for a person.
    pub(crate) fn shown_address(&self, letters: Letters) -> String {
        match self.address_type.as_str() {
            "rfc822" => letters.clean(&self.address, 320),
            other => letters.clean(&format!("{}:{}", other.to_ascii_uppercase(), self.address), 320),
        }
    }
}

/// `address-type ";" generic-address`. Beyond ASCII the type is `utf-8` (RFC 6533 section 3), as it is where the sender
/// said so: in a 7-bit report as `utf-8-addr-xtext`, in an international one as it is.
fn written_address(address_type: &str, address: &str, letters: Letters) -> String {
    let mailbox = address_type.eq_ignore_ascii_case("rfc822") || address_type.eq_ignore_ascii_case("utf-8");
    let unicode = !address.is_ascii() || address_type.eq_ignore_ascii_case("utf-8");
    match (mailbox && unicode, letters) {
        (true, Letters::Ascii) => format!("utf-8;{}", address_xtext(address)),
        (true, Letters::Unicode) => format!("utf-8;{address}"),
        (false, _) => format!("{address_type};{address}"),
    }
}

struct Told {
    status: EnhancedStatus,
    text: String,
    host: Option<String>,
    reply: Option<RemoteReply>,
}

impl Told {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Delivered(receipt) => Self::success(receipt, "The message was delivered."),
            Outcome::Relayed(receipt) => {
                Self::success(receipt, "The message was handed to a system that sends no delivery reports.")
            }
            Outcome::Expanded(receipt) => {
                Self::success(receipt, "The message was sent on to the members of a list.")
            }
            Outcome::Deferred(failure) | Outcome::Failed(failure) | Outcome::Ambiguous(failure) => {
                Self::failure(failure)
            }
            _ => Self { status: EnhancedStatus::success(0, 0), text: String::new(), host: None, reply: None },
        }
    }

    fn success(receipt: &Receipt, text: &str) -> Self {
        let host = Some(receipt.host.clone()).filter(|host| !host.is_empty());
        Self {
            status: EnhancedStatus::success(0, 0),
            text: text.to_owned(),
            host,
            reply: receipt.reply.clone(),
        }
    }

    fn failure(failure: &Failure) -> Self {
        Self {
            status: failure.status,
            text: failure.text.clone(),
            host: failure.host.clone(),
            reply: failure.reply.clone(),
        }
    }
}

/// `address-type ";" generic-address` (RFC 3464 section 2.1.2), an encapsulated address in its own type.
fn typed(address: &Address) -> (String, String) {
    let opened = address.mailbox().and_then(encapsulation::decapsulate);
    let address = opened.as_ref().unwrap_or(address);
    match address.mailbox() {
        Some(mailbox) => ("rfc822".to_owned(), mailbox.to_string()),
        None => {
            let typed = address.to_string();
            let value = typed.split_once(':').map_or(typed.as_str(), |(_, value)| value).to_owned();
            (address.address_type().to_ascii_lowercase(), value)
        }
    }
}
