//! `relay send`: puts one message into the queue of a relay, running or not, and shows its way.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use postroad_configuration::Configuration;
use postroad_message::{Content, Envelope, NextHop, Outcome, Recipient};
use postroad_message_directory::{Arrival, compose};
use postroad_queue::{Filter, Listed, QueueError, QueuedRecipient};
use postroad_transport::{Pipeline, Submission, Submitted, SystemWorld, World};

use crate::arguments::SendArguments;
use crate::commands::configuration;
use crate::exit::Exit;
use crate::house;

/// How often the queue is looked at while waiting.
const LOOK: Duration = Duration::from_millis(200);

/// Exit 0 when queued, or with `--wait` when all are delivered; 75 when some still wait; 69 when some failed.
pub(crate) async fn send(asked: &SendArguments) -> Exit {
    let (pipeline, submitted) = match queue(asked).await {
        Ok(queued) => queued,
        Err(exit) => return exit,
    };
    show(&submitted);
    let Some(span) = asked.wait else {
        return if submitted.refused.is_empty() { Exit::Ok } else { Exit::Unavailable };
    };
    wait(&pipeline, &submitted, span).await.unwrap_or_else(|error| {
        eprintln!("relay: {error}");
        Exit::Temporary
    })
}

async fn queue(asked: &SendArguments) -> Result<(Pipeline, Submitted), Exit> {
    let configuration = configuration(asked.config.as_deref())?;
    let (envelope, content) = message(asked, &configuration).map_err(|why| {
        eprintln!("relay: {}: {why}", asked.file.display());
        Exit::Data
    })?;
    let pipeline = house::pipeline_beside(&configuration).map_err(|refused| refused.say())?;
    let mut submission = Submission::new(envelope, content, "send");
    submission.watched = asked.wait.is_some();
    let submitted = pipeline.submit(submission).await.map_err(|error| {
        eprintln!("relay: {error}");
        if error.is_transient() { Exit::Temporary } else { Exit::Unavailable }
    })?;
    Ok((pipeline, submitted))
}

/// The message of the file: with an envelope of the command line, as Replay takes it; else as Pickup does.
fn message(
    asked: &SendArguments,
    configuration: &Configuration,
) -> Result<(Envelope, Content), Box<dyn Error>> {
    let file = std::fs::read(&asked.file)?;
    let domain = configuration.server.default_domain();
    let arrival = Arrival {
        server: configuration.server.fqdn.as_str(),
        domain,
        at: SystemWorld.now(),
        unique: SystemWorld.random().to_le_bytes(),
    };
    let to = asked.to.iter().cloned().map(Recipient::new).collect();
    Ok(compose(&file, asked.from.clone(), to, &arrival)?)
}

fn show(submitted: &Submitted) {
    println!("queued as {}", submitted.id);
    for (next_hop, recipients) in &submitted.deliveries {
        for recipient in recipients {
            println!("  {} by {next_hop}", recipient.address);
        }
    }
    for (recipient, failure) in &submitted.refused {
        println!("  {} FAILED: {failure}", recipient.address);
    }
}

/// Waits until everybody has left the queue, for `span` at most; then says what became of each.
async fn wait(pipeline: &Pipeline, submitted: &Submitted, span: Duration) -> Result<Exit, QueueError> {
    // A span that ran out is told below: by those who still wait.
    let _ = tokio::time::timeout(span, until_gone(pipeline, submitted)).await;
    progress("");
    let waiting = waiting(pipeline, submitted).await?;
    let results = pipeline.results(submitted.id).await?;
    let mut exits: Vec<Exit> = submitted.refused.iter().map(|_| Exit::Unavailable).collect();
    for recipient in submitted.deliveries.iter().flat_map(|(_, recipients)| recipients) {
        let result = results.iter().find(|(of, _)| of == recipient).map(|(_, outcome)| outcome);
        let mut queued = waiting.iter().flat_map(|at| at.recipients.iter().map(|of| (&at.next_hop, of)));
        let (exit, said) = what_became(result, queued.find(|(_, queued)| queued.recipient == *recipient));
        println!("  {} {said}", recipient.address);
        exits.push(exit);
    }
    // What cannot be forgotten now goes with the relay's next start.
    let _ = pipeline.forget_results(submitted.id).await;
    let worst = [Exit::Unavailable, Exit::Temporary].into_iter().find(|exit| exits.contains(exit));
    Ok(worst.unwrap_or(Exit::Ok))
}

fn what_became(result: Option<&Outcome>, queued: Option<(&NextHop, &QueuedRecipient)>) -> (Exit, String) {
    match (result, queued) {
        (Some(Outcome::Delivered(to) | Outcome::Relayed(to) | Outcome::Expanded(to)), _) => {
            let reply = to.reply.as_ref().map(|reply| format!(" ({reply})")).unwrap_or_default();
            (Exit::Ok, format!("delivered: {}{reply}", to.host))
        }
        (Some(other), _) => {
            let why = other.failure().map(ToString::to_string).unwrap_or_default();
            (Exit::Unavailable, format!("FAILED: {why}"))
        }
        (None, Some((next_hop, queued))) => {
            let why = match &queued.last_failure {
                _ if next_hop.is_unreachable() => "no connector takes it until the configuration changes",
                Some(failure) => &failure.to_string(),
                None => "not tried yet (its next hop may be held back after a failure, or no relay runs)",
            };
            (Exit::Temporary, format!("waits: {why}"))
        }
        (None, None) => (Exit::Unavailable, "gone without an outcome: removed by hand?".to_owned()),
    }
}

async fn until_gone(pipeline: &Pipeline, submitted: &Submitted) -> Result<(), QueueError> {
    loop {
        let waiting = waiting(pipeline, submitted).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let recipients: usize = waiting.iter().map(|delivery| delivery.recipients.len()).sum();
        let why = waiting.iter().find_map(Listed::last_failure).map(|failure| format!(": {failure}"));
        progress(&format!("{recipients} waiting{}", why.unwrap_or_default()));
        tokio::time::sleep(LOOK).await;
    }
}

/// One line on a terminal, in the place of the one before.
fn progress(line: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
        let _ = std::io::stderr().flush();
    }
}

/// Deliveries of the message itself: where nobody takes it, its id is that of the report.
async fn waiting(pipeline: &Pipeline, submitted: &Submitted) -> Result<Vec<Listed>, QueueError> {
    if submitted.deliveries.is_empty() {
        return Ok(Vec::new());
    }
    pipeline.list(Filter::message(submitted.id)).await
}
