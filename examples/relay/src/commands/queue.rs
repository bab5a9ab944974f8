//! `relay queue`: what waits, and what an administrator does with it, beside a relay that runs or not.

use std::io::Write as _;
use std::path::Path;

use postroad_admin::{AdminError, Command, Ending, Order, Progress, Selection, carry_out};
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
    let mut order = Order::new(command);
    (order.selection, order.json) = (selection(&which), which.json);
    if order.selection.is_everything() && !which.all && !matches!(order.command, Command::List { .. }) {
        eprintln!("relay: say which mail: ids, an option such as --next-hop, or --all");
        return Err(Exit::Usage);
    }
    let configuration = configuration_of_relay(file)?;
    let pipeline = house::pipeline_of_queue(&configuration).map_err(|refused| refused.say())?;
    let mut output = std::io::BufWriter::new(std::io::stdout());
    let mut progress = Progress::on_terminal();
    let ended = carry_out(&pipeline, &order, SystemWorld.now(), &mut output, &mut progress).await;
    Ok(match ended.and_then(|ending| output.flush().map(|()| ending).map_err(AdminError::Output)) {
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
    let mut selection = Selection::default();
    selection.messages.clone_from(&which.ids);
    selection.next_hop.clone_from(&which.next_hop);
    selection.connector.clone_from(&which.connector);
    selection.sender.clone_from(&which.sender);
    selection.recipient.clone_from(&which.recipient);
    selection.state = which.status;
    selection.older_than = which.older_than;
    selection
}
