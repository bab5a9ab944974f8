//! Large contents on their way between the store's callers and the files that hold them.

use std::sync::Arc;

use postroad_message::Content;
use tokio::sync::oneshot;

use super::SqliteStore;
use crate::error::QueueError;
use crate::message_id::MessageId;
use crate::sqlite::content_file::Drafts;
use crate::sqlite::fault::Fault;
use crate::sqlite::writer::{Labour, Promise};
use crate::sqlite::{manage, schema};
use crate::store::BoxFuture;

impl SqliteStore {
    /// Writes large contents into their files first, then does what `labour` makes of these.
    pub(super) fn write_with<T, W>(
        &self,
        large: Vec<Option<Content>>,
        labour: impl FnOnce(Drafts) -> W + Send + 'static,
        kind: fn(&W) -> (Promise, usize),
    ) -> BoxFuture<'_, T>
    where
        T: Send + 'static,
        W: Labour<T> + 'static,
    {
        if large.iter().all(Option::is_none) {
            let labour = labour(Drafts::default());
            let (promise, weight) = kind(&labour);
            return self.writer.submit(promise, weight, labour);
        }
        let (reply, written) = oneshot::channel();
        let (writer, writing) = (self.writer.clone(), self.files.writing());
        self.files.run(move |folder| {
            let answer = match folder.draft(&large) {
                Ok(drafts) => {
                    let labour = labour(drafts);
                    let (promise, weight) = kind(&labour);
                    Ok(writer.submit(promise, weight, labour))
                }
                Err(Fault(error)) => Err(error),
            };
            drop(writing);
            let _ = reply.send(answer);
        });
        Box::pin(async move { written.await.unwrap_or(Err(QueueError::Closed))?.await })
    }

    pub(super) async fn read_file(
        &self,
        message: MessageId,
        name: String,
        checksum: i64,
        size: u64,
    ) -> Result<Content, QueueError> {
        let (reply, read) = oneshot::channel();
        self.files.run(move |folder| {
            let _ = reply.send(folder.read(&name, size, checksum));
        });
        let content = match read.await {
            Ok(read) => read.map_err(|Fault(error)| error)?,
            Err(_) => return Err(QueueError::Closed),
        };
        match content {
            Some(content) => Ok(content),
            None => {
                // Gone with its message, between our two looks?
                let known =
                    self.reader.submit(move |connection| manage::is_known(connection, message)).await?;
                Err(if known {
                    QueueError::Corrupt { message: Some(message) }
                } else {
                    QueueError::UnknownMessage { message }
                })
            }
        }
    }

    /// Removes, beside the other work, the content files that a crash left without a message.
    pub(super) fn sweep(&self) {
        let (path, patience) = (Arc::clone(&self.path), self.options.busy_timeout);
        let neighbours = Arc::clone(&self.neighbours);
        self.files.run(move |folder| {
            let swept = schema::open_reader(&path, patience)
                .and_then(|connection| folder.sweep(|name| manage::has_file(&connection, name)));
            // What cannot be removed costs room and no mail; the next start tries again.
            let _ = swept;
            drop(neighbours);
        });
    }
}
