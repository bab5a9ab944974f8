//! The threads that work on files.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

/// Each waits for the disk most of the time, and a file system writes for several in one go what they want synced.
const THREADS: usize = 8;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The way to the threads. When the last one is dropped they end, after what was sent before.
#[derive(Clone)]
pub(super) struct FileThreads(Arc<Sender<Job>>);

/// A way that lets them end: for who only has something to put away.
#[derive(Clone, Default)]
pub(super) struct Aside(Weak<Sender<Job>>);

impl FileThreads {
    /// Starts them; the one that this gives ends as the last.
    pub(super) fn begin() -> io::Result<(Self, JoinHandle<()>)> {
        let (sender, inbox) = channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let start = |others: Vec<JoinHandle<()>>| {
            let inbox = Arc::clone(&inbox);
            thread::Builder::new().name("postroad-queue-files".to_owned()).spawn(move || {
                serve(&inbox);
                for thread in others {
                    let _ = thread.join();
                }
            })
        };
        let others = (1..THREADS).map(|_| start(Vec::new())).collect::<io::Result<_>>()?;
        let last = start(others)?;
        Ok((Self(Arc::new(sender)), last))
    }

    /// Lets one of them do this.
    pub(super) fn run(&self, job: Job) {
        // They are there as long as this is.
        let _ = self.0.send(job);
    }

    pub(super) fn aside(&self) -> Aside {
        Aside(Arc::downgrade(&self.0))
    }
}

impl Aside {
    /// Lets one of them do this, which may take its time; where they have ended, this thread does.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        match self.0.upgrade() {
            Some(sender) => FileThreads(sender).run(Box::new(job)),
            None => job(),
        }
    }
}

/// A file that one of the threads closes: the last who closes one that was removed waits until its blocks are free.
pub(super) struct OpenFile {
    /// There until the end.
    file: Option<File>,
    aside: Aside,
}

impl OpenFile {
    pub(super) fn new(file: File, aside: &Aside) -> Self {
        Self { file: Some(file), aside: aside.clone() }
    }

    pub(super) fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Closes it, after something else was done.
    pub(super) fn close_after(&mut self, job: impl FnOnce() + Send + 'static) {
        let file = self.file.take();
        self.aside.run(move || {
            job();
            drop(file);
        });
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            self.close_after(|| ());
        }
    }
}

fn serve(inbox: &Mutex<Receiver<Job>>) {
    loop {
        // One of them waits for the next, and the others for their turn to.
        let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Whoever waits for one that panics hears that by its end.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn they_work_at_once_and_a_panic_costs_none_and_the_last_ends_after_all_that_was_sent() {
        let (threads, last) = FileThreads::begin().expect("threads");
        for _ in 0..3 * THREADS {
            threads.run(Box::new(|| panic!("a job's end")));
        }
        let (done, aside) = (Arc::new(AtomicUsize::new(0)), threads.aside());
        let job = || {
            let done = Arc::clone(&done);
            move || {
                done.fetch_add(1, Ordering::SeqCst);
            }
        };
        // Each waits for all the others.
        let together = Arc::new(Barrier::new(THREADS));
        for _ in 0..THREADS {
            let (together, job) = (Arc::clone(&together), job());
            threads.run(Box::new(move || {
                together.wait();
                job();
            }));
        }
        aside.run(job());
        drop(threads);
        last.join().expect("it ends");
        assert_eq!(done.load(Ordering::SeqCst), THREADS + 1);
        aside.run(job());
        assert_eq!(done.load(Ordering::SeqCst), THREADS + 2, "what comes after the end");
    }
}
