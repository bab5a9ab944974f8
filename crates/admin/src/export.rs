//! Messages as Replay files: to look at, to keep, or to give to another relay.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use postroad_address_space::Domain;
use postroad_message::{Content, Envelope, Timestamp};
use postroad_message_directory::AddressForm;
use postroad_message_directory::drop::{self, Rules};
use postroad_queue::{Filter, MessageId, QueueError, QueueStore};

use crate::error::AdminError;
use crate::progress::Progress;

/// Deliveries looked up at a time.
const PAGE: usize = 500;

/// What an export wrote.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Exported {
    /// Files written.
    pub files: u64,
    /// Messages that could not be, each with its reason.
    pub failed: Vec<AdminError>,
}

/// Writes one file for each message that has a delivery that fits, `<id>.eml`, with the recipients of those deliveries.
///
/// The files are what Replay reads; IMCEA addresses are made in `domain`. Nothing is overwritten, and a file has its name
/// only when it is whole and synced. The messages stay in the queue: suspend them first, or two relays send them. A
/// message that leaves meanwhile is passed over; one that fails does not stop the others.
///
/// # Errors
///
/// [`AdminError::Queue`] where the queue cannot be listed, and [`AdminError::File`] where the folder takes no more: a full disk, say. The
/// files that were written by then stay.
pub async fn export(
    store: &dyn QueueStore,
    filters: &[Filter],
    folder: &Path,
    domain: &Domain,
    now: Timestamp,
    progress: &mut Progress,
) -> Result<Exported, AdminError> {
    let mut ids = Vec::new();
    for filter in filters {
        let mut filter = filter.clone();
        filter.limit = Some(PAGE);
        loop {
            let page = store.list(filter.clone(), now).await?;
            let Some(last) = page.last() else { break };
            filter.after = Some(last.delivery);
            ids.extend(page.iter().map(|listed| (listed.message, listed.delivery)));
        }
    }
    ids.sort_unstable();
    let messages = || ids.chunk_by(|one, other| one.0 == other.0);
    let total = messages().count() as u64;
    let mut exported = Exported::default();
    for (done, deliveries) in messages().enumerate() {
        let Some(&(message, _)) = deliveries.first() else { continue };
        match read(store, message, deliveries, now).await {
            Ok(Some((envelope, content))) => match write(folder, message, &envelope, &content, domain) {
                Ok(()) => exported.files += 1,
                // Nothing more will fit, or be allowed.
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => exported.failed.push(error),
            },
            Ok(None) => {}
            Err(error) => exported.failed.push(error.into()),
        }
        progress.at(done as u64 + 1, total);
    }
    Ok(exported)
}

async fn read(
    store: &dyn QueueStore,
    message: MessageId,
    deliveries: &[(MessageId, postroad_queue::DeliveryId)],
    now: Timestamp,
) -> Result<Option<(Envelope, Content)>, QueueError> {
    let listed = store.list(Filter::message(message), now).await?;
    let meant = listed.into_iter().filter(|listed| deliveries.contains(&(message, listed.delivery)));
    let queued = meant.flat_map(|listed| listed.recipients);
    let recipients: Vec<_> = queued.map(|queued| queued.recipient).collect();
    let both = async { Ok((store.envelope(message).await?, store.content(message).await?)) };
    match both.await {
        Ok(_) if recipients.is_empty() => Ok(None),
        Ok((mut envelope, content)) => {
            envelope.recipients = recipients;
            Ok(Some((envelope, content)))
        }
        Err(QueueError::UnknownMessage { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(
    folder: &Path,
    message: MessageId,
    envelope: &Envelope,
    content: &Content,
    domain: &Domain,
) -> Result<(), AdminError> {
    let mut rules = Rules::new(domain.clone());
    let file = drop::encode(envelope, content, &rules).or_else(|_| {
        rules.form = AddressForm::Native;
        drop::encode(envelope, content, &rules)
    });
    let file = file.map_err(|error| AdminError::Encode { message, error })?;
    let whole = folder.join(format!("{message}.eml"));
    // No watcher of such a directory takes a file of this name, nor calls it a message after a crash.
    let part = folder.join(format!(".{message}.part"));
    let at = |path: &PathBuf| {
        let path = path.clone();
        move |error| AdminError::File { path, error }
    };
    if whole.try_exists().map_err(at(&whole))? {
        let error = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(AdminError::File { path: whole, error });
    }
    let written = (|| {
        // What an earlier export left half done is begun anew.
        let mut to = OpenOptions::new().write(true).create(true).truncate(true).open(&part)?;
        file.pieces(|piece| to.write_all(piece))?;
        to.sync_all()
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&part);
        return Err(AdminError::File { path: part, error });
    }
    fs::rename(&part, &whole).map_err(at(&whole))?;
    // Whoever removes the message next must not lose it with the name of its file.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(&whole))
}
