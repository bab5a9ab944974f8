//! kill -9 under load, soon after a 250 and at any moment: nothing is lost, and only what was in flight is doubled.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postroad_interop::{Application, Relay, Sample, mailbox, patience};

use crate::configuration::{EVERYTHING_TO_DROP, House};

const APPLICATIONS: usize = 4;
/// With more and more in its queue a relay would do little else than begin.
pub(crate) const TOGETHER: usize = 20;
const KINDS: &[Kind] =
    &[Kind { name: "0 to 3 ms after a 250", within: 3_000 }, Kind { name: "at any moment", within: 30_000 }];

/// What a round of this kind is: they take turns.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The kill comes in so many microseconds, at most.
    pub(crate) within: usize,
}

/// What the applications were told, and what came of it.
pub(crate) struct Told {
    kinds: &'static [Kind],
    /// What is sent to a recipient.
    letter: fn(&str) -> Vec<u8>,
    /// By recipient: in which round.
    pub(crate) promised: BTreeMap<String, usize>,
    pub(crate) refused: BTreeMap<String, usize>,
    /// How often each refusal was heard.
    refusals: BTreeMap<String, usize>,
    /// How often each recipient's message was in Drop.
    arrived: BTreeMap<String, usize>,
    /// Files in Drop that hold no message of ours as it was sent.
    corrupt: usize,
}

/// `.ci/long` asks for more kills.
#[test]
#[ignore = "takes a minute"]
fn forty_kills_lose_nothing_and_double_only_what_was_in_flight() {
    let kills = of_each_kind(20);
    let house = House::with(EVERYTHING_TO_DROP);
    house.scratch.folder("Drop");
    let mut told = Told::of(KINDS, |_| Sample::plain().content);
    let wait = |told: &mut Told| {
        let _relay = house.start();
        told.wait(&house, || house.command(&["queue", "list"], &["--json"]).0);
    };
    for round in 0..kills * KINDS.len() {
        let relay = house.start();
        told.by_a_relay_that_is_killed(&house, relay, round, APPLICATIONS);
        told.gather(&house);
        if round % TOGETHER == TOGETHER - 1 {
            wait(&mut told);
        }
    }
    wait(&mut told);
    told.add_up(kills);
}

/// How many kills are wanted of each kind.
pub(crate) fn of_each_kind(unless_asked: usize) -> usize {
    std::env::var("POSTROAD_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(unless_asked)
}

impl Told {
    pub(crate) fn of(kinds: &'static [Kind], letter: fn(&str) -> Vec<u8>) -> Self {
        let (promised, refused) = (BTreeMap::new(), BTreeMap::new());
        let (refusals, arrived) = (BTreeMap::new(), BTreeMap::new());
        Self { kinds, letter, promised, refused, refusals, arrived, corrupt: 0 }
    }

    pub(crate) fn by_a_relay_that_is_killed(
        &mut self,
        house: &House,
        relay: Relay,
        round: usize,
        applications: usize,
    ) {
        let (told, hear) = mpsc::channel();
        let applications: Vec<_> = (0..applications)
            .map(|application| {
                let (mut connection, told, letter) = (house.application(), told.clone(), self.letter);
                thread::spawn(move || {
                    for number in 0.. {
                        let recipient = format!("r{round}-{application}-{number}@example.com");
                        let answer = match send(&mut connection, &recipient, &letter(&recipient)) {
                            Ok(_) => None,
                            Err(error) if error.kind() == ErrorKind::Other => {
                                // What was refused after MAIL is given up. If we are cut off here, so is what comes next.
                                let _ = connection.say("RSET");
                                Some(error.to_string())
                            }
                            // Cut off: nobody knows, and the application would send it again.
                            Err(_) => return,
                        };
                        told.send((recipient, answer)).expect("the test listens");
                    }
                })
            })
            .collect();
        drop(told);
        let mut hear_one = |(recipient, refusal): (String, Option<String>)| match refusal {
            None => drop(self.promised.insert(recipient, round)),
            Some(refusal) => {
                assert!(refusal.starts_with('4'), "not now, and never \"never\": {refusal}");
                self.refused.insert(recipient, round);
                *self.refusals.entry(refusal).or_default() += 1;
            }
        };
        hear.iter().take(5 + round * 7 % 40).for_each(&mut hear_one);
        let moment = round * 911 % self.kinds[round % self.kinds.len()].within;
        thread::sleep(Duration::from_micros(moment as u64));
        relay.kill();
        for application in applications {
            application.join().expect("the application ends with the connection");
        }
        hear.iter().for_each(&mut hear_one);
    }

    /// Until all has arrived and nothing waits. Nobody resumes anything: what was in hand at several kills is not set aside for it.
    pub(crate) fn wait(&mut self, house: &House, list: impl Fn() -> String) {
        patience::within(patience::LONGEST, || {
            self.gather(house);
            let all = self.promised.keys().all(|recipient| self.arrived.contains_key(recipient));
            (all && !list().contains("@example.com")).then_some(())
        });
        self.gather(house);
        println!(
            "{} promised, {} refused, {} arrived",
            self.promised.len(),
            self.refused.len(),
            self.arrived.len()
        );
    }

    /// Takes what is in Drop, as a gateway does.
    pub(crate) fn gather(&mut self, house: &House) {
        for path in mailbox::files(&house.drop_directory()) {
            let file = fs::read(&path).expect("a file of Drop");
            fs::remove_file(&path).expect("removed");
            let text = String::from_utf8_lossy(&file);
            let recipient = text
                .split_once("<r")
                .and_then(|(_, rest)| rest.split_once('>'))
                .map(|(recipient, _)| format!("r{recipient}"))
                .filter(|recipient| file.ends_with(&(self.letter)(recipient)));
            match recipient {
                Some(recipient) => *self.arrived.entry(recipient).or_default() += 1,
                None => self.corrupt += 1,
            }
        }
    }

    /// Prints it for each kind of kill.
    pub(crate) fn add_up(&self, kills: usize) {
        println!("{:21}  kills  promised  lost  refused  yet delivered  doubled", "");
        let (mut bad, mut twice) = (self.corrupt, 0);
        for (kind, Kind { name, .. }) in self.kinds.iter().enumerate() {
            let of_kind = |of: &BTreeMap<String, usize>| {
                let of_kind = of.iter().filter(|(_, round)| *round % self.kinds.len() == kind);
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
                .filter(|(recipient, _)| {
                    round(recipient).is_some_and(|round| round % self.kinds.len() == kind)
                })
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
        for (refusal, count) in &self.refusals {
            println!("{count:7} times {refusal}");
        }
        assert_eq!(bad, 0);
        assert!(self.promised.len() > kills, "{} promised", self.promised.len());
        // Whatever was written to Drop and not yet written down as delivered: one at the most, taken over many kills.
        let kills = kills * self.kinds.len();
        assert!(twice <= kills, "{twice} duplicates in {kills} kills");
    }
}

/// Says how large the letter is, every second time.
fn send(connection: &mut Application, recipient: &str, letter: &[u8]) -> io::Result<String> {
    let is_even = recipient.split('@').next().is_some_and(|name| name.ends_with(['0', '2', '4', '6', '8']));
    let size = if is_even { format!(" SIZE={}", letter.len()) } else { String::new() };
    connection.send_with("joe@contoso.com", &size, &[recipient], letter)
}
