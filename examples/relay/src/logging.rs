//! Where log lines go: standard error, as text for a person and JSON for a program.

use std::io::IsTerminal;

use postroad_log_line::{JsonLine, JsonPairs};
use tracing_subscriber::EnvFilter;

use crate::arguments::LogFormat;

/// Sends every event to standard error; `RELAY_LOG` chooses the level, else `level` does.
pub(crate) fn start(format: Option<LogFormat>, level: &str) {
    let filter = EnvFilter::try_from_env("RELAY_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    match format {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.fmt_fields(JsonPairs).event_format(JsonLine).init(),
    }
}
