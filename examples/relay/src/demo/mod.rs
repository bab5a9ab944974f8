//! `relay demo`: a tour on one machine. Everything in it is real; only the other ends are ours.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postroad_address_space::{Address, Domain, MailDomain};
use postroad_configuration::Configuration;
use postroad_connector::{RoutingTable, Sender};
use postroad_message::{Content, Envelope, NextHop, Outcome, Recipient, ReversePath};
use postroad_smtp_client::{Destination, Hosts, SmartHost, SmtpClient, TlsPolicy};
use postroad_smtp_server::TlsMaterial;
use postroad_transport::{Observe, Seen};
use tokio::sync::mpsc;

use crate::exit::Exit;
use crate::house::House;
use gateway::Gateway;
use letters::{Door, LETTERS, Letter, Place};
use peers::Peer;

mod gateway;
mod letters;
mod peers;
mod zone;

/// Whatever keeps the demo from going on.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// No message of the demo takes a second; a machine that needs longer than this is in trouble.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct horse battery staple";

/// Exits 0 only if every message arrived where it belongs.
pub(crate) async fn demo() -> Exit {
    match tour().await {
        Ok(true) => {
            println!("\nEvery recipient's copy arrived where it belongs.");
            Exit::Ok
        }
        Ok(false) => {
            println!("\nNot everything arrived.");
            Exit::Unavailable
        }
        Err(error) => {
            eprintln!("relay: the demo cannot go on: {error}");
            Exit::Temporary
        }
    }
}

/// The other ends, running.
struct Ends {
    smart_host: Peer,
    mx_host: Peer,
    gateway: Gateway,
}

async fn tour() -> Result<bool, Error> {
    let folder = std::env::temp_dir().join(format!("relay-demo-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("relay-data/Drop"))?;
    let outcome = tour_in(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    outcome
}

async fn tour_in(folder: &Path) -> Result<bool, Error> {
    let (configuration, ends) = set_up(folder).await?;
    let journal = Journal::default();
    let house = House::open(configuration, Some(Arc::new(journal.clone()))).await.map_err(|refused| {
        refused.say();
        "the relay does not start"
    })?;
    let listener = house.listeners().first().copied().ok_or("the relay has no listener")?;
    println!(
        "the relay          {listener}, Pickup, Replay and Drop below {}\n",
        folder.join("relay-data").display()
    );
    let table = house.pipeline().routing_table();
    let (until_done, told) = mpsc::channel(1);
    let running = tokio::spawn(house.run(told));

    let mut arrived = true;
    for letter in &LETTERS {
        println!("--- {} ---", letter.title);
        for (typed, _, _) in letter.to {
            println!("{}", explain(&table, letter, typed)?);
        }
        send(letter, folder, listener.port(), &ends.gateway).await?;
        arrived &= wait_for(letter, &ends, &journal).await;
        println!();
    }
    drop(until_done);
    running.await??;
    Ok(arrived)
}

/// Starts the other ends, and writes the configuration that leads to them.
async fn set_up(folder: &Path) -> Result<(Configuration, Ends), Error> {
    let certified = rcgen::generate_simple_self_signed(["smarthost.fabrikam.test".to_owned()])?;
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let tls = TlsMaterial::from_pem(certificate.as_bytes(), key.as_bytes())?;
    let smart_host = peers::smart_host(tls, ("relay@contoso.test", PASSWORD)).await?;
    let mx_host = peers::mx_host("adatum.test", "mx.adatum.test").await?;
    let (dns, _) = zone::Zone::default()
        .a("smarthost.fabrikam.test", Ipv4Addr::LOCALHOST)
        .mx("adatum.test", 10, "mx.adatum.test")
        .a("mx.adatum.test", Ipv4Addr::LOCALHOST)
        .serve()
        .await?;
    let gateway = gateway::watch(folder.join("relay-data/Drop"), Domain::parse("contoso.test")?);
    println!("a smart host       {}, wants TLS and a password", smart_host.address);
    println!("an MX host         {}, for adatum.test, found by a name server at {dns}", mx_host.address);
    println!("a fax gateway      watches Drop, speaks no SMTP");

    std::fs::write(folder.join("smart-host.pem"), certificate)?;
    std::fs::write(folder.join("password"), PASSWORD)?;
    let text = include_str!("relay.toml")
        .replace("{DNS}", &dns.to_string())
        .replace("{SMTP}", &free_port()?.to_string())
        .replace("{SMART_HOST}", &smart_host.address.port().to_string())
        .replace("{MX}", &mx_host.address.port().to_string());
    std::fs::write(folder.join("relay.toml"), &text)?;
    let configuration = Configuration::read(&folder.join("relay.toml")).map_err(|problems| {
        crate::commands::print(&problems);
        "its own configuration has errors"
    })?;
    Ok((configuration, Ends { smart_host, mx_host, gateway }))
}

/// The configuration names its port, so one is chosen that nobody has.
fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn explain(table: &RoutingTable, letter: &Letter, typed: &str) -> Result<String, Error> {
    let sender = match ReversePath::try_from(letter.from.to_owned())? {
        ReversePath::Null => Sender::Null,
        ReversePath::Mailbox(mailbox) => Sender::Mailbox(mailbox),
    };
    let address = Address::parse(typed)?;
    let size = u64::try_from(letter.text.len())?;
    Ok(table.explain(&sender, &address, size).to_string())
}

/// Brings a message to its door.
async fn send(letter: &Letter, folder: &Path, port: u16, gateway: &Gateway) -> Result<(), Error> {
    let (directory, file) = match letter.door {
        Door::Smtp => return send_by_smtp(letter, port).await,
        Door::Pickup => (folder.join("relay-data/Pickup"), letter.crlf()),
        Door::Gateway => (folder.join("relay-data/Replay"), gateway.answer(&letter.crlf())?),
    };
    // Written under another name and renamed, as every producer should: the relay never sees half a file.
    let (half, whole) = (directory.join("demo.half"), directory.join("demo.eml"));
    std::fs::write(&half, file)?;
    std::fs::rename(&half, &whole)?;
    Ok(())
}

async fn send_by_smtp(letter: &Letter, port: u16) -> Result<(), Error> {
    let recipients: Vec<Recipient> = letter
        .to
        .iter()
        .map(|(_, spelled, _)| Address::parse(spelled).map(Recipient::new))
        .collect::<Result<_, _>>()?;
    let envelope = Envelope::new(ReversePath::try_from(letter.from.to_owned())?, recipients.clone());
    let hosts = Hosts::SmartHosts(vec![SmartHost::Address(Ipv4Addr::LOCALHOST.into())]);
    let mut relay = Destination::new(hosts, MailDomain::Name(Domain::parse("app.contoso.test")?));
    relay.port = port;
    relay.tls = TlsPolicy::Never;
    let content = Content::from(letter.crlf());
    let outcomes = SmtpClient::new()?.deliver(&relay, &envelope, &recipients, &content).await;
    match outcomes.iter().find_map(Outcome::failure) {
        Some(failure) => Err(failure.to_string().into()),
        None => Ok(()),
    }
}

/// Waits until every recipient has an outcome and every copy is where it belongs; prints both.
async fn wait_for(letter: &Letter, ends: &Ends, journal: &Journal) -> bool {
    let mail = |place: Place| match place {
        Place::SmartHost => &ends.smart_host.mail,
        Place::MxHost => &ends.mx_host.mail,
        Place::FaxGateway => &ends.gateway.mail,
    };
    let there = |(typed, spelled, place): &(&str, &str, Place)| {
        let room = mail(*place);
        room.has(typed, letter.subject()) || room.has(spelled, letter.subject())
    };
    let all = async {
        while !(letter.to.iter().all(there) && journal.entries().len() >= letter.to.len()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let arrived = tokio::time::timeout(PATIENCE, all).await.is_ok();
    for line in journal.take() {
        println!(" > {line}");
    }
    for entry in letter.to {
        let (typed, _, place) = entry;
        println!(" {} {typed} at {}", if there(entry) { "arrived:" } else { "MISSING:" }, place.name());
    }
    arrived
}

/// What the pipeline said of each recipient since the last look.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn entries(&self) -> Vec<String> {
        self.0.lock().map(|lines| lines.clone()).unwrap_or_default()
    }

    fn take(&self) -> Vec<String> {
        self.0.lock().map(|mut lines| std::mem::take(&mut *lines)).unwrap_or_default()
    }
}

impl Observe for Journal {
    fn attempted(&self, _: &Seen<'_>, next_hop: &NextHop, outcomes: &[(Recipient, Outcome)]) {
        let line = |(recipient, outcome): &(Recipient, Outcome)| {
            let to = &recipient.address;
            match outcome {
                Outcome::Delivered(receipt) | Outcome::Relayed(receipt) | Outcome::Expanded(receipt) => {
                    let tls = receipt.tls.as_ref().map_or(String::new(), |tls| format!(", {}", tls.version));
                    let reply = receipt.reply.as_ref().map_or(String::new(), |reply| format!(": {reply}"));
                    format!("{to} by {next_hop}: delivered to {}{tls}{reply}", receipt.host)
                }
                Outcome::Failed(failure) => format!("{to} by {next_hop}: FAILED, {failure}"),
                other => format!(
                    "{to} by {next_hop}: deferred, {}",
                    other.failure().map_or(String::new(), ToString::to_string)
                ),
            }
        };
        if let Ok(mut lines) = self.0.lock() {
            lines.extend(outcomes.iter().map(line));
        }
    }
}
