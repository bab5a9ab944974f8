//! Tries the states in which crashes may leave what a run wrote.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::ops::AddAssign;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::disk::{self, Disk, Files, Loss};
use super::promises::Promises;
use super::record::runtime;
use super::trace::Step;
use crate::dice::Dice;

/// So often the dice may fall as before, at one step and for one worker, before the next step's turn comes.
const PATIENCE: usize = 16;

/// How many states were tried.
#[derive(Clone, Copy, Default)]
pub(super) struct Tried {
    /// No two of a run have the same bytes.
    pub(super) states: usize,
    /// States that had been tried, when more was promised.
    pub(super) again: usize,
}

impl AddAssign for Tried {
    fn add_assign(&mut self, other: Self) {
        self.states += other.states;
        self.again += other.again;
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states, {} more times when more was promised", self.states, self.again)
    }
}

/// What the workers know of each other.
#[derive(Default)]
struct Shared {
    tried: Tried,
    /// How much was promised when a state was last tried.
    seen: HashMap<u64, usize>,
}

/// Tries about `wanted` states of a run that found such a disk and such promises, from step `first` on.
pub(super) fn try_all(
    disk: Disk,
    promises: &Promises,
    (steps, first): (&[Step], usize),
    wanted: usize,
    number: usize,
) -> Tried {
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let shared = Mutex::new(Shared::default());
    thread::scope(|scope| {
        for worker in 0..workers {
            let room = tempfile::Builder::new().tempdir_in(disk::memory()).expect("a folder");
            let (disk, promises, shared) = (disk.clone(), promises.clone(), &shared);
            let worker = Worker { worker, workers, wanted, number, shared };
            scope.spawn(move || worker.go(disk, promises, (steps, first), room.path()));
        }
    });
    shared.into_inner().unwrap_or_else(PoisonError::into_inner).tried
}

struct Worker<'a> {
    worker: usize,
    workers: usize,
    wanted: usize,
    /// Of the run.
    number: usize,
    shared: &'a Mutex<Shared>,
}

impl Worker<'_> {
    fn go(&self, mut disk: Disk, mut promises: Promises, (steps, first): (&[Step], usize), room: &Path) {
        let runtime = runtime();
        for (index, step) in steps.iter().enumerate() {
            disk.apply(step);
            promises.hear(step);
            if index < first {
                continue;
            }
            let mut misses = 0;
            // All the ways to lose once at least, and then as often as it takes.
            for turn in (self.worker..).step_by(self.workers) {
                let enough = self.wanted * (index + 1 - first) / (steps.len() - first);
                if misses == PATIENCE || turn >= WAYS.len() && self.tried() >= enough {
                    break;
                }
                let loss = WAYS[turn % WAYS.len()];
                let mut dice = Dice(((self.number * 1_000_003 + index) * 1_000_003 + turn) as u64);
                let files = disk.after_a_crash(loss, &mut dice);
                if !self.is_new(&files, promises.heard) {
                    misses += 1;
                    continue;
                }
                misses = 0;
                let folder = room.join("state");
                fs::create_dir(&folder).expect("room");
                disk::lay_out(&files, &folder);
                let what = format!(
                    "run {}, step {index} ({:.80?}), {loss:?}, turn {turn}",
                    self.number,
                    Brief(step)
                );
                let _evidence = Evidence { files: &files, what: &what };
                runtime.block_on(promises.are_kept(&folder.join("queue.db"), turn % 4 == 1, &what));
                fs::remove_dir_all(&folder).expect("removed");
            }
        }
    }

    fn tried(&self) -> usize {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).tried.states
    }

    /// Whether such a state has to be tried: with so many promises, at least.
    fn is_new(&self, files: &Files, heard: usize) -> bool {
        let fingerprint = disk::fingerprint(files);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.seen.insert(fingerprint, heard) {
            None => shared.tried.states += 1,
            Some(before) if before < heard => shared.tried.again += 1,
            Some(before) => {
                shared.seen.insert(fingerprint, before);
                return false;
            }
        }
        true
    }
}

const WAYS: [Loss; 4] = [Loss::Tail, Loss::Any, Loss::Everything, Loss::Nothing];

/// What is looked at by somebody when the test fails.
struct Evidence<'a> {
    files: &'a Files,
    what: &'a str,
}

impl Drop for Evidence<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let folder =
                tempfile::Builder::new().prefix("crash-state-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
            let folder = folder.expect("a folder").keep();
            disk::lay_out(self.files, &folder);
            println!("{}: the state is in {}", self.what, folder.display());
        }
    }
}

/// A step, without what it wrote.
struct Brief<'a>(&'a Step);

impl fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Step::Write { path, at, bytes } => write!(f, "Write {} {at:?} {}", path.display(), bytes.len()),
            other => write!(f, "{other:?}"),
        }
    }
}
