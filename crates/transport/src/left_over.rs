//! Files that an earlier run held when it ended: those that the queue has are deleted, and the others come back.

use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::Arc;

use postroad_message_directory::{Claimed, Directory};

use crate::files::{BATCH_FILES, Fate, key, shown};
use crate::pipeline::Pipeline;
use crate::watch::{FileDoor, blocking};

impl Pipeline {
    /// Takes up what an earlier run left as `.tmp`; false where the directory cannot be read, or the queue not be asked.
    ///
    /// Another relay, with a queue of its own, may watch the same directory and take whatever bears its first name: so a file
    /// that is queued here must not get that name back, not for a moment.
    pub(crate) async fn recover_files(
        &self,
        directory: Directory,
        door: &Arc<FileDoor>,
    ) -> (Directory, bool) {
        let (mut directory, names) = blocking(directory, |directory| directory.left_over()).await;
        let Ok(names) = names else { return (directory, false) };
        let (mut back, mut gone) = (0, Vec::new());
        for names in names.chunks(BATCH_FILES) {
            let names = names.to_vec();
            let held;
            (directory, held) = blocking(directory, move |directory| reclaim(directory, &names)).await;
            let keys: Vec<_> = held.iter().map(|claimed| key(&door.reader, claimed)).collect();
            let known = match self.shared.store.known_source_keys(keys.clone()).await {
                Ok(known) => known.into_iter().collect::<HashSet<_>>(),
                Err(error) => {
                    tracing::error!(%error, directory = shown(directory.path()), "left-over files wait for the queue");
                    return (directory, false);
                }
            };
            back += held.len() - known.len();
            let fate = |key| if known.contains(&key) { Fate::Taken(key) } else { Fate::Later };
            let decided = held.into_iter().zip(keys).map(|(claimed, key)| (claimed, fate(key))).collect();
            gone.extend(self.settle_files(door, decided).await.gone);
        }
        if back > 0 || !gone.is_empty() {
            let queued = gone.len();
            tracing::info!(
                directory = shown(directory.path()),
                files = back,
                queued,
                "left-over files: those that are queued are deleted, the others are taken again"
            );
        }
        self.forget(directory.path(), gone).await;
        (directory, true)
    }
}

fn reclaim(directory: &Directory, names: &[OsString]) -> Vec<Claimed> {
    names.iter().filter_map(|name| directory.reclaim(name).ok()).collect()
}
