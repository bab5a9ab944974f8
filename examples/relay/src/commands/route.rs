//! `relay route`: which connector takes each recipient, and why no other does. Nothing is sent.

use std::io;
use std::path::Path;

use postroad_admin::route::{Question, explain};
use postroad_connector::{RoutingTable, Sender};
use postroad_message::ReversePath;

use crate::arguments::RouteArguments;
use crate::commands::{configuration_of_relay, said};
use crate::exit::Exit;
use crate::house;

/// One answer for every recipient asked, in their order; exit 0 whatever the answers are.
pub(crate) fn route(asked: &RouteArguments, file: Option<&Path>) -> Result<Exit, Exit> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    let (table, question) = prepare(asked, file)?;
    Ok(said(explain(&table, &question, &asked.recipients, io::stdin().lock(), &mut output)))
}

fn prepare(asked: &RouteArguments, file: Option<&Path>) -> Result<(RoutingTable, Question), Exit> {
    let sender = match &asked.from {
        None | Some(ReversePath::Null) => Sender::Null,
        Some(ReversePath::Mailbox(mailbox)) => Sender::Mailbox(mailbox.clone()),
    };
    let configuration = configuration_of_relay(file)?;
    let table = house::routing_table(&configuration).map_err(|refused| refused.say())?;
    let mut question = Question::new(sender, asked.size);
    question.json = asked.json;
    Ok((table, question))
}
