//! The session itself: two enums and a loop.

use std::fmt;

use postroad_address_space::MailDomain;
use postroad_message::{EnhancedStatus, Envelope, Recipient, ReversePath};
use zeroize::Zeroize;

use crate::data::Decoder;
use crate::line::{Line, LineBuffer};
use crate::parameter::MailParameters;
use crate::sasl::Secret;
use crate::server::limits::Limits;
use crate::server::reply_line::ReplyLine;
use crate::server::settings::{LogonOffer, Settings};
use crate::server::transaction::Transaction;
use crate::server::verdict::{Refusal, Verdict};
use crate::transcript::Transcript;
use crate::xclient::Attributes;

const TOO_LONG: &str = "The line is too long";

/// What a session is told.
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

/// What a session wants.
#[derive(Debug)]
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
            Self::Message { envelope, content } => {
                f.debug_struct("Message").field("envelope", envelope).field("length", &content.len()).finish()
            }
        }
    }
}

/// One connection's conversation. See the [module](crate::server) for the order of calls.
pub struct Session {
    pub(super) settings: Settings,
    pub(super) buffer: LineBuffer,
    pub(super) state: State,
    pub(super) in_tls: bool,
    pub(super) greeted: bool,
    pub(super) user: Option<String>,
    pub(super) transaction: Option<Transaction>,
    pub(super) dropped: Option<Dropped>,
    pub(super) front: Front,
    /// MAIL commands, and the domains of RCPT commands where those are limited.
    pub(super) mails: u32,
    pub(super) domains: Vec<MailDomain>,
    pub(super) errors: u32,
    pub(super) logon_failures: u32,
    pub(super) token: Token,
    pub(super) idle_commands: u32,
    pub(super) transcript: Transcript,
    outgoing: Vec<u8>,
    slow: Slow,
}

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
    /// Of so many recipients.
    Message {
        recipients: usize,
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

impl Session {
    /// A session that has not greeted yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            buffer: LineBuffer::new(Limits::LOGON_LINE + 2),
            state: State::Connected,
            in_tls: false,
            greeted: false,
            user: None,
            transaction: None,
            dropped: None,
            front: Front::Silent,
            mails: 0,
            domains: Vec::new(),
            errors: 0,
            logon_failures: 0,
            token: Token::NotAsked,
            idle_commands: 0,
            transcript: Transcript::default(),
            outgoing: Vec::new(),
            slow: Slow::No,
        }
    }

    /// Writes down what is said from now on.
    pub fn transcribe(&mut self, transcript: Transcript) {
        self.transcript = transcript;
    }

    /// What is written down, for a note of the owner's.
    pub fn transcript(&mut self) -> &mut Transcript {
        &mut self.transcript
    }

    /// Who logged on.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether TLS protects what is said.
    pub fn in_tls(&self) -> bool {
        self.in_tls
    }

    /// Whether content is what comes next: larger reads pay.
    pub fn is_receiving_content(&self) -> bool {
        matches!(self.state, State::Data(..) | State::Chunk(_))
    }

    /// Whether a response of an AUTH exchange is what comes next.
    pub fn is_logging_on(&self) -> bool {
        matches!(self.state, State::Logon)
    }

    /// Whether the client owes nothing and is owed nothing: the moment to end it gently.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Connected | State::Command)
            && self.transaction.is_none()
            && self.buffer.is_empty()
    }

    /// Bytes of content held so far: chunks between their commands too, and a message until [`poll`](Self::poll) gives it out.
    pub fn content_held(&self) -> usize {
        let chunks = self.transaction.as_ref().map_or(0, Transaction::chunks_held);
        match &self.state {
            State::Data(decoder, _) => decoder.held(),
            State::Ask(Event::Message { content, .. }, _) => content.len(),
            _ => chunks,
        }
    }

    /// Offers these logons from now on: before the handshake is told, what is served inside TLS.
    pub fn offer_logon(&mut self, offer: Option<LogonOffer>) {
        self.settings.logon = offer;
    }

    /// Takes what happened. [`poll`](Self::poll) says what follows from it.
    pub fn handle(&mut self, input: Input<'_>) {
        match input {
            Input::Received(bytes) => self.received(bytes),
            Input::Verdict(verdict) => self.judged(verdict),
            Input::TlsEstablished => self.tls_established(),
            Input::RefuseContent(refusal) => self.refuse_content(refusal),
            Input::End(refusal) => {
                if !matches!(self.state, State::Closed) {
                    self.write(refusal.line());
                    self.close();
                }
            }
        }
    }

    /// Says what to do next. After [`Output::Close`] it says nothing else.
    pub fn poll(&mut self) -> Output {
        loop {
            if !self.outgoing.is_empty() {
                return Output::Transmit {
                    bytes: std::mem::take(&mut self.outgoing),
                    slow: std::mem::take(&mut self.slow),
                };
            }
            match std::mem::replace(&mut self.state, State::Command) {
                State::Connected => self.greet(),
                State::Ask(event, question) => {
                    self.state = State::Await(question);
                    return Output::Event(event);
                }
                State::Await(question) => {
                    self.state = State::Await(question);
                    return Output::AwaitVerdict;
                }
                State::Handshake => {
                    self.state = State::Handshake;
                    return Output::StartTls;
                }
                State::Closed => {
                    self.state = State::Closed;
                    return Output::Close;
                }
                State::Data(decoder, refusal) => {
                    if !self.continue_data(decoder, refusal) {
                        return Output::Receive;
                    }
                }
                State::Chunk(chunk) => {
                    if !self.continue_chunk(chunk) {
                        return Output::Receive;
                    }
                }
                State::Command => {
                    if !self.next_line(false) {
                        return Output::Receive;
                    }
                }
                State::Logon => {
                    if !self.next_line(true) {
                        return Output::Receive;
                    }
                }
            }
        }
    }

    /// Content goes straight into its decoder where nothing waits before it.
    fn received(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Closed | State::Handshake => {}
            State::Data(decoder, _) if self.buffer.is_empty() => {
                let progress = decoder.decode(bytes);
                self.buffer.push(bytes.get(progress.used..).unwrap_or_default());
            }
            _ => self.buffer.push(bytes),
        }
    }

    /// Handles one line; false when there is none yet.
    fn next_line(&mut self, logon: bool) -> bool {
        match (self.buffer.next_line(), logon) {
            (Line::Incomplete, logon) => {
                self.state = if logon { State::Logon } else { State::Command };
                return false;
            }
            (Line::Complete(mut line), false) => {
                self.transcript.command_received(&line, false);
                self.command(&line);
                // It may have been AUTH with its initial response.
                line.zeroize();
            }
            (Line::Complete(line), true) => {
                self.transcript.command_received(&line, true);
                self.logon_response(line);
            }
            (Line::TooLong, true) => self.logon_error(500, EnhancedStatus::permanent(5, 2), TOO_LONG),
            (Line::TooLong, false) => {
                self.protocol_error(500, EnhancedStatus::permanent(5, 2), TOO_LONG);
                // It may have been XCLIENT.
                self.front_refused();
            }
            (Line::Endless, _) => {
                self.reply(500, EnhancedStatus::permanent(5, 2), TOO_LONG);
                self.close();
            }
            (Line::BareLineFeed, _) => {
                self.reply(500, EnhancedStatus::permanent(5, 2), "Lines must end with CR LF");
                self.close();
            }
        }
        true
    }

    pub(super) fn greet(&mut self) {
        match &self.settings.banner {
            Some(banner) => {
                let text = banner.strip_prefix("220 ").unwrap_or(banner);
                self.write(&ReplyLine::new(220, None, text));
            }
            None => {
                let protocol = if self.settings.lmtp { "LMTP" } else { "ESMTP" };
                let text = format!("{} {protocol} postroad", self.settings.fqdn);
                self.write(&ReplyLine::new(220, None, &text));
            }
        }
    }

    /// RFC 3207 section 4.2: everything that was said before is forgotten.
    fn tls_established(&mut self) {
        let at_start = matches!(self.state, State::Connected);
        if at_start || matches!(self.state, State::Handshake) {
            self.buffer.clear();
            self.in_tls = true;
            self.greeted = false;
            self.user = None;
            self.forget_transaction();
            self.state = if at_start { State::Connected } else { State::Command };
        }
    }

    fn judged(&mut self, verdict: Verdict) {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Await(question) => self.answer(question, verdict),
            other => self.state = other,
        }
    }

    /// Says no, and hangs up where the refusal wants it.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.write(refusal.line());
        if refusal.closes() {
            self.close();
        }
    }

    pub(super) fn ask(&mut self, event: Event, question: Question) {
        self.state = State::Ask(event, question);
    }

    pub(super) fn close(&mut self) {
        self.buffer.clear();
        self.forget_transaction();
        self.state = State::Closed;
    }

    /// Nor is any of its chunks on its way.
    pub(super) fn forget_transaction(&mut self) {
        self.transaction = None;
        self.dropped = None;
    }

    /// A refusal that counts: the client does not speak the protocol.
    pub(super) fn protocol_error(&mut self, code: u16, status: EnhancedStatus, text: &str) {
        self.errors += 1;
        self.reply(code, status, text);
        if self.erred_too_often() {
            self.give_up();
        }
    }

    pub(super) fn erred_too_often(&self) -> bool {
        self.settings.limits.protocol_errors.is_some_and(|most| self.errors > most)
    }

    pub(super) fn give_up(&mut self) {
        self.reply(421, EnhancedStatus::transient(7, 0), "Too many errors, closing the connection");
        self.close();
    }

    pub(super) fn reply(&mut self, code: u16, status: EnhancedStatus, text: &str) {
        self.write(&ReplyLine::new(code, Some(status), text));
    }

    pub(super) fn write(&mut self, line: &ReplyLine) {
        self.write_lines(std::slice::from_ref(line));
    }

    pub(super) fn write_lines(&mut self, lines: &[ReplyLine]) {
        let with_status = self.settings.enhanced_status_codes;
        let written = self.outgoing.len();
        for (index, line) in lines.iter().enumerate() {
            line.write(index + 1 == lines.len(), with_status, &mut self.outgoing);
            if line.code() >= 500 && self.slow == Slow::No {
                self.slow = Slow::Refusal;
            }
        }
        self.transcript.reply_sent(self.outgoing.get(written..).unwrap_or_default());
    }

    pub(super) fn slow_down(&mut self, slow: Slow) {
        self.slow = slow;
    }
}
