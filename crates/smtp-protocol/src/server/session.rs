//! The session itself: a loop that is told what happened and says what to do next.

use postroad_address_space::MailDomain;
use postroad_message::EnhancedStatus;
use zeroize::Zeroize;

use crate::line::{Line, LineBuffer};
use crate::server::event::{Event, Input, Output, Slow};
use crate::server::limits::Limits;
use crate::server::reply_line::ReplyLine;
use crate::server::settings::{LogonOffer, Settings};
use crate::server::state::{Dropped, Front, Question, State, Token};
use crate::server::transaction::Transaction;
use crate::server::verdict::{Refusal, Verdict};
use crate::transcript::Transcript;

const TOO_LONG: &str = "The line is too long";

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

/// Who is logged on, and whether inside TLS.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("in_tls", &self.in_tls)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
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
            (Line::TooLong, false) if self.is_tired() => {}
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
