//! What is said to send one message, and what the answers do to its recipients.

use std::collections::VecDeque;
use std::time::Instant;

use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Receipt, Scope};

use crate::client::content::{Framing, Outgoing};
use crate::client::content_task::{ContentResult, ContentTask, Done};
use crate::client::session::{Event, Session, State};
use crate::client::transaction::Transaction;
use crate::client::transfer::{Stage, Standing, Step, Transfer};
use crate::reply::{Reply, ReplyKind};

/// Commands that may be under way at once where PIPELINING is offered: their replies fit into any receive buffer, so
/// that we and the server never both wait for the other to read (RFC 2920 section 3.1).
const PIPELINE: usize = 100;

/// Memory of the last message, emptied, for the next: a connection that carries many asks for little.
#[derive(Default)]
pub(super) struct Spare {
    line: Vec<u8>,
    standings: Vec<Standing>,
    awaited: VecDeque<(Step, u64)>,
}

/// A message that is put into seven bits before anything is said of it.
pub(super) struct Converting {
    pub(super) transaction: Transaction,
    pub(super) task: Option<ContentTask>,
}

impl Session {
    pub(super) fn begin_transfer(&mut self, now: Instant, mut transaction: Transaction) {
        let (offered, eight_bit) = (&self.capabilities, self.settings.eight_bit_content);
        let task = match transaction.obstacle_in_any_form(offered, self.tls(), eight_bit) {
            Some(_) => None,
            None => transaction.adapt(offered, eight_bit),
        };
        match task {
            None => self.begin_envelope(now, transaction),
            task @ Some(_) => {
                self.set_deadline(Some(now + self.settings.timeouts.transaction));
                self.state = State::Converting(Box::new(Converting { transaction, task }));
            }
        }
    }

    /// What came of a task, if it is still wanted.
    pub(super) fn task_done(&mut self, now: Instant, result: ContentResult) {
        match (result.0, &mut self.state) {
            (Ok(Done::Read { offset, bytes }), State::Transferring(transfer)) => transfer.take(offset, bytes),
            (Ok(Done::Converted(converted)), State::Converting(_)) => {
                if let State::Converting(mut converting) = std::mem::replace(&mut self.state, State::Ready) {
                    converting.transaction.converted(converted);
                    self.begin_envelope(now, converting.transaction);
                }
            }
            (Err(error), State::Transferring(_) | State::Converting(_)) => {
                // No other host would get it.
                let text = match self.state {
                    State::Converting(_) => format!("the content cannot be put into seven bits now: {error}"),
                    _ => format!("the content cannot be read: {error}"),
                };
                let status = EnhancedStatus::transient(3, 0);
                let failure = self.failure(status, Fault::Local, Scope::Message, &text);
                self.end(failure, false);
            }
            _ => {}
        }
    }

    fn begin_envelope(&mut self, now: Instant, transaction: Transaction) {
        let eight_bit = self.settings.eight_bit_content;
        let obstacle = transaction.obstacle(&self.capabilities, self.tls(), eight_bit);
        let most = self.capabilities.max_recipients.unwrap_or(usize::MAX);
        let mut room = most;
        let mut standings = std::mem::take(&mut self.spare.standings);
        for recipient in 0..transaction.recipients() {
            let own = || transaction.recipient_obstacle(recipient, &self.capabilities);
            standings.push(match obstacle.clone().or_else(own) {
                Some(mut failure) => {
                    failure.host = Some(self.settings.host.clone());
                    Standing::Settled(Outcome::Failed(failure))
                }
                None if room == 0 => Standing::Settled(Outcome::Deferred(self.too_many(most))),
                None => {
                    room -= 1;
                    Standing::Unanswered
                }
            });
        }
        let nobody = !standings.iter().any(|standing| matches!(standing, Standing::Unanswered));
        let deadline = now + self.settings.timeouts.transaction;
        self.state = State::Transferring(Box::new(Transfer {
            standings,
            stage: Stage::Envelope,
            next: Some(if self.needs_reset { Step::Reset } else { Step::Mail }),
            awaited: std::mem::take(&mut self.spare.awaited),
            framing: self.framing(&transaction),
            answers_each: self.settings.lmtp,
            transaction,
            mail_refused: false,
            deadline,
        }));
        if nobody { self.settle_transfer(self.needs_reset) } else { self.say_next(now) }
    }

    fn framing(&self, transaction: &Transaction) -> Framing {
        if transaction.goes_as_binary(&self.capabilities) {
            Framing::Binary
        } else if self.capabilities.chunking && self.settings.chunking {
            Framing::Length
        } else {
            Framing::Dot
        }
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
            if step == Step::Data && transfer.framing != Framing::Dot {
                return self.begin_content(now);
            }
            let mut line = std::mem::take(&mut self.spare.line);
            line.clear();
            match step {
                Step::Reset => line.extend_from_slice(b"RSET\r\n"),
                Step::Mail => transfer.transaction.write_mail(&self.capabilities, &mut line),
                Step::Rcpt(recipient) => {
                    transfer.transaction.write_rcpt(recipient, &self.capabilities, &mut line)
                }
                Step::Data => line.extend_from_slice(b"DATA\r\n"),
            }
            let end = self.queue(&line);
            self.spare.line = line;
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
            Stage::Content { .. } => return self.content_answered(now, reply),
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
            transfer.next = None;
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
        // Whom RCPT was not said for, it is not said for any more.
        if let Some(Step::Rcpt(unsaid)) = transfer.next {
            for recipient in unsaid..transfer.standings.len() {
                if transfer.is_unanswered(recipient) {
                    transfer.stand(recipient, Standing::Settled(Outcome::Deferred(failure.clone())));
                }
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
            let Transfer { transaction, framing, .. } = &**transfer;
            let outgoing = Outgoing::new(transaction.content(), *framing);
            transfer.stage = Stage::Content { outgoing, end: None };
            return;
        }
        let end = self.queue(b".\r\n");
        if let State::Transferring(transfer) = &mut self.state {
            transfer.stage = Stage::LoneDot { end };
        }
    }

    /// The reply to the end of the content; in LMTP one of the replies, and the next has its time again.
    fn content_answered(&mut self, now: Instant, reply: &Reply) {
        let refusal = match reply.kind() {
            ReplyKind::Success => None,
            ReplyKind::Transient | ReplyKind::Permanent => {
                let scope = if self.settings.lmtp { Scope::Recipient } else { Scope::Message };
                Some(self.refusal(reply, Phase::FinalDot, scope, "the message was refused"))
            }
            ReplyKind::Intermediate => {
                let text = format!("the server answered {} to the final dot", reply.code());
                return self.lose(EnhancedStatus::transient(5, 0), Fault::Remote, &text);
            }
        };
        let Self { state: State::Transferring(transfer), settings, tls, capabilities, .. } = self else {
            return;
        };
        let is_last = transfer.settle_next(capabilities, |report_relay| match &refusal {
            Some(refusal) => refusal.clone(),
            None => {
                let mut receipt = Receipt::new(settings.host.clone());
                (receipt.reply, receipt.tls) = (Some(reply.to_remote()), tls.clone());
                if report_relay { Outcome::Relayed(receipt) } else { Outcome::Delivered(receipt) }
            }
        });
        if is_last {
            self.settle_transfer(false);
        } else {
            self.set_deadline(Some(now + self.settings.timeouts.final_dot));
        }
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
        if let State::Transferring(mut transfer) = std::mem::replace(&mut self.state, State::Ready) {
            self.needs_reset = needs_reset;
            let outcomes = transfer.abandon(false, || {
                let status = EnhancedStatus::transient(5, 0);
                self.failure(status, Fault::Remote, Scope::Message, "nothing was decided")
            });
            transfer.awaited.clear();
            (self.spare.standings, self.spare.awaited) = (transfer.standings, transfer.awaited);
            self.announce(Event::Settled(outcomes));
            self.become_ready();
        }
    }
}
