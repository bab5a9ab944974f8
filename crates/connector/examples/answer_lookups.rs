//! A routing table inside another program: answers `sender recipient size` lines, one a line, while the table can be swapped.
//!
//! ```text
//! printf 'joe@contoso.com jane@fabrikam.com 2048\nhold\njoe@contoso.com jane@fabrikam.com 2048\n' |
//!     cargo run -p postroad-connector --example answer_lookups
//! ```
//!
//! `hold` puts a table in place whose Internet connector is disabled, `go` the first one again. Readers keep the
//! table they have: whoever holds an `Arc` finishes with it.

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::{Arc, RwLock};

use postroad_address_space::{Address, Mailbox};
use postroad_connector::{RoutingTable, Selection, SendConnector, Sender, Topology};

fn main() -> Result<(), Box<dyn Error>> {
    let current = RwLock::new(table(true)?);
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        match line?.trim() {
            "" => {}
            word @ ("hold" | "go") => {
                let next = table(word == "go")?;
                *current.write().map_err(|_| "a reader panicked")? = next;
            }
            question => {
                let table = Arc::clone(&*current.read().map_err(|_| "the writer panicked")?);
                let answer = answer(&table, question).unwrap_or_else(|error| format!("error: {error}"));
                writeln!(output, "{answer}")?;
            }
        }
    }
    Ok(())
}

fn table(enabled: bool) -> Result<Arc<RoutingTable>, Box<dyn Error>> {
    let mut internet = SendConnector::new("Internet", vec!["*".parse()?]);
    internet.enabled = enabled;
    let table = RoutingTable::build(vec![internet.into()], Topology::new("Hub01"), Vec::new());
    let table =
        table.map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    Ok(Arc::new(table))
}

/// `route <connector> <next hop>`, `wait`, or `refuse <status> <why>`.
fn answer(table: &RoutingTable, question: &str) -> Result<String, Box<dyn Error>> {
    let [sender, recipient, size] = question.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err("expected: sender recipient size".into());
    };
    let sender = if sender == "<>" { Sender::Null } else { Sender::Mailbox(Mailbox::parse(sender)?) };
    let recipient = Address::parse(recipient)?;
    Ok(match table.select(&sender, &recipient, size.parse()?) {
        Selection::Route(route) => format!("route {:?} {}", route.connector.name(), route.destination()),
        Selection::Unreachable => "wait".to_owned(),
        Selection::Refused(refusal) => format!("refuse {} {refusal}", refusal.status()),
    })
}
