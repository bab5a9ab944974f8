//! A crash at every step: the system calls of a run are recorded, every prefix of them is rebuilt with what was not
//! synced dropped, reordered or torn, and the store is opened on it: nothing is lost, nothing is half there.

mod disk;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub(crate) use disk::memory;
use disk::{Disk, Loss};
use postroad_message::Content;
use postroad_queue::{
    Claim, Filter, Kept, MessageId, QueueError, QueueStore, Settlement, SqliteOptions, SqliteStore, State,
};
use trace::Step;

use crate::dice::Dice;
use crate::mail::{at, body, hop, list, message, named};

const CHILD: &str = "POSTROAD_QUEUE_TRACED";
/// `.ci/long` asks for a million.
const STATES: &str = "POSTROAD_CRASH_STATES";
const MESSAGES: usize = 60;

#[test]
#[ignore = "needs strace; .ci/run runs it"]
fn at_every_step_of_a_run_a_crash_loses_nothing_that_was_promised() {
    if let Ok(path) = std::env::var(CHILD) {
        return runtime().block_on(run(Path::new(&path)));
    }
    let wanted = std::env::var(STATES).ok().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let folder = tempfile::tempdir().expect("a folder");
    let test = "crash_states::at_every_step_of_a_run_a_crash_loses_nothing_that_was_promised";
    let steps = record(folder.path(), test, &[]);
    let syncs = steps.iter().filter(|step| matches!(step, Step::Sync { .. })).count();
    assert!(steps.len() > 500 && syncs > MESSAGES, "{} steps, {syncs} syncs", steps.len());

    let tried = try_all(&steps, folder.path(), wanted);
    println!("{tried} states of {} steps: lost 0, corrupt 0", steps.len());
}

/// The whole life of messages, one call after another: every promise is printed as soon as it is made.
async fn run(path: &Path) {
    let store = open(path);
    store.start("Hub01").await.expect("it starts");
    println!("!started");
    for number in 0..MESSAGES {
        let content = body(number, length(number));
        // Two of three come by the log.
        let mut mail = match number % 3 {
            0 => message("example.com", &content),
            _ => keyed(number, &content),
        };
        if number % 10 == 5 {
            mail.content = in_pieces(&store, &content).await;
        }
        let keyed = mail.source_key.clone();
        let id = store.enqueue(mail).await.expect("room");
        println!("!queued {id} {number}");
        if let Some(key) = keyed.filter(|_| number % 4 == 2) {
            println!("!forgetting {number}");
            store.forget_source_keys(vec![key]).await.expect("forgotten");
        }
        if number % 4 == 1 {
            for lease in
                store.claim(Claim::due(hop("example.com"), 1, at(1), at(60))).await.expect("lent").leases
            {
                let id = lease.message;
                println!("!leaving {id}");
                store.settle(lease, Settlement::all_leave()).await.expect("settled");
                println!("!left {id}");
            }
            if number % 8 == 1 {
                continue;
            }
        }
        if number % 3 == 0 {
            continue;
        }
        println!("!leaving {id}");
        if number % 7 == 1 {
            let removed = store.remove(Filter::message(id), at(0)).await.expect("removed");
            if removed.deliveries == 1 {
                println!("!gone {id}");
            }
            continue;
        }
        let claim = Claim::message(id, at(1), at(60));
        let Some(lease) = store.claim(claim).await.expect("a claim").leases.pop() else { continue };
        if number % 3 == 1 {
            // It stays, and its report lies beside it from now on.
            let mut settlement = Settlement::keep(vec![Kept::waiting(0, at(number as i64))]);
            settlement.delay_notified = true;
            settlement.enqueue.push(report(id));
            store.settle(lease, settlement).await.expect("settled");
            println!("!stayed {id}");
        } else {
            let mut settlement = Settlement::all_leave();
            settlement.enqueue.push(report(id));
            store.settle(lease, settlement).await.expect("settled");
            println!("!reported {id}");
        }
    }
    store.close();
    println!("!closed");
}

/// A large content that comes in pieces, behind one that is given up in the middle.
async fn in_pieces(store: &SqliteStore, content: &[u8]) -> Content {
    let begun = async || {
        let mut draft = store.draft(content[..10].to_vec()).expect("in pieces");
        draft.write(content[10..1000].to_vec()).await.expect("room");
        draft.write(content[1000..4000].to_vec()).await.expect("room");
        draft
    };
    drop(begun().await);
    begun().await.finish(content[4000..].to_vec()).await.expect("room")
}

/// A message that comes by the log, from a file.
fn keyed(number: usize, mail: &[u8]) -> postroad_queue::NewMessage {
    let mut message = named(number as u32, "example.com", mail);
    message.source_key = Some(format!("pickup:{number}"));
    message
}

/// Many small ones, and one in five large enough for a file of its own; half of these come in pieces.
fn length(number: usize) -> usize {
    if number.is_multiple_of(5) { 4096 + number * 20 } else { number * 67 % 3000 }
}

fn report(id: MessageId) -> postroad_queue::NewMessage {
    let mut report = message(&format!("{id}.test"), b"report");
    for delivery in &mut report.deliveries {
        delivery.next_hop = hop("report.test");
    }
    report
}

/// A log of eight pages, so that the run has many checkpoints.
fn open(path: &Path) -> SqliteStore {
    let mut options = SqliteOptions::default();
    options.large_content = 4096;
    options.log_size = 64 << 10;
    options.fresh_log = 32 << 10;
    SqliteStore::open_with(path, options).expect("the store opens")
}

/// Runs `test` with [`CHILD`] set, under `strace` with these options too.
fn record(folder: &Path, test: &str, options: &[&str]) -> Vec<Step> {
    let trace = folder.with_extension("trace");
    let calls = "trace=openat,unlink,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat2,writev,pwritev,fallocate";
    let status = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "10000000", "-e", calls])
        .args(options)
        .arg("-o")
        .arg(&trace)
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture", "--ignored"])
        .env(CHILD, folder.join("queue.db"))
        .stdout(Stdio::null())
        .status()
        .expect("strace");
    assert!(status.success());
    let text = fs::read_to_string(&trace).expect("a trace");
    fs::remove_file(&trace).expect("removed");
    let unknown =
        |line: &&str| ["rename", "writev(", "pwritev", "fallocate("].iter().any(|call| line.contains(call));
    assert_eq!(text.lines().find(unknown), None, "a call that this test does not rebuild");
    trace::read(&text, folder)
}

/// Tries about so many states, and gives how many they were.
fn try_all(steps: &[Step], original: &Path, wanted: usize) -> usize {
    let tried = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for worker in 0..workers {
            let tried = &tried;
            scope.spawn(move || try_states(steps, original, wanted, (worker, workers), tried));
        }
    });
    tried.into_inner()
}

/// Every `workers`th state is this one's to try.
fn try_states(
    steps: &[Step],
    original: &Path,
    wanted: usize,
    (worker, workers): (usize, usize),
    tried: &AtomicUsize,
) {
    let room = tempfile::Builder::new().tempdir_in(disk::memory()).expect("a folder");
    let runtime = runtime();
    let mut disk = Disk::default();
    let mut promises = Promises::default();
    let mut seen = BTreeSet::new();
    let each = wanted.div_ceil(steps.len()).max(1);
    for (index, step) in steps.iter().enumerate() {
        disk.apply(step);
        promises.hear(step);
        // All the ways to lose at this step; a state that was there before is another roll of the dice.
        for turn in (0..each * 2).filter(|turn| (index + turn) % workers == worker) {
            let loss = [Loss::Tail, Loss::Any, Loss::Everything, Loss::Nothing][turn % 4];
            let mut dice = Dice((index * 1_000_003 + turn) as u64);
            let state = disk.after_a_crash(loss, &mut dice);
            if tried.load(Ordering::Relaxed) >= wanted * (index + 1) / steps.len() + each
                || !seen.insert(disk::fingerprint(&state))
            {
                continue;
            }
            tried.fetch_add(1, Ordering::Relaxed);
            let folder = room.path().join("state");
            fs::create_dir(&folder).expect("room");
            disk::lay_out(&state, original, &folder);
            let what = format!("step {index} ({step:.60?}), {loss:?}, turn {turn}", step = Brief(step));
            runtime.block_on(promises.are_kept(&folder.join("queue.db"), &what));
            fs::remove_dir_all(&folder).expect("removed");
        }
    }
}

struct Brief<'a>(&'a Step);

impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Step::Write { path, at, bytes } => write!(f, "Write {} {at:?} {}", path.display(), bytes.len()),
            other => write!(f, "{other:?}"),
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// What the run was told up to some step.
#[derive(Default)]
struct Promises {
    messages: BTreeMap<MessageId, Promised>,
    /// Those whose sources may come with them again.
    keyed: BTreeMap<usize, MessageId>,
}

struct Promised {
    number: usize,
    /// The run has begun to settle or remove it.
    leaving: bool,
    /// What became of it, once that was promised too.
    ended: Option<&'static str>,
}

impl Promises {
    fn hear(&mut self, step: &Step) {
        let Step::Said(line) = step else { return };
        let words: Vec<&str> = line.split(' ').collect();
        let id = |text: &str| text.parse::<MessageId>().expect("an id");
        match words[..] {
            ["queued", message, number] => {
                let number: usize = number.parse().expect("a number");
                if !number.is_multiple_of(3) {
                    self.keyed.insert(number, id(message));
                }
                self.messages.insert(id(message), Promised { number, leaving: false, ended: None });
            }
            ["forgetting", number] => drop(self.keyed.remove(&number.parse().expect("a number"))),
            [word, message] => {
                let promised = self.messages.get_mut(&id(message)).expect("it was queued");
                promised.leaving = true;
                promised.ended = promised.ended.or_else(|| {
                    ["gone", "left", "stayed", "reported"].into_iter().find(|known| *known == word)
                });
            }
            _ => {}
        }
    }

    /// The store opens on it, has what was promised, nothing half, and takes more.
    async fn are_kept(&self, path: &Path, what: &str) {
        let store = open(path);
        let listed = list(&store).await;
        let aside = listed.iter().find(|listed| matches!(listed.state, State::SetAside { .. }));
        assert!(aside.is_none(), "corrupt: {aside:?} at {what}");
        for listed in &listed {
            assert!(listed.sender.is_some() && listed.recipients.len() == 1, "torn: {listed:?} at {what}");
            let content = store.content(listed.message).await;
            assert!(content.is_ok(), "without content: {listed:?}, {content:?} at {what}");
        }
        for (id, promised) in &self.messages {
            let waits = listed.iter().filter(|listed| listed.message == *id).count();
            let reports = listed.iter().filter(|listed| is_report(listed, *id)).count();
            let fits = match (promised.leaving, promised.ended) {
                (false, _) => (waits, reports) == (1, 0),
                // What a power failure undoes of that is delivered again.
                (true, Some("left")) => waits <= 1 && reports == 0,
                (true, Some("gone")) => (waits, reports) == (0, 0),
                (true, Some("stayed")) => (waits, reports) == (1, 1),
                (true, Some(_)) => (waits, reports) == (0, 1),
                (true, None) => {
                    (waits, reports) == (1, 0) || waits + reports <= 2 && (reports == 1 || waits == 0)
                }
            };
            assert!(fits, "{id} waits {waits} times with {reports} reports at {what}");
            let content = store.content(*id).await;
            if waits == 1 {
                assert_eq!(
                    content,
                    Ok(Content::from(body(promised.number, length(promised.number)))),
                    "{what}"
                );
            } else {
                assert_eq!(content, Err(QueueError::UnknownMessage { message: *id }), "{what}");
            }
        }
        // All calls first: they share their syncs.
        let again = |(number, id): (&usize, &MessageId)| (*id, store.enqueue(keyed(*number, b"once more")));
        for (id, again) in self.keyed.iter().map(again).collect::<Vec<_>>() {
            assert_eq!(again.await, Ok(id), "a source came again, and was not known at {what}");
        }
        assert_eq!(list(&store).await.len(), listed.len(), "queued twice at {what}");
        let new = store.enqueue(message("example.com", b"goes on")).await.expect("a store that takes more");
        assert!(!self.messages.contains_key(&new), "an id is never used twice: {what}");
        store.close();
    }
}

fn is_report(listed: &postroad_queue::Listed, id: MessageId) -> bool {
    let to = format!("jane@{id}.test");
    listed.recipients.iter().any(|queued| queued.recipient.address.to_string().eq_ignore_ascii_case(&to))
}
