//! `relay send`: puts one message into the queue of a relay, running or not, and shows its way.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use postroad_address_space::Address;
use postroad_configuration::Configuration;
use postroad_message::{Content, Envelope, Recipient, ReversePath};
use postroad_message_directory::{AddressForm, Arrival, Injected, pickup, replay};
use postroad_queue::{Filter, MessageId};
use postroad_transport::{Pipeline, Submission, Submitted, SystemWorld, World};

use crate::arguments::SendArguments;
use crate::commands::configuration;
use crate::exit::Exit;
use crate::house;

/// How often the queue is looked at while waiting.
const LOOK: Duration = Duration::from_millis(200);

/// Exit 0 when queued, or with `--wait` when all are delivered; 75 when some still wait; 69 when some failed.
pub(crate) async fn send(asked: &SendArguments) -> Exit {
    match queue(asked).await {
        Ok((pipeline, submitted)) => match asked.wait {
            Some(span) => wait(&pipeline, &submitted, span).await,
            None if submitted.refused.is_empty() => Exit::Ok,
            None => Exit::Unavailable,
        },
        Err(exit) => exit,
    }
}

async fn queue(asked: &SendArguments) -> Result<(Pipeline, Submitted), Exit> {
    let configuration = configuration(asked.config.as_deref())?;
    let file = std::fs::read(&asked.file).map_err(|error| {
        eprintln!("relay: {}: {error}", asked.file.display());
        Exit::Data
    })?;
    let (envelope, content) = message(asked, &configuration, &file).map_err(|why| {
        eprintln!("relay: {}: {why}", asked.file.display());
        Exit::Data
    })?;
    let pipeline = house::pipeline_beside(&configuration).map_err(|refused| refused.say())?;
    let submitted =
        pipeline.submit(Submission::new(envelope, content, "send").watched()).await.map_err(|error| {
            eprintln!("relay: {error}");
            if error.is_transient() { Exit::Temporary } else { Exit::Unavailable }
        })?;
    show(&submitted);
    Ok((pipeline, submitted))
}

/// The message of a file: with an envelope of the command line, as Replay takes it; else as Pickup does.
fn message(
    asked: &SendArguments,
    configuration: &Configuration,
    file: &[u8],
) -> Result<(Envelope, Content), String> {
    let domain = house::default_domain(configuration);
    let arrival = Arrival {
        server: configuration.server.fqdn.as_str(),
        domain: &domain,
        at: SystemWorld.now(),
        unique: SystemWorld.random().to_le_bytes(),
    };
    let mut to = Vec::new();
    for text in &asked.to {
        let address = Address::parse(text).map_err(|why| format!("--to {text}: {why}"))?;
        to.push(Recipient::new(address));
    }
    let from =
        asked.from.clone().map(ReversePath::try_from).transpose().map_err(|why| format!("--from: {why}"))?;
    if let (Some(from), false) = (&from, to.is_empty()) {
        let injected = Injected::new(Envelope::new(from.clone(), to));
        let replayed =
            replay::encode(&injected, file, AddressForm::Native, &domain).map_err(|why| why.to_string())?;
        let rules = replay::Rules::default();
        let decoded = replay::decode(&replayed, &rules).map_err(|why| why.to_string())?;
        return decoded.into_message(&arrival).map_err(|why| why.to_string());
    }
    let mut rules = pickup::Rules::default();
    rules.domain = Some(domain.clone());
    let mut decoded = pickup::decode(file, &rules).map_err(|why| why.to_string())?;
    if let Some(rejected) = decoded.rejected.first() {
        return Err(format!("{rejected:?} is no address"));
    }
    if let Some(from) = from {
        decoded.envelope.reverse_path = from;
    }
    if !to.is_empty() {
        decoded.envelope.recipients = to;
    }
    decoded.into_message(&arrival).map_err(|why| why.to_string())
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

async fn wait(pipeline: &Pipeline, submitted: &Submitted, span: Duration) -> Exit {
    let done = tokio::time::timeout(span, until_empty(pipeline, submitted.id)).await;
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    let results = pipeline.results(submitted.id).await.unwrap_or_default();
    for (recipient, outcome) in &results {
        match outcome.failure() {
            Some(failure) => println!("  {} FAILED: {failure}", recipient.address),
            None => println!("  {} delivered", recipient.address),
        }
    }
    let failed = !submitted.refused.is_empty() || results.iter().any(|(_, outcome)| !outcome.is_success());
    match done {
        _ if failed => Exit::Unavailable,
        Ok(Ok(())) => Exit::Ok,
        Ok(Err(error)) => {
            eprintln!("relay: {error}");
            Exit::Temporary
        }
        Err(_) => {
            eprintln!("relay: some recipients still wait; is the relay running?");
            Exit::Temporary
        }
    }
}

async fn until_empty(pipeline: &Pipeline, message: MessageId) -> Result<(), postroad_queue::QueueError> {
    loop {
        let waiting = pipeline.list(Filter::message(message)).await?;
        let recipients: usize = waiting.iter().map(|delivery| delivery.recipients.len()).sum();
        if recipients == 0 {
            return Ok(());
        }
        if std::io::stderr().is_terminal() {
            let why =
                waiting.iter().find_map(|d| d.last_failure()).map(|f| format!(": {f}")).unwrap_or_default();
            eprint!("\r\x1b[K{recipients} waiting{why}");
            let _ = std::io::stderr().flush();
        }
        tokio::time::sleep(LOOK).await;
    }
}
