//! Whose the store's files are: what root makes beside a relay of another user belongs to that user.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;

/// A user, and his group.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    pub(super) fn of(there: &Metadata) -> Self {
        Self { user: there.uid(), group: there.gid() }
    }

    pub(super) fn has(self, there: &Metadata) -> bool {
        there.uid() == self.user
    }

    /// Gives him an open file or folder, if we may, which is if we are root. By its descriptor: who may write in the folder could
    /// put something else under its name.
    pub(super) fn give(self, file: &File) -> io::Result<()> {
        if !self.has(&file.metadata()?) {
            let _ = fchown(file, Some(self.user), Some(self.group));
        }
        Ok(())
    }
}

/// The folder in which a store lies.
pub(super) fn folder(database: &Path) -> &Path {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// The folder `database` + `suffix`, for whoever has the database; it is made where there is none.
pub(super) fn folder_beside(database: &Path, suffix: &str) -> io::Result<(PathBuf, Owner)> {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    let path = database.with_file_name(name);
    let owner = Owner::of(&fs::metadata(database)?);
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => {
            made?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            owner.give(&rustix::fs::open(&path, flags, Mode::empty())?.into())?;
        }
    }
    Ok((path, owner))
}

/// What waits is nobody else's to read.
const PRIVATE: u32 = 0o600;
/// As earlier versions made it.
const READABLE: u32 = 0o644;

/// Takes a store's files from others that an earlier version let read them. None is opened: when one is closed that SQLite has
/// open, its locks are gone.
pub(super) fn keep_private(database: &Path) {
    let us = geteuid();
    for suffix in ["", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        let is_ours = |there: &Metadata| there.uid() == us.as_raw();
        // In somebody else's folder root could be led to another file meanwhile.
        let may = !us.is_root() || fs::metadata(folder(database)).is_ok_and(|folder| is_ours(&folder));
        let is_readable = |there: &Metadata| there.is_file() && there.mode() & 0o777 == READABLE;
        if may && fs::symlink_metadata(&path).is_ok_and(|there| is_ours(&there) && is_readable(&there)) {
            // Where that fails it is as it was.
            let _ = fs::set_permissions(&path, Permissions::from_mode(PRIVATE));
        }
    }
}

/// Makes the empty file of a store where there is none, for whoever has its folder; SQLite gives its logs to whoever has the
/// file. Where that fails, SQLite says why.
pub(super) fn make(database: &Path) {
    let made = File::options().write(true).create_new(true).mode(PRIVATE).open(database);
    if let (Ok(file), Ok(folder)) = (made, fs::metadata(folder(database))) {
        let _ = Owner::of(&folder).give(&file);
    }
}
