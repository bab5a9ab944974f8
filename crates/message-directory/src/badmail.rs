//! Why a file cannot become a message, and whether somebody can be told.

use postroad_address_space::Mailbox;
use postroad_message::{EnhancedStatus, Recipient};

/// A file that is not submitted.
///
/// Where [`return_to`](Self::return_to) names a sender, a failure report with the original goes there and the file is
/// deleted; otherwise the file becomes `.bad` and stays, its reason told once (spec of Pickup: "NDR" and "badmail").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Badmail {
    reason: BadmailReason,
    details: Box<Details>,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Details {
    sender: Option<Mailbox>,
    recipients: Vec<Recipient>,
}

impl Badmail {
    /// A file that becomes `.bad`.
    pub(crate) fn new(reason: BadmailReason) -> Self {
        Self { reason, details: Box::default() }
    }

    /// A file whose sender is told.
    pub(crate) fn returned(
        reason: BadmailReason,
        sender: Option<&Mailbox>,
        recipients: Vec<Recipient>,
    ) -> Self {
        Self { reason, details: Box::new(Details { sender: sender.cloned(), recipients }) }
    }

    /// What is wrong with the file.
    pub fn reason(&self) -> &BadmailReason {
        &self.reason
    }

    /// What a report's `Status:` says.
    pub fn status(&self) -> EnhancedStatus {
        self.reason.status()
    }

    /// Who is told; `None`: nobody, the file becomes `.bad`.
    pub fn return_to(&self) -> Option<&Mailbox> {
        self.details.sender.as_ref()
    }

    /// Who would have got it, as far as that could be read.
    pub fn recipients(&self) -> &[Recipient] {
        &self.details.recipients
    }
}

impl From<BadmailReason> for Badmail {
    fn from(reason: BadmailReason) -> Self {
        Self::new(reason)
    }
}

/// What is wrong with a file. Always the file's fault and never mended by trying again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadmailReason {
    /// Not one byte.
    #[error("the file is empty")]
    Empty,
    /// The first line is no header field.
    #[error("the file does not start with a header field")]
    NoHeader,
    /// The header block is longer than Pickup allows.
    #[error("the header is longer than {limit} bytes")]
    HeaderTooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// More recipients than Pickup allows.
    #[error("{count} recipients, {limit} are allowed")]
    TooManyRecipients {
        /// Recipients in the file.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Neither From nor Sender (Pickup), no X-Sender (Replay).
    #[error("no sender")]
    NoSender,
    /// Two Sender addresses, several From and no Sender, or two X-Sender.
    #[error("more than one sender")]
    SeveralSenders,
    /// The sender is no mailbox.
    #[error("the sender is no mailbox: {text}")]
    InvalidSender {
        /// What stands there, made printable.
        text: String,
    },
    /// No recipient in To, Cc and Bcc (Pickup), no X-Receiver (Replay).
    #[error("no recipient")]
    NoRecipient,
    /// There are recipients, none of them is an address.
    #[error("no recipient is an address; the first is {text}")]
    NoValidRecipient {
        /// The first of them, made printable.
        text: String,
    },
    /// An X-Receiver that is no address. The other recipients are not served either: the file was made by a program.
    #[error("X-Receiver is no address: {text}")]
    InvalidReceiver {
        /// What stands there, made printable.
        text: String,
    },
    /// IIS wants `x-sender` before the first `x-receiver`.
    #[error("x-receiver stands before x-sender")]
    ReceiverBeforeSender,
    /// A parameter of X-Sender or X-Receiver that cannot be read.
    #[error("cannot read the parameter {text}")]
    InvalidParameter {
        /// The parameter, made printable.
        text: String,
    },
    /// X-CreatedBy is there and blank.
    #[error("X-CreatedBy is blank")]
    BlankCreatedBy,
    /// A field that does not belong there stands before X-EndOfInjectedXHeaders.
    #[error("{name} stands among the injected X-headers")]
    UnknownInjectedHeader {
        /// The field's name.
        name: String,
    },
    /// A carriage return inside a header line: some programs end the line there, others do not.
    #[error("bare carriage return in the header at byte {offset}")]
    BareCarriageReturn {
        /// Where, counted from the start of the file.
        offset: usize,
    },
    /// A NUL byte.
    #[error("NUL at byte {offset}")]
    Nul {
        /// Where, counted from the start of the file.
        offset: usize,
    },
}

impl BadmailReason {
    /// The enhanced status of a report about this.
    pub fn status(&self) -> EnhancedStatus {
        match self {
            Self::TooManyRecipients { .. } => EnhancedStatus::permanent(5, 3),
            Self::HeaderTooLarge { .. } => EnhancedStatus::permanent(3, 4),
            Self::NoValidRecipient { .. } | Self::InvalidReceiver { .. } | Self::NoRecipient => {
                EnhancedStatus::permanent(1, 3)
            }
            Self::NoSender | Self::SeveralSenders | Self::InvalidSender { .. } => {
                EnhancedStatus::permanent(1, 7)
            }
            Self::InvalidParameter { .. } => EnhancedStatus::permanent(5, 4),
            _ => EnhancedStatus::permanent(6, 0),
        }
    }
}
