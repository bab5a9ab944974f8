//! What becomes of one message that was just queued: for whoever sent it and waits to see.

use std::fmt;
use std::time::Duration;

use postroad_message::{Content, Envelope, NextHop, Outcome, Recipient, ReversePath};
use postroad_message_directory::{Arrival, Badmail};
use postroad_queue::{Filter, Listed, QueueError, QueuedRecipient};
use postroad_transport::{Pipeline, Submitted, World};

use crate::progress::Progress;

/// How often the queue is looked at while waiting.
const LOOK: Duration = Duration::from_millis(200);

/// How one recipient stands at the end of the wait.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Someone took it: who, and with which words.
    Delivered(String),
    /// It never will arrive, and why.
    Failed(String),
    /// It waits, and why.
    Waits(String),
    /// It left the queue, and nobody said how.
    Gone,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered(to) => write!(f, "delivered: {to}"),
            Self::Failed(why) => write!(f, "FAILED: {why}"),
            Self::Waits(why) => write!(f, "waits: {why}"),
            Self::Gone => f.write_str("gone without an outcome: removed by hand?"),
        }
    }
}

/// The message of a file: with an envelope given beside it, as Replay takes files; else as Pickup does.
///
/// # Errors
///
/// Those of [`compose`](postroad_message_directory::compose()).
pub fn compose(
    pipeline: &Pipeline,
    world: &impl World,
    file: &[u8],
    from: Option<ReversePath>,
    to: Vec<Recipient>,
) -> Result<(Envelope, Content), Badmail> {
    let settings = pipeline.settings();
    let (server, domain) = (settings.fqdn.as_str(), settings.default_domain());
    let arrival = Arrival::new(server, domain, world.now(), world.random().to_le_bytes());
    postroad_message_directory::compose(file, from, to, &arrival)
}

/// Where a message was queued, one line for each recipient.
pub fn where_to(submitted: &Submitted) -> String {
    let mut text = format!("queued as {}\n", submitted.id);
    for (next_hop, recipients) in &submitted.deliveries {
        for recipient in recipients {
            text.push_str(&format!("  {} by {next_hop}\n", recipient.address));
        }
    }
    for (recipient, failure) in &submitted.refused {
        text.push_str(&format!("  {} FAILED: {failure}\n", recipient.address));
    }
    text
}

/// Waits until everybody has left the queue, for `span` at most; then says what became of each that was queued.
///
/// The message must be [watched](postroad_transport::Submission::watched); its results are forgotten afterwards.
///
/// # Errors
///
/// The queue cannot be read. What was queued stays there.
pub async fn wait(
    pipeline: &Pipeline,
    submitted: &Submitted,
    span: Duration,
    progress: &mut Progress,
) -> Result<Vec<(Recipient, Fate)>, QueueError> {
    // A span that ran out is told below: by those who still wait.
    let _ = tokio::time::timeout(span, until_gone(pipeline, submitted, progress)).await;
    let waiting = waiting(pipeline, submitted).await?;
    let results = pipeline.results(submitted.id).await?;
    let mut fates = Vec::new();
    for recipient in submitted.deliveries.iter().flat_map(|(_, recipients)| recipients) {
        let result = results.iter().find(|(of, _)| of == recipient).map(|(_, outcome)| outcome);
        let mut queued = waiting.iter().flat_map(|at| at.recipients.iter().map(|of| (&at.next_hop, of)));
        let fate = what_became(result, queued.find(|(_, queued)| queued.recipient == *recipient));
        fates.push((recipient.clone(), fate));
    }
    // What cannot be forgotten now goes with the relay's next start.
    let _ = pipeline.forget_results(submitted.id).await;
    Ok(fates)
}

fn what_became(result: Option<&Outcome>, queued: Option<(&NextHop, &QueuedRecipient)>) -> Fate {
    match (result, queued) {
        (Some(Outcome::Delivered(to) | Outcome::Relayed(to) | Outcome::Expanded(to)), _) => {
            let reply = to.reply.as_ref().map(|reply| format!(" ({reply})")).unwrap_or_default();
            Fate::Delivered(format!("{}{reply}", to.host))
        }
        (Some(other), _) => Fate::Failed(other.failure().map(ToString::to_string).unwrap_or_default()),
        (None, Some((next_hop, queued))) => {
            let why = match &queued.last_failure {
                _ if next_hop.is_unreachable() => "no connector takes it until the configuration changes",
                Some(failure) => &failure.to_string(),
                None => "not tried yet (its next hop may be held back after a failure, or no relay runs)",
            };
            Fate::Waits(why.to_owned())
        }
        (None, None) => Fate::Gone,
    }
}

async fn until_gone(
    pipeline: &Pipeline,
    submitted: &Submitted,
    progress: &mut Progress,
) -> Result<(), QueueError> {
    loop {
        let waiting = waiting(pipeline, submitted).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let recipients: usize = waiting.iter().map(|delivery| delivery.recipients.len()).sum();
        let why = waiting.iter().find_map(Listed::last_failure).map(|failure| format!(": {failure}"));
        progress.say(&format!("{recipients} waiting{}", why.unwrap_or_default()));
        tokio::time::sleep(LOOK).await;
    }
}

/// Deliveries of the message itself: where nobody takes it, its id is that of the report.
async fn waiting(pipeline: &Pipeline, submitted: &Submitted) -> Result<Vec<Listed>, QueueError> {
    if submitted.deliveries.is_empty() {
        return Ok(Vec::new());
    }
    pipeline.list(Filter::message(submitted.id)).await
}
