//! What SQLite's errors mean to a queue.

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use rustix::io::Errno;

use crate::error::QueueError;

/// Carries a [`QueueError`] through `?`, without showing rusqlite's types to anyone outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) QueueError);

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Self {
        Self(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, _) = error else {
            // A column of another type than ours, or a row that must be there and is not.
            return Self(QueueError::Corrupt { message: None });
        };
        let code = failure.extended_code;
        Self(match failure.code {
            ErrorCode::DiskFull => QueueError::DiskFull { code },
            // Its index of the log, a few pages of 32 KiB, finds no room.
            ErrorCode::SystemIoFailure if code == SQLITE_IOERR_SHMSIZE => QueueError::DiskFull { code },
            ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => QueueError::Io { code },
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => QueueError::ReadOnly { code },
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory => QueueError::Busy { code },
            ErrorCode::DatabaseCorrupt => QueueError::Corrupt { message: None },
            ErrorCode::NotADatabase => QueueError::NotAQueue,
            _ => QueueError::Engine { code },
        })
    }
}

/// A file of ours that could not be read or written.
impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        let code = error.raw_os_error().unwrap_or(0);
        Self(match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                QueueError::DiskFull { code }
            }
            std::io::ErrorKind::PermissionDenied => QueueError::ReadOnly { code },
            _ if is_short(&error) => QueueError::Busy { code },
            _ => QueueError::Io { code },
        })
    }
}

/// Of descriptors or memory, which others give back.
fn is_short(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}
