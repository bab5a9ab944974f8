//! The logs of `[server]`: message tracking, and the protocol logs of receive and Send connectors (`Set-TransportService`).

use std::path::Path;
use std::time::Duration;

use postroad_tracking::{Format, LogSettings, LogsSettings};

use crate::reading::quantity::size_text;
use crate::reading::section::Section;
use crate::reading::value::{boolean, one_of, or_empty, or_unlimited, path, size, span};

/// The keys of one log, whose path puts it on.
struct Keys {
    path: &'static str,
    max_file_size: &'static str,
    max_directory_size: &'static str,
    max_age: &'static str,
}

const MESSAGE_TRACKING: Keys = Keys {
    path: "message_tracking_log_path",
    max_file_size: "message_tracking_log_max_file_size",
    max_directory_size: "message_tracking_log_max_directory_size",
    max_age: "message_tracking_log_max_age",
};
const RECEIVE_PROTOCOL: Keys = Keys {
    path: "receive_protocol_log_path",
    max_file_size: "receive_protocol_log_max_file_size",
    max_directory_size: "receive_protocol_log_max_directory_size",
    max_age: "receive_protocol_log_max_age",
};
const SEND_PROTOCOL: Keys = Keys {
    path: "send_protocol_log_path",
    max_file_size: "send_protocol_log_max_file_size",
    max_directory_size: "send_protocol_log_max_directory_size",
    max_age: "send_protocol_log_max_age",
};

/// `24855.03:14:07`
const LONGEST: Duration = Duration::from_secs(2_147_483_647);
/// 9223372036854775807 bytes
const LARGEST: u64 = u64::MAX >> 1;

pub(crate) fn read(section: &mut Section<'_, '_>, folder: &Path) -> LogsSettings {
    let mut logs = LogsSettings::default();
    let format =
        section.get("message_tracking_log_format", one_of(&[("csv", Format::Csv), ("json", Format::Json)]));
    let tracking = log(section, &MESSAGE_TRACKING, LogSettings::message_tracking(""), folder);
    logs.message_tracking = tracking.map(|mut tracking| {
        tracking.format = format.unwrap_or_default();
        tracking
    });
    section.set(&mut logs.subjects, "message_tracking_log_subject_logging_enabled", boolean);
    logs.receive_protocol = log(section, &RECEIVE_PROTOCOL, LogSettings::new(""), folder);
    logs.send_protocol = log(section, &SEND_PROTOCOL, LogSettings::new(""), folder);
    logs
}

fn log(
    section: &mut Section<'_, '_>,
    keys: &Keys,
    mut settings: LogSettings,
    folder: &Path,
) -> Option<LogSettings> {
    let directory = section.get(keys.path, or_empty(path(folder))).flatten();
    let is_on = directory.is_some();
    settings.directory = directory.unwrap_or_default();
    section.set(&mut settings.max_file_size, keys.max_file_size, or_unlimited(size(1..=LARGEST)));
    section.set(&mut settings.max_directory_size, keys.max_directory_size, or_unlimited(size(1..=LARGEST)));
    section.set(&mut settings.max_age, keys.max_age, span(Duration::ZERO..=LONGEST));
    if let Some(room) = settings.max_directory_size
        && settings.max_file_size.is_none_or(|file| file > room)
    {
        let (written, other) = if section.has(keys.max_file_size) {
            (keys.max_file_size, keys.max_directory_size)
        } else {
            (keys.max_directory_size, keys.max_file_size)
        };
        let message =
            format!("one file may take more than the directory, which may take {}", size_text(room));
        section.contradiction(written, other, message);
    }
    is_on.then_some(settings)
}
