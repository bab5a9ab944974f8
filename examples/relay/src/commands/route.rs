//! `relay route`: which connector takes each recipient, and why no other does. Nothing is sent.

use std::io::{BufRead, Write};

use postroad_address_space::Address;
use postroad_configuration::parse_size;
use postroad_connector::{RoutingTable, Sender};
use postroad_message::ReversePath;
use serde_json::json;

use crate::arguments::RouteArguments;
use crate::commands::configuration;
use crate::exit::Exit;
use crate::house;

/// One answer for every recipient asked, in their order; exit 0 whatever the answers are.
pub(crate) fn route(asked: &RouteArguments) -> Exit {
    match prepare(asked) {
        Ok((table, question)) => answer_all(&table, &question, asked),
        Err(exit) => exit,
    }
}

/// Who sends how much.
struct Question {
    sender: Sender,
    size: u64,
    json: bool,
}

fn prepare(asked: &RouteArguments) -> Result<(RoutingTable, Question), Exit> {
    let usage = |option: &str, text: &str, why: &dyn std::fmt::Display| {
        eprintln!("relay: {option} {text:?}: {why}");
        Exit::Usage
    };
    let from = asked.from.clone().unwrap_or_default();
    let sender = match ReversePath::try_from(from.clone()).map_err(|why| usage("--from", &from, &why))? {
        ReversePath::Null => Sender::Null,
        ReversePath::Mailbox(mailbox) => Sender::Mailbox(mailbox),
    };
    let size = match asked.size.as_str() {
        "unlimited" => return Err(usage("--size", "unlimited", &"a message has a size")),
        text => parse_size(text).map_err(|why| usage("--size", text, &why))?,
    };
    let configuration = configuration(asked.config.as_deref())?;
    let table = house::routing_table(&configuration).map_err(|refused| refused.say())?;
    Ok((table, Question { sender, size, json: asked.json }))
}

fn answer_all(table: &RoutingTable, question: &Question, asked: &RouteArguments) -> Exit {
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    for recipient in &asked.recipients {
        let answered = if recipient == "-" {
            std::io::stdin().lock().lines().try_for_each(|line| {
                let line = line?;
                let line = line.trim_end_matches('\r');
                if line.is_empty() { Ok(()) } else { answer(table, question, line, &mut output) }
            })
        } else {
            answer(table, question, recipient, &mut output)
        };
        if let Err(error) = answered {
            // A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours.
            return if error.kind() == std::io::ErrorKind::BrokenPipe { Exit::Ok } else { failed(&error) };
        }
    }
    match output.flush() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => failed(&error),
        _ => Exit::Ok,
    }
}

fn failed(error: &std::io::Error) -> Exit {
    eprintln!("relay: {error}");
    Exit::Data
}

fn answer(
    table: &RoutingTable,
    question: &Question,
    text: &str,
    output: &mut impl Write,
) -> std::io::Result<()> {
    match Address::parse(text) {
        Ok(address) => {
            let explanation = table.explain(&question.sender, &address, question.size);
            if question.json {
                serde_json::to_writer(&mut *output, &explanation)?;
                writeln!(output)
            } else {
                writeln!(output, "{explanation}")
            }
        }
        Err(error) if question.json => {
            let refused = json!({
                "recipient": text, "type": null, "result": "refused", "connector": null, "next_hop": null,
                "address_space": null, "delivery_type": null, "status": "5.1.3", "error": error.to_string(),
                "candidates": [],
            });
            writeln!(output, "{refused}")
        }
        Err(error) => writeln!(output, "{text}: refused, 5.1.3 {error}"),
    }
}
