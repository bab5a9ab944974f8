//! Message tracking and protocol logs as Exchange writes them: CSV or JSON lines, in files by day, size and age.
//!
//! A [`Log`] takes rows and never makes mail wait: one thread writes them, behind a queue with an end.
//!
//! ```
//! use postroad_message::Timestamp;
//! use postroad_tracking::{EventId, Log, LogSettings, Source, TrackingEvent};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let log = Log::new(TrackingEvent::LAYOUT);
//! log.configure(Some(&LogSettings::message_tracking(folder.path())));
//!
//! let at = Timestamp::from_unix_millis(1_711_903_005_042);
//! let mut event = TrackingEvent::new(EventId::Receive, Source::Smtp, "031d7de1a5a00000");
//! event.recipients = vec!["jane@contoso.com".into(), "tim@contoso.com".into()];
//! event.message_subject = "=HYPERLINK(\"http://evil.test\"),\r\nhello".into();
//! log.write(at, || event.values());
//! log.flush();
//!
//! let written = std::fs::read_to_string(folder.path().join("MSGTRK20240331-1.LOG"))?;
//! let row = written.lines().last().unwrap_or_default();
//! assert!(row.starts_with("2024-03-31T16:36:45.042Z,,,,,,,SMTP,RECEIVE,031d7de1a5a00000,,031d7de1a5a00000,jane@contoso.com;tim@contoso.com,"));
//! assert!(row.contains(r#","'=HYPERLINK(""http://evil.test""),\r\nhello","#), "no formula, no line of its own");
//! # Ok(())
//! # }
//! ```
//!
//! # The files
//!
//! `MSGTRKyyyymmdd-n.LOG` (message tracking), `RECVyyyymmdd-n.LOG` and `SENDyyyymmdd-n.LOG` (protocol): the day in UTC, n from 1.
//! Five lines stand on top: `#Software`, `#Version`, `#Log-type`, `#Date`, `#Fields`. With [`Format::Json`] the name ends in
//! `.JSON`, nothing stands on top, each line is an object with the same names, and empty fields are left out.
//!
//! A new file begins with each day and wherever the size would pass [`LogSettings::max_file_size`]. Then the oldest go: those
//! whose day is longer ago than [`LogSettings::max_age`], and as many as [`LogSettings::max_directory_size`] asks for. Files of
//! other names are neither counted nor touched. A process that starts goes on in the last file of the day, and two may write
//! to one directory, a row in one piece each.
//!
//! # What a row can and cannot do
//!
//! * A row is one line, whatever a stranger wrote into a subject or an address: control characters, line separators and
//!   those that turn the direction of writing are shown as `\r`, `\u{202e}`.
//! * A text that a spreadsheet takes for a formula (`=`, `+`, `-`, `@`) has `'` before it in CSV.
//! * Lists are joined by `;`; one that an entry brings is `\u{3b}`. In JSON they are arrays.
//! * Nothing is synced: a power failure can cost the last seconds of a log, and a torn last line is ended at the next start.
//! * A disk that is full or slow costs rows, never mail: that is logged as an error, once a minute while it lasts, and counted
//!   in [`Log::lost`]. Where rows are missing the file says how many: a line `#Lost: 12`, in JSON an object with `lost`.
//! * Of the rows that may wait for the disk, one partner of conversations ([`Log::write_about`]) has no more than he leaves to
//!   the others: who floods a protocol log loses his own rows.
//!
//! # Where the forms come from
//!
//! Microsoft's pages "Message tracking" (names and order of the fields, events, sources, file names) and "Protocol logging" of the
//! Exchange Server documentation, and "Set-TransportService" for the limits. Ours are `#Software: postroad`, the queue's id as
//! internal-message-id, `.JSON`.

mod csv;
mod folder;
mod json;
mod layout;
mod log;
mod message_tracking;
mod protocol;
mod rotation;
mod settings;
mod value;
mod waiting;
mod writer;

pub use layout::Layout;
pub use log::Log;
pub use message_tracking::{EventId, Source, TrackingEvent};
pub use protocol::{ProtocolLine, RECEIVE_PROTOCOL, SEND_PROTOCOL};
pub use settings::{Format, LogSettings, LogsSettings};
pub use value::Value;
