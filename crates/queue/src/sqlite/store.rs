//! [`SqliteStore`]: the contract, kept by two threads and one file.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use postroad_message::{Content, Envelope, NextHop, Outcome, Recipient, Timestamp};

use super::options::SqliteOptions;
use super::reader::Reader;
use super::writer::{Promise, Writer};
use super::{enqueue, fault::Fault, lease, manage, result, schema};
use crate::error::QueueError;
use crate::item::{Claim, Claimed, Lease, NewMessage, Settlement};
use crate::listing::{Changed, Filter, Listed, QueueSummary};
use crate::message_id::MessageId;
use crate::store::{BoxFuture, QueueStore};

/// A queue in one SQLite file (with its `-wal` and `-shm` beside it), durable and readable with `sqlite3`.
///
/// Write-ahead log, `synchronous = FULL`: a durable call is answered after the sync that holds it. One
/// thread writes; whoever calls while it commits shares the next commit, so that many callers cost few syncs.
/// Another thread reads. It needs no runtime: its futures can be awaited on any.
///
/// A clone is another handle to the same store. When the last handle is dropped, what was submitted before is
/// finished first; nothing is lost where that does not happen (kill -9), for nothing was promised yet.
///
/// Any number of processes may have the same file open on one machine. The file must not lie on a network share.
#[derive(Clone)]
pub struct SqliteStore {
    // Dropped before `threads`, so that the threads see the end of their inboxes.
    writer: Writer,
    reader: Reader,
    threads: Arc<Threads>,
}

impl SqliteStore {
    /// Opens the store in the file at `path`, and makes it where there is none; its folder must exist.
    ///
    /// Blocks while it reads; less than a second with 100,000 messages. A store from an older version is
    /// migrated. Fails with [`QueueError::NewerSchema`] or [`QueueError::NotAQueue`] and touches nothing.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, QueueError> {
        Self::open_with(path, SqliteOptions::default())
    }

    /// The same with other options.
    pub fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, QueueError> {
        open(path.as_ref(), options).map_err(|Fault(error)| error)
    }
}

fn open(path: &Path, options: SqliteOptions) -> Result<SqliteStore, Fault> {
    let writing = schema::open_writer(path, &options)?;
    let reading = schema::open_reader(path, options.busy_timeout)?;
    sync_folder(path)?;
    let (writer, writer_thread) = Writer::start(writing, options)?;
    let (reader, reader_thread) = Reader::start(reading)?;
    let threads = Arc::new(Threads { handles: vec![reader_thread, writer_thread] });
    Ok(SqliteStore { writer, reader, threads })
}

/// A file that was made is only there after a power failure once its folder was synced.
fn sync_folder(path: &Path) -> Result<(), Fault> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(File::open(folder)?.sync_all()?)
}

impl SqliteStore {
    /// Finishes what was submitted and waits until the files are closed; does nothing while other handles exist.
    pub fn close(self) {
        let Self { writer, reader, threads } = self;
        drop((writer, reader));
        if let Some(threads) = Arc::into_inner(threads) {
            for handle in threads.handles {
                // A thread that panicked answers its callers with `Closed`; there is nobody to tell here.
                let _ = handle.join();
            }
        }
    }
}

impl SqliteStore {
    /// Gives what was read; a message that turned out damaged is set aside first.
    fn or_set_aside<T: Send + 'static>(
        &self,
        read: BoxFuture<'static, T>,
        reason: &'static str,
    ) -> BoxFuture<'_, T> {
        Box::pin(async move {
            let result = read.await;
            if let Err(QueueError::Corrupt { message: Some(message) }) = result {
                self.set_aside(message, reason).await?;
            }
            result
        })
    }
}

struct Threads {
    handles: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("threads", &self.threads.handles.len()).finish_non_exhaustive()
    }
}

impl QueueStore for SqliteStore {
    fn start(&self, owner: &str) -> BoxFuture<'_, u64> {
        let owner = owner.to_owned();
        self.writer.submit(Promise::Durable, 0, move |work| lease::start(work, owner))
    }

    fn enqueue_all(&self, messages: Vec<NewMessage>) -> BoxFuture<'_, Vec<MessageId>> {
        let weight = enqueue::weight(&messages);
        self.writer.submit(Promise::Durable, weight, move |work| enqueue::enqueue_all(work, &messages))
    }

    fn forget_source_key(&self, source_key: &str) -> BoxFuture<'_, ()> {
        let key = source_key.to_owned();
        self.writer.submit(Promise::Visible, 0, move |work| {
            work.connection.prepare_cached("DELETE FROM source_key WHERE key = ?1")?.execute([key])?;
            Ok(())
        })
    }

    fn due(&self, now: Timestamp) -> BoxFuture<'_, Vec<(NextHop, Timestamp)>> {
        self.reader.submit(move |connection| manage::due(connection, now))
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Claimed> {
        self.writer.submit(Promise::Visible, 0, move |work| lease::claim(work, &claim))
    }

    fn content(&self, message: MessageId) -> BoxFuture<'_, Content> {
        let read = self.reader.submit(move |connection| manage::content(connection, message));
        self.or_set_aside(read, "its content is damaged")
    }

    fn envelope(&self, message: MessageId) -> BoxFuture<'_, Envelope> {
        let read = self.reader.submit(move |connection| manage::envelope(connection, message));
        self.or_set_aside(read, "the envelope or the recipients cannot be read")
    }

    fn settle(&self, lease: Lease, settlement: Settlement) -> BoxFuture<'_, Vec<MessageId>> {
        let weight = enqueue::weight(&settlement.enqueue) + 256 * (1 + settlement.results.len());
        self.writer.submit(Promise::Durable, weight, move |work| lease::settle(work, &lease, &settlement))
    }

    fn results(&self, message: MessageId) -> BoxFuture<'_, Vec<(Recipient, Outcome)>> {
        self.reader.submit(move |connection| result::read(connection, message))
    }

    fn forget_results(&self, message: MessageId) -> BoxFuture<'_, ()> {
        self.writer.submit(Promise::Visible, 0, move |work| result::forget(work, message))
    }

    fn release(&self, lease: Lease, due: Timestamp) -> BoxFuture<'_, ()> {
        self.writer.submit(Promise::Visible, 0, move |work| lease::release(work, &lease, due))
    }

    fn extend(&self, lease: &Lease, until: Timestamp) -> BoxFuture<'_, ()> {
        let (delivery, generation) = (lease.delivery, lease.generation);
        self.writer.submit(Promise::Visible, 0, move |work| lease::extend(work, delivery, generation, until))
    }

    fn list(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Vec<Listed>> {
        self.reader.submit(move |connection| manage::list(connection, &filter, now))
    }

    fn queues(&self, now: Timestamp) -> BoxFuture<'_, Vec<QueueSummary>> {
        self.reader.submit(move |connection| manage::queues(connection, now))
    }

    fn suspend(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        self.writer.submit(Promise::Durable, 0, move |work| manage::suspend(work, &filter, now))
    }

    fn resume(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        self.writer.submit(Promise::Durable, 0, move |work| manage::resume(work, &filter, now))
    }

    fn suspend_queue(&self, next_hop: &NextHop, suspended: bool) -> BoxFuture<'_, ()> {
        let next_hop = next_hop.clone();
        self.writer.submit(Promise::Durable, 0, move |work| manage::suspend_queue(work, &next_hop, suspended))
    }

    fn retry_now(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        self.writer.submit(Promise::Durable, 0, move |work| manage::retry_now(work, &filter, now))
    }

    fn take_retries(&self) -> BoxFuture<'_, Vec<NextHop>> {
        let any = self.reader.submit(manage::has_retries);
        Box::pin(async move {
            if !any.await? {
                return Ok(Vec::new());
            }
            self.writer.submit(Promise::Visible, 0, |work| manage::take_retries(work)).await
        })
    }

    fn remove(&self, filter: Filter, now: Timestamp) -> BoxFuture<'_, Changed> {
        self.writer.submit(Promise::Durable, 0, move |work| manage::remove(work, &filter, now))
    }

    fn set_aside(&self, message: MessageId, reason: &str) -> BoxFuture<'_, ()> {
        let reason = reason.to_owned();
        self.writer.submit(Promise::Durable, 0, move |work| {
            let found = lease::set_aside(work, message.as_u64().cast_signed(), &reason)?;
            if found { Ok(()) } else { Err(QueueError::UnknownMessage { message }.into()) }
        })
    }

    fn version(&self) -> u64 {
        *self.writer.version().borrow()
    }

    fn changed(&self, seen: u64) -> BoxFuture<'_, u64> {
        let mut version = self.writer.version();
        Box::pin(async move {
            version
                .wait_for(|version| *version != seen)
                .await
                .map(|version| *version)
                .map_err(|_| QueueError::Closed)
        })
    }
}
