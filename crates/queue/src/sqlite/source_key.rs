//! What sources know messages by, in the tables: a source that comes again with one of these has come before.

use postroad_message::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::fault::Fault;
use super::writer::{Damaged, Work};
use crate::message_id::MessageId;
use crate::store::SOURCE_KEYS_KEPT;

/// The messages that were queued under a key; its source still comes with it.
pub(super) fn earlier(work: &Work<'_>, key: &str) -> Result<Option<Vec<MessageId>>, Fault> {
    let known: Option<(String, bool)> = work
        .connection
        .prepare_cached("SELECT messages, seen IS NOT NULL FROM source_key WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((_, true)) = known {
        came(work, key)?;
    }
    Ok(known.map(|(ids, _)| ids.split(' ').filter_map(|id| id.parse().ok()).collect()))
}

/// Those of these keys that are known, and whether a start has found each since its source came with it.
pub(super) fn known(connection: &Connection, keys: Vec<String>) -> Result<Vec<(String, bool)>, Fault> {
    let mut known = connection.prepare_cached("SELECT seen IS NOT NULL FROM source_key WHERE key = ?1")?;
    let seen = keys.into_iter().map(|key| {
        let seen = known.query_row([&key], |row| row.get(0)).optional()?;
        Ok(seen.map(|seen| (key, seen)))
    });
    seen.filter_map(Result::transpose).collect()
}

/// Its source still comes with it: it is found anew by the next start.
pub(super) fn came(work: &Work<'_>, key: &str) -> Result<(), Fault> {
    work.connection.prepare_cached("UPDATE source_key SET seen = NULL WHERE key = ?1")?.execute([key])?;
    Ok(())
}

/// Writes down what a source knows messages by, where that is new.
pub(super) fn remember(work: &Work<'_>, key: &str, ids: &[MessageId]) -> Result<(), Fault> {
    let ids: Vec<String> = ids.iter().map(MessageId::to_string).collect();
    work.connection
        .prepare_cached("INSERT OR IGNORE INTO source_key (key, messages) VALUES (?1, ?2)")?
        .execute((key, ids.join(" ")))?;
    Ok(())
}

pub(super) fn forget(work: &Work<'_>, key: &str) -> Result<(), Fault> {
    work.connection.prepare_cached("DELETE FROM source_key WHERE key = ?1")?.execute([key])?;
    Ok(())
}

/// Forgets at a start what an earlier one found so long ago. What is new, or was found by one of a clock that was ahead, is found now.
pub(super) fn forget_old(work: &mut Work<'_>, now: Timestamp) -> Result<(), Fault> {
    let kept = i64::try_from(SOURCE_KEYS_KEPT.as_millis()).unwrap_or(i64::MAX);
    let now = now.as_unix_millis();
    work.beside_damage(Damaged::SourceKey, |connection| {
        connection.execute("DELETE FROM source_key WHERE seen < ?1", [now.saturating_sub(kept)])?;
        connection.execute("UPDATE source_key SET seen = ?1 WHERE seen IS NULL OR seen > ?1", [now])
    })?;
    Ok(())
}
