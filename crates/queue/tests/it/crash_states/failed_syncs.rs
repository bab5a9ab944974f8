//! A sync that fails, of the log or of the database: the kernel forgets the pages, and whatever crash follows loses nothing.

use std::path::Path;

use postroad_queue::{QueueStore, SqliteOptions, SqliteStore};
use rusqlite::config::DbConfig;

use super::disk::{self, Disk};
use super::life::Mail;
use super::promises::Promises;
use super::record::{self, record};
use super::states::{Tried, try_all};
use super::trace::Step;

const TEST: &str = "crash_states::failed_syncs::after_a_sync_that_failed_no_crash_loses_what_was_promised";
const MESSAGES: usize = 60;
/// Of each run.
const STATES: usize = 60;

#[test]
#[ignore = "needs strace; .ci/run runs it"]
fn after_a_sync_that_failed_no_crash_loses_what_was_promised() {
    if let Some((path, _)) = record::child() {
        return record::runtime().block_on(run(&path));
    }
    let (mut forgotten, mut tried) = (0, Tried::default());
    // Each thread counts its own; the first ten are those of opening.
    for which in 11..29 {
        let folder = tempfile::tempdir_in(disk::memory()).expect("a folder");
        let inject = format!("inject=fdatasync:error=EIO:when={which}");
        let steps = record(folder.path(), TEST, which, &["-e", &inject]);
        let failed = steps.iter().position(|step| matches!(step, Step::SyncFailed { .. }));
        let Some(first) = failed else { continue };
        tried += try_all(Disk::default(), &Promises::default(), (&steps, first), STATES, which);
        let forgets = |step: &Step| matches!(step, Step::SyncFailed { path } if path.ends_with("queue.db"));
        if let Some(index) = steps.iter().position(forgets) {
            let queued = |step: &Step| matches!(step, Step::Said(line) if line.starts_with("queued"));
            // One may be on its way to its caller.
            let more = steps[index..].iter().filter(|step| queued(step)).count();
            assert!(more <= 1, "sync {which} failed, and the store goes on");
            forgotten += 1;
        }
    }
    assert!(forgotten >= 3, "only {forgotten} syncs of the database failed");
    println!("{forgotten} syncs of the database failed: {tried}, lost 0, corrupt 0");
}

/// Queues, with somebody who reads for a while now and then, so that the log is carried over in part.
async fn run(path: &Path) {
    let mut options = SqliteOptions::default();
    options.log_size = 64 << 10;
    options.fresh_log = 0;
    let store = SqliteStore::open_with(path, options).expect("the store opens");
    let reader = rusqlite::Connection::open(path).expect("it opens");
    for number in 0..MESSAGES {
        match number % 10 {
            3 => {
                reader.execute_batch("BEGIN").expect("begun");
                let count = reader.query_row("SELECT count(*) FROM message", [], |row| row.get::<_, i64>(0));
                count.expect("read");
            }
            8 => reader.execute_batch("ROLLBACK").expect("ended"),
            _ => {}
        }
        match store.enqueue(Mail::of(number).plain()).await {
            Ok(id) => println!("!queued {id} {number}"),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    reader.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
    drop(reader);
    store.close();
}
