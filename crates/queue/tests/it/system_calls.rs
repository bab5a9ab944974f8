//! Calls of the system that fail, one kind after another, as `strace` makes them: no promise, no loss, and it goes on.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use postroad_message::Content;
use postroad_queue::{MessageId, QueueError, QueueStore, SqliteOptions, SqliteStore};

use crate::mail::{at, body, list, message, named};

const CHILD: &str = "POSTROAD_QUEUE_FAULTY";
const LARGE: usize = 20_000;
const MESSAGES: usize = 60;
/// So large a log stays as it is until a sync fails: the database is not synced beside it.
const LARGE_LOG: usize = 10 << 20;
/// This one is carried over again and again, so that what fails may as well be the database's.
const SMALL_LOG: usize = 100 << 10;
const LOG: &str = "POSTROAD_QUEUE_FAULTY_LOG";

/// Which call fails how, and what the callers are told meanwhile. The calls are counted in each thread.
#[rustfmt::skip]
const FAULTS: [(&str, &str, &str); 9] = [
    ("the sync of the log fails",          "fdatasync:error=EIO:when=20..24",    "io"),
    ("the sync fails, and does so for good", "fdatasync:error=EIO:when=20+",     "io"),
    ("the sync finds no space",            "fdatasync:error=ENOSPC:when=20..24", "io"),
    ("the sync of a folder fails",         "fsync:error=EIO:when=3",            "io"),
    ("a write fails",                      "pwrite64:error=EIO:when=150..170",    "io"),
    ("the disk is full",                   "pwrite64:error=ENOSPC:when=150..170", "full"),
    ("the disk is remounted read-only",    "pwrite64:error=EROFS:when=150..170",  "io"),
    ("the disk stays read-only",           "pwrite64,ftruncate,unlink:error=EROFS:when=150+", "io"),
    ("a quota is reached",                 "pwrite64:error=EDQUOT:when=150..170", "io"),
];

#[test]
#[ignore = "needs strace; .ci/run runs it"]
fn a_call_that_fails_costs_no_promise_and_no_mail() {
    if let Ok(path) = std::env::var(CHILD) {
        return runtime().block_on(take_in(Path::new(&path)));
    }
    let logs = FAULTS.into_iter().flat_map(|fault| [SMALL_LOG, LARGE_LOG].map(|log| (fault, log)));
    for ((name, fault, expected), log) in logs {
        let name = format!("{name}, and the log has {log} bytes");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        let said = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={fault}")])
            .arg(std::env::current_exe().expect("this test"))
            .args(["--exact", "system_calls::a_call_that_fails_costs_no_promise_and_no_mail"])
            .args(["--nocapture", "--ignored"])
            .env(CHILD, &path)
            .env(LOG, log.to_string())
            .stderr(Stdio::inherit())
            .output()
            .expect("strace");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let (promised, refused) = what_was_said(&said);
        assert!(
            !promised.is_empty() && !refused.is_empty(),
            "{name}: {} promised, {refused:?}",
            promised.len()
        );
        // Where a sync of the database fails the store closes; that comes to pass where none succeeds any more.
        let for_good = fault.ends_with('+') || fault.starts_with("fdatasync") && log == SMALL_LOG;
        // Of a large content's file, whose thread has as many syncs, it is said that the disk is full.
        let may_be_full = fault.contains("ENOSPC");
        let fits = |error: &String| {
            error == expected || for_good && error == "closed" || may_be_full && error == "full"
        };
        assert!(refused.iter().all(fits), "{name}: {refused:?}");
        if !for_good {
            assert!(said.contains("!last "), "{name}: it goes on when the trouble is over");
        }
        runtime().block_on(async {
            let store = SqliteStore::open(&path).expect("it opens");
            store.start("Hub01", at(0)).await.expect("it starts");
            let waiting: Vec<MessageId> = list(&store).await.iter().map(|listed| listed.message).collect();
            for (id, number) in &promised {
                assert!(waiting.contains(id), "{name}: {id} was promised");
                assert_eq!(store.content(*id).await, Ok(Content::from(of(*number))), "{name}");
            }
            // One whose sync failed may be there nevertheless: nobody was told 250, nobody was told never.
            assert!(waiting.len() <= promised.len() + 1, "{name}: {} wait", waiting.len());
        });
    }
}

/// The way of a store without descriptors left: large contents are refused for now, small ones go on.
#[test]
fn without_descriptors_large_mail_is_refused_for_now() {
    if let Ok(path) = std::env::var(CHILD) {
        return runtime().block_on(use_up_descriptors(Path::new(&path)));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let status = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "system_calls::without_descriptors_large_mail_is_refused_for_now", "--nocapture"])
        .env(CHILD, folder.path().join("queue.db"))
        .stdout(Stdio::null())
        .status()
        .expect("a child");
    assert!(status.success());
}

async fn use_up_descriptors(path: &Path) {
    let store = open(path);
    // It is open, and has looked at what an earlier process left.
    assert!(list(&store).await.is_empty());
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    let refused = store.enqueue(message("example.com", &of(4))).await.expect_err("no descriptor");
    assert!(matches!(refused, QueueError::Busy { .. }) && refused.is_transient(), "{refused}");
    let small = store.enqueue(message("example.com", b"small")).await.expect("the database is open already");
    assert!(store.content(small).await.is_ok());
    drop(taken);
    store.enqueue(message("example.com", &of(4))).await.expect("there are descriptors again");
    assert_eq!(list(&store).await.len(), 2);
}

/// Every second is large. Says what it was promised and what it was refused.
async fn take_in(path: &Path) {
    let store = open(path);
    store.start("Hub01", at(0)).await.expect("it starts");
    for number in 0..MESSAGES {
        // Half of the small ones come by the log.
        let mail = match number % 4 {
            1 => named(number as u32, "example.com", &of(number)),
            _ => message("example.com", &of(number)),
        };
        match store.enqueue(mail).await {
            Ok(id) if number + 1 == MESSAGES => println!("!last {id} {number}"),
            Ok(id) => println!("!queued {id} {number}"),
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                let kind = match error {
                    QueueError::DiskFull { .. } => "full",
                    QueueError::Io { .. } => "io",
                    QueueError::Closed => "closed",
                    _ => "other",
                };
                println!("!refused {kind} {error}");
            }
        }
    }
    // As kill -9 would: nothing is tidied up.
    std::process::abort();
}

fn what_was_said(output: &str) -> (BTreeMap<MessageId, usize>, Vec<String>) {
    let (mut promised, mut refused) = (BTreeMap::new(), Vec::new());
    for line in output.lines() {
        let Some((_, words)) = line.split_once('!') else { continue };
        match words.split(' ').collect::<Vec<_>>()[..] {
            ["queued" | "last", id, number] => {
                promised.insert(id.parse().expect("an id"), number.parse().expect("a number"));
            }
            ["refused", kind, ..] => refused.push(kind.to_owned()),
            _ => {}
        }
    }
    (promised, refused)
}

fn of(number: usize) -> Vec<u8> {
    body(number, if number.is_multiple_of(2) { LARGE + number } else { 100 + number })
}

fn open(path: &Path) -> SqliteStore {
    let mut options = SqliteOptions::default();
    options.large_content = LARGE;
    options.log_size = std::env::var(LOG).map_or(LARGE_LOG, |bytes| bytes.parse().expect("a number"));
    SqliteStore::open_with(path, options).expect("the store opens")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}
