//! Hints that a file has come into a watched directory, from the operating system: good for haste, never to be relied on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::files::shown;

/// From a hint to the look that it asks for: files that come together are found together, and a flood of them cannot make
/// us do nothing but look.
const GATHERING: Duration = Duration::from_millis(100);

/// What the operating system tells of one directory, as long as it does.
///
/// Looking at the directory at every interval stays the truth: the kernel's queue of events overflows, network shares send
/// none of what others do there, and no descriptor may be left for it. All that a lost hint costs is one interval.
pub(crate) struct Hints {
    path: PathBuf,
    watcher: Option<RecommendedWatcher>,
    bell: Arc<Bell>,
    /// That there are none has been told.
    told: bool,
}

#[derive(Default)]
struct Bell {
    rung: Notify,
    /// The watch itself ended: its directory was moved or removed.
    ended: AtomicBool,
}

impl Hints {
    /// None yet: see [`Hints::renew`].
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), watcher: None, bell: Arc::default(), told: false }
    }

    /// Watches the directory if nobody does, or if the watch has ended. Before a look at it: what comes after the look is
    /// then hinted at. `wanted` says which names are worth a look.
    ///
    /// Blocks for a few calls of the system. A failure is told once, until there was success; that a directory is missing
    /// is told by whoever looks at it.
    pub(crate) fn renew(&mut self, wanted: impl Fn(&OsStr) -> bool + Send + 'static) {
        if self.bell.ended.swap(false, Ordering::Relaxed) {
            self.watcher = None;
        }
        if self.watcher.is_some() {
            return;
        }
        match watch(&self.path, Arc::clone(&self.bell), wanted) {
            Ok(watcher) => (self.watcher, self.told) = (Some(watcher), false),
            Err(error) if is_missing(&error) => {}
            Err(_) if self.told => {}
            Err(error) => {
                self.told = true;
                let directory = shown(&self.path);
                tracing::warn!(directory, %error, "no hints of new files; they are found at the next look");
            }
        }
    }

    /// Watches no more, until [`Hints::renew`]. Where the directory could not be read, whatever is watched may be another
    /// one than that which comes back; and where many files are taken, the system would tell of each step of each.
    pub(crate) fn end(&mut self) {
        self.watcher = None;
    }

    /// Ready a moment after something came; never, where nothing is watched.
    pub(crate) async fn come(&self) {
        self.bell.rung.notified().await;
        tokio::time::sleep(GATHERING).await;
    }
}

fn watch(
    path: &Path,
    bell: Arc<Bell>,
    wanted: impl Fn(&OsStr) -> bool + Send + 'static,
) -> notify::Result<RecommendedWatcher> {
    let directory = path.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
        Ok(event) if has_ended(&event, &directory) => {
            bell.ended.store(true, Ordering::Relaxed);
            bell.rung.notify_one();
        }
        Ok(event) if is_worth_a_look(&event, &wanted) => bell.rung.notify_one(),
        Ok(_) => {}
        Err(_) => bell.ended.store(true, Ordering::Relaxed),
    })?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// The directory itself was moved or removed.
fn has_ended(event: &Event, directory: &Path) -> bool {
    let moved = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
    moved && event.paths.iter().any(|path| path == directory)
}

/// Something may be there that was not: created, renamed, written. After an overflow anything may. A file that leaves,
/// as each does when it is claimed, is no reason to look.
fn is_worth_a_look(event: &Event, wanted: &impl Fn(&OsStr) -> bool) -> bool {
    let comes = match event.kind {
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => false,
        kind => matches!(kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Any),
    };
    // Of a rename that names both, the last is the name it has now.
    event.need_rescan() || comes && event.paths.last().and_then(|path| path.file_name()).is_some_and(wanted)
}

fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, Flag, RemoveKind};

    use super::*;

    #[test]
    fn only_what_may_have_brought_a_wanted_file_is_worth_a_look() {
        let wanted = |name: &OsStr| name == "a.eml";
        let event = |kind: EventKind, name: &str| Event::new(kind).add_path(Path::new("Pickup").join(name));
        let moved = |mode| EventKind::Modify(ModifyKind::Name(mode));
        for (name, event, worth) in [
            ("created", event(EventKind::Create(CreateKind::File), "a.eml"), true),
            ("moved in", event(moved(RenameMode::To), "a.eml"), true),
            ("claimed by us, from", event(moved(RenameMode::From), "a.eml"), false),
            ("claimed by us, to", event(moved(RenameMode::To), "a.tmp"), false),
            ("claimed by us, both", event(moved(RenameMode::Both), "a.eml").add_path("a.tmp".into()), false),
            ("deleted", event(EventKind::Remove(RemoveKind::File), "a.eml"), false),
            ("overflow", Event::new(EventKind::Other).set_flag(Flag::Rescan), true),
        ] {
            assert_eq!(is_worth_a_look(&event, &wanted), worth, "{name}");
        }
    }

    #[test]
    fn a_watch_ends_with_its_directory_and_not_with_a_file_in_it() {
        let gone = Event::new(EventKind::Remove(RemoveKind::Folder)).add_path("Pickup".into());
        let file = Event::new(EventKind::Remove(RemoveKind::File)).add_path("Pickup/a.eml".into());
        assert!(has_ended(&gone, Path::new("Pickup")));
        assert!(!has_ended(&file, Path::new("Pickup")));
    }
}
