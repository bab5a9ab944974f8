//! Why a command could not be carried out, and whether it may be later.

use std::path::PathBuf;

use postroad_message_directory::EncodeError;
use postroad_queue::{MessageId, QueueError};

/// What stood in the way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The queue could not do it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// No queue of that name has mail or is suspended.
    #[error("no queue {name:?}: `list --queues` names them")]
    NoSuchQueue {
        /// The name that was asked for.
        name: String,
    },
    /// A message cannot be written as a Replay file.
    #[error("message {message}: {error}")]
    Encode {
        /// Which message.
        message: MessageId,
        /// Why.
        #[source]
        error: EncodeError,
    },
    /// A file cannot be written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// Nobody takes the output any more.
    #[error("the output: {0}")]
    Output(#[source] std::io::Error),
}

impl AdminError {
    /// Whether the same command may succeed later: every fault of this machine.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Queue(error) => error.is_transient(),
            Self::File { error, .. } => error.kind() != std::io::ErrorKind::AlreadyExists,
            Self::Output(_) => true,
            Self::NoSuchQueue { .. } | Self::Encode { .. } => false,
        }
    }

    /// Whether whoever reads the output closed it (`| head`): no failure of ours.
    pub fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}
