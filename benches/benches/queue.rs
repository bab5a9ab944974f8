//! How many messages a second the queue takes for good, and how soon, beside the bare engine, a log that is only
//! appended to, and a synced file each; and how long it takes to open with many queued.

use std::fs::{self, File};
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use postroad_address_space::Address;
use postroad_message::{Content, Envelope, NextHop, Recipient, ReversePath, Timestamp};
use postroad_queue::{
    Claim, Lease, MessageId, NewDelivery, NewMessage, QueueStore, Settlement, SqliteOptions, SqliteStore,
};

const SUBMITTERS: u64 = 64;
const LENGTH: usize = 10 * 1024;

/// Which way a message takes.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    fresh_log: usize,
}

/// By the tables alone, as what goes to several next hops does; or by the log, as most of what a server takes in.
const WAYS: [Way; 2] = [
    Way { name: "sqlite store, by the tables", fresh_log: 0 },
    Way { name: "sqlite store, by its log", fresh_log: 128 << 20 },
];

/// 64 submitters, each waiting for its own message to be durable before it comes with the next.
fn enqueue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/enqueue 10 KiB by 64");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(4));
    static WAITS: Mutex<Vec<Duration>> = Mutex::new(Vec::new());
    for way in WAYS {
        WAITS.lock().expect("no panic").clear();
        group.bench_function(way.name, |bencher| {
            bencher.iter_custom(|messages| {
                with_store(way, |store| time(messages, |count| take_in(store.clone(), count, &WAITS)))
            });
        });
        print_waits(&WAITS);
    }
    group.bench_function("bare sqlite, two tables, one committer", |bencher| {
        bencher.iter_custom(|messages| {
            let folder = folder();
            let mut connection = bare_sqlite(folder.path());
            grouped(messages, move |first, count| insert(&mut connection, first, count))
        });
    });
    group.bench_function("appended to a log, one committer", |bencher| {
        bencher.iter_custom(|messages| {
            let folder = folder();
            let mut log = File::create(folder.path().join("log")).expect("room");
            grouped(messages, move |_, count| {
                log.write_all(&vec![b'x'; LENGTH * count]).expect("room");
                log.sync_data().expect("synced");
            })
        });
    });
    group.bench_function("a synced file each", |bencher| {
        bencher.iter_custom(|messages| {
            let folder = folder();
            let elapsed = files(folder.path(), messages);
            drop(folder);
            elapsed
        });
    });
    group.finish();
}

/// The whole way of a message through the store: queued, claimed, read, settled, gone.
fn through(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/enqueue, claim, read, settle 10 KiB by 64");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(4));
    for way in WAYS {
        group.bench_function(way.name, |bencher| {
            bencher.iter_custom(|messages| {
                with_store(way, |store| time(messages, |count| carry(store.clone(), count)))
            });
        });
    }
    group.finish();
}

/// From nothing to the first look at what is due, as a relay does it before it is ready.
fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/open and start");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    // Each once, to see that it runs: with fewer.
    let trial = std::env::args().any(|argument| argument == "--test");
    for queued in if trial { [500, 1_000] } else { [10_000, 100_000] } {
        let folder = folder();
        let path = folder.path().join("queue.db");
        let runtime = runtime();
        runtime.block_on(async {
            let store = SqliteStore::open(&path).expect("it opens");
            for _ in 0..queued / 500 {
                store.enqueue_all(vec![message(); 500]).await.expect("room");
            }
            store.close();
        });
        group.bench_function(format!("{queued} queued"), |bencher| {
            bencher.iter(|| {
                let store = SqliteStore::open(&path).expect("it opens");
                runtime.block_on(async {
                    store.start("Hub01", Timestamp::from_unix_millis(0)).await.expect("it starts");
                    assert_eq!(store.due(Timestamp::from_unix_millis(1)).await.map(|due| due.len()), Ok(1));
                });
                store.close();
            });
        });
    }
    group.finish();
}

fn print_waits(waits: &Mutex<Vec<Duration>>) {
    let mut waits = waits.lock().expect("no panic");
    waits.sort_unstable();
    let at = |percent: usize| waits.get(waits.len() * percent / 100).copied().unwrap_or_default();
    println!("waited for the disk: median {:?}, 99 % within {:?}", at(50), at(99));
}

async fn take_in(store: SqliteStore, count: u64, waits: &'static Mutex<Vec<Duration>>) {
    let message = message();
    let mut waited = Vec::new();
    for _ in 0..count {
        let message = named(&message);
        let start = now();
        store.enqueue(message).await.expect("room");
        waited.push(start.elapsed());
    }
    waits.lock().expect("no panic").extend(waited);
}

async fn carry(store: SqliteStore, count: u64) {
    let message = message();
    for _ in 0..count {
        store.enqueue(named(&message)).await.expect("room");
        for lease in claim_one(&store).await {
            store.content(lease.message).await.expect("it is there");
            store.settle(lease, Settlement::all_leave()).await.expect("it is ours");
        }
    }
}

async fn claim_one(store: &SqliteStore) -> Vec<Lease> {
    let claim =
        Claim::due(next_hop(), 1, Timestamp::from_unix_millis(1), Timestamp::from_unix_millis(i64::MAX));
    store.claim(claim).await.expect("a claim").leases
}

fn message() -> NewMessage {
    let sender = ReversePath::try_from("<joe@contoso.com>".to_owned()).expect("a mailbox");
    let recipient = Recipient::new(Address::parse("jane@example.com").expect("an address"));
    let due = Timestamp::from_unix_millis(0);
    let delivery = NewDelivery::new(next_hop(), vec![recipient], due);
    NewMessage::new(
        Envelope::new(sender, vec![]),
        Content::from(vec![b'x'; LENGTH]),
        due,
        "bench",
        vec![delivery],
    )
}

/// The same with an id, as the doors of a server give it: without one nothing goes by the log.
fn named(message: &NewMessage) -> NewMessage {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (mut message, number) = (message.clone(), NUMBER.fetch_add(1, Ordering::Relaxed));
    // So many fit into a millisecond.
    message.id = Some(MessageId::ahead(
        message.received_at.after(Duration::from_millis(u64::from(number >> 20))),
        number,
    ));
    message
}

fn next_hop() -> NextHop {
    NextHop::new("Internet", "example.com")
}

/// A folder on the disk that holds the build, which is one that syncs; `/tmp` may be memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn with_store(way: Way, run: impl FnOnce(SqliteStore) -> Duration) -> Duration {
    let folder = folder();
    let mut options = SqliteOptions::default();
    options.fresh_log = way.fresh_log;
    let store = SqliteStore::open_with(folder.path().join("queue.db"), options).expect("it opens");
    runtime().block_on(store.start("Hub01", Timestamp::from_unix_millis(0))).expect("it starts");
    let elapsed = run(store.clone());
    store.close();
    elapsed
}

/// Shares `messages` among the submitters and takes the time until the last of them is done.
fn time<F, W>(messages: u64, work: W) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
    W: Fn(u64) -> F,
{
    let runtime = runtime();
    let start = now();
    runtime.block_on(async {
        let submitters: Vec<_> = shares(messages).map(|count| tokio::spawn(work(count))).collect();
        for submitter in submitters {
            submitter.await.expect("no panic");
        }
    });
    start.elapsed()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime")
}

/// 64 threads, each waiting for its own; what has gathered meanwhile is committed together.
fn grouped(messages: u64, mut commit: impl FnMut(u64, usize) + Send) -> Duration {
    let (jobs, inbox) = sync_channel::<SyncSender<()>>(1024);
    let start = now();
    thread::scope(|scope| {
        for count in shares(messages) {
            let jobs = jobs.clone();
            scope.spawn(move || {
                for _ in 0..count {
                    let (reply, answer) = sync_channel(1);
                    jobs.send(reply).expect("a committer");
                    answer.recv().expect("a commit");
                }
            });
        }
        drop(jobs);
        let mut done = 0;
        while let Ok(first) = inbox.recv() {
            let group: Vec<_> = std::iter::once(first).chain(inbox.try_iter().take(511)).collect();
            commit(done, group.len());
            done += group.len() as u64;
            for reply in group {
                reply.send(()).expect("it waits");
            }
        }
    });
    start.elapsed()
}

fn bare_sqlite(folder: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(folder.join("bare.db")).expect("it opens");
    connection
        .execute_batch(
            "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             CREATE TABLE envelope (id INTEGER PRIMARY KEY, text BLOB);
             CREATE TABLE content (id INTEGER PRIMARY KEY, body BLOB);",
        )
        .expect("made");
    connection
}

fn insert(connection: &mut rusqlite::Connection, first: u64, count: usize) {
    let body = vec![b'x'; LENGTH];
    let transaction = connection.transaction().expect("begun");
    for id in first..first + count as u64 {
        let id = id.cast_signed();
        for (sql, blob) in [
            ("INSERT INTO envelope VALUES (?, ?)", &body[..256]),
            ("INSERT INTO content VALUES (?, ?)", &body[..]),
        ] {
            transaction
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute((id, blob)))
                .expect("room");
        }
    }
    transaction.commit().expect("synced");
}

/// Written, synced, renamed and the folder synced, as a queue of files does it, by as many threads.
fn files(folder: &Path, messages: u64) -> Duration {
    let body = Arc::new(vec![b'x'; LENGTH]);
    let start = now();
    thread::scope(|scope| {
        for (submitter, count) in shares(messages).enumerate() {
            let body = body.clone();
            scope.spawn(move || {
                for number in 0..count {
                    let draft = folder.join(format!("{submitter}-{number}.new"));
                    let mut file = File::create(&draft).expect("room");
                    file.write_all(&body).expect("room");
                    file.sync_all().expect("synced");
                    fs::rename(&draft, folder.join(format!("{submitter}-{number}"))).expect("renamed");
                    File::open(folder).and_then(|folder| folder.sync_all()).expect("synced");
                }
            });
        }
    });
    start.elapsed()
}

fn shares(messages: u64) -> impl Iterator<Item = u64> {
    (0..SUBMITTERS).map(move |submitter| messages / SUBMITTERS + u64::from(submitter < messages % SUBMITTERS))
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

criterion_group!(queue, enqueue, through, open);
criterion_main!(queue);
