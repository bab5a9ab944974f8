//! Whose the store's files are: what root makes beside a relay of another user belongs to that user.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

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

/// Makes the empty file of a store where there is none, for whoever has its folder; SQLite gives its logs to whoever has the
/// file. Where that fails, SQLite says why.
pub(super) fn make(database: &Path) {
    let made = File::options().write(true).create_new(true).mode(0o644).open(database);
    if let (Ok(file), Ok(folder)) = (made, fs::metadata(folder(database))) {
        let _ = Owner::of(&folder).give(&file);
    }
}
