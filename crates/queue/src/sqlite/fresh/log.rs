//! The log's files: a segment after the other, written at its end and synced.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use postroad_message::Content;
use rustix::fs::OFlags;

use super::super::fault::Fault;
use super::super::owner::{self, Owner};
use super::format::{HEADER, Key, Lent, OVERHEAD, Record};
use crate::error::QueueError;
use crate::message_id::MessageId;

/// How many segments there are.
pub(super) const SEGMENTS: u64 = 4;

/// The folder of the log beside a database.
#[derive(Clone)]
pub(super) struct Folder {
    path: PathBuf,
    owner: Owner,
}

/// A segment as it was found.
pub(super) struct Segment {
    key: Key,
    bytes: Vec<u8>,
}

impl Segment {
    pub(super) fn epoch(&self) -> u64 {
        self.key.epoch
    }

    pub(super) fn records(&self) -> Result<Vec<Record<'_>>, QueueError> {
        self.key.read(&self.bytes)
    }
}

impl Folder {
    /// Makes the folder where there is none.
    pub(super) fn beside(database: &Path) -> Result<Self, Fault> {
        let (path, owner) = owner::folder_beside(database, "-fresh")?;
        Ok(Self { path, owner })
    }

    /// Only what is made here is given to whoever has the database, and no link is followed: where root does this in his folder
    /// he could have put a link there.
    fn open(&self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        let mut options = File::options();
        let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
        options.read(true).write(true).mode(0o600).custom_flags(nofollow);
        match options.clone().create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(&path),
            made => {
                let file = made?;
                self.owner.give(&file)?;
                Ok(file)
            }
        }
    }

    /// The log is ours as long as the file that this gives is open; `None` where it is another process's.
    pub(super) fn lock(&self) -> Result<Option<File>, Fault> {
        let file = self.open("lock")?;
        Ok(got(file.try_lock())?.then_some(file))
    }

    /// The log is nobody's as long as the file that this gives is open; `None` where it is somebody's.
    pub(super) fn keep_free(&self) -> Result<Option<File>, Fault> {
        let file = self.open("lock")?;
        Ok(got(file.try_lock_shared())?.then_some(file))
    }

    /// The segments from epoch `live` on, the oldest first. A file that has no header of ours holds nothing.
    pub(super) fn read(&self, live: u64) -> Result<Vec<Segment>, Fault> {
        let mut segments = Vec::new();
        for number in 0..SEGMENTS {
            let mut file = match File::open(self.path.join(number.to_string())) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened?,
            };
            let mut bytes = Vec::new();
            (&mut file).take(HEADER as u64).read_to_end(&mut bytes)?;
            if let Some(key) = Key::read_header(&bytes)
                && key.epoch >= live
            {
                file.read_to_end(&mut bytes)?;
                segments.push(Segment { key, bytes });
            }
        }
        segments.sort_by_key(Segment::epoch);
        Ok(segments)
    }
}

/// Makes sure that no server has the log of this store as long as the file that this gives is open: one of an older version
/// would go on as before beside a store that is of this version.
pub(in super::super) fn without_server(database: &Path) -> Result<File, Fault> {
    Folder::beside(database)?.lock()?.ok_or(Fault(QueueError::Busy { code: 0 }))
}

/// Opens a file of this name in the log's folder, which others look at as well; makes it where there is none.
pub(in super::super) fn open_beside(database: &Path, name: &str) -> Result<File, Fault> {
    Ok(Folder::beside(database)?.open(name)?)
}

/// Removes files of these names, and the log's folder if it is empty then.
pub(in super::super) fn remove_beside(database: &Path, names: &[&str]) {
    if let Ok(folder) = Folder::beside(database) {
        for name in names {
            let _ = fs::remove_file(folder.path.join(name));
        }
        let _ = fs::remove_dir(folder.path);
    }
}

fn got(tried: Result<(), fs::TryLockError>) -> Result<bool, Fault> {
    match tried {
        Ok(()) => Ok(true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// The log, open for writing at its end.
pub(super) struct Log {
    folder: Folder,
    key: Key,
    file: File,
    /// Where what comes next is written.
    end: u64,
    buffer: Vec<u8>,
    segment_size: u64,
}

impl Log {
    /// Begins with the segment of this epoch, whose file nobody needs any more.
    pub(super) fn begin(folder: Folder, epoch: u64, segment_size: u64) -> Result<Self, Fault> {
        let file = folder.open(&(epoch % SEGMENTS).to_string())?;
        // Its name, and on the first use the folder's own.
        File::open(&folder.path)?.sync_all()?;
        if let Some(parent) = folder.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        let mut log = Self { folder, key: Key::new(epoch), file, end: 0, buffer: Vec::new(), segment_size };
        log.key.write_header(&mut log.buffer);
        Ok(log)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.key.epoch
    }

    /// The next segment; its file must hold nothing that is needed.
    pub(super) fn next(&self) -> Result<Self, Fault> {
        Self::begin(self.folder.clone(), self.key.epoch + 1, self.segment_size)
    }

    /// Whether a message with so long a line and content still fits into this segment.
    pub(super) fn has_room(&self, line: &[u8], content: &Content) -> bool {
        self.place() + (OVERHEAD + line.len() + content.len()) as u64 <= self.segment_size
            || self.place() <= HEADER as u64
    }

    /// Whether all that was pushed is written.
    pub(super) fn is_written(&self) -> bool {
        self.buffer.is_empty() || self.place() <= HEADER as u64
    }

    fn place(&self) -> u64 {
        self.end + self.buffer.len() as u64
    }

    pub(super) fn push_accepted(&mut self, line: &[u8], content: &Content) {
        let place = self.place();
        self.key.push_accepted(&mut self.buffer, place, line, content);
    }

    pub(super) fn push_lent(&mut self, lent: &Lent) {
        let place = self.place();
        self.key.push_lent(&mut self.buffer, place, lent);
    }

    pub(super) fn push_left(&mut self, message: MessageId) {
        let place = self.place();
        self.key.push_left(&mut self.buffer, place, message);
    }

    pub(super) fn push_forgotten(&mut self, messages: &[MessageId]) {
        let place = self.place();
        self.key.push_forgotten(&mut self.buffer, place, messages);
    }

    /// Writes what was pushed. Where that fails, or the sync after it, see [`take_back`](Self::take_back).
    pub(super) fn write(&mut self) -> io::Result<()> {
        let written = self.file.write_all_at(&self.buffer, self.end);
        if written.is_ok() {
            self.end += self.buffer.len() as u64;
        }
        self.buffer.clear();
        // One large message does not make all later ones pay for its room.
        self.buffer.shrink_to(1 << 20);
        written
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Makes sure that nothing from `end` on is ever read, and goes on there.
    pub(super) fn take_back(&mut self, end: u64) -> io::Result<()> {
        self.buffer.clear();
        self.file.write_all_at(&[0; 16], end)?;
        self.file.sync_data()?;
        self.end = end;
        if end == 0 {
            self.key.write_header(&mut self.buffer);
        }
        Ok(())
    }
}
