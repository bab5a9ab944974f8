//! An event of `tracing` as one line of JSON, the fields of its spans written once.
//!
//! The lines are those of `tracing-subscriber` with `flatten_event`. That reads each span's fields back from JSON for
//! every event, which took a quarter of a relay's processor time; here they are copied.
//!
//! ```
//! use postroad_log_line::{JsonLine, JsonPairs};
//!
//! let lines = tracing_subscriber::fmt().fmt_fields(JsonPairs).event_format(JsonLine).finish();
//! tracing::subscriber::with_default(lines, || {
//!     let attempt = tracing::info_span!("attempt", id = "031d7de1a5a00000");
//!     attempt.in_scope(|| tracing::info!(host = "mx.example.com", "delivered"));
//! });
//! ```
//!
//! ```json
//! {"timestamp":"2026-11-28T07:54:54.262249Z","level":"INFO","message":"delivered","host":"mx.example.com",
//!  "target":"relay","spans":[{"id":"031d7de1a5a00000","name":"attempt"}]}
//! ```
//!
//! Numbers and truth values stay what they are, everything else is text. Control characters are escaped, so that a line
//! is always one line.

mod json_line;

pub use json_line::{JsonLine, JsonPairs};
