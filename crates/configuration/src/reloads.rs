//! Reads again what stands in a file, where it changed or somebody asks, beside whoever waits for it.

use std::fmt;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::file_watch::FileWatch;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a look may take before somebody is told.
const SLOW: Duration = Duration::from_secs(10);

/// What is read again each time that a file has changed, or somebody asks for it.
///
/// One look at a time is under way, on a thread that may wait: a file on a share that hangs keeps nobody but itself.
pub struct Reloads<T> {
    read: Arc<Read<T>>,
    watch: Option<FileWatch>,
    is_asked_for: bool,
    look: Option<JoinHandle<(Option<FileWatch>, Option<T>)>>,
}

/// What cannot be read is nothing new; whoever reads says why.
type Read<T> = dyn Fn() -> Option<T> + Send + Sync;

impl<T: Send + 'static> Reloads<T> {
    /// By `read`, which may block, of a file that was read at this moment; without a file only when asked.
    pub fn new(file: Option<&Path>, read: impl Fn() -> Option<T> + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), watch: file.map(FileWatch::new), is_asked_for: false, look: None }
    }

    /// Reads it though the file may be as it was; while a look is under way, with the next one.
    pub fn ask(&mut self) {
        self.is_asked_for = true;
    }

    /// What was read, as soon as there is something new. Cancel-safe: what is under way goes on, for the next call.
    ///
    /// # Panics
    ///
    /// Where `read` does, and outside a tokio runtime.
    pub async fn next(&mut self) -> T {
        loop {
            if self.look.is_none() {
                if !self.is_asked_for {
                    sleep(LOOK).await;
                }
                let (asked, watch) = (std::mem::take(&mut self.is_asked_for), self.watch.take());
                let read = Arc::clone(&self.read);
                self.look = Some(spawn_blocking(move || look(asked, watch, &*read)));
            }
            let Some(look) = &mut self.look else { continue };
            let looked = match timeout(SLOW, &mut *look).await {
                Ok(looked) => looked,
                Err(_) => {
                    tracing::warn!(
                        "a file of the configuration is slow to read; until it is read nothing changes"
                    );
                    look.await
                }
            };
            self.look = None;
            let (watch, read) = looked.unwrap_or_else(|error| resume_unwind(error.into_panic()));
            self.watch = watch;
            if let Some(read) = read {
                return read;
            }
        }
    }
}

fn look<T>(asked: bool, mut watch: Option<FileWatch>, read: &Read<T>) -> (Option<FileWatch>, Option<T>) {
    if !asked && !watch.as_mut().is_some_and(FileWatch::has_changed) {
        return (watch, None);
    }
    // Before it is read: what changes meanwhile is for the next look.
    watch.iter_mut().for_each(FileWatch::is_read);
    (watch, read())
}

impl<T> fmt::Debug for Reloads<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloads").field("watch", &self.watch).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// Nobody is kept by a look that hangs, and what is asked for meanwhile is read with the next one.
    #[tokio::test]
    async fn one_look_is_under_way_and_what_is_asked_for_meanwhile_is_read_next() {
        let (begins, begun) = channel();
        let (answer, answers) = channel();
        let answers = Mutex::new(answers);
        let mut reloads = Reloads::new(None, move || {
            begins.send(()).ok()?;
            answers.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()?
        });
        reloads.ask();
        let begun = tokio::select! {
            _ = reloads.next() => panic!("it hangs"),
            begun = tokio::task::spawn_blocking(move || { begun.recv().expect("a look"); begun }) => begun.expect("a look"),
        };
        reloads.ask();
        for read in [None, Some("second")] {
            answer.send(read).expect("a look");
        }
        assert_eq!(reloads.next().await, "second");
        assert_eq!(begun.try_iter().count(), 1, "the second look");
    }
}
