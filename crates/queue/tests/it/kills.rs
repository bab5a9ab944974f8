//! kill -9 under load, soon after a promise and at any moment: what was promised is there, and no report is doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use postroad_message::Content;
use postroad_queue::{Claim, Filter, MessageId, QueueError, QueueStore, Settlement, SqliteStore};

use crate::crash_states::memory;
use crate::dice::Dice;
use crate::mail::{at, body, hop, message, open};

const TEST: &str = "kills::kill_9_loses_nothing_that_was_promised_and_doubles_no_report";
const CHILD: &str = "POSTROAD_QUEUE_CHILD";
const ROUND: &str = "POSTROAD_QUEUE_ROUND";
/// So many share a store before it is looked at.
const TOGETHER: usize = 100;
const KINDS: [(&str, usize); 2] = [("0 to 3 ms after a promise", 3_000), ("at any moment", 30_000)];

/// What became of the messages of one kind of kill.
#[derive(Default)]
struct Tally {
    kills: usize,
    promises: usize,
    lost: usize,
    corrupt: usize,
    /// Settled, and there again.
    back: usize,
    doubled: usize,
}

/// The child queues and settles as fast as it can and prints what it was promised; it is killed in the middle.
#[tokio::test]
async fn kill_9_loses_nothing_that_was_promised_and_doubles_no_report() {
    if let Ok(path) = std::env::var(CHILD) {
        return work_until_killed(Path::new(&path)).await;
    }
    // Of each kind; `.ci/long` asks for a thousand.
    let kills = std::env::var("POSTROAD_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(20);
    let mut tallies = [Tally::default(), Tally::default()];
    let mut dice = Dice(7);
    let rounds: Vec<usize> = (0..kills * KINDS.len()).collect();
    for rounds in rounds.chunks(TOGETHER) {
        let folder = tempfile::tempdir_in(memory()).expect("a folder");
        let path = folder.path().join("queue.db");
        let mut told = Told::default();
        for round in rounds {
            told.by_a_child_that_is_killed(&path, *round, &mut dice);
            tallies[round % KINDS.len()].kills += 1;
        }
        told.is_true_of(&path, &mut tallies).await;
    }
    println!("{:26} kills  promises  lost  corrupt  back  doubled", "");
    for (Tally { kills, promises, lost, corrupt, back, doubled }, (kind, _)) in tallies.iter().zip(KINDS) {
        println!("{kind:26} {kills:5}  {promises:8}  {lost:4}  {corrupt:7}  {back:4}  {doubled:7}");
        assert!(*promises > kills * 10, "the children queued {promises}");
    }
    let bad = |tally: &Tally| tally.lost + tally.corrupt + tally.back + tally.doubled;
    assert_eq!(tallies.iter().map(bad).sum::<usize>(), 0);
}

/// What the children said.
#[derive(Default)]
struct Told {
    /// With its number, and by the child of which round.
    queued: Vec<(MessageId, usize, usize)>,
    keyed: BTreeMap<String, (MessageId, usize)>,
    settled: BTreeMap<MessageId, usize>,
    leaving: BTreeSet<MessageId>,
    left: BTreeSet<MessageId>,
}

impl Told {
    fn by_a_child_that_is_killed(&mut self, path: &Path, round: usize, dice: &mut Dice) {
        let (after, delay) = (20 + dice.below(50), dice.below(KINDS[round % KINDS.len()].1));
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", TEST, "--nocapture"])
            .env(CHILD, path)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let mut promises = 0;
        for line in BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok) {
            // libtest puts its own words before the first of our lines.
            let Some((_, promise)) = line.split_once('!') else { continue };
            promises += usize::from(self.hear(promise, round));
            if promises == after {
                thread::sleep(Duration::from_micros(delay as u64));
                child.kill().expect("it was running");
            }
        }
        child.wait().expect("it ended");
    }

    /// False for what is none of the child's words.
    fn hear(&mut self, promise: &str, round: usize) -> bool {
        let id = |text: &str| text.parse::<MessageId>().expect("an id");
        match promise.split(' ').collect::<Vec<_>>()[..] {
            ["queued", message, number] => {
                self.queued.push((id(message), number.parse().expect("a number"), round));
            }
            ["keyed", message, key] => {
                self.keyed.insert(key.to_owned(), (id(message), round));
            }
            ["forgetting", _, key] => {
                self.keyed.remove(key);
            }
            ["settled", message, _] => {
                self.settled.insert(id(message), round);
            }
            ["leaving", message, _] => {
                self.leaving.insert(id(message));
            }
            ["left", message, _] => {
                self.left.insert(id(message));
            }
            _ => return false,
        }
        true
    }

    async fn is_true_of(&self, path: &Path, tallies: &mut [Tally; 2]) {
        let store = open(path);
        let mut reports: BTreeMap<String, usize> = BTreeMap::new();
        for listed in store.list(Filter::next_hop(hop("report.test")), at(0)).await.expect("a listing") {
            for queued in listed.recipients {
                *reports.entry(queued.recipient.address.to_string()).or_default() += 1;
            }
        }
        let reports_of = |id: &MessageId| reports.get(&format!("jane@{id}.test")).copied().unwrap_or(0);
        for (key, (id, round)) in &self.keyed {
            let mut again = message("log.test", b"once more");
            again.source_key = Some(key.clone());
            let known = store.enqueue(again).await.expect("room") == *id;
            tallies[round % KINDS.len()].doubled += usize::from(!known);
        }
        for (id, number, round) in &self.queued {
            let tally = &mut tallies[round % KINDS.len()];
            tally.promises += 1;
            let ended = self.settled.contains_key(id) || self.left.contains(id);
            match store.content(*id).await {
                Ok(_) if ended => tally.back += 1,
                Ok(content) => tally.corrupt += usize::from(content != Content::from(of(*number))),
                Err(QueueError::UnknownMessage { .. }) if ended || self.leaving.contains(id) => {}
                // Killed between the settlement's commit and our reading of its line: the report is there instead.
                Err(QueueError::UnknownMessage { .. }) => tally.lost += usize::from(reports_of(id) != 1),
                Err(_) => tally.corrupt += 1,
            }
        }
        for (id, round) in &self.settled {
            match reports_of(id) {
                0 => tallies[round % KINDS.len()].lost += 1,
                count => tallies[round % KINDS.len()].doubled += count - 1,
            }
        }
        assert!(self.settled.len() > self.queued.len() / 10, "the children settled {}", self.settled.len());
        store.close();
    }
}

/// One in ten is large.
fn of(number: usize) -> Vec<u8> {
    body(number, if number.is_multiple_of(10) { 300_000 } else { 3000 })
}

/// Queues messages; settles every second one, owing a report that names it.
async fn work_until_killed(path: &Path) {
    let store = open(path);
    store.start("child", at(0)).await.expect("it starts");
    for number in 0.. {
        let id = store.enqueue(message("example.com", &of(number))).await.expect("room");
        println!("!queued {id} {number}");
        if number.is_multiple_of(2) {
            come_and_go(&store, number).await;
            continue;
        }
        let leases = store.claim(Claim::message(id, at(1), at(60))).await.expect("a claim").leases;
        for lease in leases {
            let mut settlement = Settlement::all_leave();
            let mut report = message(&format!("{id}.test"), b"report");
            for delivery in &mut report.deliveries {
                delivery.next_hop = hop("report.test");
            }
            settlement.enqueue.push(report);
            store.settle(lease, settlement).await.expect("settled");
            println!("!settled {id} {number}");
        }
    }
}

/// Queues a message by the log; settles one of two.
async fn come_and_go(store: &SqliteStore, number: usize) {
    let round: i64 = std::env::var(ROUND).expect("set").parse().expect("a number");
    let mut message = message("log.test", &of(number + 1));
    message.id = Some(MessageId::ahead(at(1 + round), number as u32));
    let key = format!("{round}.{number}");
    message.source_key = Some(key.clone());
    let id = store.enqueue(message).await.expect("room");
    println!("!queued {id} {}", number + 1);
    println!("!keyed {id} {key}");
    if number.is_multiple_of(3) {
        println!("!forgetting {id} {key}");
        store.forget_source_keys(vec![key]).await.expect("forgotten");
    }
    if number.is_multiple_of(4) {
        let claim = Claim::due(hop("log.test"), 1, at(1), at(60));
        for lease in store.claim(claim).await.expect("a claim").leases {
            let id = lease.message;
            println!("!leaving {id} {number}");
            store.settle(lease, Settlement::all_leave()).await.expect("settled");
            println!("!left {id} {number}");
        }
    }
}
