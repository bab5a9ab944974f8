//! A sync of the database that failed in one process: whoever has the store open stops, nobody comes meanwhile, and all of it
//! is there afterwards.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use postroad_message::Content;
use postroad_queue::{MessageId, QueueError, QueueStore, SqliteOptions, SqliteStore};

use crate::mail::{body, list, message, open_when_left};

#[tokio::test]
async fn where_one_could_not_sync_the_database_all_leave_it_before_anybody_carries_anything_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = with_small_log(&path);
    // Another process that has it open says so.
    let said = path.with_file_name("queue.db-fresh").join("open");
    fs::write(&said, "x").expect("said");
    // Not by its bytes: who reads the file here takes SQLite's locks away.
    let written = || {
        fs::metadata(&path)
            .and_then(|database| Ok((database.len(), database.modified()?)))
            .expect("a database")
    };
    let (before, mut promised) = (written(), Vec::new());
    let told = loop {
        match store.enqueue(message("example.com", &body(promised.len(), 10_000))).await {
            Ok(id) => promised.push(id),
            Err(error) => break error,
        }
        assert!(promised.len() < 1000, "it goes on");
    };
    assert!(matches!(told, QueueError::Closed) && told.is_transient(), "{told}");
    let refused = SqliteStore::open(&path).err();
    assert!(matches!(refused, Some(QueueError::Io { .. })), "{refused:?}");
    store.close();
    assert_eq!(written(), before, "nothing was carried over, at the end neither");

    let store = open_when_left(&path).await;
    let waiting: Vec<_> = list(&store).await.into_iter().map(|listed| listed.message).collect();
    assert!(promised.iter().all(|id| waiting.contains(id)) && waiting.len() <= promised.len() + 1);
    store.close();
    assert_ne!(written(), before, "all of it is carried over");
    assert_eq!(fs::read(&said).expect("a file"), b"");
}

const CHILD: &str = "POSTROAD_QUEUE_FORSAKEN";

/// The child's syncs of the database fail, and this process, which has the store open too, never hears of that from the kernel.
#[tokio::test]
#[ignore = "needs strace; .ci/run runs it"]
async fn where_another_process_could_not_sync_the_database_this_one_stops_and_both_keep_their_promises() {
    if let Ok(path) = std::env::var(CHILD) {
        let store = with_small_log(Path::new(&path));
        println!("!open");
        for number in 0.. {
            match store.enqueue(message("example.com", &body(number, 10_000))).await {
                Ok(id) => println!("!queued {id} {number}"),
                Err(QueueError::Closed) => return println!("!closed"),
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = with_small_log(&path);
    let mut child = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(&path)
        .args(["-e", "inject=fdatasync,fsync:error=EIO"])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--nocapture", "--ignored", "--exact"])
        .arg("forsaken::where_another_process_could_not_sync_the_database_this_one_stops_and_both_keep_their_promises")
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("strace");
    let said = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut said = said.filter_map(|line| Some(line.split_once('!')?.1.to_owned()));
    assert_eq!(said.next().as_deref(), Some("open"));
    let mut promised: Vec<(MessageId, usize)> = Vec::new();
    let told = loop {
        match store.enqueue(message("example.com", &body(promised.len(), 10_000))).await {
            Ok(id) => promised.push((id, promised.len())),
            Err(error) => break error,
        }
        assert!(promised.len() < 10_000, "it goes on");
    };
    assert_eq!(told, QueueError::Closed);
    let mut ended = false;
    for line in said {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["queued", id, number] => {
                promised.push((id.parse().expect("an id"), number.parse().expect("a number")));
            }
            _ => ended |= line == "closed",
        }
    }
    assert!(child.wait().expect("it ends").success() && ended);
    let refused = SqliteStore::open(&path).err();
    assert!(matches!(refused, Some(QueueError::Io { .. })), "{refused:?}");
    store.close();

    let store = open_when_left(&path).await;
    for (id, number) in promised {
        assert_eq!(store.content(id).await, Ok(Content::from(body(number, 10_000))), "{id}");
    }
}

fn with_small_log(path: &Path) -> SqliteStore {
    let mut options = SqliteOptions::default();
    options.log_size = 64 << 10;
    SqliteStore::open_with(path, options).expect("it opens")
}
