//! One message while a session carries it: what was said, what is awaited, and where each recipient stands.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Receipt, Scope};

use crate::client::content::Outgoing;
use crate::client::session::{Event, Session, State};
use crate::client::timeouts::Timeouts;
use crate::client::transaction::Transaction;
use crate::reply::{Reply, ReplyKind};

/// Commands that may be under way at once where PIPELINING is offered: their replies fit into any receive buffer, so
/// that we and the server never both wait for the other to read (RFC 2920 section 3.1).
const PIPELINE: usize = 100;

/// A message between MAIL and its outcomes.
pub(super) struct Transfer {
    transaction: Transaction,
    standings: Vec<Standing>,
    stage: Stage,
    /// Commands not said yet.
    plan: VecDeque<Step>,
    /// Commands said, and where in the stream of all bytes queued each ended.
    awaited: VecDeque<(Step, u64)>,
    mail_refused: bool,
    deadline: Instant,
}

/// Where one recipient stands.
enum Standing {
    Unanswered,
    Accepted,
    Settled(Outcome),
}

#[derive(Clone, Copy)]
enum Step {
    Reset,
    Mail,
    Rcpt(usize),
    Data,
}

enum Stage {
    /// Up to the reply to DATA.
    Envelope,
    /// 354 has come. Once the final dot is queued, `end` is where in the stream it ends.
    Content { outgoing: Outgoing, end: Option<u64> },
    /// 354 has come though nobody is left to send to: a lone dot, whose reply means nothing.
    LoneDot { end: u64 },
}

impl Session {
    pub(super) fn begin_transfer(&mut self, now: Instant, transaction: Transaction) {
        let obstacle = transaction.obstacle(&self.capabilities, self.tls(), self.settings.send_8bit_anyway);
        let most = self.capabilities.max_recipients.unwrap_or(usize::MAX);
        let mut room = most;
        let standings: Vec<Standing> = (0..transaction.recipients())
            .map(|recipient| {
                let own = || transaction.recipient_obstacle(recipient, &self.capabilities);
                match obstacle.clone().or_else(own) {
                    Some(mut failure) => {
                        failure.host = Some(self.settings.host.clone());
                        Standing::Settled(Outcome::Failed(failure))
                    }
                    None if room == 0 => Standing::Settled(Outcome::Deferred(self.too_many(most))),
                    None => {
                        room -= 1;
                        Standing::Unanswered
                    }
                }
            })
            .collect();
        let mut plan: VecDeque<Step> = self.needs_reset.then_some(Step::Reset).into_iter().collect();
        plan.push_back(Step::Mail);
        plan.extend(
            standings
                .iter()
                .enumerate()
                .filter(|(_, s)| matches!(s, Standing::Unanswered))
                .map(|(i, _)| Step::Rcpt(i)),
        );
        plan.push_back(Step::Data);
        let nobody = !standings.iter().any(|standing| matches!(standing, Standing::Unanswered));
        let deadline = now + self.settings.timeouts.transaction;
        self.state = State::Transferring(Box::new(Transfer {
            transaction,
            standings,
            stage: Stage::Envelope,
            plan,
            awaited: VecDeque::new(),
            mail_refused: false,
            deadline,
        }));
        if nobody { self.settle_transfer(self.needs_reset) } else { self.say_next(now) }
    }

    /// Says as many commands as may be under way, and settles when there are none left to say or to await.
    fn say_next(&mut self, now: Instant) {
        let window = if self.capabilities.pipelining { PIPELINE } else { 1 };
        loop {
            let State::Transferring(transfer) = &mut self.state else { return };
            if transfer.awaited.len() >= window {
                break;
            }
            let Some(step) = transfer.next_step() else { break };
            let mut line = Vec::new();
            match step {
                Step::Reset => line.extend_from_slice(b"RSET\r\n"),
                Step::Mail => transfer.transaction.write_mail(&self.capabilities, &mut line),
                Step::Rcpt(recipient) => {
                    transfer.transaction.write_rcpt(recipient, &self.capabilities, &mut line)
                }
                Step::Data => line.extend_from_slice(b"DATA\r\n"),
            }
            let end = self.queue(&line);
            let State::Transferring(transfer) = &mut self.state else { return };
            transfer.awaited.push_back((step, end));
        }
        let State::Transferring(transfer) = &self.state else { return };
        match transfer.awaited.front() {
            Some((Step::Data, _)) => self.set_deadline(Some(now + self.settings.timeouts.data_start)),
            Some(_) => self.set_deadline(Some(now + self.settings.timeouts.command)),
            None => self.settle_transfer(true),
        }
    }

    pub(super) fn transfer_answered(&mut self, now: Instant, reply: &Reply) {
        let State::Transferring(transfer) = &mut self.state else { return };
        match &transfer.stage {
            Stage::Envelope => {}
            Stage::Content { .. } => return self.final_dot_answered(reply),
            Stage::LoneDot { .. } => return self.settle_transfer(false),
        }
        let Some((step, end)) = transfer.awaited.pop_front() else { return };
        match (step, reply.kind()) {
            (Step::Reset | Step::Mail, ReplyKind::Success) => {}
            (Step::Mail, ReplyKind::Transient | ReplyKind::Permanent) => self.mail_refused(reply),
            (Step::Rcpt(_), _) if transfer.mail_refused => {}
            (Step::Rcpt(recipient), ReplyKind::Success) => transfer.stand(recipient, Standing::Accepted),
            (Step::Rcpt(recipient), ReplyKind::Transient | ReplyKind::Permanent) => {
                self.recipient_refused(recipient, reply)
            }
            (Step::Data, ReplyKind::Intermediate) => return self.begin_content(now),
            (Step::Data, ReplyKind::Transient | ReplyKind::Permanent) if transfer.accepted() == 0 => {}
            (Step::Data, ReplyKind::Transient | ReplyKind::Permanent) => {
                self.message_refused(reply, Phase::Data, "DATA was refused")
            }
            _ => {
                transfer.awaited.push_front((step, end));
                let text = format!("the server answered {} where that is no answer", reply.code());
                return self.lose(EnhancedStatus::transient(5, 0), Fault::Remote, &text);
            }
        }
        self.say_next(now);
    }

    fn mail_refused(&mut self, reply: &Reply) {
        let outcome = self.refusal(reply, Phase::MailFrom, Scope::Message, "MAIL FROM was refused");
        if let State::Transferring(transfer) = &mut self.state {
            transfer.mail_refused = true;
            transfer.plan.clear();
            transfer.settle_open(&outcome);
        }
    }

    /// Too many recipients is no refusal: those go in another transaction, at once (RFC 5321 section 4.5.3.1.10).
    fn recipient_refused(&mut self, recipient: usize, reply: &Reply) {
        let State::Transferring(transfer) = &self.state else { return };
        let too_many = match (reply.code(), reply.enhanced()) {
            (452, Some(status)) => status == EnhancedStatus::transient(5, 3),
            // RFC 821 listed 552 for this, and RFC 5321 has us read it so.
            (552, Some(status)) => status == EnhancedStatus::permanent(5, 3),
            (452 | 552, None) => transfer.accepted() > 0,
            _ => false,
        };
        if !too_many {
            let outcome = self.refusal(reply, Phase::RcptTo, Scope::Recipient, "RCPT TO was refused");
            let State::Transferring(transfer) = &mut self.state else { return };
            return transfer.stand(recipient, Standing::Settled(outcome));
        }
        let mut failure = self.too_many(transfer.accepted());
        failure.reply = Some(reply.to_remote());
        let State::Transferring(transfer) = &mut self.state else { return };
        transfer.stand(recipient, Standing::Settled(Outcome::Deferred(failure.clone())));
        let unsaid: Vec<Step> = transfer.plan.drain(..).collect();
        for step in unsaid {
            match step {
                Step::Rcpt(other) => {
                    transfer.stand(other, Standing::Settled(Outcome::Deferred(failure.clone())))
                }
                other => transfer.plan.push_back(other),
            }
        }
    }

    fn too_many(&self, accepted: usize) -> Failure {
        let text = format!("the server takes no more than {accepted} recipients at once");
        let mut failure = Failure::new(
            EnhancedStatus::transient(5, 3),
            Fault::Remote,
            Scope::Recipient,
            Phase::RcptTo,
            text,
        );
        failure.host = Some(self.settings.host.clone());
        failure
    }

    fn begin_content(&mut self, now: Instant) {
        self.set_deadline(Some(now + self.settings.timeouts.data_block));
        let State::Transferring(transfer) = &mut self.state else { return };
        if transfer.accepted() > 0 {
            let outgoing = Outgoing::new(transfer.transaction.content().clone());
            transfer.stage = Stage::Content { outgoing, end: None };
            return;
        }
        let end = self.queue(b".\r\n");
        if let State::Transferring(transfer) = &mut self.state {
            transfer.stage = Stage::LoneDot { end };
        }
    }

    fn final_dot_answered(&mut self, reply: &Reply) {
        match reply.kind() {
            ReplyKind::Success => {
                let receipt = Receipt {
                    host: self.settings.host.clone(),
                    reply: Some(reply.to_remote()),
                    tls: self.tls.clone(),
                };
                let reports = self.capabilities.dsn;
                if let State::Transferring(transfer) = &mut self.state {
                    transfer.take_over(&receipt, reports);
                }
            }
            ReplyKind::Transient | ReplyKind::Permanent => {
                self.message_refused(reply, Phase::FinalDot, "the message was refused")
            }
            ReplyKind::Intermediate => {
                let text = format!("the server answered {} to the final dot", reply.code());
                return self.lose(EnhancedStatus::transient(5, 0), Fault::Remote, &text);
            }
        }
        self.settle_transfer(false);
    }

    /// The server said no before it had all of the content. What it would say next nobody knows: that was all.
    pub(super) fn content_refused_early(&mut self, reply: &Reply) {
        self.message_refused(reply, Phase::Content, "the content was refused before its end");
        self.lose(EnhancedStatus::transient(5, 0), Fault::Remote, "the server did not await the final dot");
    }

    fn message_refused(&mut self, reply: &Reply, phase: Phase, text: &str) {
        let outcome = self.refusal(reply, phase, Scope::Message, text);
        if let State::Transferring(transfer) = &mut self.state {
            transfer.settle_open(&outcome);
        }
    }

    /// The outcome that a 4xx or 5xx stands for.
    fn refusal(&self, reply: &Reply, phase: Phase, scope: Scope, text: &str) -> Outcome {
        let permanent = reply.kind() == ReplyKind::Permanent;
        let default =
            if permanent { EnhancedStatus::permanent(0, 0) } else { EnhancedStatus::transient(0, 0) };
        let status = reply.enhanced().unwrap_or(default);
        let fault = if permanent { Fault::Message } else { Fault::Remote };
        let mut failure = Failure::new(status, fault, scope, phase, text);
        failure.host = Some(self.settings.host.clone());
        failure.reply = Some(reply.to_remote());
        if reply.code() == 530 {
            // Says nothing of the message: this server wants a login or TLS that our configuration does not give it.
            failure.status = EnhancedStatus::transient(status.subject(), status.detail());
            failure.fault = Fault::Configuration;
            failure.scope = Scope::NextHop;
            return Outcome::Deferred(failure);
        }
        if permanent { Outcome::Failed(failure) } else { Outcome::Deferred(failure) }
    }

    fn settle_transfer(&mut self, needs_reset: bool) {
        let unanswered = self.failure(
            EnhancedStatus::transient(5, 0),
            Fault::Remote,
            Scope::Message,
            "nothing was decided",
        );
        if let State::Transferring(transfer) = std::mem::replace(&mut self.state, State::Ready) {
            self.needs_reset = needs_reset;
            self.announce(Event::Settled(transfer.abandon(&unanswered, false)));
            self.become_ready();
        }
    }
}

impl Transfer {
    /// The bound of the whole transaction.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether a reply that comes now can be meant for something: the command it answers has left.
    pub(super) fn awaits_reply(&self, transmitted: u64) -> bool {
        match &self.stage {
            Stage::Envelope => self.awaited.front().is_some_and(|(_, end)| transmitted >= *end),
            Stage::Content { .. } | Stage::LoneDot { .. } => transmitted >= self.end(),
        }
    }

    /// Where in the stream the final dot ends; beyond all where it is not queued.
    pub(super) fn end(&self) -> u64 {
        match &self.stage {
            Stage::Envelope => u64::MAX,
            Stage::Content { end, .. } => end.unwrap_or(u64::MAX),
            Stage::LoneDot { end } => *end,
        }
    }

    pub(super) fn content_length(&self) -> usize {
        self.transaction.content().len()
    }

    pub(super) fn is_sending_content(&self) -> bool {
        matches!(self.stage, Stage::Content { .. })
    }

    pub(super) fn phase(&self, transmitted: u64) -> Phase {
        match (&self.stage, self.awaited.front()) {
            (Stage::Envelope, Some((Step::Rcpt(_), _))) => Phase::RcptTo,
            (Stage::Envelope, Some((Step::Data, _))) => Phase::Data,
            (Stage::Envelope, _) => Phase::MailFrom,
            (Stage::Content { .. } | Stage::LoneDot { .. }, _) if transmitted >= self.end() => {
                Phase::FinalDot
            }
            (Stage::Content { .. } | Stage::LoneDot { .. }, _) => Phase::Content,
        }
    }

    /// Puts the next piece of content into `out`, which begins at `queued` in the stream.
    pub(super) fn write_content(&mut self, out: &mut Vec<u8>, queued: u64) {
        if let Stage::Content { outgoing, end } = &mut self.stage
            && end.is_none()
            && outgoing.write(out)
        {
            *end = Some(queued + out.len() as u64);
        }
    }

    /// The bound that progress of the content sets anew.
    pub(super) fn transmitted(&self, transmitted: u64, timeouts: &Timeouts) -> Option<Duration> {
        match &self.stage {
            Stage::Envelope => None,
            Stage::Content { .. } | Stage::LoneDot { .. } if transmitted >= self.end() => {
                Some(timeouts.final_dot)
            }
            Stage::Content { .. } | Stage::LoneDot { .. } => Some(timeouts.data_block),
        }
    }

    /// One outcome for each recipient: those without an answer share `failure`, as ambiguous for whom the server has
    /// accepted if it may have taken the message.
    pub(super) fn abandon(self, failure: &Failure, may_be_taken: bool) -> Vec<Outcome> {
        let outcome = |standing| match standing {
            Standing::Settled(outcome) => outcome,
            Standing::Accepted if may_be_taken => Outcome::Ambiguous(failure.clone()),
            Standing::Accepted | Standing::Unanswered => Outcome::Deferred(failure.clone()),
        };
        self.standings.into_iter().map(outcome).collect()
    }

    /// The next command, unless nothing more is to be said: DATA for nobody is not.
    fn next_step(&mut self) -> Option<Step> {
        let step = self.plan.pop_front()?;
        let is_for_nobody = matches!(step, Step::Data) && self.accepted() == 0 && self.awaited.is_empty();
        (!is_for_nobody).then_some(step)
    }

    fn accepted(&self) -> usize {
        self.standings.iter().filter(|standing| matches!(standing, Standing::Accepted)).count()
    }

    fn stand(&mut self, recipient: usize, standing: Standing) {
        if let Some(place) = self.standings.get_mut(recipient) {
            *place = standing;
        }
    }

    fn settle_open(&mut self, outcome: &Outcome) {
        for standing in &mut self.standings {
            if !matches!(standing, Standing::Settled(_)) {
                *standing = Standing::Settled(outcome.clone());
            }
        }
    }

    /// The server has the message. Where it knows no DSN, who asked for a report of success is owed it by us.
    fn take_over(&mut self, receipt: &Receipt, reports: bool) {
        for (recipient, standing) in self.standings.iter_mut().enumerate() {
            if matches!(standing, Standing::Accepted) {
                let relayed = self.transaction.wants_success(recipient) && !reports;
                let outcome = if relayed {
                    Outcome::Relayed(receipt.clone())
                } else {
                    Outcome::Delivered(receipt.clone())
                };
                *standing = Standing::Settled(outcome);
            }
        }
    }
}
