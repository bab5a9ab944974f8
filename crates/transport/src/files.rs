//! Batches of files: claimed and read together, queued side by side so that they share the queue's syncs, then deleted.

use std::fs::File;
use std::io;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postroad_message::{
    Content, EnhancedStatus, Envelope, Failure, Fault, Phase, ReversePath, Scope, Timestamp,
};
use postroad_message_directory::{Arrival, Badmail, Candidate, Claimed, Directory, Poll, Skipped};
use postroad_queue::{MessageId, NewMessage};
use tokio::task::JoinSet;

use crate::intake::Intake;
use crate::observe::Seen;
use crate::pipeline::{Pipeline, Shared, Submission, SubmitError};
use crate::report::{self, Original};
use crate::watch::{FileDoor, Reader, blocking};

/// The most files of a batch. Three times as many are open: while one batch is deleted the next is queued, and the one
/// after that is read.
pub(crate) const BATCH_FILES: usize = 128;
/// The most bytes of a batch, unless one file alone has more.
const BATCH_BYTES: u64 = 16 << 20;
/// Batches that were read and are not gone yet.
const ON_THEIR_WAY: usize = 2;
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
    /// Not now: back under its name.
    Later,
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
struct Settled {
    /// One is back under its name.
    put_back: bool,
    /// Under which keys the queue knows those that are deleted.
    gone: Vec<String>,
}

impl Settled {
    fn add(&mut self, mut other: Self) {
        self.put_back |= other.put_back;
        self.gone.append(&mut other.gone);
    }
}

/// Who is told once the queue has it.
enum Told {
    Message(Intake),
    /// A file that cannot be submitted went back to its sender, in these reports.
    Returned {
        envelope: Envelope,
        content: Content,
        why: String,
        reports: Vec<NewMessage>,
    },
}

impl Pipeline {
    /// Takes what a poll found, the oldest first, as many at a time as are held at once. Tells whether a file was put back.
    pub(crate) async fn take_files(
        &self,
        mut directory: Directory,
        door: &Arc<FileDoor>,
        poll: Poll,
    ) -> (Directory, bool) {
        for oddity in &poll.oddities {
            let file = directory.path().join(&oddity.name);
            tracing::warn!(file = shown(&file), why = %oddity.why, "left where it is");
        }
        let mut settled = Settled::default();
        let mut on_their_way = JoinSet::new();
        let mut candidates = poll.candidates.into_iter().peekable();
        while let Some(batch) = next_batch(&mut candidates) {
            let (pipeline, reading) = (self.clone(), Arc::clone(door));
            let read;
            (directory, read) =
                blocking(directory, move |directory| pipeline.read_batch(directory, &reading.reader, &batch))
                    .await;
            while on_their_way.len() >= ON_THEIR_WAY {
                settled.add(arrived(&mut on_their_way).await);
            }
            if settled.gone.len() >= FORGOTTEN_TOGETHER {
                self.forget(directory.path(), std::mem::take(&mut settled.gone)).await;
            }
            let (pipeline, door) = (self.clone(), Arc::clone(door));
            on_their_way.spawn(async move {
                let decided = pipeline.queue_batch(read).await;
                let put_back = decided.iter().any(|(_, fate)| matches!(fate, Fate::Later));
                Settled { put_back, gone: pipeline.settle_files(&door, decided).await }
            });
        }
        while !on_their_way.is_empty() {
            settled.add(arrived(&mut on_their_way).await);
        }
        self.forget(directory.path(), settled.gone).await;
        (directory, settled.put_back)
    }

    /// Claims, reads, decodes and routes. Blocks.
    fn read_batch(&self, directory: &mut Directory, reader: &Reader, batch: &[Candidate]) -> Vec<Read> {
        let now = self.shared.world.now();
        let mut read = Vec::with_capacity(batch.len());
        let mut bytes = Vec::new();
        for candidate in batch {
            let mut claimed = match directory.claim(candidate, now) {
                Ok(claimed) => claimed,
                Err(why) if why.is_ordinary() => continue,
                Err(why) => {
                    tell(directory, candidate, why, "left where it is");
                    continue;
                }
            };
            let key = key(reader, &claimed);
            let asks = match claimed.read_into(&mut bytes) {
                Ok(()) => self.shared.decode(reader, &bytes, &key).map_err(fate),
                Err(why @ Skipped::TooLarge { .. }) => Err(Fate::Bad(why.to_string())),
                Err(why) => {
                    if matches!(why, Skipped::Denied(_)) {
                        tell(directory, candidate, why, "put back where it was");
                    }
                    Err(Fate::Later)
                }
            };
            if bytes.capacity() > KEPT_BUFFER {
                bytes = Vec::new();
            }
            read.push(Read { claimed, key, asks });
        }
        read
    }

    /// Queues what was read, and says what is to become of each file.
    async fn queue_batch(&self, batch: Vec<Read>) -> Vec<(Claimed, Fate)> {
        // All calls first: they share the queue's syncs.
        let called: Vec<_> = batch
            .into_iter()
            .map(|Read { claimed, key, asks }| {
                let called = asks.map(|(messages, told)| (self.shared.store.enqueue_all(messages), told));
                (claimed, key, called)
            })
            .collect();
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
        decided
    }

    /// Gives the keys of the files that were deleted.
    pub(crate) async fn settle_files(
        &self,
        door: &Arc<FileDoor>,
        decided: Vec<(Claimed, Fate)>,
    ) -> Vec<String> {
        let now = self.shared.world.now();
        let (source, door) = (door.reader.source(), Arc::clone(door));
        let moved = tokio::task::spawn_blocking(move || {
            let moved = decided.into_iter().map(|(claimed, fate)| move_file(&door, claimed, fate, now));
            moved.collect::<Vec<_>>()
        });
        let moved = match moved.await {
            Ok(moved) => moved,
            Err(error) => {
                tracing::error!(%error, "a batch of files could not be settled");
                return Vec::new();
            }
        };
        let mut gone = Vec::with_capacity(moved.len());
        for (file, fate, done) in moved {
            match (done, fate) {
                (Ok(_), Fate::Taken(key)) => gone.push(key),
                (Ok(bad), Fate::Bad(why)) => {
                    tracing::warn!(
                        file = shown(&bad),
                        was = shown(&file),
                        why,
                        "no message; it stays as a bad file"
                    );
                    self.shared.observer.bad_mail(now, source, &shown(&bad), &why);
                }
                (Ok(_), Fate::Later) => {}
                (Err(error), _) => {
                    tracing::error!(file = shown(&file), %error, "a file could not be moved or deleted; it is not sent twice");
                }
            }
        }
        gone
    }

    /// Nobody will come with these files again.
    pub(crate) async fn forget(&self, directory: &Path, gone: Vec<String>) {
        if gone.is_empty() {
            return;
        }
        let directory = directory.to_owned();
        let sync = move || File::open(directory).and_then(|directory| directory.sync_all()).is_ok();
        // Else a power failure could bring a file back whose key is forgotten, and it would be sent twice.
        if tokio::task::spawn_blocking(sync).await.is_ok_and(|synced| synced) {
            // A key that stays because the queue could not be written keeps a file from coming twice, as before.
            let _ = self.shared.store.forget_source_keys(gone).await;
        }
    }
}

/// What the queue knows a file by.
pub(crate) fn key(reader: &Reader, claimed: &Claimed) -> String {
    format!("{}:{}", reader.source(), claimed.identity())
}

/// Once for as long as the file stands there.
fn tell(directory: &mut Directory, candidate: &Candidate, why: Skipped, text: &str) {
    if directory.is_news(&candidate.name) {
        let file = directory.path().join(&candidate.name);
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

impl Shared {
    /// What a file asks to be queued.
    fn decode(
        &self,
        reader: &Reader,
        bytes: &[u8],
        key: &str,
    ) -> Result<(Vec<NewMessage>, Told), SubmitError> {
        let settings = &self.in_force().settings;
        let decoded = reader.decode(bytes).and_then(|mut decoded| {
            let rejected = std::mem::take(&mut decoded.rejected);
            let arrival = Arrival {
                server: settings.fqdn.as_str(),
                domain: settings.default_domain(),
                at: self.world.now(),
                unique: self.world.random().to_le_bytes(),
            };
            decoded.into_message(&arrival).map(|(envelope, content)| (envelope, content, rejected))
        });
        let (envelope, content, rejected) = match decoded {
            Ok(decoded) => decoded,
            Err(badmail) => return self.return_file(bytes, &badmail, key),
        };
        match self.admit(&content) {
            Err(looped @ SubmitError::Loop { .. }) => {
                let status = EnhancedStatus::permanent(4, 6);
                let why = looped.to_string();
                let failure = Failure::new(status, Fault::Message, Scope::Message, Phase::File, why);
                return self.give_back(envelope, content, &failure, key).ok_or(looped);
            }
            admitted => admitted?,
        }
        let mut submission = Submission::new(envelope, content, reader.source());
        // Named ahead, so that the queue's log takes it in.
        submission.id = Some(self.name_ahead());
        submission.source_key = Some(key.to_owned());
        submission.rejected = rejected;
        let (messages, intake) = Intake::plan(self, submission)?;
        Ok((messages, Told::Message(intake)))
    }

    /// A file that cannot be submitted but has a sender goes back to that sender; the others stay as `.bad`.
    fn return_file(
        &self,
        bytes: &[u8],
        badmail: &Badmail,
        key: &str,
    ) -> Result<(Vec<NewMessage>, Told), SubmitError> {
        let why = badmail.to_string();
        let Some(sender) = badmail.return_to().cloned() else {
            return Err(SubmitError::BadFile(why));
        };
        let failure = Failure::new(badmail.status(), Fault::Message, Scope::Message, Phase::File, &why);
        let content = Content::from(postroad_message::line_end::normalise(bytes).into_owned());
        let envelope = Envelope::new(ReversePath::Mailbox(sender), badmail.recipients().to_vec());
        self.give_back(envelope, content, &failure, key).ok_or(SubmitError::BadFile(why))
    }

    /// The reports about a file; `None` where nobody is to be told.
    fn give_back(
        &self,
        envelope: Envelope,
        content: Content,
        failure: &Failure,
        key: &str,
    ) -> Option<(Vec<NewMessage>, Told)> {
        let received_at = self.world.now();
        let returned = Original { envelope: &envelope, content: &content, received_at, attempted_at: None };
        let reports = report::about_file(self, &returned, failure);
        let mut messages = reports.clone();
        messages.first_mut()?.source_key = Some(key.to_owned());
        Some((messages, Told::Returned { envelope, content, why: failure.text.clone(), reports }))
    }
}

impl Told {
    fn tell(self, shared: &Shared, ids: &[MessageId]) -> Result<(), SubmitError> {
        match self {
            Self::Message(intake) => intake.queued(shared, ids).map(|_| ()),
            Self::Returned { envelope, content, why, reports } => {
                let reverse_path = &envelope.reverse_path;
                tracing::warn!(report = ?ids, to = %reverse_path, why, "a file goes back to its sender");
                if let Some((&id, message)) = ids.first().zip(reports.first()) {
                    // The file itself never had an id: it goes by that of its report.
                    let original = Seen { content: Some(&content), reverse_path, ..Seen::new(id, message) };
                    report::observe(shared, &original, ids, &reports);
                }
                Ok(())
            }
        }
    }
}

/// What becomes of a file that could not be queued.
fn fate(error: SubmitError) -> Fate {
    if error.is_transient() {
        tracing::error!(%error, "a file waits in its directory");
        Fate::Later
    } else {
        Fate::Bad(error.to_string())
    }
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
        Fate::Later => claimed.release(now).map(|()| file.clone()),
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
