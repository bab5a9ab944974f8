//! A sync of the database that failed in one process: whoever has the store open stops, nobody comes meanwhile, and all of it
//! is there afterwards.

use std::fs;

use postroad_queue::{QueueError, QueueStore, SqliteOptions, SqliteStore};

use crate::mail::{body, list, message, open_when_left};

#[tokio::test]
async fn where_one_could_not_sync_the_database_all_leave_it_before_anybody_carries_anything_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut options = SqliteOptions::default();
    options.log_size = 64 << 10;
    let store = SqliteStore::open_with(&path, options).expect("it opens");
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
