//! How many messages a second the queue takes for good, beside what the disk gives to a synced file each.

use std::fs::{self, File};
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use postroad_address_space::Address;
use postroad_message::{Content, Envelope, NextHop, Recipient, ReversePath, Timestamp};
use postroad_queue::{Claim, Lease, NewDelivery, NewMessage, QueueStore, Settlement, SqliteStore};

const SUBMITTERS: u64 = 64;
const LENGTH: usize = 10 * 1024;

/// 64 submitters, each waiting for its own message to be durable before it comes with the next.
fn enqueue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/enqueue 10 KiB by 64");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(4));
    group.bench_function("sqlite store", |bencher| {
        bencher.iter_custom(|messages| {
            with_store(|store| time(messages, |count| take_in(store.clone(), count)))
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
    group.bench_function("sqlite store", |bencher| {
        bencher
            .iter_custom(|messages| with_store(|store| time(messages, |count| carry(store.clone(), count))));
    });
    group.finish();
}

async fn take_in(store: SqliteStore, count: u64) {
    let message = message();
    for _ in 0..count {
        store.enqueue(message.clone()).await.expect("room");
    }
}

async fn carry(store: SqliteStore, count: u64) {
    let message = message();
    for _ in 0..count {
        store.enqueue(message.clone()).await.expect("room");
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
    let delivery = NewDelivery { next_hop: next_hop(), recipients: vec![recipient], due };
    NewMessage::new(
        Envelope::new(sender, vec![]),
        Content::from(vec![b'x'; LENGTH]),
        due,
        "bench",
        vec![delivery],
    )
}

fn next_hop() -> NextHop {
    NextHop::new("Internet", "example.com")
}

/// A folder on the disk that holds the build, which is one that syncs; `/tmp` may be memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn with_store(run: impl FnOnce(SqliteStore) -> Duration) -> Duration {
    let folder = folder();
    let store = SqliteStore::open(folder.path().join("queue.db")).expect("it opens");
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
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let start = now();
    runtime.block_on(async {
        let submitters: Vec<_> = shares(messages).map(|count| tokio::spawn(work(count))).collect();
        for submitter in submitters {
            submitter.await.expect("no panic");
        }
    });
    start.elapsed()
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

criterion_group!(queue, enqueue, through);
criterion_main!(queue);
