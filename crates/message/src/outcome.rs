//! What became of one recipient: who said so, where, and whether to try again.

use std::fmt;

use crate::status::EnhancedStatus;

/// What one attempt did for one recipient. Every attempt gives every recipient exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
#[must_use]
pub enum Outcome {
    /// Someone else answers for it now, reports included.
    Delivered(Receipt),
    /// Handed to a system that sends no reports; the sender is owed a `relayed` report where it asked for success.
    Relayed(Receipt),
    /// Turned into other recipients by a list.
    Expanded(Receipt),
    /// Not now; try again.
    Deferred(Failure),
    /// Never; the sender is owed a report.
    Failed(Failure),
    /// The connection was lost after the final dot and before the reply: it may have been accepted.
    Ambiguous(Failure),
}

impl Outcome {
    /// Whether nothing more is to be done for the recipient, reports aside.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Deferred(_) | Self::Ambiguous(_))
    }

    /// Whether someone took it.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Delivered(_) | Self::Relayed(_) | Self::Expanded(_))
    }

    /// What went wrong, if anything did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Deferred(failure) | Self::Failed(failure) | Self::Ambiguous(failure) => Some(failure),
            Self::Delivered(_) | Self::Relayed(_) | Self::Expanded(_) => None,
        }
    }
}

/// Who took a message, and with which words.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Receipt {
    /// Where it went: `mx.example.com [192.0.2.1]:25`, or a file's name.
    pub host: String,
    /// The reply to the final dot, where there was one.
    pub reply: Option<RemoteReply>,
    /// How the connection was protected; `None` in clear text or off the wire.
    pub tls: Option<TlsFacts>,
}

impl Receipt {
    /// A receipt with neither reply nor TLS; set these on the value where they are known.
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: host.into(), ..Self::default() }
    }
}

/// Why a recipient was not taken: whose fault, where, and what to tell the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Failure {
    /// Goes into the report's `Status:`.
    pub status: EnhancedStatus,
    /// Who has to mend it.
    pub fault: Fault,
    /// What it stands in the way of: this message, or all mail for this next hop.
    pub scope: Scope,
    /// How far the attempt had come.
    pub phase: Phase,
    /// One sentence for a person. Never holds a secret or message content.
    pub text: String,
    /// The host that failed or refused, where one was reached.
    pub host: Option<String>,
    /// What the host said, where it said something.
    pub reply: Option<RemoteReply>,
}

impl Failure {
    /// A failure with neither host nor reply; set these on the value where they are known.
    pub fn new(
        status: EnhancedStatus,
        fault: Fault,
        scope: Scope,
        phase: Phase,
        text: impl Into<String>,
    ) -> Self {
        Self { status, fault, scope, phase, text: text.into(), host: None, reply: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text)?;
        if let Some(host) = &self.host {
            write!(f, " ({} said", host)?;
            match &self.reply {
                Some(reply) => write!(f, ": {reply})")?,
                None => write!(f, " nothing)")?,
            }
        }
        Ok(())
    }
}

/// Who has to mend a failure. A [`Fault::Local`] one is never permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Fault {
    /// The remote host, its name service or the way to it.
    Remote,
    /// This machine: disk, memory, descriptors, resolver.
    Local,
    /// This relay's configuration: a wrong password, a missing directory.
    Configuration,
    /// The message itself: its size, its content, its addresses.
    Message,
}

/// What a failure stands in the way of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Scope {
    /// All mail for this next hop: the queue backs off.
    NextHop,
    /// This message only.
    Message,
    /// This recipient only.
    Recipient,
}

/// How far an attempt had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Phase {
    /// Choosing a connector.
    Routing,
    /// Waiting in the queue.
    Queue,
    /// Asking the name service.
    Lookup,
    /// Opening the connection.
    Connect,
    /// Waiting for 220.
    Greeting,
    /// EHLO, HELO or LHLO.
    Hello,
    /// STARTTLS and the handshake.
    StartTls,
    /// AUTH.
    Authentication,
    /// MAIL FROM.
    MailFrom,
    /// RCPT TO.
    RcptTo,
    /// DATA or the first BDAT.
    Data,
    /// Sending the content.
    Content,
    /// Between the final dot and its reply.
    FinalDot,
    /// Writing a file.
    File,
    /// Inside a delivery agent.
    Agent,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Routing => "routing",
            Self::Queue => "waiting in the queue",
            Self::Lookup => "name lookup",
            Self::Connect => "connecting",
            Self::Greeting => "greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Authentication => "AUTH",
            Self::MailFrom => "MAIL FROM",
            Self::RcptTo => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "sending the content",
            Self::FinalDot => "final dot",
            Self::File => "writing the file",
            Self::Agent => "delivery agent",
        })
    }
}

/// What a remote host replied, all lines kept, free of control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RemoteReply {
    /// The three digits.
    pub code: u16,
    /// The text of each line, code and separator removed.
    pub lines: Vec<String>,
}

impl RemoteReply {
    /// A reply of these lines; whoever makes it has taken control characters out.
    pub fn new(code: u16, lines: Vec<String>) -> Self {
        Self { code, lines }
    }
}

/// One line: code, then the lines joined by spaces.
impl fmt::Display for RemoteReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        for line in &self.lines {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// How a connection was protected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TlsFacts {
    /// `TLSv1.3`
    pub version: String,
    /// The cipher suite's IANA name.
    pub cipher: String,
    /// Whether the peer's certificate was checked and found good.
    pub authenticated: bool,
}

impl TlsFacts {
    /// What every handshake tells.
    pub fn new(version: impl Into<String>, cipher: impl Into<String>, authenticated: bool) -> Self {
        Self { version: version.into(), cipher: cipher.into(), authenticated }
    }
}
