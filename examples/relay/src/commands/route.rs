//! `relay route`: which connector takes each recipient, and why no other does. Nothing is sent.

use std::io;

use postroad_admin::route::{Question, explain};
use postroad_connector::{RoutingTable, Sender};
use postroad_message::ReversePath;

use crate::arguments::RouteArguments;
use crate::commands::configuration_of_relay;
use crate::exit::Exit;
use crate::house;

/// One answer for every recipient asked, in their order; exit 0 whatever the answers are.
pub(crate) fn route(asked: &RouteArguments) -> Exit {
    let mut output = io::BufWriter::new(io::stdout().lock());
    let answered = prepare(asked).map(|(table, question)| {
        explain(&table, &question, &asked.recipients, io::stdin().lock(), &mut output)
    });
    match answered {
        Err(exit) => exit,
        // A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours.
        Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("relay: {error}");
            Exit::Data
        }
        Ok(_) => Exit::Ok,
    }
}

fn prepare(asked: &RouteArguments) -> Result<(RoutingTable, Question), Exit> {
    let sender = match &asked.from {
        None | Some(ReversePath::Null) => Sender::Null,
        Some(ReversePath::Mailbox(mailbox)) => Sender::Mailbox(mailbox.clone()),
    };
    let configuration = configuration_of_relay(asked.config.as_deref())?;
    let table = house::routing_table(&configuration).map_err(|refused| refused.say())?;
    Ok((table, Question { sender, size: asked.size, json: asked.json }))
}
