//! Where logs are written, and how much of them is kept: Exchange's parameters and defaults.

use std::path::PathBuf;
use std::time::Duration;

const MEGABYTE: u64 = 1024 * 1024;

/// One log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSettings {
    /// Made where it is missing.
    pub directory: PathBuf,
    /// When a new file begins; `None` for no limit. 10 MB.
    pub max_file_size: Option<u64>,
    /// What all files of this log may take; at least `max_file_size`. `None` for no limit. 250 MB.
    pub max_directory_size: Option<u64>,
    /// How long a day's files are kept; zero for ever. 30 days.
    pub max_age: Duration,
    /// CSV, as Exchange.
    pub format: Format,
}

impl LogSettings {
    /// Exchange's defaults for a protocol log.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            max_file_size: Some(10 * MEGABYTE),
            max_directory_size: Some(250 * MEGABYTE),
            max_age: Duration::from_secs(30 * 24 * 60 * 60),
            format: Format::Csv,
        }
    }

    /// Exchange's defaults for message tracking, where the directory may take 1000 MB.
    pub fn message_tracking(directory: impl Into<PathBuf>) -> Self {
        Self { max_directory_size: Some(1000 * MEGABYTE), ..Self::new(directory) }
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// As Exchange writes it.
    #[default]
    Csv,
    /// JSON lines; our extension.
    Json,
}

/// The logs of one relay; `None` is off.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogsSettings {
    /// `MessageTrackingLog...`
    pub message_tracking: Option<LogSettings>,
    /// `MessageTrackingLogSubjectLoggingEnabled`: whether subjects are written. True.
    pub subjects: bool,
    /// `ReceiveProtocolLog...`, for receive connectors that are to be logged.
    pub receive_protocol: Option<LogSettings>,
    /// `SendProtocolLog...`, for Send connectors that are to be logged.
    pub send_protocol: Option<LogSettings>,
}

impl Default for LogsSettings {
    /// All of them off.
    fn default() -> Self {
        Self { message_tracking: None, subjects: true, receive_protocol: None, send_protocol: None }
    }
}
