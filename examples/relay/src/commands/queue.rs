//! `relay queue`: what waits, and what an administrator does with it, beside a relay that runs or not.

use std::io::Write as _;
use std::path::Path;

use postroad_admin::{Command, Ending, Order, Progress, Selection, carry_out};
use postroad_transport::{SystemWorld, World};

use crate::arguments::{QueueCommand, Which};
use crate::commands::configuration_of_relay;
use crate::exit::Exit;
use crate::house;

/// Exit 0 when done; 69 when a message that was named is not there; 75 when some were left alone.
pub(crate) async fn queue(asked: QueueCommand, file: Option<&Path>) -> Result<Exit, Exit> {
    let (command, which) = match asked {
        QueueCommand::List { which, queues } => (Command::List { queues }, which),
        QueueCommand::Show(which) => (Command::Show, which),
        QueueCommand::Retry(which) => (Command::Retry, which),
        QueueCommand::Resubmit(which) => (Command::Resubmit, which),
        QueueCommand::Suspend { which, whole_queue } => (Command::Suspend { whole_queue }, which),
        QueueCommand::Resume { which, whole_queue } => (Command::Resume { whole_queue }, which),
        QueueCommand::Remove { which, with_ndr } => (Command::Remove { with_report: with_ndr }, which),
        QueueCommand::Export { which, folder } => (Command::Export(folder), which),
    };
    let order = Order { command, json: which.json, selection: selection(&which) };
    if order.selection.is_everything() && !which.all && !matches!(order.command, Command::List { .. }) {
        eprintln!("relay: say which mail: ids, an option such as --next-hop, or --all");
        return Err(Exit::Usage);
    }
    let configuration = configuration_of_relay(file)?;
    let pipeline = house::pipeline_of_queue(&configuration).map_err(|refused| refused.say())?;
    let mut output = std::io::BufWriter::new(std::io::stdout());
    let mut progress = Progress::on_terminal();
    let ended = carry_out(&pipeline, &order, SystemWorld.now(), &mut output, &mut progress).await;
    Ok(match ended.and_then(|ending| Ok((ending, output.flush()?).0)) {
        Ok(Ending::Done) => Exit::Ok,
        Ok(Ending::NotThere(gone)) => {
            gone.iter().for_each(|id| eprintln!("relay: message {id} is not in the queue"));
            Exit::Unavailable
        }
        Ok(_) => Exit::Temporary,
        Err(error) if error.is_closed_output() => Exit::Ok,
        Err(error) => {
            eprintln!("relay: {error}");
            if error.is_transient() { Exit::Temporary } else { Exit::Unavailable }
        }
    })
}

fn selection(which: &Which) -> Selection {
    Selection {
        messages: which.ids.clone(),
        next_hop: which.next_hop.clone(),
        connector: which.connector.clone(),
        sender: which.sender.clone(),
        recipient: which.recipient.clone(),
        state: which.status,
        older_than: which.older_than,
    }
}
