//! `relay send`: puts one message into the queue of a relay, running or not, and shows its way.

use std::io::{self, Read as _};
use std::path::Path;

use postroad_admin::Progress;
use postroad_admin::sent::{self, Fate};
use postroad_message::Recipient;
use postroad_transport::{Pipeline, Submission, Submitted, SystemWorld};

use crate::arguments::SendArguments;
use crate::commands::configuration_of_relay;
use crate::exit::Exit;
use crate::house;

/// Exit 0 when queued, or with `--wait` when all are delivered; 75 when some still wait; 69 when some failed.
pub(crate) async fn send(asked: &SendArguments) -> Exit {
    let (pipeline, submitted) = match queue(asked).await {
        Ok(queued) => queued,
        Err(exit) => return exit,
    };
    print!("{}", sent::where_to(&submitted));
    let mut worst = if submitted.refused.is_empty() { Exit::Ok } else { Exit::Unavailable };
    let Some(span) = asked.wait else { return worst };
    // The progress line is gone before the fates are printed.
    let fates = sent::wait(&pipeline, &submitted, span, &mut Progress::on_terminal()).await;
    let fates = match fates {
        Ok(fates) => fates,
        Err(error) => {
            eprintln!("relay: {error}");
            return Exit::Temporary;
        }
    };
    for (recipient, fate) in fates {
        println!("  {} {fate}", recipient.address);
        match fate {
            Fate::Delivered(_) => {}
            Fate::Waits(_) if worst == Exit::Ok => worst = Exit::Temporary,
            Fate::Waits(_) => {}
            _ => worst = Exit::Unavailable,
        }
    }
    worst
}

async fn queue(asked: &SendArguments) -> Result<(Pipeline, Submitted), Exit> {
    let configuration = configuration_of_relay(asked.config.as_deref())?;
    let wrong = |why: &dyn std::fmt::Display| {
        eprintln!("relay: {}: {why}", asked.file.display());
        Exit::Data
    };
    let file = read(&asked.file).map_err(|why| wrong(&why))?;
    let pipeline = house::pipeline_beside(&configuration).map_err(|refused| refused.say())?;
    let to = asked.to.iter().cloned().map(Recipient::new).collect();
    let composed = sent::compose(&pipeline, &SystemWorld, &file, asked.from.clone(), to);
    let (envelope, content) = composed.map_err(|why| wrong(&why))?;
    let mut submission = Submission::new(envelope, content, "send");
    submission.watched = asked.wait.is_some();
    let submitted = pipeline.submit(submission).await.map_err(|error| {
        eprintln!("relay: {error}");
        if error.is_transient() { Exit::Temporary } else { Exit::Unavailable }
    })?;
    Ok((pipeline, submitted))
}

/// The file, or standard input for `-`.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file);
    }
    let mut message = Vec::new();
    io::stdin().read_to_end(&mut message)?;
    Ok(message)
}
