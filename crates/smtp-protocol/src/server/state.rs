//! Where a session stands: what comes next, what is under way, and what is still to be said.

use postroad_message::Recipient;

use crate::data::Decoder;
use crate::server::event::Event;
use crate::server::transaction::Transaction;
use crate::server::verdict::Refusal;
use crate::xclient::Attributes;

/// Where the session stands.
pub(super) enum State {
    /// Nothing was said.
    Connected,
    /// A command comes next.
    Command,
    /// A response of an AUTH exchange comes next.
    Logon,
    /// The event is ready to be given out.
    Ask(Event, Question),
    /// The verdict comes next.
    Await(Question),
    /// Content comes, up to its dot.
    Data(Decoder, Option<Refusal>),
    /// Content comes by count.
    Chunk(Chunk),
    /// 220 was said; the handshake comes next.
    Handshake,
    /// Nothing comes any more.
    Closed,
}

/// Whether XCLIENT may still come. What follows it comes from the client the front speaks for, who may say nothing of himself.
pub(super) enum Front {
    /// It has not spoken.
    Silent,
    /// The command before was XCLIENT and said this: it may have more to say.
    Speaking(Box<Attributes>),
    /// It has said what it had to say.
    Done,
}

/// How far a logon by OAUTHBEARER or XOAUTH2 has got.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// It is by another mechanism.
    NotAsked,
    /// It comes next.
    Asked,
    /// It is being judged.
    Given,
    /// It will not do, which a challenge says first (RFC 7628 section 3.2.3): whatever comes, the logon has failed.
    Refused,
}

/// What is done with a verdict.
pub(super) enum Question {
    Hello {
        extended: bool,
    },
    Logon,
    Mail(Box<Transaction>),
    Recipient(Box<Recipient>),
    DataStart,
    ChunkStart {
        size: u64,
        last: bool,
    },
    /// For each RCPT, where in the envelope its recipient stands.
    Message {
        places: Vec<usize>,
    },
    Xclient(Box<Attributes>),
}

/// A BDAT under way.
pub(super) struct Chunk {
    pub(super) remaining: u64,
    pub(super) size: u64,
    pub(super) last: bool,
    /// What is said at its end instead of taking it, and how often.
    pub(super) refused: Option<Refusal>,
    pub(super) replies: usize,
}

/// A transaction that ended before the last of its chunks, some of which may be on their way.
pub(super) struct Dropped {
    /// Accepted recipients, perhaps none: in LMTP the last chunk has a reply for each of them (RFC 2033 section 4.3).
    pub(super) recipients: usize,
    /// What the next of them is told, where the client does not know yet.
    pub(super) untold: Option<Refusal>,
}
