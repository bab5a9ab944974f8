//! The reading thread: listings and contents, beside the writer and never in its way.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::Fault;
use super::neighbours::Neighbours;
use crate::error::QueueError;
use crate::store::BoxFuture;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the reading thread. Dropping the last one ends the thread.
#[derive(Clone)]
pub(super) struct Reader {
    jobs: Sender<Job>,
}

impl Reader {
    pub(super) fn start(
        connection: Connection,
        neighbours: Arc<Neighbours>,
    ) -> Result<(Self, thread::JoinHandle<()>), Fault> {
        let (jobs, inbox) = channel::<Job>();
        let handle = thread::Builder::new().name("postroad-queue-read".to_owned()).spawn(move || {
            for job in inbox {
                job(&connection);
            }
            drop(connection);
            drop(neighbours);
        })?;
        Ok((Self { jobs }, handle))
    }

    /// Runs `work` in one read transaction: it sees one moment of the store.
    pub(super) fn submit<T, F>(&self, work: F) -> BoxFuture<'static, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.send(Box::new(move |connection| {
            let result = in_one_moment(connection, work).map_err(|Fault(error)| error);
            let _ = reply.send(result);
        }));
        Box::pin(async move {
            match sent {
                Ok(()) => answer.await.unwrap_or(Err(QueueError::Closed)),
                Err(_) => Err(QueueError::Closed),
            }
        })
    }
}

fn in_one_moment<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = work(connection);
    // It only read: there is nothing that could fail to be committed.
    connection.prepare_cached("ROLLBACK")?.execute([])?;
    result
}
