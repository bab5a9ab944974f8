//! Large contents: each in a synced file of its own beside the database, there before its message and gone after it.
//!
//! | on the disk | when |
//! |---|---|
//! | a file, locked, without a row | its message is being taken in, as a whole or [in pieces](super::draft); whoever takes it in died if it is not locked |
//! | a file and a row | the message waits |
//! | a row without its file | never, but for a damaged disk: the message is set aside |
//!
//! The file and its folder are synced before the row is committed; the row's removal is committed before the file is
//! removed. What a crash leaves without a row is removed at the next start.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use postroad_message::Content;
use rustix::fs::{Mode, OFlags};
use tokio::sync::watch;

use super::draft::{self, DraftFile};
use super::fault::Fault;
use super::file_threads::{Aside, FileThreads, OpenFile};
use super::owner::{self, Owner};
use super::record::Checksum;
use super::stored;
use crate::error::QueueError;
use crate::item::NewMessage;

/// The folder of large contents, and the threads that write and read there.
#[derive(Clone)]
pub(super) struct ContentFiles {
    threads: FileThreads,
    folder: Arc<Folder>,
    threshold: usize,
    /// How many calls write contents before they go to the writing thread.
    writing: Arc<watch::Sender<usize>>,
}

/// One of those calls, until it has gone there.
pub(super) struct Writing(Arc<watch::Sender<usize>>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

impl ContentFiles {
    /// Starts the threads over the folder beside the database at `path`, which is made where there is none; they have ended when
    /// the one has that this gives.
    pub(super) fn start(path: &Path, threshold: usize) -> Result<(Self, JoinHandle<()>), Fault> {
        let (threads, first) = FileThreads::begin()?;
        let folder = Arc::new(Folder::beside(path, threads.aside())?);
        let writing = Arc::new(watch::Sender::new(0));
        Ok((Self { threads, folder, threshold, writing }, first))
    }

    pub(super) fn run(&self, job: impl FnOnce(&Folder) + Send + 'static) {
        let folder = Arc::clone(&self.folder);
        self.threads.run(Box::new(move || job(&folder)));
    }

    pub(super) fn writing(&self) -> Writing {
        self.writing.send_modify(|calls| *calls += 1);
        Writing(Arc::clone(&self.writing))
    }

    /// Ready once nobody writes contents who has not gone to the writing thread, or come to nothing.
    pub(super) async fn written(&self) {
        // The sender is ours.
        let _ = self.writing.subscribe().wait_for(|calls| *calls == 0).await;
    }

    pub(super) fn is_large(&self, message: &NewMessage) -> bool {
        message.content.len() >= self.threshold || message.content.in_memory().is_none()
    }

    /// Which of these contents belong into files: for [`Folder::draft`].
    pub(super) fn large(&self, messages: &[NewMessage]) -> Vec<Option<Content>> {
        messages.iter().map(|message| self.is_large(message).then(|| message.content.clone())).collect()
    }

    /// Removes the files of messages that are gone. What cannot be removed is swept at the next start.
    pub(super) fn remove(&self, doomed: Vec<String>) {
        if !doomed.is_empty() {
            self.run(move |folder| {
                for name in &doomed {
                    let _ = fs::remove_file(folder.path.join(name));
                }
            });
        }
    }
}

/// The folder beside the database.
pub(super) struct Folder {
    path: PathBuf,
    /// Whoever has the database.
    owner: Owner,
    last: AtomicU64,
    /// Who closes its files.
    aside: Aside,
}

impl Folder {
    fn beside(database: &Path, aside: Aside) -> Result<Self, Fault> {
        let (path, owner) = owner::folder_beside(database, "-content")?;
        Ok(Self { path, owner, last: AtomicU64::new(0), aside })
    }

    /// Writes the large ones of these contents, each into a file of its own unless it lies in one already, and syncs all of it.
    /// Where one fails, those before it are removed.
    pub(super) fn draft(&self, contents: &[Option<Content>]) -> Result<Drafts, Fault> {
        let mut drafts = Drafts { files: Vec::with_capacity(contents.len()), wanted: false };
        let mut written = false;
        for content in contents {
            let lent = content.as_ref().and_then(|content| draft::lent(content, self));
            written |= content.is_some() && lent.is_none();
            drafts.files.push(match content {
                Some(content) if lent.is_none() => Some(self.write(content)?),
                _ => lent,
            });
        }
        if written {
            self.sync()?;
        }
        Ok(drafts)
    }

    fn write(&self, content: &Content) -> Result<(Arc<DraftFile>, i64), Fault> {
        let draft = self.create()?;
        let mut sum = Checksum::of(content.len());
        let mut file = draft.file()?;
        content.pieces(|piece| {
            sum.add(piece);
            file.write_all(piece)
        })?;
        // A sync that failed is final for this file: whatever a second one says, pages may be lost.
        file.sync_data()?;
        Ok((Arc::new(draft), sum.finish()))
    }

    /// A file that was made is only there after a power failure once its folder was synced.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        Ok(File::open(&self.path)?.sync_all()?)
    }

    pub(super) fn has(&self, file: &Path) -> bool {
        file.parent() == Some(&self.path)
    }

    /// A new file, locked: nobody sweeps it away.
    pub(super) fn create(&self) -> Result<DraftFile, Fault> {
        let folder = File::open(&self.path)?;
        // Nothing is given to him in a folder of somebody else's, to which a link of his may lead.
        let owner = self.owner.has(&folder.metadata()?).then_some(self.owner);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        loop {
            let number = self.last.fetch_add(1, Ordering::Relaxed);
            let name = format!("{:08x}{number:08x}", std::process::id());
            let path = self.path.join(&name);
            let file = match rustix::fs::openat(&folder, &name, flags, Mode::RUSR | Mode::WUSR) {
                Err(rustix::io::Errno::EXIST) => continue,
                opened => File::from(opened.map_err(io::Error::from)?),
            };
            if let Some(owner) = owner {
                owner.give(&file)?;
            }
            file.lock()?;
            // Between the two somebody who sweeps may have taken it for an orphan.
            if file.metadata()?.nlink() > 0 {
                return Ok(DraftFile::new(path, name, OpenFile::new(file, &self.aside)));
            }
        }
    }

    /// The content in a file, if that is there.
    pub(super) fn read(&self, name: &str, size: u64, checksum: i64) -> Result<Option<Content>, Fault> {
        match File::open(self.path.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => stored::content(OpenFile::new(opened?, &self.aside), size, checksum),
        }
    }

    /// Removes the files that nobody is writing and no message has; gives how many.
    ///
    /// The lock comes first: whoever held it has committed its row by then, or died.
    pub(super) fn sweep(&self, has_message: impl Fn(&str) -> Result<bool, Fault>) -> Result<u64, Fault> {
        let mut swept = 0;
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            // One that is gone, or that cannot be opened now, is none that the others have to wait for.
            let Ok(file) = File::open(entry.path()) else { continue };
            if file.try_lock().is_ok() && is_named(&file, &entry.path())? && !has_message(name)? {
                fs::remove_file(entry.path())?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// Whether this is the file of that name still: another may have swept it, and its name may be somebody's new file.
fn is_named(file: &File, path: &Path) -> Result<bool, Fault> {
    let there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    let ours = file.metadata()?;
    Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

/// The files of one call's large contents and their checksums, in the places of their messages.
#[derive(Default)]
pub(super) struct Drafts {
    files: Vec<Option<(Arc<DraftFile>, i64)>>,
    /// Whether the transaction, if it commits, has rows for them.
    wanted: bool,
}

impl Drafts {
    /// Name and checksum.
    pub(super) fn file(&self, index: usize) -> Option<(&str, i64)> {
        self.files.get(index)?.as_ref().map(|(draft, checksum)| (draft.name.as_str(), *checksum))
    }

    pub(super) fn wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// The files stay where their rows are there, or may be: a commit whose sync failed leaves it open, and so does the
    /// end of a thread that would have said.
    pub(super) fn ended(&mut self, ended: Result<(), QueueError>) {
        self.wanted &= matches!(ended, Ok(()) | Err(QueueError::Io { .. }));
    }
}

impl Drop for Drafts {
    fn drop(&mut self) {
        for (draft, _) in self.files.iter().flatten() {
            draft.settled(self.wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stays_where_nobody_said_whether_its_row_is_there() {
        let parent = tempfile::tempdir().expect("a folder");
        let database = parent.path().join("queue.db");
        fs::write(&database, "").expect("a file");
        let folder = Folder::beside(&database, Aside::default()).expect("a folder");
        for (wanted, ended, stay) in [
            (false, None, 0),
            (true, Some(Err(QueueError::DiskFull { code: 13 })), 0),
            (true, None, 1),
            (true, Some(Ok(())), 2),
            (true, Some(Err(QueueError::Io { code: 10 })), 3),
        ] {
            let mut drafts = folder.draft(&[Some(Content::from(vec![0; 9]))]).expect("room");
            drafts.wanted(wanted);
            if let Some(ended) = ended {
                drafts.ended(ended);
            }
            drop(drafts);
            assert_eq!(fs::read_dir(&folder.path).expect("a folder").count(), stay, "{wanted} {ended:?}");
        }
    }
}
