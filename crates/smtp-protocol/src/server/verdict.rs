//! What the owner of a session answers to its events.

use postroad_address_space::Address;
use postroad_message::EnhancedStatus;

use crate::server::reply_line::ReplyLine;

/// The answer to one [`Event`](crate::server::Event).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Yes.
    Accept,
    /// Yes to a recipient, who is known by this address from here on (an IMCEA address that was opened).
    AcceptAs(Address),
    /// Yes to a message, which is durable under this name.
    Queued(String),
    /// To a message, an answer for each of its recipients, in their order; one that is missing is "not now".
    ///
    /// Only LMTP can say it. SMTP has one answer for all, so there the first no among them is said: those who were answered
    /// yes get the message twice rather than the others not at all.
    Each(Vec<Result<(), Refusal>>),
    /// To a logon: ask on with this (334).
    Challenge(Vec<u8>),
    /// Yes to a logon: it is this user.
    LoggedOn(String),
    /// No.
    Refuse(Refusal),
}

impl From<Result<(), Refusal>> for Verdict {
    fn from(judged: Result<(), Refusal>) -> Self {
        judged.map_or_else(Self::Refuse, |()| Self::Accept)
    }
}

/// A no: now (4yz) or for ever (5yz), and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    line: ReplyLine,
    close: bool,
}

impl Refusal {
    /// With its own code. A code and a status of different classes, or a code that is no refusal, become 451 4.3.0: what is
    /// confused here is never told to be permanent.
    pub fn new(code: u16, status: EnhancedStatus, text: &str) -> Self {
        let agrees = match code {
            400..=499 => status.class() == postroad_message::StatusClass::Transient,
            500..=599 => status.class() == postroad_message::StatusClass::Permanent,
            _ => false,
        };
        let (code, status) = if agrees { (code, status) } else { (451, EnhancedStatus::transient(3, 0)) };
        Self { line: ReplyLine::new(code, Some(status), text), close: false }
    }

    /// Try again later: 451, or 452 where storage is short (4.3.1, 4.2.2, 4.5.3).
    pub fn transient(subject: u16, detail: u16, text: &str) -> Self {
        let code = if matches!((subject, detail), (3, 1) | (2, 2) | (5, 3)) { 452 } else { 451 };
        Self::new(code, EnhancedStatus::transient(subject, detail), text)
    }

    /// Never: 550, or 552 where it is too large (5.3.4).
    pub fn permanent(subject: u16, detail: u16, text: &str) -> Self {
        let code = if (subject, detail) == (3, 4) { 552 } else { 550 };
        Self::new(code, EnhancedStatus::permanent(subject, detail), text)
    }

    /// The session ends with it.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// What is said.
    pub fn line(&self) -> &ReplyLine {
        &self.line
    }

    /// Whether the session ends with it.
    pub fn closes(&self) -> bool {
        self.close
    }

    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        self.line.code() < 500
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_status_agree_or_it_is_transient() {
        let refusal = Refusal::new(250, EnhancedStatus::permanent(1, 1), "what");
        assert_eq!((refusal.line().code(), refusal.is_transient()), (451, true));
        let refusal = Refusal::new(550, EnhancedStatus::transient(4, 7), "what");
        assert!(refusal.is_transient());
        assert_eq!(Refusal::transient(3, 1, "full").line().code(), 452);
        assert_eq!(Refusal::permanent(3, 4, "large").line().code(), 552);
        assert_eq!(Refusal::permanent(7, 1, "no relay").line().code(), 550);
    }
}
