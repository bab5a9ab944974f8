//! kill -9 under load, soon after a 250 and at any moment: nothing is lost, and only what was in flight is doubled.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postroad_interop::{Relay, Sample, mailbox, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House};

const KINDS: [(&str, usize); 2] = [("0 to 3 ms after a 250", 3_000), ("at any moment", 30_000)];

/// What the applications were told, and what came of it.
#[derive(Default)]
struct Told {
    /// By recipient: in which round.
    promised: BTreeMap<String, usize>,
    refused: BTreeMap<String, usize>,
    /// How often each recipient's message was in Drop.
    arrived: BTreeMap<String, usize>,
    /// Files in Drop that hold no message of ours as it was sent.
    corrupt: usize,
}

/// `.ci/long` asks for more kills.
#[test]
#[ignore = "takes a minute"]
fn forty_kills_lose_nothing_and_double_only_what_was_in_flight() {
    // Of each kind.
    let kills: usize =
        std::env::var("POSTROAD_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(20);
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let mut told = Told::default();
    for round in 0..kills * KINDS.len() {
        let relay = house.start();
        told.by_a_relay_that_is_killed(&house, relay, round);
        told.gather(&house);
        // With more and more in its queue it would do little else than begin.
        if round % 20 == 19 {
            let relay = house.start();
            told.wait(&house);
            relay.kill();
            println!("{} kills, {} promised, {} arrived", round + 1, told.promised.len(), told.arrived.len());
        }
    }
    let _relay = house.start();
    told.wait(&house);
    told.add_up(kills);
}

impl Told {
    fn by_a_relay_that_is_killed(&mut self, house: &House, relay: Relay, round: usize) {
        let (told, hear) = mpsc::channel();
        let applications: Vec<_> = (0..4)
            .map(|application| {
                let mut connection = house.application();
                let told = told.clone();
                thread::spawn(move || {
                    for number in 0.. {
                        let recipient = format!("r{round}-{application}-{number}@example.com");
                        match connection.send("joe@contoso.com", &[&recipient], &Sample::plain().content) {
                            Ok(_) => told.send((recipient, true)).expect("the test listens"),
                            Err(error) if error.kind() == ErrorKind::Other => {
                                told.send((recipient, false)).expect("the test listens");
                            }
                            // Cut off: nobody knows, and the application would send it again.
                            Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        drop(told);
        let mut hear_one = |(recipient, accepted): (String, bool)| {
            if accepted { &mut self.promised } else { &mut self.refused }.insert(recipient, round);
        };
        hear.iter().take(5 + round * 7 % 40).for_each(&mut hear_one);
        let moment = round * 911 % KINDS[round % KINDS.len()].1;
        thread::sleep(Duration::from_micros(moment as u64));
        relay.kill();
        for application in applications {
            application.join().expect("the application ends with the connection");
        }
        hear.iter().for_each(&mut hear_one);
    }

    /// Until all has arrived and nothing waits. Nobody resumes anything: what was in hand at several kills is not set aside for it.
    fn wait(&mut self, house: &House) {
        patience::within(patience::LONGEST, || {
            self.gather(house);
            let all = self.promised.keys().all(|recipient| self.arrived.contains_key(recipient));
            (all && !house.command(&["queue", "list"], &["--json"]).0.contains("@example.com")).then_some(())
        });
        self.gather(house);
    }

    /// Takes what is in Drop, as a gateway does.
    fn gather(&mut self, house: &House) {
        for path in mailbox::files(&house.drop_directory()) {
            let file = fs::read(&path).expect("a file of Drop");
            fs::remove_file(&path).expect("removed");
            let text = String::from_utf8_lossy(&file);
            let recipient = text
                .split_once("<r")
                .and_then(|(_, rest)| rest.split_once('>'))
                .map(|(recipient, _)| format!("r{recipient}"))
                .filter(|_| file.ends_with(&Sample::plain().content));
            match recipient {
                Some(recipient) => *self.arrived.entry(recipient).or_default() += 1,
                None => self.corrupt += 1,
            }
        }
    }

    /// Prints it for each kind of kill.
    fn add_up(&self, kills: usize) {
        println!("{:21}  kills  promised  lost  refused  yet delivered  doubled", "");
        let (mut bad, mut twice) = (self.corrupt, 0);
        for (kind, (name, _)) in KINDS.into_iter().enumerate() {
            let of_kind = |of: &BTreeMap<String, usize>| {
                let of_kind = of.iter().filter(|(_, round)| *round % KINDS.len() == kind);
                of_kind.map(|(recipient, _)| recipient.clone()).collect::<Vec<_>>()
            };
            let (promised, refused) = (of_kind(&self.promised), of_kind(&self.refused));
            let has_arrived = |recipient: &&String| self.arrived.contains_key(*recipient);
            let lost = promised.iter().filter(|recipient| !has_arrived(recipient)).count();
            let delivered = refused.iter().filter(has_arrived).count();
            let round = |recipient: &str| recipient[1..].split('-').next()?.parse::<usize>().ok();
            let doubled: usize = self
                .arrived
                .iter()
                .filter(|(recipient, _)| round(recipient).is_some_and(|round| round % KINDS.len() == kind))
                .map(|(_, count)| count - 1)
                .sum();
            let (promised, refused) = (promised.len(), refused.len());
            println!(
                "{name:21}  {kills:5}  {promised:8}  {lost:4}  {refused:7}  {delivered:13}  {doubled:7}"
            );
            bad += lost + delivered;
            twice += doubled;
        }
        println!("corrupt files in Drop: {}", self.corrupt);
        assert_eq!(bad, 0);
        assert!(self.promised.len() > kills, "{} promised", self.promised.len());
        // Whatever was written to Drop and not yet written down as delivered: one at the most, taken over many kills.
        assert!(twice <= kills * KINDS.len(), "{twice} duplicates in {kills} kills of each kind");
    }
}
