//! The file of a large content before its message is queued: written in pieces by the file threads, and gone with whoever has it
//! unless a message has it by then.

use std::any::Any;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use postroad_message::content::{ContentSource, Rest};
use postroad_message::{Content, Shape};
use tokio::sync::oneshot;

use super::content_file::{ContentFiles, Folder};
use super::fault::Fault;
use super::file_threads::OpenFile;
use super::record::Checksum;
use crate::draft::ContentDraft;
use crate::error::QueueError;
use crate::store::BoxFuture;

/// So much is read at a time where all of a file is looked at.
const PIECE: usize = 64 * 1024;
/// So much comes before the system is asked to begin writing it: the sync at the end then waits for the rest only.
const BEHIND: usize = 4 << 20;

/// A file that no row names yet. It is removed with the last who has it, unless a row names it by then.
pub(super) struct DraftFile {
    path: PathBuf,
    pub(super) name: String,
    /// Locked until it is closed: nobody sweeps it away.
    file: OpenFile,
    /// A call is about to write a row for it.
    lent: AtomicBool,
    /// There is a row for it, or there may be.
    wanted: AtomicBool,
}

impl DraftFile {
    pub(super) fn new(path: PathBuf, name: String, file: OpenFile) -> Self {
        Self { path, name, file, lent: AtomicBool::new(false), wanted: AtomicBool::new(false) }
    }

    pub(super) fn file(&self) -> io::Result<&File> {
        self.file.file()
    }

    /// Whether it may have a row now: not where another call is at it, or another message has it.
    fn lend(&self) -> bool {
        !self.lent.swap(true, Ordering::AcqRel)
    }

    /// The call is over.
    pub(super) fn settled(&self, wanted: bool) {
        if wanted {
            self.wanted.store(true, Ordering::Release);
        } else {
            self.lent.store(false, Ordering::Release);
        }
    }
}

impl Drop for DraftFile {
    fn drop(&mut self) {
        if !self.wanted.load(Ordering::Acquire) {
            let path = std::mem::take(&mut self.path);
            // Swept at the next start where it cannot be removed now.
            self.file.close_after(move || drop(fs::remove_file(path)));
        }
    }
}

/// A content that is being written.
pub(super) struct Incoming {
    // Dropped before `store`, so that the threads see the end of their inbox.
    files: ContentFiles,
    /// The file threads are not waited for as long as somebody may have work for them.
    _store: Arc<dyn Any + Send + Sync>,
    /// None while the file threads have it, and after a failure.
    written: Option<Written>,
}

/// What there is of it.
struct Written {
    head: Vec<u8>,
    file: Option<DraftFile>,
    length: usize,
    /// How much of it the system has begun to write to the disk.
    begun: usize,
    /// Of all that came, whatever its length.
    came: Checksum,
    /// Of what follows the head.
    shape: Shape,
}

impl Incoming {
    /// There is no file before the first piece.
    pub(super) fn new(files: ContentFiles, store: Arc<dyn Any + Send + Sync>, head: Vec<u8>) -> Self {
        let mut came = Checksum::of(0);
        came.add(&head);
        let written =
            Written { length: head.len(), head, file: None, begun: 0, came, shape: Shape::default() };
        Self { files, _store: store, written: Some(written) }
    }

    /// Lets a file thread work on it.
    fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Folder, Written) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, T> {
        let (reply, done) = oneshot::channel();
        let Some(written) = self.written.take() else {
            return Box::pin(std::future::ready(Err(QueueError::Io { code: 0 })));
        };
        self.files.run(move |folder| {
            // Where nobody waits any more, what was written goes with the answer.
            let _ = reply.send(work(folder, written).map_err(|Fault(error)| error));
        });
        Box::pin(async move { done.await.unwrap_or(Err(QueueError::Closed)) })
    }
}

impl ContentDraft for Incoming {
    fn write(&mut self, piece: Vec<u8>) -> BoxFuture<'_, ()> {
        let written = self.run(move |folder, mut written| {
            written.add(folder, &piece)?;
            Ok(written)
        });
        Box::pin(async move {
            self.written = Some(written.await?);
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>, rest: Vec<u8>) -> BoxFuture<'static, Content> {
        self.run(move |folder, written| written.finish(folder, &rest))
    }
}

impl Drop for Incoming {
    /// To remove a long file takes its time.
    fn drop(&mut self) {
        if let Some(written) = self.written.take() {
            self.files.run(move |_| drop(written));
        }
    }
}

impl Written {
    fn add(&mut self, folder: &Folder, piece: &[u8]) -> Result<(), Fault> {
        let draft = self.take_file(folder)?;
        self.add_to(&draft, piece)?;
        self.file = Some(draft);
        Ok(())
    }

    /// A new one where there is none yet, with the head.
    fn take_file(&mut self, folder: &Folder) -> Result<DraftFile, Fault> {
        if let Some(draft) = self.file.take() {
            return Ok(draft);
        }
        let draft = folder.create()?;
        draft.file()?.write_all(&self.head)?;
        Ok(draft)
    }

    fn add_to(&mut self, draft: &DraftFile, piece: &[u8]) -> Result<(), Fault> {
        let mut file = draft.file()?;
        file.write_all(piece)?;
        self.came.add(piece);
        self.shape = self.shape.then(Shape::of(piece));
        self.length += piece.len();
        if self.length - self.begun >= BEHIND {
            begin_writing(file, self.begun, self.length);
            self.begun = self.length;
        }
        Ok(())
    }

    fn finish(mut self, folder: &Folder, rest: &[u8]) -> Result<Content, Fault> {
        let draft = self.take_file(folder)?;
        self.add_to(&draft, rest)?;
        let Self { head, length, came, shape, .. } = self;
        let file = draft.file()?;
        let checksum = checksum(file, length, &came)?;
        // A sync that failed is final for this file: whatever a second one says, pages may be lost.
        file.sync_data()?;
        folder.sync()?;
        let (start, length) = (head.len() as u64, length - head.len());
        let source = Arc::new(Finished { draft: Arc::new(draft), head: head.clone(), length, checksum });
        Ok(Content::with_rest(head, Rest { source, start, length, shape }))
    }
}

/// A hint that promises nothing. That these bytes, which are on their way already, need not stay in memory is what makes Linux begin.
fn begin_writing(file: &File, from: usize, to: usize) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::fs::fadvise(
        file,
        from as u64,
        std::num::NonZeroU64::new((to - from) as u64),
        rustix::fs::Advice::DontNeed,
    );
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (file, from, to);
}

/// Begins with the length, which nobody knows before the end: so it takes a look at what was written, which must be what `came`.
fn checksum(file: &File, length: usize, came: &Checksum) -> io::Result<i64> {
    let (mut sum, mut found, mut at) = (Checksum::of(length), Checksum::of(0), 0);
    let mut piece = vec![0; PIECE];
    while at < length {
        let room = piece.len().min(length - at);
        let part = piece.get_mut(..room).unwrap_or_default();
        file.read_exact_at(part, at as u64)?;
        sum.add(part);
        found.add(part);
        at += room;
    }
    if found.finish() != came.finish() {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(sum.finish())
}

/// A content that was written, synced, and may be queued as it lies.
struct Finished {
    draft: Arc<DraftFile>,
    head: Vec<u8>,
    /// Of what follows the head.
    length: usize,
    checksum: i64,
}

impl ContentSource for Finished {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.draft.file()?.read_at(into, offset)
    }
}

/// The file in which this content lies already, and its checksum, if it is all of it and a row may name it.
pub(super) fn lent(content: &Content, folder: &Folder) -> Option<(Arc<DraftFile>, i64)> {
    let rest = content.rest()?;
    let source: &dyn Any = &*rest.source;
    let finished = source.downcast_ref::<Finished>()?;
    let same = (rest.start, rest.length) == (finished.head.len() as u64, finished.length)
        && content.head() == finished.head
        && folder.has(&finished.draft.path);
    (same && finished.draft.lend()).then(|| (Arc::clone(&finished.draft), finished.checksum))
}
