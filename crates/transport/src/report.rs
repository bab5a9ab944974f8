//! The reports that outcomes owe, as new messages that enter the queue with the settlement they report.

use std::collections::BTreeMap;

use postroad_dsn::{
    Action, Circumstances, HEADERS_ONLY_ABOVE, RecipientReport, Report, Stamp, may_return_all, owed,
};
use postroad_message::{Content, Envelope, Failure, NextHop, Outcome, Recipient, Timestamp, repair};
use postroad_queue::{MessageId, NewDelivery, NewMessage};

use crate::observe::Seen;
use crate::pipeline::{Shared, size};
use crate::plan::Plan;
use crate::settlement::Settled;

/// The message a report is about.
pub(crate) struct Original<'a> {
    pub(crate) envelope: &'a Envelope,
    pub(crate) content: &'a Content,
    pub(crate) received_at: Timestamp,
    /// When it was tried just now; `None` where nobody was asked to take it.
    pub(crate) attempted_at: Option<Timestamp>,
}

/// What an attempt, or a sweep, owes the sender.
pub(crate) fn reports(shared: &Shared, original: &Original<'_>, settled: &Settled) -> Vec<NewMessage> {
    let mut owing = Owing::default();
    let recipient = |index: &usize| original.envelope.recipients.get(*index);
    for (index, outcome) in &settled.left {
        let Some(recipient) = recipient(index) else { continue };
        owing.add(original, recipient, outcome, Circumstances::default());
    }
    for (index, failure) in &settled.delayed {
        let Some(recipient) = recipient(index) else { continue };
        let outcome = Outcome::Deferred(failure.clone());
        owing.add(original, recipient, &outcome, Circumstances::delay_notice_due());
    }
    owing.write(shared, original)
}

/// The content as reports want it that say of a failure: in memory where all of it goes back. It may block.
pub(crate) fn returned(envelope: &Envelope, content: &Content) -> Content {
    if content.in_memory().is_some() || !may_return_all(envelope, content, HEADERS_ONLY_ABOVE) {
        return content.clone();
    }
    match content.load() {
        Ok(bytes) => Content::from(bytes.into_owned()),
        Err(error) => {
            tracing::error!(%error, "the content cannot be read; a report has its header only");
            content.clone()
        }
    }
}

/// What a submission owes at once: recipients that no connector takes, and texts that are no addresses.
pub(crate) fn refusals(
    shared: &Shared,
    original: &Original<'_>,
    refused: &[(Recipient, Failure)],
    unreadable: &[String],
) -> Vec<NewMessage> {
    let mut owing = Owing::default();
    for (recipient, failure) in refused {
        owing.add(original, recipient, &Outcome::Failed(failure.clone()), Circumstances::default());
    }
    if !original.envelope.reverse_path.is_null() {
        let unreadable = unreadable.iter().map(|text| RecipientReport::unreadable(text));
        owing.0.entry(Action::Failed).or_default().extend(unreadable);
    }
    owing.write(shared, original)
}

/// A file of Pickup goes back as a whole: with it, each recipient that could be read.
pub(crate) fn about_file(shared: &Shared, original: &Original<'_>, failure: &Failure) -> Vec<NewMessage> {
    let mut owing = Owing::default();
    for recipient in &original.envelope.recipients {
        owing.add(original, recipient, &Outcome::Failed(failure.clone()), Circumstances::default());
    }
    owing.write(shared, original)
}

/// Tells whoever watches of reports that are in the queue, under these ids.
pub(crate) fn observe(shared: &Shared, original: &Seen<'_>, ids: &[MessageId], reports: &[NewMessage]) {
    for (&id, report) in ids.iter().zip(reports) {
        let deliveries: Vec<(NextHop, Vec<Recipient>)> = report
            .deliveries
            .iter()
            .map(|delivery| (delivery.next_hop.clone(), delivery.recipients.clone()))
            .collect();
        shared.observer.reported(original, &Seen::of(id, report), &deliveries);
    }
}

/// The recipients to report about, one report for each kind.
#[derive(Default)]
struct Owing(BTreeMap<Action, Vec<RecipientReport>>);

impl Owing {
    fn add(
        &mut self,
        original: &Original<'_>,
        recipient: &Recipient,
        outcome: &Outcome,
        circumstances: Circumstances,
    ) {
        match owed(original.envelope, recipient, outcome, circumstances) {
            Some(action) => {
                let mut report = RecipientReport::new(action, recipient, outcome);
                report.last_attempt = original.attempted_at;
                self.0.entry(action).or_default().push(report);
            }
            None => unreported(original, recipient, outcome),
        }
    }

    fn write(self, shared: &Shared, original: &Original<'_>) -> Vec<NewMessage> {
        let written = self.0.into_values().filter(|recipients| !recipients.is_empty());
        written.filter_map(|recipients| message(shared, original, &recipients)).collect()
    }
}

/// Nobody leaves without a word. A report about a report would go on for ever, and a sender may want none: then the log
/// is the last to hear of it.
fn unreported(original: &Original<'_>, recipient: &Recipient, outcome: &Outcome) {
    if let Outcome::Failed(failure) = outcome {
        let from = &original.envelope.reverse_path;
        tracing::warn!(%from, to = %recipient.address, %failure, "given up, and nobody is owed a report");
    }
}

fn message(shared: &Shared, original: &Original<'_>, recipients: &[RecipientReport]) -> Option<NewMessage> {
    let force = shared.in_force();
    let (settings, now) = (&force.settings, shared.world.now());
    let fqdn = settings.fqdn.as_str();
    let mut report = Report::new(original.envelope, original.content, recipients, fqdn, &settings.postmaster);
    report.wording = settings.dsn_wording;
    report.arrived_at = Some(original.received_at);
    report.retry_until = Some(settings.timers.expires_at(original.received_at));
    let message_id = repair::new_message_id(shared.world.random().to_be_bytes(), settings.default_domain());
    let boundary = format!("{:032x}", shared.world.random());
    let stamp = Stamp::new(&boundary, now, &message_id);
    let write = |report: &Report<'_>| {
        let (mut envelope, content) = postroad_dsn::report(report, &stamp)?;
        let recipients = std::mem::take(&mut envelope.recipients);
        let plan = Plan::make(&force.table, &envelope.reverse_path, &recipients, size(&content));
        Some((envelope, content, recipients, plan))
    };
    let (mut envelope, mut content, mut recipients, mut plan) = write(&report)?;
    if plan.groups.is_empty() {
        // With the whole original it may be too large for the connector towards the sender.
        report.headers_only_above = 0;
        (envelope, content, recipients, plan) = write(&report)?;
    }
    for (index, failure) in &plan.refused {
        if let Some(recipient) = recipients.get(*index) {
            tracing::warn!(to = %recipient.address, %failure, "no connector takes a report; it is given up");
        }
    }
    let deliver = |(next_hop, indices): (NextHop, Vec<usize>)| {
        let due = shared.first_due(&next_hop, now, now);
        let recipients = indices.iter().filter_map(|index| recipients.get(*index).cloned()).collect();
        NewDelivery::new(next_hop, recipients, due)
    };
    let deliveries: Vec<NewDelivery> = plan.groups.into_iter().map(deliver).collect();
    if deliveries.is_empty() {
        return None;
    }
    Some(NewMessage::new(envelope, content, now, "dsn", deliveries))
}
