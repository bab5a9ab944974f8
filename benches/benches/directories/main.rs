//! Mail as files beside the bare calls of the system: from Pickup into the queue, for good, and out into Drop; and what
//! nullmailer and Postfix take for the same in the same run.
//!
//! Rates by the clock and processor time for each file, in turns, medians; `POSTROAD_FILES` and `POSTROAD_ROUNDS` set how many.

mod rivals;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mail_parser::MessageParser;
use postroad_address_space::{Domain, Mailbox};
use postroad_connector::{Connector, RoutingTable, SendConnector, Topology};
use postroad_message::{Content, Timestamp};
use postroad_message_directory::{DropDirectory, pickup};
use postroad_queue::{QueueStore, SqliteStore};
use postroad_transport::{Pipeline, Settings, WatchedDirectory};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

/// As in the relay.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZE: usize = 4096;
/// Files that are written to Drop together.
const BATCH: usize = 64;

/// What one turn of a contestant cost.
struct Turn {
    files: usize,
    clock: Duration,
    processor: Duration,
    /// Removed when nothing is measured any more: ext4 without a journal gives no inode out again for seconds, and who makes a
    /// file meanwhile pays for looking at each that was deleted.
    _folder: TempDir,
}

type Contestant = (&'static str, fn(usize) -> Turn);

const PICKUP: [Contestant; 2] = [
    ("floor: list, read, parse headers, unlink, no sync", bare_pickup),
    ("Pickup until the queue has it", our_pickup),
];
const DROP: [Contestant; 3] = [
    ("floor: create, write, sync, rename, sync directory", bare_drop),
    ("Drop, one file at a time", our_drop),
    ("Drop, 64 files together", our_batches),
];

fn main() {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let set = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let files = set("POSTROAD_FILES").unwrap_or(if is_measured { 2_000 } else { BATCH });
    let rounds = set("POSTROAD_ROUNDS").unwrap_or(if is_measured { 5 } else { 1 });
    contest("to Drop", &DROP, files.min(256), rounds);
    let ours = contest("from Pickup", &PICKUP, files, rounds).last().copied().unwrap_or_default();
    rivals::contest(&letter(), files.min(200), rounds.min(3), ours);
}

/// Everybody once in each round; ratios to the first of the same round. Gives everybody's rate.
fn contest(title: &str, contestants: &[Contestant], files: usize, rounds: usize) -> Vec<f64> {
    println!("\n{title}: {files} files of {SIZE} bytes, medians of {rounds} rounds");
    let mut seen: Vec<Vec<[f64; 3]>> = contestants.iter().map(|_| Vec::new()).collect();
    let mut turns = Vec::new();
    for _ in 0..rounds {
        let mut floor = None;
        for ((_, run), seen) in contestants.iter().zip(&mut seen) {
            let turn = run(files);
            let rate = turn.files as f64 / turn.clock.as_secs_f64();
            let processor = turn.processor.as_secs_f64() * 1e6 / turn.files as f64;
            seen.push([rate, processor, rate / *floor.get_or_insert(rate)]);
            turns.push(turn);
        }
    }
    println!("{:<52} {:>10} {:>10} {:>10}", "", "files/s", "CPU µs", "of floor");
    let mut rates = Vec::new();
    for ((name, _), seen) in contestants.iter().zip(&seen) {
        let [rate, processor, ratio] = [0, 1, 2].map(|column| median(seen.iter().map(|row| row[column])));
        println!("{name:<52} {rate:>10.0} {processor:>10.1} {ratio:>10.2}");
        rates.push(rate);
    }
    rates
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn timed(files: usize, folder: TempDir, work: impl FnOnce(&Path)) -> Turn {
    let (begun, processor) = (Instant::now(), processor_time());
    work(folder.path());
    Turn { files, clock: begun.elapsed(), processor: processor_time() - processor, _folder: folder }
}

fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(spent.tv_sec).expect("not negative"),
        u32::try_from(spent.tv_nsec).expect("below 1e9"),
    )
}

/// A letter with the header that a hop of Exchange's leaves, of `SIZE` bytes.
fn letter() -> Vec<u8> {
    let mut file = b"From: Alice <alice@contoso.example>\r\nTo: Bob <bob@fabrikam.example>\r\n\
        Cc: \"Dave, Jr.\" <dave@fabrikam.example>\r\nSubject: Quarterly report\r\nMIME-Version: 1.0\r\n\
        Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <0123456789abcdef@contoso.example>\r\n\
        Content-Type: text/plain; charset=\"utf-8\"\r\n"
        .to_vec();
    while file.len() < 1_900 {
        file.extend_from_slice(
            b"X-Folded: a value that is folded once for good measure\r\n\tand goes on; id=1\r\n",
        );
    }
    file.extend_from_slice(b"\r\n");
    while file.len() + 80 < SIZE {
        file.extend_from_slice(
            b"The quick brown fox jumps over the lazy dog and then writes a line of text.\r\n",
        );
    }
    file.resize(SIZE - 2, b'x');
    file.extend_from_slice(b"\r\n");
    file
}

/// Files that rest.
#[expect(clippy::disallowed_methods, reason = "files bear the time of the clock")]
fn filled(files: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let pickup = folder.path().join("Pickup");
    fs::create_dir(&pickup).expect("room");
    let (letter, long_ago) = (letter(), SystemTime::now() - Duration::from_secs(60));
    for number in 0..files {
        let mut file = File::create(pickup.join(format!("{number}.eml"))).expect("room");
        file.write_all(&letter).expect("room");
        file.set_modified(long_ago).expect("our file");
    }
    folder
}

fn bare_pickup(files: usize) -> Turn {
    timed(files, filled(files), |folder| {
        let list = fs::read_dir(folder.join("Pickup")).expect("a directory");
        let mut paths: Vec<_> = list.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        for path in paths {
            let bytes = fs::read(&path).expect("a file");
            assert!(MessageParser::default().parse_headers(&bytes).is_some());
            fs::remove_file(path).expect("our file");
        }
    })
}

fn our_pickup(files: usize) -> Turn {
    let folder = filled(files);
    let path = folder.path().join("Pickup");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let store = SqliteStore::open(folder.path().join("queue.db")).expect("a store");
    runtime.block_on(store.start("Hub01", Timestamp::from_unix_millis(0))).expect("it starts");
    let pipeline = pipeline(store);
    let watched = WatchedDirectory::pickup(&path, pickup::Rules::default()).at_most(u32::MAX);
    let turn = timed(files, folder, |_| {
        runtime.block_on(async {
            // The last of them, by its names: to list thousands of them at each look would be a good part of what is measured.
            let last = (0..files).map(|number| number.to_string()).max().expect("a file");
            let last = ["eml", "tmp"].map(|extension| path.join(&last).with_extension(extension));
            let empty = async {
                while last.iter().any(|name| name.exists())
                    || path.read_dir().is_ok_and(|mut entries| entries.next().is_some())
                {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            pipeline.clone().watch(watched, empty).await;
        });
    });
    let waiting = runtime.block_on(pipeline.list(postroad_queue::Filter::all())).expect("a listing");
    assert_eq!(waiting.len(), files, "all are queued");
    turn
}

/// Takes mail in and delivers none.
fn pipeline(store: SqliteStore) -> Pipeline {
    let domain = || Domain::parse("contoso.example").expect("a domain");
    let postmaster = Mailbox::parse("postmaster@contoso.example").expect("a mailbox");
    let settings = Settings::new("Hub01", domain(), domain(), postmaster);
    let mut send = SendConnector::new("Everybody", vec!["*".parse().expect("a space")]);
    send.smart_hosts = vec!["[192.0.2.1]".parse().expect("a host")];
    let table = RoutingTable::build(vec![Connector::Send(send)], Topology::new("Hub01"), vec![]);
    Pipeline::builder(settings, table.expect("a table"), Arc::new(store)).build()
}

fn bare_drop(files: usize) -> Turn {
    let (folder, letter) = (tempfile::tempdir().expect("a folder"), letter());
    timed(files, folder, |folder| {
        for number in 0..files {
            let temporary = folder.join(format!(".{number}.tmp"));
            let mut file = File::create(&temporary).expect("room");
            file.write_all(&letter).expect("room");
            file.sync_all().expect("a disk");
            fs::rename(&temporary, folder.join(format!("{number}.eml"))).expect("our file");
            File::open(folder).and_then(|directory| directory.sync_all()).expect("a disk");
        }
    })
}

fn our_drop(files: usize) -> Turn {
    let (folder, letter) = (tempfile::tempdir().expect("a folder"), letter());
    let directory = DropDirectory::new(folder.path());
    timed(files, folder, |_| {
        for number in 0..files {
            directory.write(number as u128, &letter).expect("room");
        }
    })
}

fn our_batches(files: usize) -> Turn {
    let (folder, letter) = (tempfile::tempdir().expect("a folder"), Content::from(letter()));
    let directory = DropDirectory::new(folder.path());
    timed(files, folder, |_| {
        for first in (0..files).step_by(BATCH) {
            let batch = (first..files.min(first + BATCH)).map(|number| (number as u128, &letter));
            assert!(directory.write_all(batch).iter().all(Result::is_ok));
        }
    })
}
