//! Where log lines go: standard error, as text for a person and JSON for a program.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::arguments::LogFormat;
use crate::json_line::{JsonLine, JsonPairs};

/// Sends every event to standard error; `RELAY_LOG` chooses the level, or what `tracing` directives choose, else `level` does.
pub(crate) fn start(format: Option<LogFormat>, level: LevelFilter) {
    let directives = std::env::var("RELAY_LOG").unwrap_or_default();
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(terminal);
    // A level alone is asked once for each place in the code; directives, whenever a span is entered.
    let filter = match directives.parse() {
        Ok(level) => Err(level),
        Err(_) => {
            EnvFilter::builder().parse(&directives).ok().filter(|_| !directives.is_empty()).ok_or(level)
        }
    };
    match (format, filter) {
        (LogFormat::Text, Err(level)) => lines.with_max_level(level).with_target(false).init(),
        (LogFormat::Text, Ok(filter)) => lines.with_env_filter(filter).with_target(false).init(),
        (LogFormat::Json, Err(level)) => {
            lines.with_max_level(level).fmt_fields(JsonPairs).event_format(JsonLine).init();
        }
        (LogFormat::Json, Ok(filter)) => {
            lines.with_env_filter(filter).fmt_fields(JsonPairs).event_format(JsonLine).init();
        }
    }
}
