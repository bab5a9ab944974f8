//! The same dialogues for postroad's client, lettre and mail-send: what each tells its caller of three recipients, and who really has the mail.
//!
//! The table is part of `postroad-smtp-client`'s documentation, `crates/smtp-client/OUTCOMES.md`. `BLESS=1 cargo test` writes it anew; read the
//! difference before committing.

mod clients;
mod host;

use std::fmt::Write as _;
use std::path::Path;

use crate::clients::Client;
use crate::host::{DIALOGUES, Host};

/// Their local parts, in the order of every envelope here.
const RECIPIENTS: [&str; 3] = ["ann", "bob", "cat"];

#[tokio::test]
async fn the_table_in_the_documentation_is_what_the_three_clients_answer() {
    let mut table = INTRODUCTION.to_owned();
    for dialogue in DIALOGUES {
        write!(table, "| {} |", dialogue.name).unwrap();
        for client in [Client::Postroad, Client::Lettre, Client::MailSend] {
            let host = Host::start(dialogue).await;
            let answers = client.send(host.address).await;
            write!(table, " {} | {} |", told(&answers), listed(&host.holders())).unwrap();
        }
        table.push('\n');
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/smtp-client/OUTCOMES.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &table).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(committed, table, "{} tells another tale than the clients", file.display());
}

/// The rule that the table shows, held against what the host has: nobody is called served who is not, nobody is written off
/// or tried again who has it, and doubt is admitted where there is doubt alone.
#[tokio::test]
async fn what_postroad_tells_of_each_recipient_is_true() {
    for dialogue in DIALOGUES {
        let host = Host::start(dialogue).await;
        let answers = Client::Postroad.send(host.address).await;
        assert_eq!(answers.len(), RECIPIENTS.len(), "{}", dialogue.name);
        let holders = host.holders();
        for (recipient, answer) in RECIPIENTS.iter().zip(&answers) {
            let times = holders.iter().filter(|holder| holder == recipient).count();
            let is_true = match answer.as_str() {
                "taken" => times == 1,
                "ambiguous" => dialogue.leaves_doubt,
                _ => times == 0,
            };
            assert!(is_true, "{}: {recipient} is told {answer}, and is served {times} times", dialogue.name);
        }
    }
}

/// One answer for all is said once.
fn told(answers: &[String]) -> String {
    match answers {
        [only] => format!("{only}, of all"),
        [first, rest @ ..] if rest.iter().all(|answer| answer == first) => format!("each {first}"),
        several => several.join(", "),
    }
}

fn listed(holders: &[String]) -> String {
    if holders.is_empty() { "nobody".to_owned() } else { holders.join(", ") }
}

const INTRODUCTION: &str = "\
## Beside lettre and mail-send

One message to ann, bob and cat, the same words from the host, three clients: what each tells its caller, and who has the mail afterwards. lettre and
mail-send have one answer for a whole message; the first recipient refused ends it for all. *Failed* is a 5xx and *deferred* a 4xx reply or no
reply, *error* names neither. `benches/tests/outcomes` plays the dialogues in every `cargo test` and compares this table.

| the host | postroad on ann, bob, cat | has it | lettre 0.11 | has it | mail-send 0.6 | has it |
|---|---|---|---|---|---|---|
";
