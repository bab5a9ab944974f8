//! The tables, their version, and how a store of an older version becomes one of this.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::fault::Fault;
use super::fresh;
use super::options::SqliteOptions;
use crate::error::QueueError;

/// `PRAGMA user_version` of a store that this code writes.
pub(super) const VERSION: i32 = 6;
/// `PRAGMA application_id`: "POST".
const APPLICATION: i32 = 0x504f_5354;

/// One step for each version: `STEPS[n]` takes a store from version n to n + 1.
const STEPS: [&str; 6] = [FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH];

/// A message, its content apart (so that listing never touches it), and a delivery for each next hop.
///
/// `delivery.hold`: 0 none, 1 suspended, 2 set aside. `generation` grows with each lending. `received_at` is
/// repeated in `delivery` for the index that finds what has expired or is delayed. `result` outlives its message.
const FIRST: &str = "
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    source TEXT NOT NULL,
    sender TEXT NOT NULL COLLATE NOCASE,
    size INTEGER NOT NULL,
    watched INTEGER NOT NULL DEFAULT 0,
    envelope TEXT NOT NULL,
    set_aside TEXT
);
CREATE TABLE content (
    message INTEGER PRIMARY KEY,
    checksum INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE queue (
    id INTEGER PRIMARY KEY,
    connector TEXT NOT NULL,
    destination TEXT NOT NULL,
    suspended INTEGER NOT NULL DEFAULT 0,
    retry_asked INTEGER NOT NULL DEFAULT 0,
    UNIQUE (connector, destination)
);
CREATE INDEX queue_retry ON queue (id) WHERE retry_asked = 1;
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    delay_notified INTEGER NOT NULL DEFAULT 0,
    hold INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    lease_owner TEXT,
    recipients TEXT NOT NULL
);
CREATE INDEX delivery_message ON delivery (message);
CREATE INDEX delivery_ready ON delivery (queue, due) WHERE lease_until IS NULL AND hold = 0;
CREATE INDEX delivery_queue ON delivery (queue);
CREATE INDEX delivery_age ON delivery (delay_notified, received_at);
CREATE INDEX delivery_leased ON delivery (lease_until) WHERE lease_until IS NOT NULL;
CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX result_message ON result (message);
CREATE TABLE source_key (
    key TEXT PRIMARY KEY,
    messages TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE counter (last INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
";

/// Large content lies in a file, whose name stands in `message.file`; its row in `content` keeps the checksum.
///
/// A message's first delivery bears the message's number from here on, so that only further ones, and those from
/// version 1, need an index to be found by their message. Whatever is neither held nor lent is in `delivery_ready`.
const SECOND: &str = "
ALTER TABLE message ADD COLUMN file TEXT;
DROP INDEX delivery_message;
DROP INDEX delivery_queue;
CREATE INDEX delivery_further ON delivery (message) WHERE id <> message;
CREATE INDEX delivery_held ON delivery (queue, due) WHERE hold <> 0;
CREATE INDEX message_file ON message (file) WHERE file IS NOT NULL;
";

/// `trial`: a suspect is being worked on, and a crash now is evidence.
const THIRD: &str = "
ALTER TABLE delivery ADD COLUMN trial INTEGER NOT NULL DEFAULT 0;
";

/// Which segments of the log of fresh mail are valid, and what moved from them into these tables. `visits` counts who came and
/// wants to see all mail here, `visits_answered` those for whom whoever has the log has moved it.
const FOURTH: &str = "
ALTER TABLE counter ADD COLUMN live_epoch INTEGER NOT NULL DEFAULT 1;
ALTER TABLE counter ADD COLUMN visits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counter ADD COLUMN visits_answered INTEGER NOT NULL DEFAULT 0;
CREATE TABLE moved (message INTEGER PRIMARY KEY, epoch INTEGER NOT NULL);
";

/// The tables are as before. The log's records bear source keys, and say which were forgotten: who knew only version 4 would
/// take such mail twice, and read no further than to the first record of the new kind.
const FIFTH: &str = "";

/// `seen`: the first start that found a key, since its source came with it last.
const SIXTH: &str = "
ALTER TABLE source_key ADD COLUMN seen INTEGER;
";

/// Opens the store for writing, making or migrating it where needed.
pub(super) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, Fault> {
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(options.busy_timeout)?;
    settle_plans(&connection)?;
    // Whoever closes it well knows whether the log may be carried over.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // SQLite's own way of carrying the log over would keep a sync that failed to itself.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    let version = known_version(&connection)?;
    if version == 0 {
        // Both have to be said before the first table, and cost nothing where there is one.
        connection.execute_batch("PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL;")?;
    }
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(QueueError::Io { code: 0 }.into());
    }
    connection.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864; PRAGMA foreign_keys = OFF;",
    )?;
    if version < VERSION {
        let _without_server = (version > 0).then(|| fresh::without_server(path)).transpose()?;
        migrate(&mut connection)?;
    }
    if let Some(bytes) = options.max_size {
        let page_size: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = (bytes / u64::from(page_size.max(1))).clamp(1, u64::from(u32::MAX - 1));
        // SQLite never goes below the pages that are there already.
        let _: i64 =
            connection
                .pragma_update_and_check(None, "max_page_count", pages.cast_signed(), |row| row.get(0))?;
    }
    Ok(connection)
}

/// Opens the store for reading beside the writer.
pub(super) fn open_reader(path: &Path, busy_timeout: Duration) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(busy_timeout)?;
    settle_plans(&connection)?;
    connection.execute_batch("PRAGMA query_only = ON;")?;
    // Whoever writes knows whether the log may be carried over, and whether that came about.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // The first look opens the log as well: later there may be no descriptor left for it.
    let _: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(connection)
}

/// A statement is compiled once: without this SQLite does it again for each new value of a `LIMIT`.
fn settle_plans(connection: &Connection) -> Result<(), Fault> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// The version of the store, 0 for an empty file; refuses what is newer, and what is not ours.
fn known_version(connection: &Connection) -> Result<i32, Fault> {
    let found: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && tables > 0 {
        return Err(QueueError::NotAQueue.into());
    }
    if found > VERSION {
        return Err(QueueError::NewerSchema { found, known: VERSION }.into());
    }
    Ok(found)
}

/// Whether the store is of the version that this program writes.
pub(super) fn is_still_ours(connection: &Connection) -> Result<(), Fault> {
    match known_version(connection)? {
        VERSION => Ok(()),
        // Another program's tables lie under its name now.
        _ => Err(QueueError::NotAQueue.into()),
    }
}

/// Takes all missing steps in one transaction. Another process may have done so meanwhile.
fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = usize::try_from(known_version(&transaction)?).unwrap_or(0);
    for step in STEPS.iter().skip(from) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}
