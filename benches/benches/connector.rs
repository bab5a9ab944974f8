//! How long it takes to choose a connector, beside the bare look-up, a list read from the top as most relays do, and
//! Postfix's maps of the same domains in bulk.
//!
//! 100,000 spaces in all: seven in ten a domain, the rest a domain and what is below it; half of the questions find nothing
//! but the last connector's `*`. Everything takes its turn in every round, so that a machine which is busy with something
//! else is busy for all of them: read the ratios, not the nanoseconds.

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postroad_address_space::{Address, AddressSpace, AddressSpaceMap};
use postroad_connector::{Connector, RoutingTable, SendConnector, Sender, Topology};

const SPACES: usize = 100_000;

fn main() {
    // `cargo test` wants to see that it runs, `cargo bench` wants to know.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let rounds = if measured { 300 } else { 1 };
    choosing(rounds);
    grouping(rounds);
    building(if measured { 15 } else { 1 });
    match tempfile::tempdir() {
        Ok(folder) => postfix(folder.path(), if measured { 5 } else { 1 }),
        Err(error) => println!("no folder for Postfix's maps: {error}"),
    }
}

fn space(at: usize) -> AddressSpace {
    let text = if at % 10 < 7 { format!("d{at}.example") } else { format!("*.sub{at}.example;5") };
    text.parse().expect("a space")
}

/// So many connectors that hold all spaces between them, and one for the rest of the world.
fn connectors(count: usize) -> Vec<Connector> {
    let mut connectors: Vec<Connector> = (0..count)
        .map(|at| {
            let spaces = (at..SPACES).step_by(count).map(space).collect();
            SendConnector::new(format!("Connector {at:06}"), spaces).into()
        })
        .collect();
    connectors.push(SendConnector::new("Internet", vec!["*;100".parse().expect("a space")]).into());
    connectors
}

/// The same, each with a smart host, so that its queue is not named after the recipient's domain.
fn smart_hosts(count: usize) -> Vec<Connector> {
    let mut connectors = connectors(count);
    for (at, connector) in connectors.iter_mut().enumerate() {
        if let Connector::Send(send) = connector {
            send.smart_hosts = vec![format!("relay{at}.example").parse().expect("a smart host")];
        }
    }
    connectors
}

fn table(connectors: Vec<Connector>) -> RoutingTable {
    RoutingTable::build(connectors, Topology::new("Hub01"), Vec::new()).expect("no contradiction")
}

fn bare(connectors: &[Connector]) -> AddressSpaceMap<u32> {
    connectors.iter().flat_map(Connector::address_spaces).cloned().zip(0..).collect()
}

/// Domains spread over all spaces, every other one a domain that nobody names.
fn domains(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|at| {
        let spread = at.wrapping_mul(48_271) % SPACES;
        match (at % 2, spread % 10) {
            (0, 0..7) => format!("d{spread}.example"),
            (0, _) => format!("host.sub{spread}.example"),
            _ => format!("m{spread}.example"),
        }
    })
}

fn addresses(domains: impl Iterator<Item = String>) -> Vec<Address> {
    domains.map(|domain| Address::parse(&format!("user@{domain}")).expect("an address")).collect()
}

/// Something to measure: its name, how many things it does in one go, and the doing.
struct Contender<'a>(String, usize, Box<dyn FnMut() + 'a>);

impl<'a> Contender<'a> {
    fn new(name: impl Into<String>, things: usize, go: impl FnMut() + 'a) -> Self {
        Self(name.into(), things, Box::new(go))
    }
}

/// Everybody once in each round; prints the median of each, and its ratio to the first.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn side_by_side(title: &str, rounds: usize, contenders: &mut [Contender<'_>]) {
    let mut spans: Vec<Vec<Duration>> = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for (contender, spans) in contenders.iter_mut().zip(&mut spans) {
            let start = Instant::now();
            (contender.2)();
            spans.push(start.elapsed());
        }
    }
    println!("\n{title} (median of {rounds} rounds)");
    let mut first = None;
    for (contender, spans) in contenders.iter().zip(&mut spans) {
        spans.sort();
        let median = spans.get(spans.len() / 2).map_or(0, Duration::as_nanos) as f64 / contender.1 as f64;
        let first = *first.get_or_insert(median);
        println!("{:>14.1} ns {:>10.2}  {}", median, median / first, contender.0);
    }
}

fn choosing(rounds: usize) {
    let recipients = addresses(domains(1_024));
    let bare = bare(&connectors(1_000));
    let by_mx = [100, 1_000, 10_000, 100_000]
        .map(|count| (format!("select, {count} connectors by MX"), table(connectors(count))));
    let by_smart_host = [100, 100_000]
        .map(|count| (format!("select, {count} connectors with smart hosts"), table(smart_hosts(count))));
    let held = connectors(1_000);
    let list: Vec<(&AddressSpace, &Connector)> = held
        .iter()
        .flat_map(|connector| connector.address_spaces().iter().map(move |space| (space, connector)))
        .collect();
    // Often enough that a round is about what is asked, and not about what the contender before left in the caches.
    let asked = || std::iter::repeat_n(&recipients, 10).flatten();
    let things = asked().count();
    let mut contenders = vec![Contender::new("bare look-up in the AddressSpaceMap", things, || {
        for to in asked() {
            black_box(bare.matches(black_box(to)).next().map(|(_, at)| *at));
        }
    })];
    for (name, table) in by_mx.iter().chain(&by_smart_host) {
        contenders.push(Contender::new(name, things, || {
            for to in asked() {
                black_box(&table.select(&Sender::Null, black_box(to), 4_096));
            }
        }));
    }
    contenders.push(Contender::new("first match in a list of the spaces", 4, || {
        for to in recipients.iter().step_by(255).take(4) {
            black_box(list.iter().find(|(space, _)| space.matches(black_box(to)).is_some()));
        }
    }));
    side_by_side("one recipient, 100,000 spaces", rounds, &mut contenders);
}

fn grouping(rounds: usize) {
    let connectors = connectors(1_000);
    let (bare, table) = (bare(&connectors), table(connectors));
    let recipients = addresses((0..100).map(|at| format!("d{}0.example", at % 10 + 1)));
    let repeated = || std::iter::repeat_n((), 20);
    let things = recipients.len() * repeated().count();
    let mut contenders = [
        Contender::new("bare look-up of each", things, || {
            for to in repeated().flat_map(|()| &recipients) {
                black_box(bare.matches(black_box(to)).next().map(|(_, at)| *at));
            }
        }),
        Contender::new("select each", things, || {
            for to in repeated().flat_map(|()| &recipients) {
                black_box(&table.select(&Sender::Null, black_box(to), 4_096));
            }
        }),
        Contender::new("partition", things, || {
            for () in repeated() {
                black_box(table.partition(&Sender::Null, black_box(&recipients), 4_096));
            }
        }),
    ];
    side_by_side("each of 100 recipients over 10 next hops", rounds, &mut contenders);
}

fn building(rounds: usize) {
    let connectors = connectors(1_000);
    let mut clones = vec![connectors.clone(); rounds];
    let mut contenders = [
        Contender::new("bare AddressSpaceMap, spaces cloned", 1, || {
            black_box(bare(&connectors));
        }),
        Contender::new("RoutingTable", 1, || {
            black_box(table(clones.pop().unwrap_or_default()));
        }),
    ];
    side_by_side("building from 100,000 spaces", rounds, &mut contenders);
}

/// `postmap -q -` reads domains and writes what it finds: text in and out, its start included, so it is asked much at once.
/// It does not climb to a parent domain; `transport_maps` asks again for each.
fn postfix(folder: &Path, rounds: usize) {
    const QUESTIONS: usize = 100_000;
    let known = Command::new("postconf").arg("-m").output().map(|output| output.stdout).unwrap_or_default();
    let known = String::from_utf8_lossy(&known).into_owned();
    let entries: String =
        (0..SPACES).map(|at| format!("d{at}.example smtp:[relay{}]\n", at % 1_000)).collect();
    let questions: Vec<String> = domains(QUESTIONS).collect();
    let (map, asked) = (folder.join("map"), folder.join("asked"));
    let written =
        std::fs::write(&map, entries).and_then(|()| std::fs::write(&asked, questions.join("\n") + "\n"));
    if let Err(error) = written {
        return println!("no files for Postfix's maps: {error}");
    }
    let recipients = addresses(questions.iter().cloned());
    let texts: Vec<String> = recipients.iter().map(ToString::to_string).collect();
    let table = table(connectors(1_000));
    let mut contenders = vec![
        Contender::new("select", QUESTIONS, || {
            for to in &recipients {
                black_box(&table.select(&Sender::Null, black_box(to), 4_096));
            }
        }),
        Contender::new("parse the address, and select", QUESTIONS, || {
            for text in &texts {
                if let Ok(to) = Address::parse(text) {
                    black_box(&table.select(&Sender::Null, &to, 4_096));
                }
            }
        }),
    ];
    for kind in ["cdb", "lmdb"] {
        let name = format!("{kind}:{}", map.display());
        let built = known.lines().any(|word| word == kind)
            && Command::new("postmap").arg("-o").arg(&name).status().is_ok_and(|status| status.success());
        if !built {
            println!("\nno {kind} maps: Debian's postfix-{kind} brings them");
            continue;
        }
        let asked = &asked;
        contenders.push(Contender::new(format!("postmap -q - {kind}"), QUESTIONS, move || {
            let questions = File::open(asked).map_or_else(|_| Stdio::null(), Stdio::from);
            let mut postmap = Command::new("postmap");
            // It ends with 1 where a domain was not found, as half of them are not.
            let _ = postmap.args(["-q", "-"]).arg(&name).stdin(questions).stdout(Stdio::null()).status();
        }));
    }
    side_by_side("100,000 questions, each asked once", rounds, &mut contenders);
}
