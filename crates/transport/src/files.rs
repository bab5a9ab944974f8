//! Batches of files: claimed and read together, queued side by side so that they share the queue's syncs, then deleted.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postroad_message::{Content, Envelope, Failure, Fault, Phase, ReversePath, Scope, Timestamp};
use postroad_message_directory::{Arrival, Badmail, Candidate, Claimed, Directory, Poll, Skipped};
use tokio::task::JoinSet;

use crate::observe::Seen;
use crate::pipeline::{Pipeline, Submission, SubmitError};
use crate::report::{self, Original};
use crate::watch::{FileDoor, Reader, blocking};

/// The most files of a batch. Twice as many are open: while one batch is deleted the next is read and queued.
const BATCH_FILES: usize = 128;
/// The most bytes of a batch, unless one file alone has more.
const BATCH_BYTES: u64 = 16 << 20;

/// What is to become of a claimed file.
enum Fate {
    /// The queue has it: delete it.
    Taken(String),
    /// It is no message: `.bad`, and say why.
    Bad(String),
    /// Not now: back under its name.
    Later,
}

type Read = (Claimed, Result<Vec<u8>, Skipped>);

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
        let mut put_back = false;
        let mut settling = JoinSet::new();
        let mut candidates = poll.candidates.into_iter().peekable();
        while let Some(first) = candidates.next() {
            let (mut batch, mut bytes) = (Vec::new(), first.size);
            batch.push(first);
            while let Some(next) = candidates.next_if(|next| {
                bytes = bytes.saturating_add(next.size);
                batch.len() < BATCH_FILES && bytes <= BATCH_BYTES
            }) {
                batch.push(next);
            }
            let decided;
            (directory, decided) = self.take_batch(directory, door, batch).await;
            put_back |= decided.iter().any(|(_, fate)| matches!(fate, Fate::Later));
            Self::settled(&mut settling).await;
            let (pipeline, door) = (self.clone(), Arc::clone(door));
            settling.spawn(async move { pipeline.settle_files(&door, decided).await });
        }
        Self::settled(&mut settling).await;
        (directory, put_back)
    }

    /// Waits for the batch before.
    async fn settled(settling: &mut JoinSet<()>) {
        while let Some(ended) = settling.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a batch of files could not be settled");
            }
        }
    }

    /// Claims, reads, decodes and queues, and says what is to become of each file.
    async fn take_batch(
        &self,
        directory: Directory,
        door: &Arc<FileDoor>,
        batch: Vec<Candidate>,
    ) -> (Directory, Vec<(Claimed, Fate)>) {
        let now = self.shared.world.now();
        let (mut directory, claimed) = blocking(directory, move |directory| {
            let claim = |candidate: &Candidate| (candidate.name.clone(), claim(directory, candidate, now));
            batch.iter().map(claim).collect::<Vec<_>>()
        })
        .await;
        let mut queueing = JoinSet::new();
        for (name, claimed) in claimed {
            match claimed {
                Ok((claimed, read)) => {
                    if let Err(why @ Skipped::Denied(_)) = &read
                        && directory.is_news(&name)
                    {
                        let file = directory.path().join(&name);
                        tracing::warn!(file = shown(&file), %why, "put back where it was");
                    }
                    let (pipeline, door) = (self.clone(), Arc::clone(door));
                    queueing.spawn(async move {
                        let fate = pipeline.submit_read(&door.reader, &claimed, read).await;
                        (claimed, fate)
                    });
                }
                Err(why) if why.is_ordinary() => {}
                Err(why) if directory.is_news(&name) => {
                    let file = directory.path().join(&name);
                    tracing::warn!(file = shown(&file), %why, "left where it is");
                }
                Err(_) => {}
            }
        }
        (directory, queueing.join_all().await)
    }

    async fn submit_read(&self, reader: &Reader, claimed: &Claimed, read: Result<Vec<u8>, Skipped>) -> Fate {
        match read {
            Ok(bytes) => {
                let key = format!("{}:{}", reader.source(), claimed.identity());
                self.submit_file(reader, &bytes, key).await
            }
            Err(why @ Skipped::TooLarge { .. }) => Fate::Bad(why.to_string()),
            Err(_) => Fate::Later,
        }
    }

    async fn submit_file(&self, reader: &Reader, bytes: &[u8], key: String) -> Fate {
        let settings = &self.shared.in_force().settings;
        let decoded = reader.decode(bytes).and_then(|decoded| {
            let rejected = decoded.rejected.clone();
            let arrival = Arrival {
                server: settings.fqdn.as_str(),
                domain: settings.default_domain(),
                at: self.shared.world.now(),
                unique: self.shared.world.random().to_le_bytes(),
            };
            decoded.into_message(&arrival).map(|(envelope, content)| (envelope, content, rejected))
        });
        let submitted = match decoded {
            Ok((envelope, content, rejected)) => {
                let mut submission = Submission::new(envelope, content, reader.source());
                submission.source_key = Some(key.clone());
                submission.rejected = rejected;
                self.submit(submission).await.map(|_| ())
            }
            Err(badmail) => self.refuse_file(bytes, badmail, &key).await,
        };
        match submitted {
            Ok(()) => Fate::Taken(key),
            Err(error) if error.is_transient() => {
                tracing::error!(%error, "a file waits in its directory");
                Fate::Later
            }
            Err(error) => Fate::Bad(error.to_string()),
        }
    }

    /// A file that cannot be submitted but has a sender goes back to that sender; the others stay as `.bad`.
    async fn refuse_file(&self, bytes: &[u8], badmail: Badmail, key: &str) -> Result<(), SubmitError> {
        let Some(sender) = badmail.return_to().cloned() else {
            return Err(SubmitError::BadFile(badmail.to_string()));
        };
        let text = badmail.to_string();
        let failure = Failure::new(badmail.status(), Fault::Message, Scope::Message, Phase::File, &text);
        let content = Content::from(postroad_message::line_end::normalise(bytes).into_owned());
        let envelope = Envelope::new(ReversePath::Mailbox(sender.clone()), badmail.recipients().to_vec());
        let received_at = self.shared.world.now();
        let returned = Original { envelope: &envelope, content: &content, received_at, attempted_at: None };
        let mut messages = report::about_file(&self.shared, &returned, &failure);
        let Some(first) = messages.first_mut() else {
            return Err(SubmitError::BadFile(text));
        };
        first.source_key = Some(key.to_owned());
        let ids = self.shared.store.enqueue_all(messages.clone()).await?;
        tracing::warn!(report = ?ids, to = %sender, why = text, "a file goes back to its sender");
        if let Some((&id, message)) = ids.first().zip(messages.first()) {
            // The file itself never had an id: it goes by that of its report.
            let original = Seen {
                content: Some(&content),
                reverse_path: &envelope.reverse_path,
                ..Seen::new(id, message)
            };
            report::observe(&self.shared, &original, &ids, &messages);
        }
        Ok(())
    }

    async fn settle_files(&self, door: &Arc<FileDoor>, decided: Vec<(Claimed, Fate)>) {
        let now = self.shared.world.now();
        let (source, door) = (door.reader.source(), Arc::clone(door));
        let moved = tokio::task::spawn_blocking(move || {
            let directory =
                decided.first().and_then(|(claimed, _)| claimed.path().parent().map(Path::to_owned));
            let moved = decided.into_iter().map(|(claimed, fate)| move_file(&door, claimed, fate, now));
            let moved: Vec<_> = moved.collect();
            // Else a power failure could bring a file back whose key is forgotten, and it would be sent twice.
            let synced =
                directory.is_some_and(|path| File::open(path).and_then(|file| file.sync_all()).is_ok());
            (moved, synced)
        });
        let (moved, synced) = match moved.await {
            Ok(moved) => moved,
            Err(error) => return tracing::error!(%error, "a batch of files could not be settled"),
        };
        let mut forgetting = JoinSet::new();
        for (file, fate, done) in moved {
            match (done, fate) {
                // The file is gone, so nobody will come with it again.
                (Ok(_), Fate::Taken(key)) if synced => {
                    let store = Arc::clone(&self.shared.store);
                    forgetting.spawn(async move { store.forget_source_key(&key).await });
                }
                (Ok(bad), Fate::Bad(why)) => {
                    tracing::warn!(
                        file = shown(&bad),
                        was = shown(&file),
                        why,
                        "no message; it stays as a bad file"
                    );
                    self.shared.observer.bad_mail(now, source, &shown(&bad), &why);
                }
                (Ok(_), Fate::Taken(_) | Fate::Later) => {}
                (Err(error), _) => {
                    tracing::error!(file = shown(&file), %error, "a file could not be moved or deleted; it is not sent twice");
                }
            }
        }
        // A key that stays because the queue could not be written keeps a file from coming twice, as before.
        forgetting.join_all().await;
    }
}

fn claim(directory: &Directory, candidate: &Candidate, now: Timestamp) -> Result<Read, Skipped> {
    let mut claimed = directory.claim(candidate, now)?;
    let bytes = claimed.read();
    Ok((claimed, bytes))
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
