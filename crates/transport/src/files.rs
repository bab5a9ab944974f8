//! Batches of files: claimed, read, queued side by side so that they share the queue's syncs, and deleted, each step of one
//! batch beside another step of the next.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::iter::Peekable;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postroad_message::Timestamp;
use postroad_message_directory::{Candidate, Claimed, Directory, Poll, Skipped};
use postroad_queue::NewMessage;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::{JoinSet, spawn_blocking};

use crate::file_message::Told;
use crate::pipeline::{Pipeline, Shared, SubmitError};
use crate::watch::{FileDoor, Reader, blocking};

/// The most files of a batch. Four times as many are open: while one batch is deleted, the next are queued and read, and the
/// one after them is claimed.
pub(crate) const BATCH_FILES: usize = 96;
/// The most bytes of a batch, unless one file alone has more.
const BATCH_BYTES: u64 = 16 << 20;
/// Batches that were claimed and are not gone yet.
const ON_THEIR_WAY: usize = 3;
/// So many files share a sync of their directory, and their keys are forgotten after it.
const FORGOTTEN_TOGETHER: usize = 2048;
/// A buffer that a large file has left behind is not kept for the next.
const KEPT_BUFFER: usize = 1 << 20;

/// What is to become of a claimed file.
pub(crate) enum Fate {
    /// The queue has it: delete it.
    Taken(String),
    /// It is no message: `.bad`, and say why.
    Bad(String),
    /// Not now, as it happens: back under its name.
    Later,
    /// Not now, and this is our fault: back under its name.
    Waits(String),
    /// This one cannot be read: back under its name, and told of once.
    Unread(OsString, Skipped),
}

/// A claimed file that was read.
struct Read {
    claimed: Claimed,
    /// What the queue knows it by.
    key: String,
    asks: Result<(Vec<NewMessage>, Told), Fate>,
}

/// What became of the files of some batches.
#[derive(Default)]
pub(crate) struct Settled {
    /// One is back under its name.
    pub(crate) put_back: bool,
    /// Why, where it is our fault.
    pub(crate) waits: Option<String>,
    /// One is done with.
    pub(crate) taken: bool,
    /// Under which keys the queue knows those that are deleted.
    pub(crate) gone: Vec<String>,
    unread: Vec<(OsString, Skipped)>,
}

impl Settled {
    fn add(&mut self, mut other: Self) {
        self.put_back |= other.put_back;
        self.taken |= other.taken;
        self.waits = self.waits.take().or(other.waits);
        self.gone.append(&mut other.gone);
        self.unread.append(&mut other.unread);
    }
}

impl Pipeline {
    /// Takes what a poll found, the oldest first, as many at a time as are held at once.
    pub(crate) async fn take_files(
        &self,
        mut directory: Directory,
        door: &Arc<FileDoor>,
        poll: Poll,
    ) -> (Directory, Settled) {
        for oddity in &poll.oddities {
            let file = directory.path().join(&oddity.name);
            tracing::warn!(file = shown(&file), why = %oddity.why, "left where it is");
        }
        let mut settled = Settled::default();
        let mut on_their_way = JoinSet::new();
        // Read and given to the queue one batch after another: the oldest come first.
        let turn = Arc::new(Mutex::new(()));
        let mut candidates = poll.candidates.into_iter().peekable();
        while let Some(batch) = next_batch(&mut candidates) {
            let now = self.shared.world.now();
            let claimed;
            (directory, claimed) =
                blocking(directory, move |directory| claim_batch(directory, &batch, now)).await;
            while on_their_way.len() >= ON_THEIR_WAY {
                settled.add(arrived(&mut on_their_way).await);
            }
            if settled.gone.len() >= FORGOTTEN_TOGETHER {
                self.forget(directory.path(), std::mem::take(&mut settled.gone)).await;
            }
            let turn = Arc::clone(&turn).lock_owned().await;
            on_their_way.spawn(self.clone().take_batch(Arc::clone(door), claimed, turn));
        }
        while !on_their_way.is_empty() {
            settled.add(arrived(&mut on_their_way).await);
        }
        self.forget(directory.path(), std::mem::take(&mut settled.gone)).await;
        for (name, why) in settled.unread.drain(..) {
            tell(&mut directory, &name, why, "put back where it was");
        }
        (directory, settled)
    }

    /// All that becomes of a batch that is claimed.
    async fn take_batch(
        self,
        door: Arc<FileDoor>,
        claimed: Vec<Claimed>,
        turn: OwnedMutexGuard<()>,
    ) -> Settled {
        let (shared, reading) = (Arc::clone(&self.shared), Arc::clone(&door));
        let read = spawn_blocking(move || read_batch(&shared, &reading.reader, claimed)).await;
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "a batch of files could not be read; they are taken up at the next start");
                return Settled::default();
            }
        };
        // All calls first: they share the queue's syncs.
        let called = read.into_iter().map(|Read { claimed, key, asks }| {
            let called = asks.map(|(messages, told)| (self.shared.store.enqueue_all(messages), told));
            (claimed, key, called)
        });
        let called: Vec<_> = called.collect();
        drop(turn);
        let mut decided = Vec::with_capacity(called.len());
        for (claimed, key, called) in called {
            let queued = match called {
                Ok((ids, told)) => match ids.await {
                    Ok(ids) => told.tell(&self.shared, &ids).map(|()| Fate::Taken(key)).map_err(fate),
                    Err(error) => Err(fate(error.into())),
                },
                Err(fate) => Err(fate),
            };
            decided.push((claimed, queued.unwrap_or_else(|fate| fate)));
        }
        self.settle_files(&door, decided).await
    }

    /// Does to each file what was decided.
    pub(crate) async fn settle_files(&self, door: &Arc<FileDoor>, decided: Vec<(Claimed, Fate)>) -> Settled {
        let now = self.shared.world.now();
        let (source, door) = (door.reader.source(), Arc::clone(door));
        let moved = spawn_blocking(move || {
            let moved = decided.into_iter().map(|(claimed, fate)| move_file(&door, claimed, fate, now));
            moved.collect::<Vec<_>>()
        });
        let mut settled = Settled::default();
        let moved = match moved.await {
            Ok(moved) => moved,
            Err(error) => {
                tracing::error!(%error, "a batch of files could not be settled");
                return settled;
            }
        };
        for (file, fate, done) in moved {
            settled.put_back |= matches!(fate, Fate::Later | Fate::Waits(_) | Fate::Unread(..));
            let at = match done {
                Ok(at) => at,
                Err(error) => {
                    tracing::error!(file = shown(&file), %error, "a file could not be moved or deleted; it is not sent twice");
                    continue;
                }
            };
            match fate {
                Fate::Taken(key) => settled.gone.push(key),
                Fate::Bad(why) => {
                    let (file, was) = (shown(&at), shown(&file));
                    tracing::warn!(file, was, why, "no message; it stays as a bad file");
                    self.shared.observer.bad_mail(now, source, &file, &why);
                    settled.taken = true;
                }
                Fate::Later => {}
                Fate::Waits(why) => settled.waits = settled.waits.or(Some(why)),
                Fate::Unread(name, why) => settled.unread.push((name, why)),
            }
        }
        settled.taken |= !settled.gone.is_empty();
        settled
    }

    /// Nobody will come with these files again.
    pub(crate) async fn forget(&self, directory: &Path, gone: Vec<String>) {
        if gone.is_empty() {
            return;
        }
        let directory = directory.to_owned();
        let sync = move || File::open(directory).and_then(|directory| directory.sync_all()).is_ok();
        // Else a power failure could bring a file back whose key is forgotten, and it would be sent twice.
        if spawn_blocking(sync).await.is_ok_and(|synced| synced) {
            // A key that stays because the queue could not be written keeps a file from coming twice, as before.
            let _ = self.shared.store.forget_source_keys(gone).await;
        }
    }
}

/// What the queue knows a file by.
pub(crate) fn key(reader: &Reader, claimed: &Claimed) -> String {
    format!("{}:{}", reader.source(), claimed.identity())
}

/// Makes files ours. Blocks.
fn claim_batch(directory: &mut Directory, batch: &[Candidate], now: Timestamp) -> Vec<Claimed> {
    let mut claimed = Vec::with_capacity(batch.len());
    for candidate in batch {
        match directory.claim(candidate, now) {
            Ok(file) => claimed.push(file),
            Err(why) if why.is_ordinary() => {}
            Err(why) => tell(directory, &candidate.name, why, "left where it is"),
        }
    }
    claimed
}

/// Reads, decodes and routes. Blocks.
fn read_batch(shared: &Shared, reader: &Reader, batch: Vec<Claimed>) -> Vec<Read> {
    let mut read = Vec::with_capacity(batch.len());
    let mut bytes = Vec::new();
    for mut claimed in batch {
        let key = key(reader, &claimed);
        let asks = match claimed.read_into(&mut bytes) {
            Ok(()) => decode(shared, reader, &bytes, &key),
            Err(why @ Skipped::TooLarge { .. }) => Err(Fate::Bad(why.to_string())),
            Err(why @ Skipped::Denied(_)) => Err(Fate::Unread(claimed.name().to_owned(), why)),
            Err(_) => Err(Fate::Later),
        };
        if bytes.capacity() > KEPT_BUFFER {
            bytes = Vec::new();
        }
        read.push(Read { claimed, key, asks });
    }
    read
}

/// What a file asks for. One that breaks off whoever looks at it is no message, and takes no other along.
fn decode(
    shared: &Shared,
    reader: &Reader,
    bytes: &[u8],
    key: &str,
) -> Result<(Vec<NewMessage>, Told), Fate> {
    // Nothing of ours is changed before it is whole, but for counters and locks that know no broken state.
    let asked = catch_unwind(AssertUnwindSafe(|| shared.decode(reader, bytes, key)));
    asked
        .map_err(|_| {
            Fate::Bad("it breaks off whoever reads it, which is a fault of this program".to_owned())
        })?
        .map_err(fate)
}

/// Once for as long as the file stands there.
fn tell(directory: &mut Directory, name: &OsStr, why: Skipped, text: &str) {
    if directory.is_news(name) {
        let file = directory.path().join(name);
        tracing::warn!(file = shown(&file), %why, "{text}");
    }
}

fn next_batch(candidates: &mut Peekable<impl Iterator<Item = Candidate>>) -> Option<Vec<Candidate>> {
    let first = candidates.next()?;
    let (mut batch, mut bytes) = (Vec::new(), first.size);
    batch.push(first);
    while let Some(next) = candidates.next_if(|next| {
        bytes = bytes.saturating_add(next.size);
        batch.len() < BATCH_FILES && bytes <= BATCH_BYTES
    }) {
        batch.push(next);
    }
    Some(batch)
}

/// Waits for a batch.
async fn arrived(on_their_way: &mut JoinSet<Settled>) -> Settled {
    match on_their_way.join_next().await {
        Some(Ok(settled)) => settled,
        Some(Err(error)) => {
            tracing::error!(%error, "a batch of files could not be queued");
            Settled::default()
        }
        None => Settled::default(),
    }
}

/// What becomes of a file that could not be queued.
fn fate(error: SubmitError) -> Fate {
    if error.is_transient() { Fate::Waits(error.to_string()) } else { Fate::Bad(error.to_string()) }
}

/// Does to a file what was decided, and gives where it was and where it is.
fn move_file(
    door: &FileDoor,
    claimed: Claimed,
    fate: Fate,
    now: Timestamp,
) -> (PathBuf, Fate, io::Result<PathBuf>) {
    let file = claimed.path().to_owned();
    let done = match &fate {
        Fate::Taken(_) => claimed.settle().map(|()| file.clone()),
        Fate::Later | Fate::Waits(_) | Fate::Unread(..) => claimed.release(now).map(|()| file.clone()),
        Fate::Bad(why) => match &door.badmail {
            None => claimed.refuse(now),
            Some(badmail) => claimed.refuse_to(badmail, door.reader.source(), why, now),
        },
    };
    (file, fate, done)
}

/// A path for the log: whoever can put a file into the directory chose its name, and must not end the line or colour it.
pub(crate) fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_forge_a_line_of_the_log() {
        assert_eq!(shown("Pickup/a b.eml"), "Pickup/a b.eml");
        assert_eq!(shown("Pickup/\u{1b}[31m\nready\r.eml"), r"Pickup/\u{1b}[31m\nready\r.eml");
    }
}
