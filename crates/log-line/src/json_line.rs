//! The two formatters: of a whole event, and of the fields of a span.

use std::fmt::{self, Debug, Write};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// To the microsecond, in UTC.
const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
/// Room for an ordinary line.
const LINE: usize = 512;

/// Formats an event as `{"timestamp":...,"level":...,"message":...,FIELDS,"target":...,"spans":[{FIELDS,"name":...},...]}`, the outermost
/// span first. Goes with [`JsonPairs`].
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(LINE);
        line.push_str("{\"timestamp\":\"");
        TIME.print_timestamp(&Timestamp::now(), &mut line).map_err(|_| fmt::Error)?;
        line.push_str("\",\"level\":\"");
        line.push_str(event.metadata().level().as_str());
        line.push('"');
        let mut pairs = Pairs { out: &mut line, begun: true, result: Ok(()) };
        event.record(&mut pairs);
        pairs.result?;
        line.push_str(",\"target\":\"");
        line.push_str(event.metadata().target());
        line.push('"');
        if let Some(scope) = context.event_scope() {
            line.push_str(",\"spans\":[");
            for (index, span) in scope.from_root().enumerate() {
                line.push_str(if index == 0 { "{" } else { ",{" });
                if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                    && !fields.is_empty()
                {
                    line.push_str(fields);
                    line.push(',');
                }
                line.push_str("\"name\":\"");
                line.push_str(span.name());
                line.push_str("\"}");
            }
            line.push(']');
        }
        line.push_str("}\n");
        writer.write_str(&line)
    }
}

/// Formats a span's fields as `"name":value,"name":value`.
///
/// [`JsonLine`] puts them into its line as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonPairs;

impl<'a> FormatFields<'a> for JsonPairs {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'a>, fields: R) -> fmt::Result {
        writer.write_str(&pairs_of(fields)?)
    }

    fn add_fields(&self, current: &'a mut FormattedFields<Self>, fields: &span::Record<'_>) -> fmt::Result {
        let added = pairs_of(fields)?;
        // A field that is said again (the next host of an attempt) replaces what it said before.
        let name = added.split(':').next().unwrap_or_default();
        if current.contains(name) {
            return replace(&mut current.fields, &added);
        }
        if !current.is_empty() {
            current.fields.push(',');
        }
        current.fields.push_str(&added);
        Ok(())
    }
}

fn pairs_of(fields: impl RecordFields) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(LINE / 4);
    let mut pairs = Pairs { out: &mut text, begun: false, result: Ok(()) };
    fields.record(&mut pairs);
    pairs.result.map(|()| text)
}

/// Puts the pairs together anew, the added ones instead of those of the same name.
fn replace(fields: &mut String, added: &str) -> fmt::Result {
    let read = |text: &str| {
        serde_json::from_str::<serde_json::Map<_, _>>(&format!("{{{text}}}")).map_err(|_| fmt::Error)
    };
    let mut all = read(fields)?;
    all.extend(read(added)?);
    let text = serde_json::to_string(&all).map_err(|_| fmt::Error)?;
    fields.clear();
    fields.push_str(text.trim_start_matches('{').trim_end_matches('}'));
    Ok(())
}

/// Writes each field as it comes.
struct Pairs<'a> {
    out: &'a mut String,
    /// Whether something stands before the next.
    begun: bool,
    result: fmt::Result,
}

impl Pairs<'_> {
    fn pair(&mut self, field: &Field, value: impl FnOnce(&mut String) -> fmt::Result) {
        if self.result.is_err() {
            return;
        }
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(',');
        }
        let name = field.name();
        self.out.push('"');
        self.out.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.out.push_str("\":");
        self.result = value(self.out);
    }

    fn quoted(&mut self, field: &Field, text: impl FnOnce(&mut Escaping<'_>) -> fmt::Result) {
        self.pair(field, |out| {
            out.push('"');
            text(&mut Escaping(out))?;
            out.push('"');
            Ok(())
        });
    }
}

impl Visit for Pairs<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.pair(field, |out| write!(out, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.pair(field, |out| write!(out, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.pair(field, |out| write!(out, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.quoted(field, |inside| inside.write_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.quoted(field, |inside| write!(inside, "{value:?}"));
    }
}

/// Writes text as the inside of a JSON string (RFC 8259 section 7).
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        // What is escaped is ASCII: no byte of another character looks like it.
        while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..b' ')) {
            let (plain, after) = rest.split_at(at);
            self.0.push_str(plain);
            let mut after = after.chars();
            match after.next() {
                Some('"') => self.0.push_str("\\\""),
                Some('\\') => self.0.push_str("\\\\"),
                Some(control) => write!(self.0, "\\u{:04x}", u32::from(control))?,
                None => {}
            }
            rest = after.as_str();
        }
        self.0.push_str(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_with_its_fields_and_all_of_its_spans() {
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt()
            .fmt_fields(JsonPairs)
            .event_format(JsonLine)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(lines, || {
            let outer = tracing::info_span!("connection", client = %"[::1]:25");
            let inner = tracing::info_span!(parent: &outer, "attempt", id = 7, host = tracing::field::Empty, late = true);
            inner.record("host", "first \"host\"");
            inner.record("host", "second: \\ host");
            let text = "line\r\nbreak, \u{1b}[31m, ü";
            inner.in_scope(|| tracing::info!(count = -3i64, quoted = ?text, %text, "said"));
            tracing::warn!("alone");
        });
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
        assert_eq!(lines.len(), 2, "{log}");
        let text = "line\r\nbreak, \u{1b}[31m, ü";
        for (key, value) in [
            ("level", json!("INFO")),
            ("message", json!("said")),
            ("count", json!(-3)),
            ("text", json!(text)),
            ("quoted", json!(format!("{text:?}"))),
            (
                "spans",
                json!([
                    {"name": "connection", "client": "[::1]:25"},
                    {"name": "attempt", "id": 7, "host": "second: \\ host", "late": true},
                ]),
            ),
        ] {
            assert_eq!(lines[0][key], value, "{key}");
        }
        assert_eq!((&lines[1]["message"], &lines[1]["level"]), (&json!("alone"), &json!("WARN")));
        assert!(lines[1].get("spans").is_none_or(|spans| spans == &json!([])));
    }
}
