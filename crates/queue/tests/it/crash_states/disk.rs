//! A disk that forgets: what was synced is there, and of the rest whatever the crash chooses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::trace::Step;
use crate::dice::Dice;

/// What a disk may tear a write into.
const SECTOR: usize = 512;

/// What is found in a folder: the bytes of each file by its name.
pub(super) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The files of a folder, as a power failure may leave them.
#[derive(Clone, Default)]
pub(super) struct Disk {
    files: Vec<File>,
    /// Which names are there for good.
    names: BTreeMap<PathBuf, usize>,
    /// Names made and removed since their folder was last synced, in order.
    renaming: Vec<Renaming>,
}

/// What is there or not, as a whole.
#[derive(Clone)]
struct Renaming {
    /// The name that the file had, if it had one: a journal keeps the order, so without that nothing is renamed.
    from: Option<PathBuf>,
    path: PathBuf,
    file: Option<usize>,
}

#[derive(Clone, Default)]
struct File {
    synced: Vec<u8>,
    since: Vec<Change>,
    /// Where the next write without an offset goes.
    end: u64,
}

#[derive(Clone)]
enum Change {
    Write { at: u64, bytes: Vec<u8> },
    Truncate(u64),
}

/// How the crash chooses among what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// All of it is lost.
    Everything,
    /// Nothing is lost: the process died, the machine did not.
    Nothing,
    /// The writes up to some point are there, and the next one in part.
    Tail,
    /// Each write is there, or not, or in part.
    Any,
}

impl Disk {
    /// All of it synced.
    pub(super) fn holding(files: &Files) -> Self {
        let mut disk = Self::default();
        for (path, bytes) in files {
            disk.names.insert(path.clone(), disk.files.len());
            disk.files.push(File { synced: bytes.clone(), ..File::default() });
        }
        disk
    }

    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Create { path } if self.find(path).is_none() => {
                self.files.push(File::default());
                let file = Some(self.files.len() - 1);
                self.renaming.push(Renaming { from: None, path: path.clone(), file });
            }
            Step::Write { path, at, bytes } => {
                if let Some(file) = self.file(path) {
                    let at = at.unwrap_or(file.end);
                    file.end = at + bytes.len() as u64;
                    file.since.push(Change::Write { at, bytes: bytes.clone() });
                }
            }
            Step::Truncate { path, length } => {
                if let Some(file) = self.file(path) {
                    file.since.push(Change::Truncate(*length));
                }
            }
            Step::Unlink { path } => {
                self.renaming.push(Renaming { from: None, path: path.clone(), file: None });
            }
            Step::Rename { from, to } => {
                let file = self.find(from);
                self.renaming.push(Renaming { from: Some(from.clone()), path: to.clone(), file });
            }
            Step::Sync { path } => match self.file(path) {
                Some(file) => {
                    for change in std::mem::take(&mut file.since) {
                        change.apply(&mut file.synced, usize::MAX);
                    }
                }
                None => self.sync_names(path),
            },
            // Of a folder nothing is forgotten: its journal would stop the file system.
            Step::SyncFailed { path } => {
                if let Some(file) = self.file(path) {
                    file.since.clear();
                }
            }
            Step::Create { .. } | Step::Said(_) => {}
        }
    }

    fn sync_names(&mut self, folder: &Path) {
        for renaming in std::mem::take(&mut self.renaming) {
            if renaming.path.parent() == Some(folder) {
                renaming.apply(&mut self.names);
            } else {
                self.renaming.push(renaming);
            }
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let newest = self.renaming.iter().rev().find_map(|renaming| match renaming {
            Renaming { path: other, file, .. } if other == path => Some(*file),
            Renaming { from: Some(other), .. } if other == path => Some(None),
            _ => None,
        });
        newest.unwrap_or_else(|| self.names.get(path).copied())
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        let file = self.find(path)?;
        self.files.get_mut(file)
    }

    /// What is found after a crash.
    pub(super) fn after_a_crash(&self, loss: Loss, dice: &mut Dice) -> Files {
        let mut names = self.names.clone();
        let reached = dice.below(self.renaming.len() + 1);
        for (index, renaming) in self.renaming.iter().enumerate() {
            let there = match loss {
                Loss::Everything => false,
                Loss::Nothing => true,
                Loss::Tail => index < reached,
                Loss::Any => dice.below(2) == 0,
            };
            if there {
                renaming.apply(&mut names);
            }
        }
        let files = names.into_iter().map(|(path, file)| (path, self.files[file].after_a_crash(loss, dice)));
        // SQLite builds this one anew from the log.
        files.filter(|(path, _)| !path.to_string_lossy().ends_with("-shm")).collect()
    }
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match (&self.from, self.file) {
            (Some(from), Some(file)) if names.get(from) == Some(&file) => {
                names.remove(from);
                names.insert(self.path.clone(), file);
            }
            (Some(_), _) => {}
            (None, Some(file)) => drop(names.insert(self.path.clone(), file)),
            (None, None) => drop(names.remove(&self.path)),
        }
    }
}

impl File {
    fn after_a_crash(&self, loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let reached = dice.below(self.since.len() + 1);
        for (index, change) in self.since.iter().enumerate() {
            let sectors = match loss {
                Loss::Everything => 0,
                Loss::Nothing => usize::MAX,
                Loss::Tail if index < reached => usize::MAX,
                Loss::Tail if index == reached => dice.below(change.sectors() + 1),
                Loss::Tail => 0,
                Loss::Any => match dice.below(4) {
                    0 => 0,
                    1 => dice.below(change.sectors() + 1),
                    _ => usize::MAX,
                },
            };
            change.apply(&mut bytes, sectors);
        }
        bytes
    }
}

impl Change {
    fn sectors(&self) -> usize {
        match self {
            Self::Write { bytes, .. } => bytes.len().div_ceil(SECTOR),
            Self::Truncate(_) => 1,
        }
    }

    /// Carries out the first `sectors` sectors of it.
    fn apply(&self, to: &mut Vec<u8>, sectors: usize) {
        match self {
            Self::Write { at, bytes } => {
                let bytes = &bytes[..bytes.len().min(sectors.saturating_mul(SECTOR))];
                let at = usize::try_from(*at).expect("a small file");
                if !bytes.is_empty() {
                    to.resize(to.len().max(at + bytes.len()), 0);
                    to[at..at + bytes.len()].copy_from_slice(bytes);
                }
            }
            Self::Truncate(length) if sectors > 0 => {
                to.resize(usize::try_from(*length).expect("a small file"), 0);
            }
            Self::Truncate(_) => {}
        }
    }
}

/// Writes such a state into a folder.
pub(super) fn lay_out(files: &Files, folder: &Path) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("room");
        fs::write(path, bytes).expect("room");
    }
}

/// A folder in memory: what is tried here needs no disk.
pub(crate) fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() }
}

/// Equal states have equal ones, and hardly any others: of a million, two in a hundred million million.
pub(super) fn fingerprint(files: &Files) -> u64 {
    let mixed = |before: u64, word: u64| (before.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Four side by side: a processor multiplies them at once.
    let mut sums = [1u64, 2, 3, 4];
    for (path, bytes) in files {
        for bytes in [path.as_os_str().as_encoded_bytes(), bytes] {
            sums[0] = mixed(sums[0], bytes.len() as u64);
            let (words, rest) = bytes.as_chunks::<8>();
            let (fours, words) = words.as_chunks::<4>();
            for four in fours {
                for (sum, word) in sums.iter_mut().zip(four) {
                    *sum = mixed(*sum, u64::from_le_bytes(*word));
                }
            }
            words.iter().for_each(|word| sums[1] = mixed(sums[1], u64::from_le_bytes(*word)));
            rest.iter().for_each(|byte| sums[2] = mixed(sums[2], u64::from(*byte)));
        }
    }
    sums.into_iter().fold(0, mixed)
}
