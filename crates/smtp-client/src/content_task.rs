//! What a session leaves to its caller because it may block, done where it may.

use std::io;
use std::time::{Duration, Instant};

use postroad_smtp_protocol::client::{ContentResult, ContentTask};
use tokio::sync::Semaphore;

use crate::connection::within;

/// One stored content at a time is taken into memory to find out how it is put into seven bits, and as many may want that as deliveries
/// run. They wait here, and not on a thread that others need,
static TAKING_ALL: Semaphore = Semaphore::const_new(1);

/// so long at most: meanwhile a host hears nothing of us, and some hang up after a few minutes.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Does a [task](postroad_smtp_protocol::client::Output::Task) on a thread that may wait for a disk, and gives it up at `bound`: for whoever drives a
/// session of his own over tokio. What panics there panics here, so that whoever counts such messages hears of it.
pub async fn run(task: ContentTask, bound: Option<Instant>) -> ContentResult {
    let mut turn = None;
    if task.takes_all() {
        match tokio::time::timeout(LONGEST_WAIT, TAKING_ALL.acquire()).await {
            Ok(acquired) => turn = acquired.ok(),
            Err(_) => return ContentResult::failed(io::Error::other("its turn did not come")),
        }
    }
    // With the turn, for it goes on where nobody waits any more.
    let work = tokio::task::spawn_blocking(move || (task.run(), turn).0);
    match within(bound, work).await {
        Some(Ok(result)) => result,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Some(Err(error)) => ContentResult::failed(error.into()),
        None => ContentResult::failed(io::ErrorKind::TimedOut.into()),
    }
}
