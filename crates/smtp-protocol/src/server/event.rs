//! What passes between a session and its owner: what it is told, what it wants, and what it asks.

use std::fmt;

use postroad_message::{Envelope, Recipient, ReversePath};

use crate::parameter::MailParameters;
use crate::sasl::Secret;
use crate::server::verdict::{Refusal, Verdict};
use crate::xclient::Attributes;

/// What a session is told.
#[non_exhaustive]
pub enum Input<'a> {
    /// These bytes came. Only after [`Output::Receive`], which keeps what is held small.
    Received(&'a [u8]),
    /// The answer to the event that was given out last.
    Verdict(Verdict),
    /// The handshake that [`Output::StartTls`] asked for is done, or TLS was there from the start.
    TlsEstablished,
    /// The content under way will not be taken, say because memory is short: it is read to its end and refused so. Between two
    /// chunks it is the next that is refused.
    RefuseContent(Refusal),
    /// The session is to end now: time is up, or the server stops.
    End(Refusal),
}

/// Of bytes the number: they may be a password.
impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received(bytes) => write!(f, "Received({} bytes)", bytes.len()),
            Self::Verdict(verdict) => f.debug_tuple("Verdict").field(verdict).finish(),
            Self::TlsEstablished => f.write_str("TlsEstablished"),
            Self::RefuseContent(refusal) => f.debug_tuple("RefuseContent").field(refusal).finish(),
            Self::End(refusal) => f.debug_tuple("End").field(refusal).finish(),
        }
    }
}

/// What a session wants.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Write this, sooner or later, but before reading.
    Transmit {
        /// One whole reply.
        bytes: Vec<u8>,
        /// Whether it should wait a little.
        slow: Slow,
    },
    /// Judge this.
    Event(Event),
    /// The verdict on the last event is still missing.
    AwaitVerdict,
    /// Write everything out, then read.
    Receive,
    /// Write everything out, then shake hands as TLS server.
    StartTls,
    /// Write everything out, then hang up.
    Close,
}

/// Replies that cost an attacker time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Slow {
    /// Send at once.
    #[default]
    No,
    /// A 5yz.
    Refusal,
    /// A failed logon.
    Logon,
}

/// What needs a verdict.
#[non_exhaustive]
pub enum Event {
    /// The client named itself.
    Hello {
        /// Safe to print. `None` where EHLO came without a name.
        name: Option<String>,
        /// EHLO, not HELO.
        extended: bool,
    },
    /// AUTH begins, by a mechanism that was offered. [`Verdict::Challenge`] asks on, [`Verdict::LoggedOn`] is 235; a
    /// permanent refusal is a failed logon, of which 501 says that the response is malformed; a transient one is not.
    ///
    /// A [`ServerExchange`](crate::sasl::ServerExchange) knows what to answer.
    Logon {
        /// As it stands in the offer.
        mechanism: String,
        /// What came with it, decoded.
        response: Option<Secret>,
    },
    /// The client answers the challenge. It may also cancel, and begin anew with [`Event::Logon`].
    LogonResponse {
        /// Decoded.
        response: Secret,
    },
    /// A front that may do so says for whom it speaks. `Accept` starts the session anew: a greeting, and nothing counts that was
    /// said before, neither a logon nor an EHLO. What it said in several commands in a row is given as one. A refusal ends the
    /// session.
    Xclient(Box<Attributes>),
    /// A transaction begins.
    Mail {
        /// Whom failures are reported to.
        reverse_path: ReversePath,
        /// What it asks for. A declared size above the limit was refused already.
        parameters: MailParameters,
    },
    /// A recipient. This is where relaying is refused.
    Recipient {
        /// Who, and with which wishes.
        recipient: Recipient,
        /// It was written `<postmaster>`.
        postmaster: bool,
    },
    /// Content is about to come: the last moment to say that there is no room.
    ContentStart,
    /// A whole message. `Accept` and `Queued` are 250, which says that it is durable.
    Message {
        /// With the recipients that were accepted, never none.
        envelope: Envelope,
        /// Unstuffed; every line end is CRLF. Where the envelope's body is `BinaryMime` that is so of the header only, and the
        /// rest is whatever came.
        content: Vec<u8>,
        /// How many bytes come before it: those that [`take_content`](crate::server::Session::take_content) gave. 0 where nobody calls that.
        taken: u64,
    },
}

/// Kinds and addresses: no secret, no content.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello { name, extended } => {
                f.debug_struct("Hello").field("name", name).field("extended", extended).finish()
            }
            Self::Logon { mechanism, .. } => {
                f.debug_struct("Logon").field("mechanism", mechanism).finish_non_exhaustive()
            }
            Self::LogonResponse { .. } => f.debug_struct("LogonResponse").finish_non_exhaustive(),
            Self::Xclient(attributes) => f.debug_tuple("Xclient").field(attributes).finish(),
            Self::Mail { reverse_path, .. } => {
                f.debug_struct("Mail").field("reverse_path", reverse_path).finish_non_exhaustive()
            }
            Self::Recipient { recipient, postmaster } => f
                .debug_struct("Recipient")
                .field("recipient", recipient)
                .field("postmaster", postmaster)
                .finish(),
            Self::ContentStart => f.write_str("ContentStart"),
            Self::Message { envelope, content, taken } => {
                let length = taken + content.len() as u64;
                f.debug_struct("Message").field("envelope", envelope).field("length", &length).finish()
            }
        }
    }
}
