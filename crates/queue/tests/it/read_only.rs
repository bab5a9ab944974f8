//! A disk that is mounted read-only when the store is opened: a clear refusal, nothing touched, and all of it there afterwards.

use std::path::Path;
use std::process::Command;

use postroad_message::Content;
use postroad_queue::{QueueError, QueueStore, SqliteOptions, SqliteStore};

use crate::mail::{at, body, list, message};

const CHILD: &str = "POSTROAD_QUEUE_READ_ONLY";
const LARGE: usize = 20_000;

/// With a disk in memory, which nobody outside of the test's own mount namespace sees.
#[test]
#[ignore = "needs root; .ci/run runs it"]
fn a_store_on_a_read_only_disk_is_refused_for_now_and_whole_afterwards() {
    if let Ok(folder) = std::env::var(CHILD) {
        return tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(on_a_disk(Path::new(&folder)));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let status = Command::new("unshare")
        .arg("--mount")
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "read_only::a_store_on_a_read_only_disk_is_refused_for_now_and_whole_afterwards"])
        .args(["--nocapture", "--ignored"])
        .env(CHILD, folder.path())
        .status()
        .expect("unshare");
    assert!(status.success());
}

async fn on_a_disk(folder: &Path) {
    mount(&["-t", "tmpfs", "-o", "size=32m", "none"], folder);
    let path = folder.join("queue.db");
    let store = open(&path).expect("it opens");
    let mut ids = Vec::new();
    for number in [0, LARGE] {
        ids.push((store.enqueue(message("example.com", &body(1, number))).await.expect("room"), number));
    }
    // Read-only while it runs is a matter of each call: see `system_calls`. The kernel does not do it to files in use.
    store.close();

    mount(&["-o", "remount,ro"], folder);
    for path in [&path, &folder.join("new.db")] {
        let refused = open(path).expect_err("it cannot be written");
        assert!(matches!(refused, QueueError::Io { .. }) && refused.is_transient(), "{refused:?}");
    }
    mount(&["-o", "remount,rw"], folder);

    // The file alone.
    mount(&["--bind", path.to_str().expect("UTF-8")], &path);
    mount(&["-o", "remount,bind,ro"], &path);
    let store = open(&path).expect("what is there can be read");
    for refused in [
        store.start("Hub01", at(0)).await.map(|_| ()),
        store.enqueue(message("example.com", b"hello")).await.map(|_| ()),
    ] {
        assert!(
            refused.is_err_and(|error| matches!(error, QueueError::ReadOnly { .. }) && error.is_transient()),
            "{refused:?}"
        );
    }
    assert_eq!(list(&store).await.len(), ids.len());
    store.close();
    assert!(Command::new("umount").arg(&path).status().expect("umount").success());

    let store = open(&path).expect("it opens again");
    assert_eq!(list(&store).await.len(), ids.len());
    for (id, number) in ids {
        assert_eq!(store.content(id).await, Ok(Content::from(body(1, number))));
    }
    store.enqueue(message("example.com", b"hello")).await.expect("it goes on");
    store.close();
}

fn mount(arguments: &[&str], folder: &Path) {
    let status = Command::new("mount").args(arguments).arg(folder).status().expect("mount");
    assert!(status.success(), "{arguments:?}");
}

fn open(path: &Path) -> Result<SqliteStore, QueueError> {
    let mut options = SqliteOptions::default();
    options.large_content = LARGE;
    SqliteStore::open_with(path, options)
}
