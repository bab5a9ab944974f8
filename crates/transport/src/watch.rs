//! The doors for files: Pickup and Replay are watched, their files go into the queue and then out of existence.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use postroad_message::{Content, Envelope, Failure, Fault, Phase, ReversePath, Scope};
use postroad_message_directory::{
    Arrival, Badmail, Candidate, Claimed, Dialect, Directory, Poll, RateLimit, Skipped,
    Submission as Decoded, pickup, replay,
};

use crate::observe::Seen;
use crate::pipeline::{Pipeline, Submission, SubmitError};
use crate::report::{self, Original};

/// A directory whose files are messages.
#[derive(Debug)]
pub struct WatchedDirectory {
    directory: Directory,
    reader: Reader,
    poll_interval: Duration,
    per_minute: u32,
}

/// How the files of a directory are read.
#[derive(Clone, Debug)]
enum Reader {
    Pickup(pickup::Rules),
    Replay(replay::Rules),
}

impl WatchedDirectory {
    /// New messages of applications and gateways; polled every 5 seconds, 100 messages a minute.
    pub fn pickup(path: impl Into<PathBuf>, rules: pickup::Rules) -> Self {
        let directory = Directory::new(path, rules.dialect);
        Self {
            directory,
            reader: Reader::Pickup(rules),
            poll_interval: POLL_INTERVAL,
            per_minute: PER_MINUTE,
        }
    }

    /// Messages that bring their envelope; polled every 5 seconds, 100 messages a minute.
    pub fn replay(path: impl Into<PathBuf>, rules: replay::Rules) -> Self {
        let directory = Directory::new(path, Dialect::Exchange);
        Self {
            directory,
            reader: Reader::Replay(rules),
            poll_interval: POLL_INTERVAL,
            per_minute: PER_MINUTE,
        }
    }

    /// Looks so often.
    pub fn every(self, poll_interval: Duration) -> Self {
        Self { poll_interval, ..self }
    }

    /// Takes so many messages a minute.
    pub fn at_most(self, per_minute: u32) -> Self {
        Self { per_minute, ..self }
    }

    /// Takes files of up to so many bytes.
    pub fn max_file_size(self, limit: u64) -> Self {
        Self { directory: self.directory.max_file_size(limit), ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

const POLL_INTERVAL: Duration = Duration::from_secs(5);
const PER_MINUTE: u32 = 100;

impl Reader {
    fn source(&self) -> &'static str {
        match self {
            Self::Pickup(_) => "pickup",
            Self::Replay(_) => "replay",
        }
    }

    fn decode<'a>(&self, file: &'a [u8]) -> Result<Decoded<'a>, Badmail> {
        match self {
            Self::Pickup(rules) => pickup::decode(file, rules),
            Self::Replay(rules) => replay::decode(file, rules),
        }
    }
}

/// What is to become of a claimed file.
enum Fate {
    /// The queue has it: delete it.
    Taken(String),
    /// It is no message: `.bad`, and say why.
    Bad(String),
    /// Not now: back under its name.
    Later,
}

impl Pipeline {
    /// Takes the directory's files until `shutdown` is ready; those that the last look found are finished first.
    ///
    /// Blocking calls run beside the runtime's own threads. A directory that is missing is logged once, and looked for
    /// again at every poll.
    pub async fn watch(self, watched: WatchedDirectory, shutdown: impl Future<Output = ()> + Send) {
        let WatchedDirectory { mut directory, reader, poll_interval, per_minute } = watched;
        let mut rate = RateLimit::new(per_minute, instant());
        let mut troubled = false;
        // A directory that comes later, such as a share that is not mounted yet, has left-over files as well.
        let mut recovered = false;
        tokio::pin!(shutdown);
        loop {
            if !recovered {
                (directory, recovered) = self.recover_files(directory).await;
            }
            let (limit, now) = (rate.allowance(instant()), self.shared.world.now());
            let (returned, polled) = blocking(directory, move |directory| directory.poll(limit, now)).await;
            directory = returned;
            let mut more = false;
            match polled {
                Ok(poll) => {
                    troubled = false;
                    more = poll.more;
                    rate.spend(poll.candidates.len());
                    directory = self.take_all(directory, &reader, poll).await;
                }
                Err(error) if !troubled => {
                    troubled = true;
                    tracing::error!(%error, "the directory cannot be read; it is looked for at every poll");
                }
                Err(_) => {}
            }
            // With more files waiting and the minute's allowance not used up, there is no reason to wait.
            let pause = if more && rate.allowance(instant()) > 0 { Duration::ZERO } else { poll_interval };
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Gives the files that an earlier run held their names back; false where the directory cannot be read.
    async fn recover_files(&self, directory: Directory) -> (Directory, bool) {
        let now = self.shared.world.now();
        let (directory, recovered) = blocking(directory, move |directory| directory.recover(now)).await;
        if let Ok(files @ 1..) = recovered {
            tracing::info!(directory = shown(directory.path()), files, "left-over files are taken again");
        }
        (directory, recovered.is_ok())
    }

    async fn take_all(&self, mut directory: Directory, reader: &Reader, poll: Poll) -> Directory {
        for oddity in &poll.oddities {
            let file = directory.path().join(&oddity.name);
            tracing::warn!(file = shown(&file), why = %oddity.why, "left where it is");
        }
        for candidate in poll.candidates {
            directory = self.take(directory, reader, candidate).await;
        }
        directory
    }

    /// One file: claim, read, decode, queue, and only then delete.
    async fn take(&self, directory: Directory, reader: &Reader, candidate: Candidate) -> Directory {
        let now = self.shared.world.now();
        let name = candidate.name.clone();
        let (mut directory, claimed) =
            blocking(directory, move |directory| claim(directory, &candidate, now)).await;
        let fate = match claimed {
            Err(why) if why.is_ordinary() => return directory,
            Err(why) => {
                if directory.is_news(&name) {
                    let file = directory.path().join(&name);
                    tracing::warn!(file = shown(&file), %why, "left where it is");
                }
                return directory;
            }
            Ok((claimed, Ok(bytes))) => {
                let key = format!("{}:{}", reader.source(), claimed.identity());
                let fate = self.submit_file(reader, &bytes, key).await;
                (claimed, fate)
            }
            Ok((claimed, Err(why @ Skipped::TooLarge { .. }))) => (claimed, Fate::Bad(why.to_string())),
            Ok((claimed, Err(_))) => (claimed, Fate::Later),
        };
        self.settle_file(reader, fate.0, fate.1).await;
        directory
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

    async fn settle_file(&self, reader: &Reader, claimed: Claimed, fate: Fate) {
        let now = self.shared.world.now();
        let file = claimed.path().to_owned();
        let (done, key) = match fate {
            Fate::Taken(key) => (tokio::task::spawn_blocking(move || claimed.settle()).await, Some(key)),
            Fate::Later => (tokio::task::spawn_blocking(move || claimed.release(now)).await, None),
            Fate::Bad(why) => {
                let refused = tokio::task::spawn_blocking(move || claimed.refuse(now)).await;
                if let Ok(Ok(bad)) = &refused {
                    tracing::warn!(file = shown(bad), why, "no message; the file stays as .bad");
                    self.shared.observer.bad_mail(now, reader.source(), &shown(bad), &why);
                }
                (refused.map(|refused| refused.map(|_| ())), None)
            }
        };
        match (done, key) {
            // The file is gone, so nobody will come with it again.
            (Ok(Ok(())), Some(key)) => {
                let _ = self.shared.store.forget_source_key(&key).await;
            }
            (Ok(Ok(())), None) => {}
            (Ok(Err(error)), _) => {
                tracing::error!(file = shown(&file), %error, "a file could not be moved or deleted; it is not sent twice");
            }
            (Err(error), _) => tracing::error!(file = shown(&file), %error, "a file could not be settled"),
        }
    }
}

/// A path for the log: whoever can put a file into the directory chose its name, and must not end the line or colour it.
fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().escape_debug().to_string()
}

type Read = (Claimed, Result<Vec<u8>, Skipped>);

fn claim(
    directory: &Directory,
    candidate: &Candidate,
    now: postroad_message::Timestamp,
) -> Result<Read, Skipped> {
    let mut claimed = directory.claim(candidate, now)?;
    let bytes = claimed.read();
    Ok((claimed, bytes))
}

/// Runs a blocking call on the directory and gives the directory back.
async fn blocking<T: Send + 'static>(
    mut directory: Directory,
    call: impl FnOnce(&mut Directory) -> T + Send + 'static,
) -> (Directory, T) {
    let joined = tokio::task::spawn_blocking(move || {
        let answer = call(&mut directory);
        (directory, answer)
    });
    match joined.await {
        Ok(both) => both,
        // The call neither panics nor is cancelled while we wait for it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The runtime's clock, which tests can hold still.
fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
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
