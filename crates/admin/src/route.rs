//! A dry run of routing: which connector takes each recipient, and why no other does.

use std::io::{self, BufRead, Write};

use postroad_address_space::{Address, encapsulation};
use postroad_connector::{RoutingTable, Sender};
use serde_json::json;

/// Who sends how much.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Question {
    /// From whom.
    pub sender: Sender,
    /// Bytes.
    pub size: u64,
    /// One JSON object a line instead of words for a person.
    pub json: bool,
}

impl Question {
    /// From this sender, so many bytes, answered in words for a person; set `json` on the value where a program asks.
    pub fn new(sender: Sender, size: u64) -> Self {
        Self { sender, size, json: false }
    }
}

/// The keys of a refused object between its result and its status, in the order of an explanation's.
const NOWHERE: &str = r#""connector":null,"next_hop":null,"address_space":null,"delivery_type":null"#;

/// One answer for each recipient, in their order; `-` stands for the lines of `input`.
///
/// # Errors
///
/// What `input` or `output` fail with; an address that cannot be read is an answer.
pub fn explain(
    table: &RoutingTable,
    question: &Question,
    recipients: &[String],
    input: impl BufRead,
    output: &mut impl Write,
) -> io::Result<()> {
    let mut lines = Some(input);
    for recipient in recipients {
        if recipient != "-" {
            answer(table, question, recipient.as_bytes(), output)?;
            continue;
        }
        for line in lines.take().into_iter().flat_map(|input| input.split(b'\n')) {
            let line = line?;
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if !line.is_empty() {
                answer(table, question, line, output)?;
            }
        }
    }
    output.flush()
}

fn answer(table: &RoutingTable, question: &Question, text: &[u8], output: &mut impl Write) -> io::Result<()> {
    let parsed = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned());
    match parsed.and_then(|text| Address::parse(text).map_err(|error| error.to_string())) {
        Ok(address) => {
            let explanation = table.explain(&question.sender, &address, question.size);
            if !question.json {
                writeln!(output, "{explanation}")?;
                return match address.mailbox().and_then(encapsulation::decapsulate) {
                    None => Ok(()),
                    Some(opened) => writeln!(
                        output,
                        " ! in the default domain, and from who may relay, it is opened: ask for {opened}"
                    ),
                };
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
