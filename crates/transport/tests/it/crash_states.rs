//! A crash at every step of files on their way from Pickup and Replay to Drop: the system calls of a run are recorded,
//! every prefix of them is rebuilt with what was not synced dropped, reordered or torn, and a relay starts on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postroad_address_space::Domain;
use postroad_message_directory::{BadmailDirectory, DropDirectory, drop, pickup, replay};
use postroad_queue::{QueueStore, SqliteOptions, SqliteStore};
use postroad_transport::{Delivers, DropDeliver, NobodyWatches, Pipeline, WatchedDirectory, World};

use crate::dice::Dice;
use crate::support::{Pretend, Relay, TestWorld, delivered, settings, table};
use disk::{Disk, Loss};
use trace::Step;

#[path = "../../../queue/tests/it/crash_states/disk.rs"]
#[expect(dead_code, reason = "of one life after another only the queue makes use")]
mod disk;
#[path = "../../../queue/tests/it/crash_states/trace.rs"]
mod trace;

const CHILD: &str = "POSTROAD_DIRECTORIES_TRACED";
/// `.ci/long` asks for thirty thousand.
const STATES: &str = "POSTROAD_CRASH_STATES";
/// So many times some files come; each time one of them is no message.
const WAVES: usize = 4;
const IN_WAVE: usize = 4;

#[test]
#[ignore = "needs strace; .ci/run runs it"]
fn at_every_step_of_a_run_a_crash_loses_no_file_and_takes_none_twice() {
    if let Ok(path) = std::env::var(CHILD) {
        return wall_clock().block_on(run(Path::new(&path)));
    }
    let wanted: usize = std::env::var(STATES).ok().and_then(|count| count.parse().ok()).unwrap_or(1_500);
    let folder = tempfile::tempdir().unwrap();
    make_directories(folder.path());
    let steps = record(folder.path());
    let renames = steps.iter().filter(|step| matches!(step, Step::Rename { .. })).count();
    // The producer's, the claim's, and Drop's or that of a bad file.
    assert!(renames >= 3 * WAVES * IN_WAVE, "{renames} renames in {} steps", steps.len());

    let tried = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for worker in 0..workers {
            let (steps, tried) = (&steps, &tried);
            scope.spawn(move || try_states(steps, wanted, (worker, workers), tried));
        }
    });
    println!("{} states of {} steps: lost 0, twice 0, half 0", tried.into_inner(), steps.len());
}

fn wall_clock() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn make_directories(folder: &Path) {
    for name in ["Pickup", "Replay", "Drop", "Badmail"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
}

/// Files come, are queued and end in Drop; every promise is printed as soon as it is made.
async fn run(folder: &Path) {
    let world: Arc<dyn World> = Arc::new(TestWorld::new(Arc::default()));
    let delivers = fax_only(folder);
    let store: Arc<dyn QueueStore> = Arc::new(open(folder));
    let table = table(&[("Fax", &["FAX:*;1"])]);
    let pipeline = Pipeline::builder(settings(), table, store).delivers(delivers).world(world).build();
    pipeline.recover().await.unwrap();
    let [pickup, replay] = watched(folder);
    let watching = async {
        let never = std::future::pending;
        tokio::join!(pipeline.clone().watch(pickup, never()), pipeline.clone().watch(replay, never()))
    };
    let producing = async {
        for wave in 0..WAVES {
            for place in 0..IN_WAVE {
                leave(folder, wave * IN_WAVE + place);
            }
            // The next come while these are on their way.
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        while !is_done(folder) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = pipeline.run(std::future::pending()) => {}
        _ = watching => {}
        () = producing => {}
    }
    println!("!done");
}

fn fax_only(folder: &Path) -> Delivers {
    let directories = [("Fax".to_owned(), DropDirectory::new(folder.join("Drop")))];
    let fax = DropDeliver::new(directories.into(), Domain::parse("contoso.com").unwrap());
    Delivers::new(Pretend::new([delivered()]), fax, Pretend::new([]))
}

fn is_done(folder: &Path) -> bool {
    let waits = |path: &Path| path.extension().is_none_or(|extension| extension != "bad");
    let files = |name: &str| files(&folder.join(name)).into_iter();
    let all = files("Drop").count() == WAVES * (IN_WAVE - 1);
    all && !files("Pickup").chain(files("Replay")).any(|path| waits(&path))
}

fn open(folder: &Path) -> SqliteStore {
    let mut options = SqliteOptions::default();
    options.log_size = 64 << 10;
    SqliteStore::open_with(folder.join("queue.db"), options).unwrap()
}

/// Exchange's Pickup, which keeps bad files, and a Replay with a Badmail directory.
fn watched(folder: &Path) -> [WatchedDirectory; 2] {
    let domain = Domain::parse("contoso.com").unwrap();
    let mut rules = pickup::Rules::default();
    rules.domain = Some(domain.clone());
    let pickup = WatchedDirectory::pickup(folder.join("Pickup"), rules);
    let mut rules = replay::Rules::default();
    rules.domain = Some(domain);
    let badmail = BadmailDirectory::new(folder.join("Badmail"));
    let replay = WatchedDirectory::replay(folder.join("Replay"), rules).badmail(Some(badmail));
    [pickup, replay].map(|watched| watched.every(Duration::from_millis(10)).at_most(20_000))
}

/// Leaves a file as a producer should: written elsewhere, synced, renamed, the directory synced. Then it is promised.
fn leave(folder: &Path, number: usize) {
    let (directory, name) = (folder.join(directory_of(number)), format!("{number}.eml"));
    let half = directory.join(format!("{number}.half"));
    fs::write(&half, letter(number)).unwrap();
    File::open(&half).unwrap().sync_all().unwrap();
    let key = key(directory_of(number), &half);
    fs::rename(&half, directory.join(name)).unwrap();
    File::open(directory).unwrap().sync_all().unwrap();
    println!("!left {number} {key}");
}

fn directory_of(number: usize) -> &'static str {
    if number.is_multiple_of(2) { "Pickup" } else { "Replay" }
}

fn is_bad(number: usize) -> bool {
    number % IN_WAVE == number / IN_WAVE % IN_WAVE
}

fn letter(number: usize) -> String {
    let envelope = match (is_bad(number), number % 2) {
        (true, _) => "Subject: no sender\r\n",
        (false, 0) => "From: erp@contoso.com\r\nTo: IMCEAFAX-1@contoso.com\r\n",
        (false, _) => "X-Sender: <erp@contoso.com>\r\nX-Receiver: <FAX:1>\r\n",
    };
    let body = format!("{}\r\n", "x".repeat(70)).repeat(number * 7);
    format!("{envelope}Subject: <{number}>\r\n\r\n{body}{}", end_of(number))
}

fn end_of(number: usize) -> String {
    format!("end of <{number}>\r\n")
}

/// What the queue records of a file: device, number, size, last write, birth.
fn key(directory: &str, file: &Path) -> String {
    let facts = file.symlink_metadata().unwrap();
    let nanos = |moment: SystemTime| moment.duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let (written, born) = (nanos(facts.modified().unwrap()), facts.created().map_or(0, nanos));
    let source = directory.to_ascii_lowercase();
    format!("{source}:{:x}-{:x}-{:x}-{written:x}-{born:x}", facts.dev(), facts.ino(), facts.size())
}

fn record(folder: &Path) -> Vec<Step> {
    let trace = folder.with_extension("trace");
    let calls = "trace=openat,unlink,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,\
                 unlinkat,truncate,writev,pwritev,fallocate,copy_file_range,sendfile";
    let status = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "10000000", "-e", calls, "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "crash_states::at_every_step_of_a_run_a_crash_loses_no_file_and_takes_none_twice"])
        .args(["--nocapture", "--ignored"])
        .env(CHILD, folder)
        .stdout(Stdio::null())
        .status()
        .expect("strace");
    assert!(status.success());
    let text = fs::read_to_string(&trace).unwrap();
    fs::remove_file(&trace).unwrap();
    let unknown =
        ["renameat(", "link(", "linkat(", "unlinkat(", "truncate(", "writev(", "fallocate(", "range("];
    let is_unknown =
        |line: &&str| unknown.iter().any(|call| line.split(' ').any(|word| word.starts_with(call)));
    assert_eq!(text.lines().find(is_unknown), None, "a call that this test does not rebuild");
    trace::read(&text, folder)
}

/// Every `workers`th state is this one's to try.
fn try_states(steps: &[Step], wanted: usize, (worker, workers): (usize, usize), tried: &AtomicUsize) {
    let mut disk = Disk::default();
    let mut left = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let each = wanted.div_ceil(steps.len()).max(1);
    for (index, step) in steps.iter().enumerate() {
        disk.apply(step);
        if let Step::Said(line) = step
            && let ["left", number, key] = line.split(' ').collect::<Vec<_>>()[..]
        {
            left.insert(number.parse::<usize>().unwrap(), key.to_owned());
        }
        for turn in (0..each * 2).filter(|turn| (index + turn) % workers == worker) {
            let loss = [Loss::Tail, Loss::Any, Loss::Everything, Loss::Nothing][turn % 4];
            let state = disk.after_a_crash(loss, &mut Dice((index * 1_000_003 + turn) as u64));
            let enough = wanted * (index + 1) / steps.len() + each;
            if tried.load(Ordering::Relaxed) < enough && seen.insert(disk::fingerprint(&state)) {
                tried.fetch_add(1, Ordering::Relaxed);
                start_on(&state, &left, &format!("step {index}, {loss:?}, turn {turn}"));
            }
        }
    }
}

/// Starts a relay on a state and lets it look at its directories once.
fn start_on(state: &BTreeMap<PathBuf, Vec<u8>>, left: &BTreeMap<usize, String>, at: &str) {
    let room = tempfile::Builder::new().tempdir_in(disk::memory()).unwrap();
    disk::lay_out(state, room.path());
    make_directories(room.path());
    let folder = room.path().to_owned();
    let dropped = dropped(&folder, at);
    let keys = ["Pickup", "Replay"].into_iter().flat_map(|directory| {
        files(&folder.join(directory)).into_iter().filter_map(move |file| {
            let number = number_of(&fs::read_to_string(&file).unwrap())?;
            Some((key(directory, &file), left.get(&number)?.clone()))
        })
    });
    let keys = keys.collect();
    let paused =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    paused.block_on(async {
        let store = open(&folder);
        let relay = Relay::with(room, store, keys, Pretend::new([delivered()]), Arc::new(NobodyWatches));
        relay.pipeline.recover().await.unwrap();
        let before = queued(&relay).await;
        for watched in watched(&folder) {
            relay.pipeline.clone().watch(watched, tokio::time::sleep(Duration::from_secs(1))).await;
        }
        let after = queued(&relay).await;
        for (&number, _) in left.iter() {
            let count = |counts: &BTreeMap<usize, usize>| counts.get(&number).copied().unwrap_or(0);
            if is_bad(number) {
                assert_eq!(bad(&folder, number), 1, "bad file {number} at {at}");
                continue;
            }
            let (before, after, dropped) = (count(&before), count(&after), count(&dropped));
            let expected = if before + dropped == 0 { 1 } else { before };
            assert_eq!(after, expected, "{number}: {before} queued and {dropped} dropped at {at}");
        }
        for directory in ["Pickup", "Replay"] {
            let stays = |path: &PathBuf| path.extension().is_none_or(|end| end != "bad" && end != "half");
            let unsettled = files(&folder.join(directory)).into_iter().find(stays);
            assert_eq!(unsettled, None, "{directory} at {at}");
        }
        drain(&relay, fax_only(&folder)).await;
        let dropped = self::dropped(&folder, at);
        for &number in left.keys().filter(|number| !is_bad(**number)) {
            assert_eq!(dropped.get(&number), Some(&1), "{number} in Drop at {at}");
        }
    });
}

/// Delivers what waits. The gateway, which has taken nothing yet, finds each message once in the end: a file that was
/// placed before its settlement was durable is not doubled.
async fn drain(relay: &Relay, delivers: Delivers) {
    relay.pipeline.put_in_force(settings(), table(&[("Fax", &["FAX:*;1"])]), delivers);
    let pipeline = relay.pipeline.clone();
    let running = tokio::spawn(async move { pipeline.run(std::future::pending()).await });
    relay.until_empty().await;
    running.abort();
}

/// What a gateway sees: whole files or nothing.
fn dropped(folder: &Path, at: &str) -> BTreeMap<usize, usize> {
    let domain = Domain::parse("contoso.com").unwrap();
    let mut counts = BTreeMap::new();
    for file in files(&folder.join("Drop")) {
        let bytes = fs::read(&file).unwrap();
        let (_, content) = drop::decode(&bytes, &domain).unwrap_or_else(|why| panic!("{why} at {at}"));
        let text = String::from_utf8_lossy(content.in_memory().unwrap()).into_owned();
        let number = number_of(&text).unwrap_or_else(|| panic!("half a file at {at}: {text:?}"));
        assert!(text.ends_with(&end_of(number)), "half a file at {at}: {text:?}");
        *counts.entry(number).or_default() += 1;
    }
    counts
}

async fn queued(relay: &Relay) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for listed in relay.waiting().await {
        let content = relay.store.content(listed.message).await.unwrap();
        let text = String::from_utf8_lossy(content.in_memory().unwrap()).into_owned();
        *counts.entry(number_of(&text).expect("a message of this run")).or_default() += 1;
    }
    counts
}

/// In how many places a bad file stands, whole.
fn bad(folder: &Path, number: usize) -> usize {
    let pickup = files(&folder.join("Pickup")).into_iter().chain(files(&folder.join("Replay")));
    let badmail =
        files(&folder.join("Badmail")).into_iter().filter(|path| path.extension().unwrap() == "BAD");
    pickup.chain(badmail).filter(|path| fs::read(path).unwrap() == letter(number).as_bytes()).count()
}

/// Those that are no dot-files.
fn files(directory: &Path) -> Vec<PathBuf> {
    let paths = directory.read_dir().unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
}

fn number_of(text: &str) -> Option<usize> {
    text.split_once("Subject: <")?.1.split_once('>')?.0.parse().ok()
}
