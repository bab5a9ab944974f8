//! A [`Filter`] as the conditions of a query.

use postroad_message::Timestamp;
use rusqlite::types::Value;

use crate::listing::{Filter, StateKind};

/// The tables that [`Conditions::sql`] speaks of.
pub(super) const TABLES: &str =
    "delivery AS d JOIN queue AS q ON q.id = d.queue LEFT JOIN message AS m ON m.id = d.message";

/// Nobody works on it: no lease, or one that ran out. `?1` is the present.
pub(super) const FREE: &str = "(d.lease_until IS NULL OR d.lease_until <= ?1)";

/// What follows `WHERE`, and the values for its question marks; `?1` is always the present.
pub(super) struct Conditions {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    pub(super) fn new(filter: &Filter, now: Timestamp) -> Self {
        // `?1 IS NOT NULL` uses the present in every query, so that the number of values always fits.
        let mut all =
            Self { sql: "?1 IS NOT NULL".to_owned(), values: vec![Value::Integer(now.as_unix_millis())] };
        if let Some(message) = filter.message {
            all.and(
                "(d.id = ? AND d.message = ? OR d.message = ? AND d.id <> d.message)",
                Value::Integer(message.as_u64().cast_signed()),
            );
        }
        if let Some(delivery) = filter.delivery {
            all.and("d.id = ?", Value::Integer(delivery.as_u64().cast_signed()));
        }
        if let Some(next_hop) = &filter.next_hop {
            // Three kinds of deliveries make up a queue, and each has its index.
            all.values.push(Value::Text(next_hop.connector.to_string()));
            let queue = format!(
                "d.queue = (SELECT id FROM queue WHERE connector = ?{} AND destination = ?)",
                all.values.len()
            );
            all.and(
                &format!(
                    "({queue} AND d.lease_until IS NULL AND d.hold = 0 OR {queue} AND d.hold <> 0 OR {queue} AND d.lease_until IS NOT NULL)"
                ),
                Value::Text(next_hop.destination.to_string()),
            );
        }
        if let Some(connector) = &filter.connector {
            all.and("q.connector = ?", Value::Text(connector.clone()));
        }
        if let Some(sender) = &filter.sender {
            let bare = sender.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(sender);
            all.and("m.sender = ?", Value::Text(format!("<{bare}>")));
        }
        if let Some(recipient) = &filter.recipient {
            all.and(
                "EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(d.recipients) THEN d.recipients ELSE '[]' END) AS r
                 WHERE lower(json_extract(r.value, '$.recipient.address')) = lower(?))",
                Value::Text(recipient.clone()),
            );
        }
        if let Some(before) = filter.received_before {
            all.and("d.received_at <= ?", Value::Integer(before.as_unix_millis()));
        }
        if let Some(after) = filter.after {
            all.and("d.id > ?", Value::Integer(after.as_u64().cast_signed()));
        }
        if let Some(state) = filter.state {
            all.sql.push_str(&format!(" AND {}", of_state(state)));
        }
        all
    }

    /// Adds one condition with one value, which stands for each `?` without a number.
    fn and(&mut self, condition: &str, value: Value) {
        self.values.push(value);
        // A number that is there already stands for a value from before.
        let mut numbered = String::with_capacity(condition.len() + 8);
        let mut rest = condition.chars().peekable();
        while let Some(character) = rest.next() {
            numbered.push(character);
            if character == '?' && !rest.peek().is_some_and(char::is_ascii_digit) {
                numbered.push_str(&self.values.len().to_string());
            }
        }
        self.sql.push_str(&format!(" AND {numbered}"));
    }
}

fn of_state(state: StateKind) -> String {
    match state {
        StateKind::Waiting => format!("{FREE} AND d.hold = 0 AND NOT q.suspended"),
        StateKind::Active => format!("NOT {FREE} AND d.hold <> 2"),
        StateKind::Suspended => format!("{FREE} AND d.hold <> 2 AND (d.hold = 1 OR q.suspended)"),
        StateKind::SetAside => "d.hold = 2".to_owned(),
    }
}
