//! `[replay]`: the directory in which gateways leave exported messages with their envelope.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postroad_address_space::Domain;
use postroad_message_directory::replay;

use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::{integer, or_empty, path, span, text};
use crate::sections::pickup::POLL_INTERVAL;

/// The Replay directory (spec section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replay {
    /// The directory.
    pub path: PathBuf,
    /// Time between two looks; Exchange's is fixed at 5 s.
    pub poll_interval: Duration,
    /// Messages taken in a minute: 1 to 20,000, default 100, Replay's own allowance.
    pub max_messages_per_minute: u32,
    /// The `X-CreatedBy` whose files keep organisation and forest fields.
    pub trusted_created_by: String,
}

impl Replay {
    /// This directory, and Exchange's limits.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            poll_interval: Duration::from_secs(5),
            max_messages_per_minute: 100,
            trusted_created_by: "MSExchange15".into(),
        }
    }

    /// How its files are read; IMCEA recipients in `domain` are opened.
    pub fn rules(&self, domain: &Domain) -> replay::Rules {
        let mut rules = replay::Rules::default();
        rules.trusted_created_by.clone_from(&self.trusted_created_by);
        rules.domain = Some(domain.clone());
        rules
    }
}

/// The directory; `path = ""` is Exchange's null: not watched.
pub(crate) fn read(
    mut section: Section<'_, '_>,
    folder: &Path,
    data_directory: &Path,
) -> (Option<Replay>, Places) {
    let mut replay = Replay::new(data_directory.join("Replay"));
    let mut watched = Some(replay.path.clone());
    section.set(&mut watched, "path", or_empty(path(folder)));
    section.set(&mut replay.poll_interval, "poll_interval", span(POLL_INTERVAL));
    section.set(&mut replay.max_messages_per_minute, "max_messages_per_minute", integer(1..=20_000));
    section.set(&mut replay.trusted_created_by, "trusted_created_by", text);
    let places = section.close();
    let replay = watched.map(|path| Replay { path, ..replay });
    (replay, places)
}
