//! The queue commands: list, show, retry, resubmit, suspend, resume, remove, export.

use std::io::Write;
use std::path::PathBuf;

use postroad_message::Timestamp;
use postroad_queue::{Changed, Filter, MessageId, QueueStore};
use postroad_transport::Pipeline;
use serde::Serialize;
use serde_json::json;

use crate::error::AdminError;
use crate::export::export;
use crate::progress::Progress;
use crate::rows;
use crate::selection::Selection;
use crate::table;

/// One command, ready to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Order {
    /// What to do.
    pub command: Command,
    /// With which mail.
    pub selection: Selection,
    /// One JSON object a line instead of words for a person.
    pub json: bool,
}

impl Order {
    /// This command with everything, in words for a person; set the rest on the value.
    pub fn new(command: Command) -> Self {
        Self { command, selection: Selection::default(), json: false }
    }
}

/// What an administrator can do with the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Lists the queues (`Get-Queue`), those of the selection's next hop and connector; then the messages.
    List {
        /// The queues only.
        queues: bool,
    },
    /// Lists the messages (`Get-Message`).
    Messages,
    /// Shows all about the messages that the selection names by id.
    Show,
    /// Tries again now, though the next hop is held back (`Retry-Queue`).
    Retry,
    /// Selects a connector again (`Retry-Queue -Resubmit`).
    Resubmit,
    /// Holds messages (`Suspend-Message`).
    Suspend {
        /// The queues themselves, with what comes into them later (`Suspend-Queue`).
        whole_queue: bool,
    },
    /// Lets messages go on, those set aside as well (`Resume-Message`).
    Resume {
        /// The queues themselves (`Resume-Queue`).
        whole_queue: bool,
    },
    /// Takes messages out (`Remove-Message`).
    Remove {
        /// Whether their senders are told.
        with_report: bool,
    },
    /// Writes messages as Replay files into this folder (`Export-Message`).
    Export(PathBuf),
}

/// How a command ended, beyond what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// All of it was done.
    Done,
    /// These were named, and are not in the queue.
    NotThere(Vec<MessageId>),
    /// So many deliveries were left alone because someone works on them: try again.
    Busy(u64),
    /// Some messages could not be exported; why was said in the output.
    Incomplete,
}

/// Carries out one command on the queue of a relay, running or not, and prints what came of it.
///
/// The relay sees the change within a second.
///
/// # Errors
///
/// [`AdminError`], where the queue cannot be read or written, no such queue is there, a file cannot be written, or the output is
/// not taken. What was done before that stays done.
pub async fn carry_out(
    pipeline: &Pipeline,
    order: &Order,
    now: Timestamp,
    output: &mut (impl Write + Send),
    progress: &mut Progress,
) -> Result<Ending, AdminError> {
    let store = &**pipeline.store();
    let Order { command, selection, json } = order;
    // Whoever names a message wants to know that it is gone, not that nothing was to be done.
    let gone = not_there(store, &selection.messages, now).await?;
    match command {
        Command::List { queues } => {
            list_queues(store, selection, *json, now, output).await?;
            if !queues {
                list_messages(store, selection, *json, now, output).await?;
            }
        }
        Command::Messages => list_messages(store, selection, *json, now, output).await?,
        Command::Show => show(store, selection, *json, now, output).await?,
        Command::Suspend { whole_queue: true } | Command::Resume { whole_queue: true } => {
            let queues = selection.queues(store, now).await?;
            let suspended = matches!(command, Command::Suspend { .. });
            for queue in &queues {
                store.suspend_queue(queue, suspended).await?;
            }
            say(output, *json, command, queues.len() as u64, "queues", 0)?;
        }
        Command::Export(folder) => {
            let filters = selection.filters(store, now).await?;
            let domain = pipeline.settings().default_domain().clone();
            let exported = export(store, &filters, folder, &domain, now, progress).await?;
            for error in &exported.failed {
                let text = error.to_string();
                one(
                    output,
                    *json,
                    &json!({ "action": "export", "error": text }),
                    &format!("not exported: {text}\n"),
                )?;
            }
            say(output, *json, command, exported.files, "messages", 0)?;
            if !exported.failed.is_empty() {
                return Ok(Ending::Incomplete);
            }
        }
        Command::Retry
        | Command::Resubmit
        | Command::Suspend { .. }
        | Command::Resume { .. }
        | Command::Remove { .. } => {
            let mut all = Changed::default();
            for filter in selection.filters(store, now).await? {
                let changed = act(pipeline, command, filter, now, progress).await?;
                all.deliveries += changed.deliveries;
                all.active += changed.active;
            }
            say(output, *json, command, all.deliveries, "deliveries", all.active)?;
            let waits = matches!(command, Command::Resubmit | Command::Remove { .. });
            if all.active > 0 && waits {
                return Ok(Ending::Busy(all.active));
            }
        }
    }
    Ok(if gone.is_empty() { Ending::Done } else { Ending::NotThere(gone) })
}

async fn act(
    pipeline: &Pipeline,
    command: &Command,
    filter: Filter,
    now: Timestamp,
    progress: &mut Progress,
) -> Result<Changed, AdminError> {
    let store = pipeline.store();
    let seen = |done, total| progress.at(done, total);
    Ok(match command {
        Command::Retry => store.retry_now(filter, now).await?,
        Command::Resubmit => pipeline.resubmit(filter, seen).await?,
        Command::Suspend { .. } => store.suspend(filter, now).await?,
        Command::Resume { .. } => store.resume(filter, now).await?,
        Command::Remove { with_report: true } => pipeline.remove_with_report(filter, seen).await?,
        Command::Remove { with_report: false } => store.remove(filter, now).await?,
        _ => Changed::default(),
    })
}

async fn list_queues(
    store: &dyn QueueStore,
    selection: &Selection,
    json: bool,
    now: Timestamp,
    output: &mut impl Write,
) -> Result<(), AdminError> {
    let named = selection.queues(store, now).await?;
    let mut rows = rows::queues(store, now).await?;
    rows.retain(|row| named.iter().any(|queue| queue.to_string() == row.queue));
    if json {
        return each_line(output, "queue", &rows);
    }
    print(output, table::queues(&rows, now))
}

async fn list_messages(
    store: &dyn QueueStore,
    selection: &Selection,
    json: bool,
    now: Timestamp,
    output: &mut (impl Write + Send),
) -> Result<(), AdminError> {
    let filters = selection.filters(store, now).await?;
    let mut headed = json;
    rows::messages(store, &filters, now, |page| {
        if json {
            return each_line(output, "message", &page);
        }
        if !std::mem::replace(&mut headed, true) {
            print(output, table::messages_heading())?;
        }
        print(output, table::messages(&page, now))
    })
    .await
}

async fn show(
    store: &dyn QueueStore,
    selection: &Selection,
    json: bool,
    now: Timestamp,
    output: &mut impl Write,
) -> Result<(), AdminError> {
    for message in &selection.messages {
        let rows = rows::message(store, *message, now).await?;
        if json {
            each_line(output, "message", &rows)?;
        } else {
            print(output, table::message(&rows, now))?;
        }
    }
    Ok(())
}

async fn not_there(
    store: &dyn QueueStore,
    messages: &[MessageId],
    now: Timestamp,
) -> Result<Vec<MessageId>, AdminError> {
    let mut gone = Vec::new();
    for message in messages {
        let mut filter = Filter::message(*message);
        filter.limit = Some(1);
        if store.list(filter, now).await?.is_empty() {
            gone.push(*message);
        }
    }
    Ok(gone)
}

/// One object a line, its kind first.
fn each_line<T: Serialize>(
    output: &mut impl Write,
    kind: &'static str,
    rows: &[T],
) -> Result<(), AdminError> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        r#type: &'static str,
        #[serde(flatten)]
        row: &'a T,
    }
    for row in rows {
        let line = Line { r#type: kind, row };
        serde_json::to_writer(&mut *output, &line).map_err(|error| AdminError::Output(error.into()))?;
        print(output, "\n")?;
    }
    Ok(())
}

fn say(
    output: &mut impl Write,
    json: bool,
    command: &Command,
    count: u64,
    what: &str,
    active: u64,
) -> Result<(), AdminError> {
    let (action, done) = match command {
        Command::Retry => ("retry", "due now"),
        Command::Resubmit => ("resubmit", "routed anew"),
        Command::Suspend { .. } => ("suspend", "suspended"),
        Command::Resume { .. } => ("resume", "resumed"),
        Command::Remove { .. } => ("remove", "removed"),
        Command::Export(_) => ("export", "exported"),
        Command::List { .. } | Command::Messages | Command::Show => ("list", "listed"),
    };
    let beside = match active {
        0 => String::new(),
        active => format!("; {active} left alone, someone works on them"),
    };
    let text = format!("{count} {what} {done}{beside}\n");
    one(output, json, &json!({ "action": action, what: count, "active": active }), &text)
}

fn one(
    output: &mut impl Write,
    json: bool,
    object: &serde_json::Value,
    text: &str,
) -> Result<(), AdminError> {
    print(output, if json { format!("{object}\n") } else { text.to_owned() })
}

fn print(output: &mut impl Write, text: impl AsRef<str>) -> Result<(), AdminError> {
    output.write_all(text.as_ref().as_bytes()).map_err(AdminError::Output)
}
