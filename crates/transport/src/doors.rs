//! The doors of a relay, opened and closed together: its listeners and its watched directories.

use postroad_smtp_server::Server;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::pipeline::Pipeline;
use crate::watch::WatchedDirectory;

/// Everything that takes mail in, at work in tasks of its own.
///
/// Other doors can be opened beside these, for a changed configuration, before these are closed: a file is claimed by one of
/// them only, and listeners hand over by [`Server::succeed`].
///
/// Dropped, they close as by [`Doors::close`], and nobody can wait for what had begun.
#[derive(Debug)]
#[must_use = "dropped, the doors close"]
pub struct Doors {
    close: watch::Sender<bool>,
    serving: JoinHandle<()>,
    ended: Option<Result<(), DoorsBroken>>,
}

/// The doors ended by a panic, which the log tells of, or with their runtime: no more comes in through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the doors broke off")]
#[non_exhaustive]
pub struct DoorsBroken;

impl Doors {
    /// Opens them. Must be called within a tokio runtime.
    pub fn open(pipeline: &Pipeline, server: Server, watched: Vec<WatchedDirectory>) -> Self {
        let (close, closed) = watch::channel(false);
        let pipeline = pipeline.clone();
        let serving = tokio::spawn(async move {
            let mut directories = JoinSet::new();
            for directory in watched {
                directories.spawn(pipeline.clone().watch(directory, told(closed.clone())));
            }
            server.serve(told(closed)).await;
            while let Some(ended) = directories.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a directory was no longer watched");
                }
            }
        });
        Self { close, serving, ended: None }
    }

    /// Takes nothing new from now on; what has begun goes on. [`Doors::closed`] waits for that.
    pub fn close(&self) {
        self.close.send_replace(true);
    }

    /// Ready when the doors were told to close and everything that had begun has ended: sessions within the server's
    /// [`shutdown_grace`](postroad_smtp_server::ServerSettings::shutdown_grace), and the files that the last look at their directory found.
    /// Cancel-safe, and answers the same to whoever asks again.
    ///
    /// # Errors
    ///
    /// They broke off, told to close or not.
    pub async fn closed(&mut self) -> Result<(), DoorsBroken> {
        if let Some(ended) = self.ended {
            return ended;
        }
        let ended = (&mut self.serving).await.map_err(|error| {
            tracing::error!(%error, "the doors broke off");
            DoorsBroken
        });
        self.ended = Some(ended);
        ended
    }
}

async fn told(mut closed: watch::Receiver<bool>) {
    // Whoever dropped the doors wants them closed as well.
    let _ = closed.wait_for(|closed| *closed).await;
}
