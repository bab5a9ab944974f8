//! Delivers for Foreign connectors: one file in the connector's Drop directory for the gateway to fetch.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postroad_address_space::Domain;
use postroad_connector::Connector;
use postroad_message::{Content, EnhancedStatus, Failure, Fault, Outcome, Phase, Receipt, Scope};
use postroad_message_directory::{DropDirectory, DropError, drop};
use tokio::sync::oneshot;

use crate::deliver::{Deliver, Job};
use crate::trouble::Trouble;

/// Writes files: whole, synced, and only then visible under their name, which is the message's id and the delivery's. Those
/// that come while others are written are written together when these are done, and share their syncs.
pub struct DropDeliver {
    directories: BTreeMap<String, Arc<Writer>>,
    rules: drop::Rules,
}

impl fmt::Debug for DropDeliver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DropDeliver").field("connectors", &self.directories.keys()).finish_non_exhaustive()
    }
}

impl DropDeliver {
    /// `directories` by the name of their connector; addresses of other types than SMTP are written as IMCEA
    /// addresses in `domain`.
    pub fn new(directories: BTreeMap<String, DropDirectory>, domain: Domain) -> Self {
        let writer = |(name, directory)| (name, Arc::new(Writer::new(directory)));
        let directories = directories.into_iter().map(writer).collect();
        Self { directories, rules: drop::Rules::new(domain) }
    }

    /// Before a start: clears a directory of what a crash left half written, and says what it found.
    pub fn sweep(directory: &DropDirectory) {
        let path = directory.path().display();
        match directory.sweep() {
            // One that is missing has nothing left over; its mail waits and says why.
            Ok(0) | Err(DropError::Missing(_)) => {}
            Ok(files) => {
                tracing::info!(directory = %path, files, "half-written files of an earlier run removed")
            }
            Err(error) => tracing::warn!(%error, "half-written files of an earlier run, if any, stay"),
        }
    }

    async fn write(&self, job: Job<'_>) -> Result<Outcome, Failure> {
        let Connector::Foreign(connector) = job.connector else {
            return Err(misplaced(job.connector.name()));
        };
        let directory = self.directories.get(job.connector.name()).cloned();
        let directory = directory.ok_or_else(|| misplaced(job.connector.name()))?;
        let file = drop::encode(job.envelope, job.content, &self.rules)
            .map_err(|error| unwritable(&error.to_string()))?;
        // The same at every attempt: a crash between the rename and the settlement makes no second file.
        let number = u128::from(job.message.as_u64()) << 64 | u128::from(job.delivery.as_u64());
        let path = match Arc::clone(&directory).write(number, file).await {
            Some(Ok(path)) => path,
            Some(Err(error @ DropError::Unreadable { .. })) => return Err(error.failure()),
            Some(Err(error)) => {
                if directory.trouble().is_news(&fault(&error)) {
                    tracing::error!(connector = job.connector.name(), why = %error, "mail waits for the Drop directory");
                }
                return Err(error.failure());
            }
            None => return Err(local("the file could not be written")),
        };
        if directory.trouble().has_ended() {
            tracing::info!(connector = job.connector.name(), "the Drop directory takes mail again");
        }
        let receipt = Receipt::new(path.display().to_string());
        // The gateway behind the directory sends no reports that we could pass on.
        Ok(if connector.relay_dsn_required { Outcome::Relayed(receipt) } else { Outcome::Delivered(receipt) })
    }
}

/// One directory, and what waits to be written there.
struct Writer {
    directory: DropDirectory,
    waiting: Mutex<Waiting>,
    /// Why it took nothing the last time.
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Waiting {
    files: Vec<File>,
    /// Somebody writes, and will write these too.
    busy: bool,
}

struct File {
    number: u128,
    content: Content,
    written: oneshot::Sender<Result<PathBuf, DropError>>,
}

impl Writer {
    fn new(directory: DropDirectory) -> Self {
        Self { directory, waiting: Mutex::default(), trouble: Mutex::default() }
    }

    /// `None` where the runtime ends meanwhile.
    async fn write(self: Arc<Self>, number: u128, content: Content) -> Option<Result<PathBuf, DropError>> {
        let (written, told) = oneshot::channel();
        if self.leads(File { number, content, written }) {
            // It writes for others too, so it does not end with this delivery.
            tokio::task::spawn_blocking(move || self.write_what_waits());
        }
        told.await.ok()
    }

    /// Puts a file to those that wait; whether it is for us to write them.
    fn leads(&self, file: File) -> bool {
        let mut waiting = self.waiting();
        waiting.files.push(file);
        !std::mem::replace(&mut waiting.busy, true)
    }

    fn write_what_waits(&self) {
        loop {
            let files = {
                let mut waiting = self.waiting();
                waiting.busy = !waiting.files.is_empty();
                std::mem::take(&mut waiting.files)
            };
            if files.is_empty() {
                return;
            }
            let all = self.directory.write_all(files.iter().map(|file| (file.number, &file.content)));
            for (file, result) in files.into_iter().zip(all) {
                // Whoever no longer waits finds the file at the next attempt.
                let _ = file.written.send(result);
            }
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing panics while it is held.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deliver for DropDeliver {
    fn deliver<'a>(&'a self, job: Job<'a>) -> Pin<Box<dyn Future<Output = Vec<Outcome>> + Send + 'a>> {
        Box::pin(async move {
            let outcome = self.write(job).await.unwrap_or_else(|failure| {
                if failure.status.class() == postroad_message::StatusClass::Permanent {
                    Outcome::Failed(failure)
                } else {
                    Outcome::Deferred(failure)
                }
            });
            vec![outcome; job.envelope.recipients.len()]
        })
    }
}

/// What is another fault when it changes: how many bytes a quota is short of is none.
fn fault(error: &DropError) -> String {
    match error {
        DropError::OverQuota { .. } => "over its quota".to_owned(),
        other => other.to_string(),
    }
}

/// The message cannot be put into the format, whatever the directory.
fn unwritable(why: &str) -> Failure {
    Failure::new(EnhancedStatus::permanent(6, 0), Fault::Message, Scope::Message, Phase::File, why)
}

fn misplaced(connector: &str) -> Failure {
    let text = format!("connector {connector:?} has no Drop directory");
    Failure::new(EnhancedStatus::transient(3, 5), Fault::Configuration, Scope::NextHop, Phase::File, text)
}

fn local(why: &str) -> Failure {
    Failure::new(EnhancedStatus::transient(3, 0), Fault::Local, Scope::NextHop, Phase::File, why)
}
