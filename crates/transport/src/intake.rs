//! A submission between its door and the queue: where its recipients go, and who is told once it is durable.

use std::collections::HashSet;

use postroad_message::{Content, Envelope, Failure, NextHop, Outcome, Recipient, Timestamp};
use postroad_queue::{MessageId, NewDelivery, NewMessage};
use postroad_smtp_server::Client;

use crate::observe::Seen;
use crate::pipeline::{Shared, Submission, SubmitError, Submitted, size};
use crate::plan::Plan;
use crate::report::{self, Original};

/// What is to be said of a submission that is on its way into the queue.
pub(crate) struct Intake {
    envelope: Envelope,
    content: Content,
    source: &'static str,
    client: Option<Box<Client>>,
    rejected: Vec<String>,
    at: Timestamp,
    deliveries: Vec<(NextHop, Vec<Recipient>)>,
    refused: Vec<(Recipient, Failure)>,
    /// The last of what is queued.
    reports: Vec<NewMessage>,
}

impl Intake {
    /// Routes a submission. What it gives is to be queued, all of it or nothing; then the ids go to [`Intake::queued`]. It may
    /// block where the content is not in memory.
    pub(crate) fn plan(
        shared: &Shared,
        submission: Submission,
    ) -> Result<(Vec<NewMessage>, Self), SubmitError> {
        let Submission { mut envelope, id, content, source, source_key, watched, rejected, client } =
            submission;
        if envelope.recipients.is_empty() {
            return Err(SubmitError::NoRecipient);
        }
        keep_first_of_each(&mut envelope.recipients);
        let at = shared.world.now();
        let plan = Plan::make(
            &shared.in_force().table,
            &envelope.reverse_path,
            &envelope.recipients,
            size(&content),
        );
        let deliveries = members(&plan.groups, &envelope.recipients);
        let refused: Vec<(Recipient, Failure)> = plan
            .refused
            .into_iter()
            .filter_map(|(index, failure)| Some((envelope.recipients.get(index)?.clone(), failure)))
            .collect();

        let mut messages = Vec::new();
        if !deliveries.is_empty() {
            let waiting = deliveries.iter().map(|(next_hop, recipients)| {
                let due = shared.first_due(next_hop, at, at);
                NewDelivery::new(next_hop.clone(), recipients.clone(), due)
            });
            // The recipients stand with their deliveries.
            let recipients = std::mem::take(&mut envelope.recipients);
            let mut message =
                NewMessage::new(envelope.clone(), content.clone(), at, source, waiting.collect());
            envelope.recipients = recipients;
            message.watched = watched;
            message.id = id;
            messages.push(message);
        }
        let nobody = refused.is_empty() && rejected.is_empty();
        let returned = if nobody { content.clone() } else { report::returned(&envelope, &content) };
        let about = Original { envelope: &envelope, content: &returned, received_at: at, attempted_at: None };
        let reports = report::refusals(shared, &about, &refused, &rejected);
        messages.extend(reports.iter().cloned());
        let Some(first) = messages.first_mut() else {
            return Err(SubmitError::Undeliverable);
        };
        first.source_key = source_key;
        let intake = Self { envelope, content, source, client, rejected, at, deliveries, refused, reports };
        Ok((messages, intake))
    }

    /// It is durable, under these ids: tells the log and whoever watches.
    pub(crate) fn queued(self, shared: &Shared, ids: &[MessageId]) -> Result<Submitted, SubmitError> {
        let Self { envelope, content, source, client, rejected, at, deliveries, refused, reports } = self;
        let id = ids.first().copied().ok_or(postroad_queue::QueueError::NothingToDeliver)?;
        let submitted = Submitted { id, deliveries, refused };
        submitted.log(&envelope, source, size(&content));
        let reverse_path = &envelope.reverse_path;
        for text in &rejected {
            tracing::warn!(%id, source, from = %reverse_path, to = ?text, "this recipient is no address");
        }
        let (size, content) = (size(&content), Some(&content));
        let seen = Seen { id, at, received_at: at, source, reverse_path, size, content, way: None };
        let Submitted { deliveries, refused, .. } = &submitted;
        shared.observer.queued(&seen, client.as_deref(), deliveries, refused);
        if !refused.is_empty() {
            let failed = |(to, why): &(Recipient, Failure)| (to.clone(), Outcome::Failed(why.clone()));
            let outcomes: Vec<_> = refused.iter().map(failed).collect();
            shared.observer.attempted(&seen, &NextHop::unreachable(), &outcomes);
        }
        let reported = ids.get(ids.len().saturating_sub(reports.len())..).unwrap_or_default();
        report::observe(shared, &seen, reported, &reports);
        Ok(submitted)
    }
}

impl Submitted {
    fn log(&self, envelope: &Envelope, source: &str, size: u64) {
        for (next_hop, recipients) in &self.deliveries {
            for recipient in recipients {
                let (id, from, to) = (self.id, &envelope.reverse_path, &recipient.address);
                if next_hop.is_unreachable() {
                    tracing::warn!(%id, source, %from, %to, size, "queued until a connector takes this recipient");
                } else {
                    tracing::info!(%id, source, %from, %to, %next_hop, size, "queued");
                }
            }
        }
        for (recipient, failure) in &self.refused {
            tracing::warn!(id = %self.id, source, from = %envelope.reverse_path, to = %recipient.address,
                %failure, size, "no connector takes this recipient");
        }
    }
}

/// Who is named twice gets one copy, through whichever door; but two where he wishes for other reports (RFC 3461 section 4).
fn keep_first_of_each(recipients: &mut Vec<Recipient>) {
    if recipients.len() > 1 {
        let mut seen = HashSet::with_capacity(recipients.len());
        let firsts: Vec<bool> = recipients.iter().map(|recipient| seen.insert(recipient)).collect();
        let mut firsts = firsts.into_iter();
        recipients.retain(|_| firsts.next().unwrap_or(true));
    }
}

fn members(groups: &[(NextHop, Vec<usize>)], recipients: &[Recipient]) -> Vec<(NextHop, Vec<Recipient>)> {
    let of = |indices: &[usize]| indices.iter().filter_map(|index| recipients.get(*index).cloned()).collect();
    groups.iter().map(|(next_hop, indices)| (next_hop.clone(), of(indices))).collect()
}
