//! `relay route`: which connector takes each recipient, and why no other does. Nothing is sent.

use std::io::{self, BufRead, Write};

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
    match prepare(asked).map(|(table, question)| answer_all(&table, &question, &asked.recipients)) {
        Err(exit) => exit,
        // A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours.
        Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("relay: {error}");
            Exit::Data
        }
        Ok(_) => Exit::Ok,
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

fn answer_all(table: &RoutingTable, question: &Question, recipients: &[String]) -> io::Result<()> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    for recipient in recipients {
        if recipient != "-" {
            answer(table, question, recipient.as_bytes(), &mut output)?;
            continue;
        }
        for line in io::stdin().lock().split(b'\n') {
            let line = line?;
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if !line.is_empty() {
                answer(table, question, line, &mut output)?;
            }
        }
    }
    output.flush()
}

/// The keys of a refused object between its result and its status, in the order of an explanation's.
const NOWHERE: &str = r#""connector":null,"next_hop":null,"address_space":null,"delivery_type":null"#;

fn answer(table: &RoutingTable, question: &Question, text: &[u8], output: &mut impl Write) -> io::Result<()> {
    let parsed = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned());
    match parsed.and_then(|text| Address::parse(text).map_err(|error| error.to_string())) {
        Ok(address) => {
            let explanation = table.explain(&question.sender, &address, question.size);
            if !question.json {
                return writeln!(output, "{explanation}");
            }
            serde_json::to_writer(&mut *output, &explanation)?;
            writeln!(output)
        }
        Err(error) if question.json => {
            let (text, error) = (json!(String::from_utf8_lossy(text)), json!(error));
            write!(output, r#"{{"recipient":{text},"type":null,"result":"refused",{NOWHERE},"#)?;
            writeln!(output, r#""status":"5.1.3","error":{error},"candidates":[]}}"#)
        }
        Err(error) => writeln!(output, "{}: refused, 5.1.3 {error}", String::from_utf8_lossy(text)),
    }
}
