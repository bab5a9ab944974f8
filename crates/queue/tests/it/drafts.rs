//! Contents that come in pieces: in a file from the first piece on, and in none once nobody wants them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use postroad_message::Content;
use postroad_queue::{
    ContentDraft, Filter, MessageId, NewMessage, QueueError, QueueStore, Settlement, SqliteStore,
};

use crate::mail::{at, body, claim, list, message, open};

const HEAD: &[u8] = b"Subject: drafted\r\n\r\n";
const PIECE: usize = 100_000;

#[tokio::test]
async fn a_content_in_pieces_lies_in_one_file_from_the_first_on_until_its_message_has_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    store.start("Hub01", at(0)).await.expect("it starts");
    let mut draft = store.draft(HEAD.to_vec()).expect("in pieces");
    assert!(files(&path).is_empty());
    for piece in 0..30 {
        draft.write(body(piece, PIECE)).await.expect("room");
        assert_eq!(files(&path).len(), 1);
    }
    let content = draft.finish(body(30, 7)).await.expect("room");
    let id = store.enqueue(with(&content)).await.expect("room");
    assert_eq!(files(&path).len(), 1, "it was not copied");
    drop(content);
    assert!(store.content(id).await.expect("there") == whole(31));
    store.close();
    let store = open(&path);
    store.start("Hub01", at(0)).await.expect("it starts");
    assert!(store.content(id).await.expect("a start sweeps nothing away that is needed") == whole(31));
    let lease = claim(&store, "example.com").await.pop().expect("due");
    assert_eq!(lease.size, whole(31).len() as u64);
    store.settle(lease, Settlement::all_leave()).await.expect("settled");
    store.close();
    assert_eq!(files(&path), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_is_given_up_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let mut known = message("example.com", b"hello");
    known.source_key = Some("Pickup/letter.eml".to_owned());
    store.enqueue(known.clone()).await.expect("room");
    // In the middle, in a call, finished, refused, and known before.
    drop(begun(&store).await);
    let mut waiting = begun(&store).await;
    drop(waiting.write(body(1, PIECE)));
    let error = waiting.write(body(2, PIECE)).await.expect_err("who broke off does not go on");
    assert!(error.is_transient(), "{error:?}");
    drop(waiting);
    drop(begun(&store).await.finish(body(1, 7)).await.expect("room"));
    let content = begun(&store).await.finish(body(1, 7)).await.expect("room");
    let mut refused = with(&content);
    refused.deliveries.clear();
    assert_eq!(store.enqueue(refused).await, Err(QueueError::NothingToDeliver));
    // Another thread puts the others away.
    until_left(&path, 1).await;
    assert_eq!(files(&path).len(), 1, "it may be queued still");
    known.content = content;
    store.enqueue(known).await.expect("known before");
    store.close();
    assert_eq!(files(&path), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn each_message_of_one_content_has_a_file_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let content = begun(&store).await.finish(body(1, 7)).await.expect("room");
    let changed = content.clone().after(b"Received: here\r\n".to_vec());
    let first = store.enqueue(with(&changed)).await.expect("room");
    assert_eq!(files(&path).len(), 2, "what was changed is copied");
    let both = store.enqueue_all(vec![with(&content), with(&content)]).await.expect("room");
    assert_eq!(files(&path).len(), 3);
    store.remove(Filter::message(both[0]), at(0)).await.expect("removed");
    assert_eq!(store.content(both[1]).await, Ok(whole(2)));
    assert_eq!(store.content(first).await, Ok(changed));
    store.close();
    assert_eq!(files(&path).len(), 2);
}

/// Its handle keeps the store open: what waits for a slow client would otherwise be lost when the store is closed.
#[tokio::test]
async fn a_store_is_not_closed_under_a_content_that_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    let mut draft = begun(&store).await;
    store.close();
    draft.write(body(1, 7)).await.expect("room");
    assert_eq!(files(&path).len(), 1);
    assert_eq!(draft.finish(Vec::new()).await, Ok(whole(2)));
}

/// The child begins one, and finishes another, tells of it and is killed.
#[tokio::test]
async fn kill_9_in_the_middle_leaves_what_the_next_start_sweeps_away() {
    if let Ok(path) = std::env::var("POSTROAD_DRAFT_CHILD") {
        let store = open(Path::new(&path));
        store.start("Hub01", at(0)).await.expect("it starts");
        let _begun = begun(&store).await;
        let _finished = begun(&store).await.finish(body(1, 7)).await.expect("room");
        let content = begun(&store).await.finish(body(1, 7)).await.expect("room");
        println!("queued {}", store.enqueue(with(&content)).await.expect("room"));
        loop {
            std::thread::park();
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            "drafts::kill_9_in_the_middle_leaves_what_the_next_start_sweeps_away",
            "--nocapture",
        ])
        .env("POSTROAD_DRAFT_CHILD", &path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let told = lines
        .map(|line| line.expect("a line"))
        .find_map(|line| line.split_once("queued ").map(|(_, id)| id.parse()));
    let id: MessageId = told.expect("it was queued").expect("an id");
    assert_eq!(files(&path).len(), 3);
    let company = open(&path);
    company.start("Hub02", at(0)).await.expect("it starts");
    company.close();
    assert_eq!(files(&path).len(), 3, "nobody sweeps away what another writes");
    child.kill().expect("killed");
    child.wait().expect("gone");
    let store = open(&path);
    store.start("Hub01", at(0)).await.expect("it starts");
    assert_eq!(store.content(id).await, Ok(whole(2)));
    assert_eq!(list(&store).await.len(), 1);
    store.close();
    assert_eq!(files(&path).len(), 1);
}

#[test]
#[ignore = "needs strace; .ci/run runs it"]
fn a_disk_that_is_full_in_the_middle_refuses_for_now_and_keeps_nothing() {
    if let Ok(path) = std::env::var("POSTROAD_DRAFT_WITHOUT_ROOM") {
        let refused = runtime().block_on(finds_no_room(Path::new(&path)));
        // Nothing can be said any more.
        std::process::exit(if refused { 0 } else { 1 });
    }
    for (call, expected) in [("write:error=ENOSPC:when=4+", 0), ("write:error=ENOSPC:when=1000+", 1)] {
        let folder = tempfile::tempdir().expect("a folder");
        let ended = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={call}")])
            .arg(std::env::current_exe().expect("this test"))
            .args(["--exact", "drafts::a_disk_that_is_full_in_the_middle_refuses_for_now_and_keeps_nothing"])
            .args(["--nocapture", "--ignored"])
            .env("POSTROAD_DRAFT_WITHOUT_ROOM", folder.path().join("queue.db"))
            .stdout(Stdio::null())
            .status()
            .expect("strace");
        assert_eq!(ended.code(), Some(expected), "{call}");
    }
}

async fn finds_no_room(path: &Path) -> bool {
    let store = open(path);
    let mut draft = store.draft(HEAD.to_vec()).expect("in pieces");
    let mut refused = None;
    for piece in 0..20 {
        if let Err(error) = draft.write(body(piece, 1000)).await {
            refused.get_or_insert(error);
        }
    }
    let finished = draft.finish(Vec::new()).await;
    store.close();
    matches!(refused, Some(QueueError::DiskFull { .. })) && finished.is_err() && files(path).is_empty()
}

/// What the disk gives back is what is sent later, and its checksum is not to say that it came like this.
#[tokio::test]
async fn a_piece_that_is_not_found_as_it_came_is_refused_for_now() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let store = open(&path);
    for at in [3, HEAD.len() + 5, HEAD.len() + PIECE - 1] {
        let mut draft = begun(&store).await;
        draft.write(body(1, PIECE)).await.expect("room");
        let file = File::options().write(true).open(&files(&path)[0]).expect("it opens");
        file.write_all_at(b"?", at as u64).expect("written");
        let error = draft.finish(Vec::new()).await.expect_err("it was changed");
        assert!(matches!(error, QueueError::Io { .. }) && error.is_transient(), "{error}");
        until_left(&path, 0).await;
    }
}

/// So that the sync at the end, for which the client waits, has little left to do.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs strace; .ci/run runs it"]
fn the_system_begins_to_write_while_a_long_content_comes() {
    const CHILD: &str = "POSTROAD_DRAFT_LONG";
    if let Ok(path) = std::env::var(CHILD) {
        return runtime().block_on(async {
            let mut draft = open(Path::new(&path)).draft(HEAD.to_vec()).expect("in pieces");
            for piece in 0..210 {
                draft.write(body(piece, PIECE)).await.expect("room");
            }
            draft.finish(Vec::new()).await.expect("room");
        });
    }
    let name = "the_system_begins_to_write_while_a_long_content_comes";
    let calls = traced(name, CHILD, "trace=fadvise64,fdatasync");
    let of_content: Vec<&str> = calls.lines().filter(|call| call.contains("-content/")).collect();
    let (synced, begun) = of_content.split_last().expect("calls");
    assert!(synced.contains("fdatasync("), "{synced}");
    assert!(begun.len() == 5 && begun.iter().all(|call| call.contains("fadvise64(")), "{calls}");
}

/// To free the blocks of a long file takes its time, and it is whoever closes it last that waits.
#[test]
#[ignore = "needs strace; .ci/run runs it"]
fn long_files_are_closed_and_removed_by_the_store_s_own_threads() {
    const CHILD: &str = "POSTROAD_DRAFT_CLOSED";
    if let Ok(path) = std::env::var(CHILD) {
        return runtime().block_on(async {
            let store = open(Path::new(&path));
            // Given up when it is whole, when it is begun, and one that is delivered while somebody has it.
            drop(begun(&store).await.finish(body(1, 7)).await.expect("room"));
            drop(begun(&store).await);
            let content = begun(&store).await.finish(body(1, 7)).await.expect("room");
            let id = store.enqueue(with(&content)).await.expect("room");
            let read = store.content(id).await.expect("there");
            let lease = claim(&store, "example.com").await.pop().expect("due");
            store.settle(lease, Settlement::all_leave()).await.expect("settled");
            drop((content, read));
            store.close();
            assert_eq!(files(Path::new(&path)), Vec::<PathBuf>::new());
        });
    }
    let name = "long_files_are_closed_and_removed_by_the_store_s_own_threads";
    let calls = traced(name, CHILD, "trace=close,unlink");
    let of_content = |call: &str| {
        let of_content = |line: &&str| line.contains(call) && line.contains("-content/");
        calls.lines().filter(of_content).map(str::to_owned).collect::<Vec<_>>()
    };
    let (closed, removed) = (of_content(" close("), of_content(" unlink("));
    assert_eq!((closed.len(), removed.len()), (4, 3), "{calls}");
    for call in closed.iter().chain(&removed) {
        assert!(call.contains("<postroad-queue-> "), "{call}");
    }
}

/// These calls of a child that runs the test of this name, each with its thread's name.
fn traced(name: &str, child: &str, calls: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let ended = Command::new("strace")
        .args(["-f", "-qq", "-y", "--decode-pids=comm", "-e", calls, "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", &format!("drafts::{name}"), "--nocapture", "--ignored"])
        .env(child, folder.path().join("queue.db"))
        .stdout(Stdio::null())
        .status()
        .expect("strace");
    assert!(ended.success());
    fs::read_to_string(trace).expect("a trace")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

async fn begun(store: &SqliteStore) -> Box<dyn ContentDraft> {
    let mut draft = store.draft(HEAD.to_vec()).expect("in pieces");
    draft.write(body(0, PIECE)).await.expect("room");
    draft
}

fn with(content: &Content) -> NewMessage {
    let mut message = message("example.com", b"");
    message.content = content.clone();
    message
}

/// As many pieces, the last of them short.
fn whole(pieces: usize) -> Content {
    let length = |piece| if piece + 1 == pieces { 7 } else { PIECE };
    let pieces: Vec<Vec<u8>> = (0..pieces).map(|piece| body(piece, length(piece))).collect();
    Content::from([HEAD, &pieces.concat()].concat())
}

/// Until no more of them are there: another thread removes them.
async fn until_left(path: &Path, left: usize) {
    let going = async {
        while files(path).len() > left {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), going).await.expect("they never go");
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.with_file_name("queue.db-content")).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}
