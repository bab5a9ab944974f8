//! What became of the recipients of watched messages: written with the settlement, read and forgotten later.

use postroad_message::{Outcome, Recipient};
use rusqlite::Connection;

use super::fault::Fault;
use super::record;
use super::writer::Work;
use crate::error::QueueError;
use crate::message_id::MessageId;

/// Writes them down if the message is watched: its record says so, not the lease, which may be older.
pub(super) fn write(
    work: &Work<'_>,
    message: MessageId,
    results: &[(Recipient, Outcome)],
) -> Result<(), Fault> {
    for result in results {
        let (recipient, outcome) = record::result_texts(result);
        work.connection
            .prepare_cached(
                "INSERT INTO result (message, recipient, outcome)
                 SELECT id, ?2, ?3 FROM message WHERE id = ?1 AND watched = 1",
            )?
            .execute((number(message), recipient, outcome))?;
    }
    Ok(())
}

pub(super) fn read(connection: &Connection, message: MessageId) -> Result<Vec<(Recipient, Outcome)>, Fault> {
    let corrupt = || Fault(QueueError::Corrupt { message: Some(message) });
    let mut statement =
        connection.prepare_cached("SELECT recipient, outcome FROM result WHERE message = ?1 ORDER BY id")?;
    let texts = statement.query_map([number(message)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    texts
        .map(|texts| {
            let (recipient, outcome): (String, String) = texts.map_err(|error| match error.into() {
                Fault(QueueError::Corrupt { .. }) => corrupt(),
                fault => fault,
            })?;
            record::read_result(&recipient, &outcome).ok_or_else(corrupt)
        })
        .collect()
}

/// Forgets them, and ends the watching.
pub(super) fn forget(work: &Work<'_>, message: MessageId) -> Result<(), Fault> {
    work.connection.prepare_cached("DELETE FROM result WHERE message = ?1")?.execute([number(message)])?;
    work.connection
        .prepare_cached("UPDATE message SET watched = 0 WHERE id = ?1 AND watched = 1")?
        .execute([number(message)])?;
    Ok(())
}

/// Forgets those of messages of which nothing waits any more.
pub(super) fn forget_gone(work: &Work<'_>) -> Result<(), Fault> {
    work.connection.execute(
        "DELETE FROM result WHERE NOT EXISTS (SELECT 1 FROM message WHERE id = result.message)",
        [],
    )?;
    Ok(())
}

fn number(message: MessageId) -> i64 {
    message.as_u64().cast_signed()
}
