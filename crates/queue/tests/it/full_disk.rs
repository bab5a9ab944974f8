//! A disk that is full: what waits is delivered and leaves, and what was refused is not there afterwards.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use postroad_message::Content;
use postroad_queue::{MessageId, QueueError, QueueStore, Settlement, SqliteOptions, SqliteStore};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::mail::{body, claim, list, message, named, open, started, started_with_log};

const CHILD: &str = "POSTROAD_QUEUE_FULL_DISK";

/// Another program filled it, and all that is left to do is to write down what was delivered. Meanwhile something wants to move into the
/// tables, again and again.
#[test]
#[ignore = "needs root, for a disk of its own; .ci/run runs it"]
fn without_any_room_what_is_delivered_can_be_written_down() {
    on_a_small_disk("full_disk::without_any_room_what_is_delivered_can_be_written_down", settle_without_room);
}

async fn settle_without_room(path: &Path) {
    const MESSAGES: usize = 100;
    let store = started_with_log(path, 1 << 20).await;
    for number in 0..MESSAGES {
        store.enqueue(message("example.com", &body(number, 10_000))).await.expect("room");
    }
    // What has left leaves free pages in the database: whatever is written from now on has a place there.
    come_and_go(&store, 25, 10_000).await;
    store.close();
    let store = started_with_log(path, 1 << 20).await;
    come_and_go(&store, 25, 10_000).await;
    store.enqueue(named(1, "other.test", &body(1, 50_000))).await.expect("room");
    let leases = claim(&store, "example.com").await;
    assert_eq!(leases.len(), MESSAGES);
    fill(&path.with_file_name("of another program"));
    let settled = async {
        for lease in leases {
            while let Err(error) = store.settle(lease.clone(), Settlement::all_leave()).await {
                assert!(matches!(error, QueueError::DiskFull { .. }), "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("no room for ever");
    assert!(claim(&store, "example.com").await.is_empty());
    assert_eq!(claim(&store, "other.test").await.len(), 1);
}

/// It died under load, and what lies in the log of fresh mail is more than SQLite keeps in memory: it writes some of that in the middle
/// of the transaction.
#[test]
#[ignore = "needs root, for a disk of its own; .ci/run runs it"]
fn without_any_room_a_server_that_died_starts_again_with_all_its_mail() {
    on_a_small_disk(
        "full_disk::without_any_room_a_server_that_died_starts_again_with_all_its_mail",
        start_without_room,
    );
}

async fn start_without_room(path: &Path) {
    const MESSAGES: u32 = 50;
    let store = started(path).await;
    come_and_go(&store, 75, 100_000).await;
    store.close();
    // As long as somebody has it open the log is not carried over at the end, as it is not by kill -9.
    let reader = Connection::open(path).expect("it opens");
    reader.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
    reader.query_row("SELECT count(*) FROM message", [], |row| row.get::<_, i64>(0)).expect("none");
    let store = started(path).await;
    come_and_go(&store, 65, 100_000).await;
    for number in 0..MESSAGES {
        let fresh = named(number, "example.com", &body(number as usize, 100_000));
        store.enqueue(fresh).await.expect("room");
    }
    store.close();
    drop(reader);
    fill(&path.with_file_name("of another program"));
    let store = started(path).await;
    assert_eq!(claim(&store, "example.com").await.len(), MESSAGES as usize);
}

/// Runs this test again, alone, with a disk of 32 MB for its queue.
fn on_a_small_disk(name: &str, test: impl AsyncFnOnce(&Path)) {
    if let Ok(path) = std::env::var(CHILD) {
        return runtime().block_on(test(Path::new(&path)));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-c", "mount -t tmpfs -o size=32m none \"$1\" && shift && exec \"$@\"", "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", name, "--nocapture", "--ignored"])
        .env(CHILD, folder.path().join("queue.db"))
        .status();
    assert!(status.expect("run unshare (Debian's essential package util-linux)").success());
}

/// So many messages of so many bytes.
async fn come_and_go(store: &SqliteStore, messages: usize, length: usize) {
    for number in 0..messages {
        store.enqueue(message("left.test", &body(number, length))).await.expect("room");
    }
    for lease in claim(store, "left.test").await {
        store.settle(lease, Settlement::all_leave()).await.expect("settled");
    }
}

/// To the last byte.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    for piece in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; piece]).is_ok() {}
    }
}

const NAME: &str = "full_disk::without_room_for_the_index_of_the_log_a_commit_is_refused_and_not_found_again_or_the_log_is_begun_anew";

/// SQLite wants more of it behind the 4,062nd frame, when it has written these.
#[test]
#[ignore = "needs strace; .ci/run runs it"]
fn without_room_for_the_index_of_the_log_a_commit_is_refused_and_not_found_again_or_the_log_is_begun_anew() {
    if let Ok(path) = std::env::var(CHILD) {
        return runtime().block_on(take_in(Path::new(&path)));
    }
    for somebody_reads in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        open(&path).close();
        // Whoever has it open keeps the index as it is; nothing is carried over that somebody may read.
        let reader = Connection::open(&path).expect("it opens");
        reader.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
        if somebody_reads {
            reader.execute_batch("BEGIN").expect("begun");
        }
        reader.query_row("SELECT count(*) FROM message", [], |row| row.get::<_, i64>(0)).expect("none");
        let said = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-P"])
            .arg(folder.path().join("queue.db-shm"))
            .args(["-e", "inject=pwrite64:error=ENOSPC:when=1+"])
            .arg(std::env::current_exe().expect("this test"))
            .args(["--exact", NAME, "--nocapture", "--ignored"])
            .env(CHILD, &path)
            .output()
            .expect("strace");
        drop(reader);
        let said = String::from_utf8_lossy(&said.stdout);
        let said: Vec<&str> = said.lines().filter_map(|line| Some(line.split_once('!')?.1)).collect();
        let (last, queued) = said.split_last().expect("it says something");
        assert_eq!(*last, if somebody_reads { "full" } else { "no end" });
        runtime().block_on(async {
            let store = open(&path);
            assert_eq!(list(&store).await.len(), queued.len(), "what was refused is not there");
            for (number, id) in queued.iter().enumerate() {
                let id: MessageId = id.parse().expect("an id");
                assert_eq!(store.content(id).await, Ok(Content::from(body(number, 100_000))), "{number}");
            }
        });
    }
}

/// Says what became of it, and ends as kill -9 would.
async fn take_in(path: &Path) {
    let mut options = SqliteOptions::default();
    options.log_size = 1 << 30;
    let store = SqliteStore::open_with(path, options).expect("it opens");
    for number in 0..350 {
        match store.enqueue(message("example.com", &body(number, 100_000))).await {
            Ok(id) => println!("!{id}"),
            Err(error) => {
                println!("!{}", if matches!(error, QueueError::DiskFull { .. }) { "full" } else { "other" });
                std::process::abort();
            }
        }
    }
    println!("!no end");
    std::process::abort();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}
