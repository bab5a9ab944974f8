//! A folder in which a program puts one file for each message: a Maildir's `new`, a Drop directory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::patience;

/// The message files now in `folder`, in the order of their names; empty when there is no such folder.
///
/// Names that begin with a dot or end in `.tmp` are files still being written, and no messages.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_message(path)).collect();
    files.sort();
    files
}

/// Waits until `folder` holds at least `count` messages, and reads them.
pub fn wait_for(folder: &Path, count: usize) -> Vec<Vec<u8>> {
    let what = format!("{count} message(s) in {}", folder.display());
    let files = patience::until(&what, || Some(files(folder)).filter(|files| files.len() >= count));
    files.iter().map(|file| fs::read(file).expect("read a delivered message")).collect()
}

/// Waits for one message in `folder`, and reads it.
pub fn wait_for_one(folder: &Path) -> Vec<u8> {
    wait_for(folder, 1).remove(0)
}

fn is_message(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.is_file() && !name.starts_with('.') && !name.ends_with(".tmp")
}
