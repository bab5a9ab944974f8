//! `[pickup]`: the directory in which applications and gateways leave new messages.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postroad_address_space::Domain;
use postroad_message_directory::{BadmailDirectory, Dialect, pickup};

use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::{integer, one_of, or_empty, or_unlimited, path, size, span};

/// The shortest and the longest time between two looks into a directory.
pub(crate) const POLL_INTERVAL: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(86_400);

/// The Pickup directory (spec 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pickup {
    /// The directory.
    pub path: PathBuf,
    /// Which files are taken, and from where the envelope is read.
    pub dialect: Dialect,
    /// Time between two looks; Exchange's is fixed at 5 s.
    pub poll_interval: Duration,
    /// Messages taken in a minute: 1 to 20,000, default 100.
    pub max_messages_per_minute: u32,
    /// Bytes of the header block: 32 KB to 2,147,483,647, default 64 KB.
    pub max_header_size: u64,
    /// Recipients of a message: 1 to 10,000, default 100.
    pub max_recipients_per_message: u32,
    /// IIS's Badmail directory for files that are no messages; without it they stay as `.bad`.
    pub badmail_directory: Option<PathBuf>,
    /// IIS's MaxBadMailFolderSize, bytes; default unlimited, 0 keeps nothing there.
    pub max_badmail_folder_size: Option<u64>,
}

impl Pickup {
    /// This directory, and Exchange's limits.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            dialect: Dialect::default(),
            poll_interval: Duration::from_secs(5),
            max_messages_per_minute: 100,
            max_header_size: 64 << 10,
            max_recipients_per_message: 100,
            badmail_directory: None,
            max_badmail_folder_size: None,
        }
    }

    /// How its files are read; IMCEA recipients in `domain` are opened.
    pub fn rules(&self, domain: &Domain) -> pickup::Rules {
        let mut rules = pickup::Rules::default();
        rules.dialect = self.dialect;
        rules.max_header_size = usize::try_from(self.max_header_size).unwrap_or(usize::MAX);
        rules.max_recipients = usize::try_from(self.max_recipients_per_message).unwrap_or(usize::MAX);
        rules.domain = Some(domain.clone());
        rules
    }

    /// Where bad files go, if not into place.
    pub fn badmail(&self) -> Option<BadmailDirectory> {
        let directory = BadmailDirectory::new(self.badmail_directory.as_ref()?);
        Some(directory.max_size(self.max_badmail_folder_size))
    }
}

/// The directory; `path = ""` is Exchange's null: not watched.
pub(crate) fn read(
    mut section: Section<'_, '_>,
    folder: &Path,
    data_directory: &Path,
) -> (Option<Pickup>, Places) {
    let mut pickup = Pickup::new(data_directory.join("Pickup"));
    let dialects = [("exchange", Dialect::Exchange), ("iis", Dialect::Iis)];
    let mut watched = Some(pickup.path.clone());
    section.set(&mut watched, "path", or_empty(path(folder)));
    section.set(&mut pickup.dialect, "dialect", one_of(&dialects));
    section.set(&mut pickup.poll_interval, "poll_interval", span(POLL_INTERVAL));
    section.set(&mut pickup.max_messages_per_minute, "max_messages_per_minute", integer(1..=20_000));
    section.set(&mut pickup.max_header_size, "max_header_size", size(32_768..=2_147_483_647));
    section.set(&mut pickup.max_recipients_per_message, "max_recipients_per_message", integer(1..=10_000));
    section.set(&mut pickup.badmail_directory, "badmail_directory", or_empty(path(folder)));
    section.set(
        &mut pickup.max_badmail_folder_size,
        "max_badmail_folder_size",
        or_unlimited(size(0..=u64::MAX)),
    );
    let places = section.close();
    let pickup = watched.map(|path| Pickup { path, ..pickup });
    (pickup, places)
}
