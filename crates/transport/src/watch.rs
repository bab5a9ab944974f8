//! The doors for files: Pickup and Replay are watched, their files go into the queue and then out of existence.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postroad_message_directory::{
    Badmail, BadmailDirectory, Dialect, Directory, RateLimit, Submission as Decoded, pickup, replay,
};

use crate::files::shown;
use crate::hint::Hints;
use crate::pipeline::Pipeline;
use crate::trouble::Trouble;

/// A directory whose files are messages.
#[derive(Debug)]
pub struct WatchedDirectory {
    directory: Directory,
    reader: Reader,
    poll_interval: Duration,
    per_minute: u32,
    badmail: Option<BadmailDirectory>,
}

/// What is done with the files of a directory.
#[derive(Debug)]
pub(crate) struct FileDoor {
    pub(crate) reader: Reader,
    pub(crate) badmail: Option<BadmailDirectory>,
}

/// How the files of a directory are read.
#[derive(Clone, Debug)]
pub(crate) enum Reader {
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
            badmail: None,
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
            badmail: None,
        }
    }

    /// Looks so often.
    #[must_use]
    pub fn every(self, poll_interval: Duration) -> Self {
        Self { poll_interval, ..self }
    }

    /// Takes so many messages a minute.
    #[must_use]
    pub fn at_most(self, per_minute: u32) -> Self {
        Self { per_minute, ..self }
    }

    /// Takes files of up to so many bytes.
    #[must_use]
    pub fn max_file_size(self, limit: u64) -> Self {
        Self { directory: self.directory.max_file_size(limit), ..self }
    }

    /// Puts bad files there, as IIS does, instead of leaving them as `.bad`, as Exchange does.
    #[must_use]
    pub fn badmail(self, badmail: Option<BadmailDirectory>) -> Self {
        Self { badmail, ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

const POLL_INTERVAL: Duration = Duration::from_secs(5);
const PER_MINUTE: u32 = 100;
/// As many files at a time are taken without hints, which would cost more than another look.
const MANY: usize = 64;

impl Reader {
    pub(crate) fn source(&self) -> &'static str {
        match self {
            Self::Pickup(_) => "pickup",
            Self::Replay(_) => "replay",
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Pickup(rules) => rules.dialect,
            Self::Replay(_) => Dialect::Exchange,
        }
    }

    pub(crate) fn decode<'a>(&self, file: &'a [u8]) -> Result<Decoded<'a>, Badmail> {
        match self {
            Self::Pickup(rules) => pickup::decode(file, rules),
            Self::Replay(rules) => replay::decode(file, rules),
        }
    }
}

impl Pipeline {
    /// Takes the directory's files until `shutdown` is ready; those that the last look found are finished first, but nothing that an
    /// earlier run left over.
    ///
    /// It is looked at once in an interval, and before that where the operating system hints at a new file.
    ///
    /// Dropped before that, it leaves files that it had claimed to the next start.
    ///
    /// Blocking calls run beside the runtime's own threads. A directory that is missing is logged once, and looked for
    /// again at every poll.
    pub async fn watch(self, watched: WatchedDirectory, shutdown: impl Future<Output = ()> + Send) {
        let WatchedDirectory { mut directory, reader, poll_interval, per_minute, badmail } = watched;
        let door = Arc::new(FileDoor { reader, badmail });
        tracing::info!(directory = shown(directory.path()), source = door.reader.source(), "watching");
        let mut hints = Hints::of(directory.path());
        let mut rate = RateLimit::new(per_minute, instant());
        let (mut unread, mut waiting) = (Trouble::default(), Trouble::default());
        // A directory that comes later, such as a share that is not mounted yet, has left-over files as well.
        let mut recovered = false;
        tokio::pin!(shutdown);
        loop {
            if !recovered {
                tokio::select! {
                    // The queue may still be taken up, which takes as long as it is large. The next start takes the files up.
                    () = &mut shutdown => return,
                    looked = self.recover_files(directory, &door) => (directory, recovered) = looked,
                }
            }
            // Under back-pressure the files stay where they are.
            let allowance = if self.shared.is_short_of_room(0) { 0 } else { rate.allowance(instant()) };
            let (limit, now) = (allowance, self.shared.world.now());
            let dialect = door.reader.dialect();
            let (returned, (renewed, polled)) = blocking(directory, move |directory| {
                hints.renew(move |name| dialect.takes(name));
                (hints, directory.poll(limit, now))
            })
            .await;
            (directory, hints) = (returned, renewed);
            let mut pause = poll_interval;
            // Without an allowance there is nothing to hurry for.
            let mut hinted = limit > 0;
            match polled {
                Ok(poll) => {
                    if unread.has_ended() {
                        tracing::info!(
                            directory = shown(directory.path()),
                            "the directory can be read again"
                        );
                    }
                    let more = poll.more && limit > 0;
                    if let Some(rested) = poll.next_at_rest.filter(|_| limit > 0) {
                        pause = pause.min(rested.since(now));
                    }
                    let many = poll.candidates.len() >= MANY;
                    if many {
                        hints.end();
                    }
                    rate.spend(poll.candidates.len());
                    let (returned, settled) = self.take_files(directory, &door, poll).await;
                    directory = returned;
                    let shown = || shown(directory.path());
                    if let Some(why) = settled.waits {
                        if waiting.is_news(&why) {
                            tracing::error!(directory = shown(), why, "files wait in their directory");
                        }
                    } else if settled.taken && waiting.has_ended() {
                        tracing::info!(directory = shown(), "files are taken again");
                    }
                    // What made us put a file back is not over because the file is there again, which is hinted at too.
                    if settled.put_back {
                        (pause, hinted) = (poll_interval, false);
                    } else if (more || many) && rate.allowance(instant()) > 0 {
                        // With more files waiting and the allowance not used up, there is no reason to wait; nor where
                        // nobody hinted at those that came meanwhile.
                        pause = Duration::ZERO;
                    }
                }
                Err(error) => {
                    hints.end();
                    if unread.is_news(&error.to_string()) {
                        tracing::error!(%error, "the directory cannot be read; it is looked for at every poll");
                    }
                }
            }
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(pause) => {}
                () = hints.come(), if hinted => {}
            }
        }
    }
}

/// Runs a blocking call on the directory and gives the directory back.
pub(crate) async fn blocking<T: Send + 'static>(
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
