//! The way to the log: what is taken in there, and whose it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::fault::Fault;
use super::super::options::SqliteOptions;
use super::super::recent::Recent;
use super::super::writer::Writer;
use super::format;
use super::keys::{Asked, Lookup, Reserved};
use super::log::{Folder, SEGMENTS};
use super::scribe::{self, Accepted, Letter, Scribe};
use super::shelf::{Left, Shelf};
use super::transfer;
use crate::error::QueueError;
use crate::item::NewMessage;
use crate::message_id::MessageId;
use crate::store::BoxFuture;

/// The way to the log's thread. Dropping the last one ends it, after what was sent before.
#[derive(Clone)]
pub(in super::super) struct Keeper {
    way: Arc<Way>,
    shelf: Shelf,
    folder: Folder,
    /// Largest content that is taken in.
    largest: usize,
    /// Whether a server was started with this store: the log is taken as soon as it can be had.
    wanted: Arc<AtomicBool>,
}

struct Way {
    letters: Sender<Letter>,
}

impl Drop for Way {
    fn drop(&mut self) {
        let _ = self.letters.send(Letter::Close);
    }
}

impl Keeper {
    /// Sends what an earlier process left in the log on its way into the database; where another one has the log, waits until
    /// that one has moved what lies there now: a second at most from when the writing thread has asked.
    ///
    /// What cannot move now moves later, or when a server starts.
    pub(in super::super) fn start(
        path: &Path,
        options: &SqliteOptions,
        shelf: Shelf,
        (writer, recent, lookup): (Writer, Recent, Lookup),
        reading: &Connection,
    ) -> Result<(Self, thread::JoinHandle<()>), Fault> {
        let folder = Folder::beside(path)?;
        let (letters, inbox) = channel();
        let wanted = Arc::new(AtomicBool::new(false));
        let ways = (letters.clone(), inbox);
        let largest = (options.fresh_log as u64 / SEGMENTS / 4).min(options.large_content as u64);
        let keeper = Self {
            way: Arc::new(Way { letters }),
            shelf: shelf.clone(),
            folder: folder.clone(),
            largest: usize::try_from(largest).unwrap_or(usize::MAX),
            wanted: Arc::clone(&wanted),
        };
        let is_free = shelf.take_log(&folder)?;
        let mut scribe =
            Scribe::new(ways, (shelf, folder), (writer.clone(), recent, lookup), options, &wanted);
        match is_free {
            true => scribe.take(),
            false => visit(&writer, reading)?,
        }
        let handle =
            thread::Builder::new().name("postroad-queue-log".to_owned()).spawn(move || scribe.serve())?;
        Ok((keeper, handle))
    }

    /// See [`Shelf::reserve`].
    pub(in super::super) fn reserve(&self, messages: &[NewMessage]) -> Result<Asked, QueueError> {
        self.shelf.reserve(messages, &self.folder).map_err(|Fault(error)| error)
    }

    /// Takes a message in; `None` where it belongs into the database at once, and its key is still reserved.
    pub(in super::super) fn accept(
        &self,
        messages: &mut Vec<NewMessage>,
        reserved: &mut Option<Reserved>,
    ) -> Option<BoxFuture<'static, Vec<MessageId>>> {
        let [message] = messages.as_slice() else { return None };
        let [delivery] = message.deliveries.as_slice() else { return None };
        let id = message.id?;
        let fits = self.shelf.is_open()
            && !message.watched
            && message.content.len() < self.largest
            && message.content.in_memory().is_some()
            && !delivery.recipients.is_empty()
            && delivery.due <= message.received_at;
        if !fits {
            return None;
        }
        let line = format::line(id, message)?;
        let message = Arc::new(messages.pop()?);
        if !self.shelf.announce(id, &message, line.len(), scribe::clock()) {
            messages.push(Arc::unwrap_or_clone(message));
            return None;
        }
        let (reply, answer) = oneshot::channel();
        let reserved = reserved.take();
        Some(self.ask(Letter::Accept(Accepted { id, line, message, reserved, reply, epoch: 0 }), answer))
    }

    /// Writes down that a message has left.
    pub(in super::super) fn leave(&self, left: Left) -> BoxFuture<'static, Vec<MessageId>> {
        let (reply, answer) = oneshot::channel();
        self.ask(Letter::Leave { left, reply }, answer)
    }

    /// Takes the log for this store, after moving what is left in it; where another one has it, as soon as that one leaves it.
    pub(in super::super) fn begin(&self) -> BoxFuture<'static, ()> {
        self.wanted.store(true, Ordering::Release);
        let (reply, answer) = oneshot::channel();
        self.ask(Letter::Want { reply }, answer)
    }

    /// Moves all into the database and leaves the log to others.
    pub(in super::super) fn end(&self) -> BoxFuture<'static, ()> {
        self.wanted.store(false, Ordering::Release);
        self.shelf.close();
        let (reply, answer) = oneshot::channel();
        self.ask(Letter::End { reply }, answer)
    }

    fn ask<T: Send + 'static>(
        &self,
        letter: Letter,
        answer: oneshot::Receiver<Result<T, QueueError>>,
    ) -> BoxFuture<'static, T> {
        answered(self.way.letters.send(letter).map_err(|_| QueueError::Closed), answer)
    }
}

/// Asks whoever has the log to move what lies there. One that does not answer is stopped, or busy with greater cares.
fn visit(writer: &Writer, reading: &Connection) -> Result<(), Fault> {
    const LOOKS: u32 = 100;
    let (told, answer) = channel();
    let then = move |visit: Result<i64, QueueError>| {
        let _ = told.send(visit);
    };
    transfer::visit(writer, Box::new(then));
    let Ok(Ok(visit)) = answer.recv() else { return Ok(()) };
    for _ in 0..LOOKS {
        if transfer::is_answered(reading, visit)? {
            break;
        }
        thread::sleep(Duration::from_secs(1) / LOOKS);
    }
    Ok(())
}

pub(super) fn answered<T: Send + 'static>(
    sent: Result<(), QueueError>,
    answer: oneshot::Receiver<Result<T, QueueError>>,
) -> BoxFuture<'static, T> {
    Box::pin(async move {
        sent?;
        answer.await.unwrap_or(Err(QueueError::Closed))
    })
}
