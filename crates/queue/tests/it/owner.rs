//! Whose the files are: nobody else reads what waits, and what root makes beside a relay of another user the relay can read.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use postroad_queue::{QueueStore, SqliteOptions, SqliteStore};

use crate::mail::{at, body, message, named};

const LARGE: usize = 20_000;
/// Any other than root's.
const RELAY: (u32, u32) = (65_534, 65_533);

#[tokio::test]
async fn nobody_else_may_read_what_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let modes = || {
        let files = ["queue.db", "queue.db-wal", "queue.db-shm", "queue.db-content", "queue.db-fresh"];
        files.map(|name| mode(&folder.path().join(name)))
    };
    let store = open(&path);
    store.enqueue(message("example.com", &body(1, 100))).await.expect("room");
    assert_eq!(modes(), [0o600, 0o600, 0o600, 0o700, 0o700]);
    // As earlier versions made them.
    for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o644)).expect("ours");
    }
    let second = open(&path);
    assert_eq!(modes(), [0o600, 0o600, 0o600, 0o700, 0o700], "put right");
    second.close();
    store.close();
    // Whoever lets his group read it means it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");
    open(&path).close();
    assert_eq!(mode(&path), 0o640);
}

#[tokio::test]
#[ignore = "needs root; .ci/run runs it"]
async fn what_root_makes_belongs_to_whoever_has_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    open(&path).close();
    give(&path);
    fs::remove_dir(content_folder(&path)).expect("it is empty");
    let log = path.with_file_name("queue.db-fresh");
    fs::remove_dir_all(&log).expect("nothing is there that anybody needs");

    let store = open(&path);
    store.start("Hub01", at(0)).await.expect("it starts");
    store.enqueue(named(2, "example.com", &body(2, 100))).await.expect("room");
    let in_the_log = fs::read_dir(&log).expect("a folder").map(|file| file.expect("an entry").path());
    let owners: Vec<_> = in_the_log.chain([log]).map(|path| owner(&path)).collect();
    assert_eq!(owners, [RELAY; 5], "three locks, a segment and the folder");
    store.enqueue(message("example.com", &body(1, LARGE))).await.expect("room");
    assert_eq!(owner(&content_folder(&path)), RELAY);
    let files = fs::read_dir(content_folder(&path)).expect("a folder");
    let files: Vec<_> = files.map(|file| file.expect("an entry").path()).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(owner(&files[0]), RELAY);
    assert_eq!(mode(&files[0]), 0o600, "and to nobody else");
    store.close();
}

#[tokio::test]
#[ignore = "needs root; .ci/run runs it"]
async fn a_link_that_the_owner_put_into_the_log_is_not_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    open(&path).close();
    give(&path);
    let (lock, root) = (path.with_file_name("queue.db-fresh").join("lock"), folder.path().join("of root"));
    fs::write(&root, "secret").expect("room");
    fs::remove_file(&lock).expect("it is there");
    std::os::unix::fs::symlink(&root, &lock).expect("a link");
    assert!(SqliteStore::open(&path).is_err());
    assert_eq!(owner(&root), (0, 0), "it is given to nobody");
}

#[tokio::test]
#[ignore = "needs root; .ci/run runs it"]
async fn a_store_that_root_makes_belongs_to_whoever_has_its_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    give(folder.path());
    let path = folder.path().join("queue.db");
    let store = open(&path);
    store.enqueue(message("example.com", &body(1, LARGE))).await.expect("room");
    let mut made = 0;
    for file in fs::read_dir(folder.path()).expect("a folder") {
        let file = file.expect("an entry").path();
        assert_eq!(owner(&file), RELAY, "{}", file.display());
        made += 1;
    }
    assert!(made >= 2, "the store and the folder of large contents");
    store.close();
}

fn open(path: &Path) -> SqliteStore {
    let mut options = SqliteOptions::default();
    options.large_content = LARGE;
    SqliteStore::open_with(path, options).expect("the store opens")
}

fn give(path: &Path) {
    chown(path, Some(RELAY.0), Some(RELAY.1)).expect("root may");
}

fn owner(path: &Path) -> (u32, u32) {
    let there = fs::metadata(path).expect("it is there");
    (there.uid(), there.gid())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o777
}

fn content_folder(path: &Path) -> std::path::PathBuf {
    path.with_file_name("queue.db-content")
}
