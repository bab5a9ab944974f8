//! Listings for a person: tables of plain text, nothing in them that could steer a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use postroad_message::Timestamp;

use crate::rows::{MessageRow, QueueRow, Status};

/// A table of queues; one line where there are none.
pub fn queues(rows: &[QueueRow], now: Timestamp) -> String {
    if rows.is_empty() {
        return "no mail waits\n".to_owned();
    }
    let widest = rows.iter().map(|row| shown(&row.queue).chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "{:widest$}  {:9}  {:>7}  {:>6}  {:>9}  {:>9}  {:>8}  {:>6}\n",
        "QUEUE", "STATUS", "WAITING", "ACTIVE", "SUSPENDED", "SET ASIDE", "NEXT TRY", "OLDEST"
    );
    for row in rows {
        let next = row.next_try.map_or("-".to_owned(), |at| until(at, now));
        let oldest = row.oldest.map_or("-".to_owned(), |at| span(now.since(at)));
        line(
            &mut text,
            format_args!(
                "{:widest$}  {:9}  {:>7}  {:>6}  {:>9}  {:>9}  {next:>8}  {oldest:>6}",
                shown(&row.queue),
                row.status.word(),
                row.waiting,
                row.active,
                row.suspended,
                row.set_aside,
            ),
        );
        if let Some(error) = &row.last_error {
            line(&mut text, format_args!("    {}", shown(error)));
        }
    }
    text
}

/// The columns of [`messages`].
pub fn messages_heading() -> String {
    format!(
        "{:16}  {:9}  {:>5}  {:>7}  {:>5}  {:>8}  SENDER -> RECIPIENTS\n",
        "ID", "STATUS", "TRIES", "SIZE", "AGE", "NEXT TRY"
    )
}

/// Lines of a table of messages: one each, and one below it for the queue and what went wrong.
pub fn messages(rows: &[MessageRow], now: Timestamp) -> String {
    let mut text = String::new();
    for row in rows {
        let waits = matches!(row.status, Status::Ready | Status::Retry);
        let next = if waits { until(row.next_try, now) } else { "-".to_owned() };
        let sender = row.sender.as_deref().unwrap_or("(cannot be read)");
        let first = row.recipients.first().map_or("(cannot be read)", |first| first.address.as_str());
        let more = match row.recipients.len() {
            0 | 1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        line(
            &mut text,
            format_args!(
                "{:16}  {:9}  {:>5}  {:>7}  {:>5}  {next:>8}  {} -> {}{more}",
                row.id,
                row.status.word(),
                row.attempts,
                size(row.size),
                span(now.since(row.received_at)),
                shown(sender),
                shown(first),
            ),
        );
        let why = row.reason.as_ref().or(row.last_error.as_ref());
        let why = why.map(|why| format!(": {}", shown(why))).unwrap_or_default();
        line(&mut text, format_args!("    {}{why}", shown(&row.queue)));
    }
    text
}

/// Everything about the deliveries of one message.
pub fn message(rows: &[MessageRow], now: Timestamp) -> String {
    let mut text = String::new();
    let Some(first) = rows.first() else { return text };
    line(&mut text, format_args!("message    {}", first.id));
    line(
        &mut text,
        format_args!("from       {}", shown(first.sender.as_deref().unwrap_or("(cannot be read)"))),
    );
    line(&mut text, format_args!("size       {} bytes", first.size));
    let age = span(now.since(first.received_at));
    line(&mut text, format_args!("received   {} by {}, {age} ago", first.received_at, shown(&first.source)));
    for row in rows {
        line(&mut text, format_args!("\nqueue      {}", shown(&row.queue)));
        line(&mut text, format_args!("status     {}, {} tries", row.status.word(), row.attempts));
        if let Some(reason) = &row.reason {
            line(&mut text, format_args!("why        {}", shown(reason)));
        }
        line(&mut text, format_args!("next try   {} ({})", row.next_try, until(row.next_try, now)));
        for recipient in &row.recipients {
            line(&mut text, format_args!("to         {}", shown(&recipient.address)));
            if let Some(error) = &recipient.last_error {
                line(&mut text, format_args!("           {}", shown(error)));
            }
        }
    }
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{words}");
}

/// Addresses, names and replies came from anywhere: no control character reaches the terminal.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn until(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "now".to_owned() } else { span(at.since(now)) }
}

/// The largest unit that says enough: `45s`, `12m`, `4h`, `3d`.
fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..=99 => format!("{seconds}s"),
        seconds @ 100..=5_999 => format!("{}m", seconds / 60),
        seconds @ 6_000..=172_799 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes}"),
        10_000..=10_239_999 => format!("{}KB", bytes / 1_024),
        _ => format!("{}MB", bytes / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_stay_short() {
        for (seconds, text) in
            [(0, "0s"), (99, "99s"), (100, "1m"), (5_999, "99m"), (6_000, "1h"), (172_800, "2d")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        for (bytes, text) in [(0, "0"), (9_999, "9999"), (10_240, "10KB"), (36 << 20, "36MB")] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_reply_cannot_steer_the_terminal() {
        assert_eq!(shown("550 \u{1b}[31mno\r\nready"), "550 ?[31mno??ready");
    }
}
