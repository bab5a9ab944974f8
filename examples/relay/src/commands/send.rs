//! `relay send`: puts one message into the queue of a relay, running or not, and shows its way.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use postroad_admin::Progress;
use postroad_admin::sent::{self, Fate};
use postroad_message::Recipient;
use postroad_message_directory::Directory;
use postroad_transport::{Pipeline, Submission, Submitted, SystemWorld};

use crate::arguments::SendArguments;
use crate::commands::configuration_of_relay;
use crate::exit::Exit;
use crate::house;

/// Exit 0 when queued, or with `--wait` when all are delivered; 75 when some still wait; 69 when some failed.
pub(crate) async fn send(asked: &SendArguments, file: Option<&Path>) -> Result<Exit, Exit> {
    let (pipeline, submitted) = queue(asked, file).await?;
    print!("{}", sent::where_to(&submitted));
    let mut worst = if submitted.refused.is_empty() { Exit::Ok } else { Exit::Unavailable };
    let Some(span) = asked.wait else { return Ok(worst) };
    // The progress line is gone before the fates are printed.
    let fates = sent::wait(&pipeline, &submitted, span, &mut Progress::on_terminal()).await;
    let fates = fates.map_err(|error| {
        eprintln!("relay: {error}");
        Exit::Temporary
    })?;
    for (recipient, fate) in fates {
        println!("  {} {fate}", recipient.address);
        match fate {
            Fate::Delivered(_) => {}
            Fate::Waits(_) if worst == Exit::Ok => worst = Exit::Temporary,
            Fate::Waits(_) => {}
            _ => worst = Exit::Unavailable,
        }
    }
    Ok(worst)
}

async fn queue(asked: &SendArguments, file: Option<&Path>) -> Result<(Pipeline, Submitted), Exit> {
    let configuration = configuration_of_relay(file)?;
    let wrong = |why: &dyn std::fmt::Display| {
        eprintln!("relay: {}: {why}", asked.file.display());
        Exit::Data
    };
    let mut message = Vec::new();
    let read = match asked.file.as_path() {
        path if path == Path::new("-") => read_whole(io::stdin(), &mut message),
        path => File::open(path).and_then(|file| read_whole(file, &mut message)),
    };
    read.map_err(|why| wrong(&why))?;
    let pipeline = house::pipeline_beside(&configuration).map_err(|refused| refused.say())?;
    let to = asked.to.iter().cloned().map(Recipient::new).collect();
    let composed = sent::compose(&pipeline, &SystemWorld, &message, asked.from.clone(), to);
    let (envelope, content) = composed.map_err(|why| wrong(&why))?;
    let mut submission = Submission::new(envelope, content, "send");
    submission.watched = asked.wait.is_some();
    let submitted = pipeline.submit(submission).await.map_err(|error| {
        eprintln!("relay: {error}");
        if error.is_transient() { Exit::Temporary } else { Exit::Unavailable }
    })?;
    Ok((pipeline, submitted))
}

/// A file of Pickup may be so long, and no longer.
fn read_whole(source: impl Read, message: &mut Vec<u8>) -> io::Result<()> {
    const MOST: u64 = Directory::MAX_FILE_SIZE;
    match source.take(MOST + 1).read_to_end(message)? as u64 {
        length if length > MOST => {
            Err(io::Error::other(format!("more than {MOST} bytes, the most that is taken from a file")))
        }
        _ => Ok(()),
    }
}
