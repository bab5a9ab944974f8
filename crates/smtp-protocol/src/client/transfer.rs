//! One message while a session carries it: what was said, what is awaited, and where each recipient stands.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use postroad_message::{Failure, Outcome, Phase};

use crate::capability::Capabilities;
use crate::client::content::{Framing, Outgoing, Written};
use crate::client::content_task::ContentTask;
use crate::client::timeouts::Timeouts;
use crate::client::transaction::Transaction;

/// A message between MAIL and its outcomes.
pub(super) struct Transfer {
    pub(super) transaction: Transaction,
    pub(super) standings: Vec<Standing>,
    pub(super) stage: Stage,
    /// The next command to say; those whom it would be said for may be settled by then.
    pub(super) next: Option<Step>,
    /// Commands said, and where in the stream of all bytes queued each ended.
    pub(super) awaited: VecDeque<(Step, u64)>,
    pub(super) framing: Framing,
    /// LMTP: the end of the content has a reply for each recipient that was accepted.
    pub(super) answers_each: bool,
    pub(super) mail_refused: bool,
    pub(super) deadline: Instant,
}

/// Where one recipient stands.
pub(super) enum Standing {
    Unanswered,
    Accepted,
    Settled(Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Reset,
    Mail,
    Rcpt(usize),
    /// DATA, or with BDAT the content itself.
    Data,
}

pub(super) enum Stage {
    /// Up to the reply to DATA, or to the last RCPT before BDAT.
    Envelope,
    /// 354 has come, or was not asked for. Once the end of the content is queued, `end` is where in the stream it is.
    Content { outgoing: Outgoing, end: Option<u64> },
    /// 354 has come though nobody is left to send to: a lone dot, whose reply means nothing.
    LoneDot { end: u64 },
}

impl Transfer {
    /// The next command, unless nothing more is to be said, or none before the last was answered.
    pub(super) fn next_step(&mut self) -> Option<Step> {
        loop {
            let step = self.next?;
            self.next = match step {
                Step::Reset => Some(Step::Mail),
                Step::Mail => Some(Step::Rcpt(0)),
                Step::Rcpt(recipient) if recipient + 1 < self.standings.len() => {
                    Some(Step::Rcpt(recipient + 1))
                }
                Step::Rcpt(_) => Some(Step::Data),
                Step::Data => None,
            };
            match step {
                Step::Rcpt(recipient) if !self.is_unanswered(recipient) => {}
                // Content that has a length is sent to those who are known to want it.
                Step::Data if self.framing != Framing::Dot && !self.awaited.is_empty() => {
                    self.next = Some(Step::Data);
                    return None;
                }
                // For nobody it is not even asked for.
                Step::Data if self.awaited.is_empty() && self.accepted() == 0 => {}
                step => return Some(step),
            }
        }
    }

    /// Whether a reply that comes now can be meant for something: the command it answers has left.
    pub(super) fn awaits_reply(&self, transmitted: u64) -> bool {
        match &self.stage {
            Stage::Envelope => self.awaited.front().is_some_and(|(_, end)| transmitted >= *end),
            Stage::Content { .. } | Stage::LoneDot { .. } => transmitted >= self.end(),
        }
    }

    /// Where in the stream the content ends; beyond all where its end is not queued.
    pub(super) fn end(&self) -> u64 {
        match &self.stage {
            Stage::Envelope => u64::MAX,
            Stage::Content { end, .. } => end.unwrap_or(u64::MAX),
            Stage::LoneDot { end } => *end,
        }
    }

    /// Bytes of content, as it was handed in.
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

    /// Puts the next piece of content into `out`, which begins at `queued` in the stream, and says where in it the piece ends,
    /// with what follows it as it is.
    pub(super) fn write_content(&mut self, out: &mut Vec<u8>, queued: u64) -> u64 {
        if let Stage::Content { outgoing, end: end @ None } = &mut self.stage {
            let written = outgoing.write(out);
            let queued = queued + (out.len() + outgoing.rest().map(<[u8]>::len).iter().sum::<usize>()) as u64;
            *end = (written == Written::All).then_some(queued);
            return queued;
        }
        queued
    }

    /// Content that is queued and leaves as it is, and what ends it.
    pub(super) fn unsent(&self) -> [&[u8]; 2] {
        if let Stage::Content { outgoing, .. } = &self.stage { outgoing.rest() } else { [&[]; 2] }
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, offset: usize, bytes: Vec<u8>) {
        if let Stage::Content { outgoing, .. } = &mut self.stage {
            outgoing.take(offset, bytes);
        }
    }

    /// What has to be read before there is more to write.
    pub(super) fn task(&mut self) -> Option<ContentTask> {
        if let Stage::Content { outgoing, .. } = &mut self.stage { outgoing.task() } else { None }
    }

    /// So many bytes of these have left.
    pub(super) fn advance(&mut self, count: usize) {
        if let Stage::Content { outgoing, .. } = &mut self.stage {
            outgoing.advance(count);
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

    /// One outcome for each recipient: those without an answer share the failure, as ambiguous for whom the server has
    /// accepted if it may have taken the message.
    pub(super) fn abandon(&mut self, may_be_taken: bool, failure: impl Fn() -> Failure) -> Vec<Outcome> {
        let outcome = |standing| match standing {
            Standing::Settled(outcome) => outcome,
            Standing::Accepted if may_be_taken => Outcome::Ambiguous(failure()),
            Standing::Accepted | Standing::Unanswered => Outcome::Deferred(failure()),
        };
        self.standings.drain(..).map(outcome).collect()
    }

    pub(super) fn accepted(&self) -> usize {
        self.standings.iter().filter(|standing| matches!(standing, Standing::Accepted)).count()
    }

    pub(super) fn is_unanswered(&self, recipient: usize) -> bool {
        matches!(self.standings.get(recipient), Some(Standing::Unanswered))
    }

    pub(super) fn stand(&mut self, recipient: usize, standing: Standing) {
        if let Some(place) = self.standings.get_mut(recipient) {
            *place = standing;
        }
    }

    pub(super) fn settle_open(&mut self, outcome: &Outcome) {
        for standing in &mut self.standings {
            if !matches!(standing, Standing::Settled(_)) {
                *standing = Standing::Settled(outcome.clone());
            }
        }
    }

    /// Settles whom the end of the content is answered for: everyone, or in LMTP the first who has no answer yet. Each
    /// outcome is made knowing whether the sender is to hear of the relay from us. Whether there is nobody left.
    pub(super) fn settle_next(&mut self, offered: &Capabilities, outcome: impl Fn(bool) -> Outcome) -> bool {
        let Self { transaction, standings, answers_each, .. } = self;
        let mut accepted =
            standings.iter_mut().enumerate().filter(|(_, standing)| matches!(standing, Standing::Accepted));
        let settle = |(recipient, standing): (usize, &mut Standing)| {
            *standing = Standing::Settled(outcome(transaction.is_to_report_relay(recipient, offered)));
        };
        if *answers_each {
            accepted.next().map(settle);
        } else {
            accepted.for_each(settle);
        }
        self.accepted() == 0
    }
}
