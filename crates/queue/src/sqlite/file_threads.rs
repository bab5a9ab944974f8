//! The threads that work on files: as many as there is work for, and a few at most.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

/// Each waits for the disk most of the time, and a file system writes for several in one go what they want synced.
const THREADS: usize = 8;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The way to the threads. When the last one is dropped they end, after what was sent before.
#[derive(Clone)]
pub(super) struct FileThreads(Arc<Way>);

/// A way that lets them end: for who only has something to put away.
#[derive(Clone, Default)]
pub(super) struct Aside(Weak<Way>);

struct Way(Arc<Desk>);

impl Drop for Way {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.news.notify_all();
    }
}

#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Beside the first.
    more: Vec<JoinHandle<()>>,
    ended: bool,
}

impl FileThreads {
    /// Starts the first, which ends as the last.
    pub(super) fn begin() -> io::Result<(Self, JoinHandle<()>)> {
        let desk = Arc::new(Desk::default());
        let first = start(&desk, |desk| {
            serve(desk);
            loop {
                let Some(thread) = desk.state().more.pop() else { break };
                let _ = thread.join();
            }
        })?;
        desk.state().threads = 1;
        Ok((Self(Arc::new(Way(desk))), first))
    }

    /// Lets one of them do this: an idle one, or one more.
    pub(super) fn run(&self, job: Job) {
        self.0.run(job);
    }

    pub(super) fn aside(&self) -> Aside {
        Aside(Arc::downgrade(&self.0))
    }
}

impl Aside {
    /// Lets one of them do this, which may take its time; where they have ended, this thread does.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        match self.0.upgrade() {
            Some(way) => way.run(Box::new(job)),
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

impl Way {
    fn run(&self, job: Job) {
        let desk = &self.0;
        let mut state = desk.state();
        state.jobs.push_back(job);
        if state.jobs.len() > state.idle {
            one_more(desk, &mut state);
        }
        desk.news.notify_one();
    }
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        while state.jobs.is_empty() && !state.ended {
            state.idle += 1;
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        state.jobs.pop_front()
    }
}

fn one_more(desk: &Arc<Desk>, state: &mut State) {
    if state.threads == THREADS {
        return;
    }
    match start(desk, serve) {
        Ok(thread) => {
            state.threads += 1;
            state.more.push(thread);
        }
        // Nobody does it: whoever waits hears that by its end.
        Err(_) if state.threads == 0 => state.jobs.clear(),
        Err(_) => {}
    }
}

fn serve(desk: &Arc<Desk>) {
    let _at_work = AtWork(desk);
    while let Some(job) = desk.next() {
        job();
    }
}

/// One of the threads; where a job ends it by a panic, another one comes in its place.
struct AtWork<'a>(&'a Arc<Desk>);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.threads -= 1;
        if !state.jobs.is_empty() {
            one_more(self.0, &mut state);
        }
    }
}

fn start(desk: &Arc<Desk>, work: impl FnOnce(&Arc<Desk>) + Send + 'static) -> io::Result<JoinHandle<()>> {
    let desk = Arc::clone(desk);
    thread::Builder::new().name("postroad-queue-files".to_owned()).spawn(move || work(&desk))
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn there_are_as_many_threads_as_there_is_work_for_and_a_panic_costs_none() {
        let (threads, first) = FileThreads::begin().expect("a thread");
        let count = || threads.0.0.state().threads;
        let idle = || threads.0.0.state().idle;
        let until_idle = |all| {
            while idle() < all {
                thread::yield_now();
            }
        };
        until_idle(1);
        // More than there may be, all of them at work at once as far as they can.
        let together = Arc::new(Barrier::new(THREADS));
        for _ in 0..2 * THREADS {
            let together = Arc::clone(&together);
            threads.run(Box::new(move || {
                together.wait();
            }));
        }
        until_idle(THREADS);
        assert_eq!(count(), THREADS);
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
        threads.run(Box::new(job()));
        aside.run(job());
        drop(threads);
        let _ = first.join();
        aside.run(job());
        while Arc::strong_count(&done) > 1 {
            thread::yield_now();
        }
        assert_eq!(done.load(Ordering::SeqCst), 3, "what was sent before the end, and what came after it");
    }
}
