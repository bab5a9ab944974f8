//! The one room of the pipeline that asks for the time, for chance and for the room on a disk and in memory.

use std::path::Path;
use std::sync::Arc;

use postroad_message::Timestamp;

use crate::memory;

/// What the pipeline asks of the world outside; a test hands in one of its own.
pub trait World: Send + Sync + 'static {
    /// The moment now.
    fn now(&self) -> Timestamp;

    /// Bytes free on the disk that this folder is on, for whoever we run as; `None` where nobody can tell.
    fn free_space(&self, folder: &Path) -> Option<u64> {
        let _ = folder;
        None
    }

    /// Bytes of memory that are left to us; `None` where nobody can tell.
    fn free_memory(&self) -> Option<u64> {
        None
    }

    /// 128 bits that nobody can guess: Message-IDs, boundaries, jitter.
    fn random(&self) -> u128;
}

impl<T: World + ?Sized> World for Arc<T> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn free_space(&self, folder: &Path) -> Option<u64> {
        (**self).free_space(folder)
    }

    fn free_memory(&self) -> Option<u64> {
        (**self).free_memory()
    }

    fn random(&self) -> u128 {
        (**self).random()
    }
}

/// The system's clock and the system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemWorld;

impl World for SystemWorld {
    #[expect(clippy::disallowed_methods, reason = "this is the room where the pipeline asks the clock")]
    fn now(&self) -> Timestamp {
        std::time::SystemTime::now().into()
    }

    fn free_space(&self, folder: &Path) -> Option<u64> {
        let disk = rustix::fs::statvfs(folder).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn free_memory(&self) -> Option<u64> {
        memory::free()
    }

    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => u128::from_le_bytes(bytes),
            // No random source (seen only before the system has booted): names need to differ, not to be secret.
            Err(_) => {
                u128::try_from(self.now().as_unix_millis()).unwrap_or(0).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            }
        }
    }
}
