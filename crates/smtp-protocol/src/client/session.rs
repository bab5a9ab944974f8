//! The client session: two enums and a loop.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Scope, TlsFacts};
use zeroize::Zeroize as _;

use crate::capability::Capabilities;
use crate::client::content_task::{ContentResult, ContentTask};
use crate::client::dialogue::{Converting, Spare};
use crate::client::login::{Answer, Login};
use crate::client::settings::Settings;
use crate::client::transaction::Transaction;
use crate::client::transfer::Transfer;
use crate::reply::{Reply, ReplyReader};
use crate::sasl::ChannelBindings;
use crate::transcript::Transcript;

/// What the world tells the session.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// Bytes came, in the clear: TLS is the caller's.
    Received(&'a [u8]),
    /// So many bytes of the last [`Output::Transmit`] were taken by the transport.
    ///
    /// A byte that was not taken can't have reached the server. That is how the session knows whether a lost
    /// connection may have cost the reply only, so don't report bytes that were not written.
    Transmitted(usize),
    /// The handshake that [`Output::StartTls`] asked for is done.
    TlsEstablished(TlsFacts),
    /// That handshake failed; why, for a person.
    TlsFailed(&'a str),
    /// What [`Output::Challenge`] asked for.
    Answer(Answer<'a>),
    /// What came of [`Output::Task`].
    Done(ContentResult),
    /// The server closed the connection.
    Closed,
    /// The connection broke; why, for a person.
    Broken(&'a str),
    /// The moment that [`Output::Wait`] named has come.
    Timeout,
}

/// What the session wants of the world. Its `Debug` counts bytes and shows none: they may be a password.
#[non_exhaustive]
pub enum Output<'a> {
    /// Write these bytes, or a part of them, and say how many with [`Input::Transmitted`].
    #[non_exhaustive]
    Transmit {
        /// At least one.
        bytes: &'a [u8],
        /// What comes behind them, for whoever gathers both in one write; it comes again to who does not.
        then: &'a [u8],
    },
    /// Begin the TLS handshake on this connection now.
    StartTls,
    /// Answer this with [`Input::Answer`], for one of
    /// [`own_mechanisms`](crate::client::Authentication::own_mechanisms): by asking a ticket server, say.
    #[non_exhaustive]
    Challenge {
        /// Which of them, upper case.
        mechanism: &'a str,
        /// What the server said, decoded. `None`: nothing was said yet, and an initial response may be.
        challenge: Option<&'a [u8]>,
    },
    /// Do this, on a thread that may wait for a disk, and bring the result as [`Input::Done`]. Only large content asks for it.
    Task(ContentTask),
    /// Something to know.
    Event(Event),
    /// Nothing to do until bytes come or this moment has come. `None`: until there is another message.
    Wait(Option<Instant>),
    /// The connection has no further use; close it.
    Closed,
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transmit { bytes, then } => write!(f, "Transmit({} bytes)", bytes.len() + then.len()),
            Self::StartTls => f.write_str("StartTls"),
            Self::Challenge { mechanism, .. } => write!(f, "Challenge({mechanism})"),
            Self::Task(task) => f.debug_tuple("Task").field(task).finish(),
            Self::Event(event) => f.debug_tuple("Event").field(event).finish(),
            Self::Wait(until) => f.debug_tuple("Wait").field(until).finish(),
            Self::Closed => f.write_str("Closed"),
        }
    }
}

/// Something to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The session can take a message.
    Ready,
    /// The message is dealt with: one outcome for each recipient, in their order.
    ///
    /// [`Event::Ready`] follows if the session can take another.
    Settled(Vec<Outcome>),
    /// The session ends without a message, or between two: why.
    Unusable(Failure),
}

/// One connection to a server, from its greeting on, without the connection.
///
/// Call [`poll`](Self::poll) until it answers [`Output::Wait`] or [`Output::Closed`], bring the next [`Input`] to
/// [`handle`](Self::handle), and poll again. [`send`](Self::send) after [`Event::Ready`], as often as wanted, and
/// [`quit`](Self::quit) at the end:
///
/// ```
/// use std::time::Instant;
/// use postroad_address_space::{Address, MailDomain, Domain};
/// use postroad_message::{Content, Envelope, Outcome, Recipient, ReversePath, Timestamp};
/// use postroad_smtp_protocol::client::{Event, Input, Output, Session, Settings, Transaction};
///
/// // A server that agrees to everything, a reply for each line.
/// let mut server = b"220 mx\r\n".to_vec();
/// let now = Instant::now();
/// let mut session = Session::new(Settings::new(MailDomain::Name(Domain::parse("hub.test")?), "mx"), None, now);
/// let outcomes = loop {
///     match session.poll() {
///         Output::Transmit { bytes, .. } => {
///             for line in bytes.split_inclusive(|&byte| byte == b'\n') {
///                 server.extend_from_slice(match line {
///                     b"DATA\r\n" => b"354 go on\r\n",
///                     [b'E' | b'M' | b'R' | b'.', ..] => b"250 fine\r\n",
///                     _ => b"",
///                 });
///             }
///             let written = bytes.len();
///             session.handle(now, Input::Transmitted(written));
///         }
///         Output::Wait(_) => session.handle(now, Input::Received(&std::mem::take(&mut server))),
///         Output::Event(Event::Ready) => {
///             let envelope = Envelope::new(ReversePath::Null, vec![Recipient::new(Address::parse("a@b.test")?)]);
///             let content = Content::from(b"Subject: x\r\n\r\n".to_vec());
///             let date = Timestamp::from_unix_millis(1_711_903_005_000);
///             session.send(now, Transaction::new(&envelope, &envelope.recipients, &content, None, date));
///         }
///         Output::Event(Event::Settled(outcomes)) => break outcomes,
///         other => panic!("{other:?}"),
///     }
/// };
/// assert!(matches!(outcomes.as_slice(), [Outcome::Delivered(_)]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session {
    pub(super) settings: Settings,
    pub(super) state: State,
    pub(super) tls: Option<TlsFacts>,
    pub(super) capabilities: Capabilities,
    /// What a login can be bound to this connection by.
    pub(super) bindings: ChannelBindings,
    /// SASL mechanisms that this server has refused.
    pub(super) refused_mechanisms: Vec<String>,
    /// The server may still hold a transaction that RSET has to end.
    pub(super) needs_reset: bool,
    pub(super) transcript: Transcript,
    pub(super) spare: Spare,
    reader: ReplyReader,
    out: Vec<u8>,
    out_at: usize,
    /// Bytes ever queued, and of these transmitted.
    queued: u64,
    transmitted: u64,
    deadline: Option<Instant>,
    events: VecDeque<Event>,
}

/// With whom, and whether a message may come.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("host", &self.settings.host)
            .field("is_idle", &self.is_idle())
            .finish_non_exhaustive()
    }
}

pub(super) enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Handshake {
        announced: bool,
    },
    Authenticating(Box<Login>),
    Ready,
    Converting(Box<Converting>),
    Transferring(Box<Transfer>),
    Quitting,
    /// What is queued is still to be written, then nothing.
    Closed,
}

impl Session {
    /// A session on a connection that was just opened. `tls` where it was opened with implicit TLS.
    pub fn new(settings: Settings, tls: Option<TlsFacts>, now: Instant) -> Self {
        Self {
            deadline: Some(now + settings.timeouts.greeting),
            reader: ReplyReader::new(settings.reply_limits),
            settings,
            state: State::Greeting,
            tls,
            capabilities: Capabilities::default(),
            bindings: ChannelBindings::none(),
            refused_mechanisms: Vec::new(),
            needs_reset: false,
            spare: Spare::default(),
            transcript: Transcript::default(),
            out: Vec::new(),
            out_at: 0,
            queued: 0,
            transmitted: 0,
            events: VecDeque::new(),
        }
    }

    /// What the TLS connection can be bound by, for SCRAM's -PLUS: before it is told that TLS is established, or, where it
    /// always was, before the first input.
    pub fn bind_channel(&mut self, bindings: ChannelBindings) {
        self.bindings = bindings;
    }

    /// Takes a message after [`Event::Ready`]. At any other time it is settled at once, deferred.
    pub fn send(&mut self, now: Instant, transaction: Transaction) {
        if matches!(self.state, State::Ready) {
            self.begin_transfer(now, transaction);
        } else {
            let failure = self.failure(
                EnhancedStatus::transient(4, 2),
                Fault::Remote,
                Scope::NextHop,
                "the connection can't take a message now",
            );
            let outcomes = vec![Outcome::Deferred(failure); transaction.recipients()];
            self.events.push_back(Event::Settled(outcomes));
        }
    }

    /// Ends the session; outside a transaction politely.
    pub fn quit(&mut self, now: Instant) {
        match self.state {
            State::Ready => {
                self.queue(b"QUIT\r\n");
                self.state = State::Quitting;
                self.deadline = Some(now + self.settings.timeouts.quit);
            }
            State::Quitting | State::Closed => {}
            _ => self.lose(EnhancedStatus::transient(4, 2), Fault::Local, "we ended the session"),
        }
    }

    /// Writes down what is said from now on.
    pub fn transcribe(&mut self, transcript: Transcript) {
        self.transcript = transcript;
    }

    /// Whether nothing is under way: every byte written, every reply read, and a message may come.
    ///
    /// Only such a session is worth keeping for a later message; what the server says meanwhile makes it useless.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Ready)
            && self.events.is_empty()
            && self.transmitted == self.queued
            && self.reader.is_between_replies()
    }

    /// What the server offers, as it said last.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// How the connection is protected.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// Takes news from the world.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Received(bytes) => self.received(now, bytes),
            Input::Transmitted(count) => self.transmitted(now, count),
            Input::TlsEstablished(facts) => self.tls_established(now, facts),
            Input::TlsFailed(why) => {
                if matches!(self.state, State::Handshake { .. }) {
                    let text = format!("the TLS handshake failed: {}", single_line(why));
                    self.lose(EnhancedStatus::transient(7, 5), Fault::Remote, &text);
                }
            }
            Input::Answer(answer) => self.challenge_answered(now, answer),
            Input::Done(result) => self.task_done(now, result),
            Input::Closed => {
                self.lose(EnhancedStatus::transient(4, 2), Fault::Remote, "the connection was lost")
            }
            Input::Broken(why) => {
                let text = format!("the connection was lost: {}", single_line(why));
                self.lose(EnhancedStatus::transient(4, 2), Fault::Remote, &text);
            }
            Input::Timeout => {
                if self.deadline().is_some_and(|bound| bound <= now) {
                    self.lose(EnhancedStatus::transient(4, 2), Fault::Remote, "no answer in time");
                }
            }
        }
    }

    /// The next thing the session wants.
    pub fn poll(&mut self) -> Output<'_> {
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        if !self.has_unsent() {
            self.refill();
        }
        if self.has_unsent() {
            return self.transmit();
        }
        let deadline = self.deadline();
        match &mut self.state {
            State::Closed => Output::Closed,
            State::Handshake { announced } if !*announced => {
                *announced = true;
                Output::StartTls
            }
            State::Converting(converting) => match converting.task.take() {
                Some(task) => Output::Task(task),
                None => Output::Wait(deadline),
            },
            State::Transferring(transfer) => match transfer.task() {
                Some(task) => Output::Task(task),
                None => Output::Wait(deadline),
            },
            State::Authenticating(login) => match login.question() {
                Some((mechanism, challenge)) => Output::Challenge { mechanism, challenge },
                None => Output::Wait(deadline),
            },
            _ => Output::Wait(deadline),
        }
    }

    /// The moment by which something has to come or be written; [`Output::Wait`] names the same.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Closed => None,
            State::Transferring(transfer) => {
                Some(self.deadline.map_or(transfer.deadline, |at| at.min(transfer.deadline)))
            }
            _ => self.deadline,
        }
    }

    /// What is queued: what was written, and content that leaves from where it lies, with its end.
    fn unsent(&self) -> [&[u8]; 3] {
        let [content, end]: [&[u8]; 2] = match &self.state {
            State::Transferring(transfer) => transfer.unsent(),
            _ => [&[], &[]],
        };
        [self.out.get(self.out_at..).unwrap_or_default(), content, end]
    }

    fn has_unsent(&self) -> bool {
        debug_assert_eq!(
            self.queued - self.transmitted,
            self.unsent().iter().map(|part| part.len() as u64).sum::<u64>()
        );
        self.transmitted < self.queued
    }

    fn transmit(&self) -> Output<'_> {
        match self.unsent() {
            [[], [], bytes] => Output::Transmit { bytes, then: &[] },
            [[], bytes, then] | [bytes, then, _] => Output::Transmit { bytes, then },
        }
    }

    fn refill(&mut self) {
        self.out.clear();
        self.out_at = 0;
        if let State::Transferring(transfer) = &mut self.state {
            let unfinished = transfer.end() == u64::MAX;
            self.queued = transfer.write_content(&mut self.out, self.queued);
            if unfinished && transfer.end() != u64::MAX {
                self.transcript.note_with(|| format!("content of {} bytes", transfer.content_length()));
            }
        }
    }

    fn transmitted(&mut self, now: Instant, count: usize) {
        let count = count.min(usize::try_from(self.queued - self.transmitted).unwrap_or(usize::MAX));
        let of_out = count.min(self.out.len() - self.out_at);
        self.out_at += of_out;
        self.transmitted += count as u64;
        if let State::Transferring(transfer) = &mut self.state
            && count > 0
        {
            transfer.advance(count - of_out);
            if let Some(span) = transfer.transmitted(self.transmitted, &self.settings.timeouts) {
                self.deadline = Some(now + span);
            }
        }
    }

    fn received(&mut self, now: Instant, mut bytes: &[u8]) {
        while !bytes.is_empty() && !matches!(self.state, State::Closed) {
            match self.reader.read(bytes) {
                Ok((used, reply)) => {
                    bytes = bytes.get(used..).unwrap_or_default();
                    if let Some(reply) = reply {
                        self.replied(now, &reply, bytes.is_empty());
                        self.reader.recycle(reply);
                    }
                }
                Err(error) => {
                    self.lose(EnhancedStatus::transient(5, 0), Fault::Remote, &error.to_string());
                }
            }
        }
    }

    fn replied(&mut self, now: Instant, reply: &Reply, nothing_behind: bool) {
        let secret = matches!(&self.state, State::Authenticating(login) if login.is_repeated_in(reply));
        self.transcript.reply_received(reply.code(), reply.lines(), secret);
        if reply.code() == 421 && !matches!(self.state, State::Quitting) {
            self.dismissed(reply);
            return;
        }
        let in_turn = match &self.state {
            State::Transferring(transfer) => transfer.awaits_reply(self.transmitted),
            State::Ready | State::Converting(_) | State::Handshake { .. } => false,
            State::Authenticating(login) if login.is_asking() => false,
            _ => self.transmitted == self.queued,
        };
        if !in_turn {
            self.replied_out_of_turn(reply);
            return;
        }
        match self.state {
            State::Greeting => self.greeted(now, reply),
            State::Ehlo => self.ehlo_answered(now, reply),
            State::Helo => self.helo_answered(now, reply),
            State::StartTls => self.starttls_answered(now, reply, nothing_behind),
            State::Authenticating(_) => self.auth_answered(now, reply),
            State::Transferring(_) => self.transfer_answered(now, reply),
            State::Quitting => self.state = State::Closed,
            State::Ready | State::Converting(_) | State::Handshake { .. } | State::Closed => {}
        }
    }

    /// A 4xx or 5xx while content is sent is an answer, if an early one; anything else out of turn is a server
    /// (or someone between) that counts otherwise than we do.
    fn replied_out_of_turn(&mut self, reply: &Reply) {
        if matches!(&self.state, State::Transferring(transfer) if transfer.is_sending_content())
            && matches!(reply.kind(), crate::reply::ReplyKind::Transient | crate::reply::ReplyKind::Permanent)
        {
            self.content_refused_early(reply);
        } else {
            self.lose(
                EnhancedStatus::transient(5, 0),
                Fault::Remote,
                "the server replied to what was not said yet",
            );
        }
    }

    /// Says something that one reply is awaited for.
    pub(super) fn say(&mut self, now: Instant, bytes: &[u8], state: State) {
        self.queue(bytes);
        self.state = state;
        self.deadline = Some(now + self.settings.timeouts.command);
    }

    pub(super) fn queue(&mut self, bytes: &[u8]) -> u64 {
        let secret = matches!(self.state, State::Authenticating { .. });
        self.transcript.commands_sent(bytes, secret);
        if self.out_at == self.out.len() {
            // An idle connection does not keep the room that content took.
            const COMMANDS: usize = 32 << 10;
            self.out.clear();
            self.out.shrink_to(COMMANDS);
            self.out_at = 0;
        }
        self.out.extend_from_slice(bytes);
        self.queued += bytes.len() as u64;
        self.queued
    }

    /// Overwrites what was written, and takes back what of it has not left: it may have been a password.
    pub(super) fn wipe_output(&mut self) {
        self.out.zeroize();
        self.out_at = 0;
        self.queued = self.transmitted;
    }

    pub(super) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    pub(super) fn become_ready(&mut self) {
        self.state = State::Ready;
        self.deadline = None;
        self.events.push_back(Event::Ready);
    }

    pub(super) fn announce(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// The session ends before or between messages, with QUIT where the server still listens.
    pub(super) fn give_up(&mut self, failure: Failure) {
        self.events.push_back(Event::Unusable(failure));
        self.wipe_output();
        self.state = State::Closed;
        self.queue(b"QUIT\r\n");
    }

    /// 421: the server closes the connection; who has no answer yet is deferred.
    fn dismissed(&mut self, reply: &Reply) {
        let status = reply.enhanced().unwrap_or(EnhancedStatus::transient(3, 2));
        let mut failure =
            self.failure(status, Fault::Remote, Scope::NextHop, "the server closes the connection");
        failure.reply = Some(reply.to_remote());
        let mut unanswered = false;
        if let State::Transferring(transfer) = &mut self.state
            && transfer.answers_each
            && self.transmitted >= transfer.end()
        {
            // It is one recipient's answer. The others have none, and may have the message.
            transfer.settle_next(&self.capabilities, |_| Outcome::Deferred(failure.clone()));
            unanswered = true;
        }
        self.end(failure, unanswered);
    }

    /// The connection is of no use any more, for a reason that is no answer.
    pub(super) fn lose(&mut self, status: EnhancedStatus, fault: Fault, text: &str) {
        let failure = self.failure(status, fault, Scope::NextHop, text);
        self.end(failure, true);
    }

    pub(super) fn end(&mut self, failure: Failure, unanswered: bool) {
        self.transcript.note(&failure.text, "");
        self.wipe_output();
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed | State::Quitting => {}
            State::Transferring(mut transfer) => {
                let may_be_taken = unanswered && self.transmitted >= transfer.end();
                let outcomes = transfer.abandon(may_be_taken, || failure.clone());
                self.events.push_back(Event::Settled(outcomes));
            }
            State::Converting(converting) => {
                let outcomes = vec![Outcome::Deferred(failure); converting.transaction.recipients()];
                self.events.push_back(Event::Settled(outcomes));
            }
            _ => self.events.push_back(Event::Unusable(failure)),
        }
    }

    /// A failure of this host in the present phase.
    pub(super) fn failure(&self, status: EnhancedStatus, fault: Fault, scope: Scope, text: &str) -> Failure {
        let mut failure = Failure::new(status, fault, scope, self.phase(), text);
        failure.host = Some(self.settings.host.clone());
        failure
    }

    fn phase(&self) -> Phase {
        match &self.state {
            State::Greeting => Phase::Greeting,
            State::Ehlo | State::Helo => Phase::Hello,
            State::StartTls | State::Handshake { .. } => Phase::StartTls,
            State::Authenticating(_) => Phase::Authentication,
            State::Ready | State::Converting(_) | State::Quitting | State::Closed => Phase::MailFrom,
            State::Transferring(transfer) => transfer.phase(self.transmitted),
        }
    }
}

/// Text of others, on one line and without control characters.
pub(super) fn single_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_written_is_not_printed() {
        assert_eq!(
            format!("{:?}", Output::Transmit { bytes: b"AUTH PLAIN AGpvZQBodW50ZXIy\r\n", then: b"" }),
            "Transmit(29 bytes)"
        );
    }
}
