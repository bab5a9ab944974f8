//! Whose password is hashed next: sources take turns, and those that failed lately come after all others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::source::Source;

/// How long a source comes after the others.
const REMEMBERED: Duration = Duration::from_secs(600);
/// So many failures are remembered before old ones are looked for.
const FEW: usize = 1024;

/// Gives leave to so many at once; others wait for their turn.
#[derive(Debug)]
pub(crate) struct LogonQueue(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    free: usize,
    /// Sources with somebody waiting, in the order of their turns. Each stands in one of the two, once.
    unblamed: VecDeque<Source>,
    failed: VecDeque<Source>,
    waiting: HashMap<Source, VecDeque<oneshot::Sender<Leave>>>,
    failures: HashMap<Source, Instant>,
    tidy_at: usize,
}

/// Leave to hash one password; whoever is next has it when this is dropped.
#[derive(Debug)]
pub(crate) struct Leave(Option<Arc<LogonQueue>>);

impl LogonQueue {
    pub(crate) fn new(at_once: usize) -> Arc<Self> {
        let (unblamed, failed) = (VecDeque::new(), VecDeque::new());
        let (waiting, failures) = (HashMap::new(), HashMap::new());
        Arc::new(Self(Mutex::new(Lines { free: at_once, unblamed, failed, waiting, failures, tidy_at: FEW })))
    }

    /// Waits for leave. What was cancelled takes no turn.
    pub(crate) async fn leave(self: &Arc<Self>, source: Source) -> Option<Leave> {
        let turn = {
            let mut lines = self.lines();
            if lines.free > 0 {
                lines.free -= 1;
                return Some(Leave(Some(Arc::clone(self))));
            }
            let (tell, turn) = oneshot::channel();
            let before = lines.waiting.entry(source).or_default();
            before.push_back(tell);
            if before.len() == 1 {
                lines.line_up(source);
            }
            turn
        };
        turn.await.ok()
    }

    /// Remembers how a logon from there ended.
    pub(crate) fn ended(&self, source: Source, accepted: bool) {
        let mut lines = self.lines();
        if accepted {
            lines.failures.remove(&source);
            return;
        }
        let now = Instant::now();
        if lines.failures.len() >= lines.tidy_at {
            lines.failures.retain(|_, failed| now - *failed < REMEMBERED);
            lines.tidy_at = (lines.failures.len() * 2).max(FEW);
        }
        lines.failures.insert(source, now);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn line_up(&mut self, source: Source) {
        if self.has_failed(source) { self.failed.push_back(source) } else { self.unblamed.push_back(source) }
    }

    fn has_failed(&self, source: Source) -> bool {
        self.failures.get(&source).is_some_and(|failed| failed.elapsed() < REMEMBERED)
    }

    /// The first of the source whose turn it is; its others wait for its next.
    fn next(&mut self) -> Option<oneshot::Sender<Leave>> {
        let unblamed = loop {
            match self.unblamed.pop_front() {
                // Since it stood there.
                Some(source) if self.has_failed(source) => self.failed.push_back(source),
                source => break source,
            }
        };
        let source = unblamed.or_else(|| self.failed.pop_front())?;
        let mut waiting = self.waiting.remove(&source)?;
        let next = waiting.pop_front();
        if !waiting.is_empty() {
            self.waiting.insert(source, waiting);
            self.line_up(source);
        }
        next
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let Some(queue) = self.0.take() else { return };
        let mut lines = queue.lines();
        let mut leave = Self(Some(Arc::clone(&queue)));
        while let Some(next) = lines.next() {
            match next.send(leave) {
                Ok(()) => return,
                Err(back) => leave = back,
            }
        }
        leave.0 = None;
        lines.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::pin::pin;

    use super::*;

    fn source(last: u8) -> Source {
        IpAddr::from([192, 0, 2, last]).into()
    }

    /// Sources wait in this order for one that has leave; in which order do they get it?
    async fn order(queue: &Arc<LogonQueue>, waiting: &[u8]) -> Vec<u8> {
        let leave = queue.leave(source(99)).await;
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for &number in waiting {
            let (queue, tell) = (Arc::clone(queue), tell.clone());
            let wait = async move {
                let _leave = queue.leave(source(number)).await;
                tell.send(number).unwrap();
            };
            tokio::spawn(wait);
            // It is polled, and waits, before the next one comes.
            tokio::task::yield_now().await;
        }
        drop((leave, tell));
        let mut order = Vec::new();
        while let Some(number) = told.recv().await {
            order.push(number);
        }
        order
    }

    #[tokio::test(start_paused = true)]
    async fn sources_take_turns_and_those_that_failed_come_last() {
        let queue = LogonQueue::new(1);
        assert_eq!(order(&queue, &[1, 1, 1, 2, 3, 2]).await, [1, 2, 3, 1, 2, 1]);
        queue.ended(source(1), false);
        queue.ended(source(4), false);
        assert_eq!(order(&queue, &[1, 1, 4, 2, 2, 3]).await, [2, 3, 2, 1, 4, 1]);
        queue.ended(source(1), true);
        assert_eq!(order(&queue, &[4, 1, 2]).await, [1, 2, 4]);
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(order(&queue, &[4, 1, 2]).await, [4, 1, 2]);
        let lines = queue.lines();
        assert!(lines.free == 1 && lines.waiting.is_empty());
    }

    #[tokio::test]
    async fn who_waits_no_longer_takes_no_turn_and_loses_none() {
        let queue = LogonQueue::new(1);
        let leave = queue.leave(source(1)).await;
        {
            let mut gone = pin!(queue.leave(source(2)));
            assert!(futures_poll(gone.as_mut()).await.is_none());
            let mut stays = pin!(queue.leave(source(3)));
            assert!(futures_poll(stays.as_mut()).await.is_none());
            drop(leave);
            // Source 2 was told, and goes without having listened: its leave goes on.
        }
        assert_eq!(queue.lines().free, 1);
        assert!(queue.lines().unblamed.is_empty());
    }

    /// What the future says now.
    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_forgotten_before_they_fill_the_memory() {
        let queue = LogonQueue::new(1);
        for number in 0..10 * FEW {
            queue.ended(IpAddr::from((number as u32).to_be_bytes()).into(), false);
            tokio::time::advance(REMEMBERED / FEW as u32).await;
        }
        assert!(queue.lines().failures.len() <= 2 * FEW + 1);
    }
}
