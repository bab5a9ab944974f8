//! The thread that writes the log: whoever comes while it syncs shares its next write.

mod visits;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use self::visits::Visit;
use super::super::content_file::Drafts;
use super::super::enqueue::Intake;
use super::super::fault::Fault;
use super::super::options::SqliteOptions;
use super::super::recent::Recent;
use super::super::writer::{Promise, Writer};
use super::keys::{Lookup, Reserved};
use super::log::{Folder, Log, SEGMENTS};
use super::moving::{AGE, Which};
use super::recovery::Patience;
use super::shelf::{Left, Shelf};
use super::transfer::{self, Then};
use crate::error::QueueError;
use crate::item::NewMessage;
use crate::message_id::MessageId;

/// How often the thread looks whether something has grown old, and how long a write that nobody waits for stays unsynced.
const TICK: Duration = Duration::from_millis(100);

/// What the thread sleeps while messages gather, and how often at most.
const MOMENT: Duration = Duration::from_micros(250);
const MOMENTS: u32 = 4;
/// After so many ticks without anybody the log is begun anew, if nothing is left of more than this.
const QUIET: u32 = 10;
const LITTLE: u64 = 256 << 10;

/// Fewer together than this do not make up for the wait.
const MANY: usize = 4;

/// What the thread is sent.
pub(super) enum Letter {
    Accept(Accepted),
    Leave {
        left: Left,
        reply: Reply<Vec<MessageId>>,
    },
    /// A server starts: the log is to be had if nobody else has it.
    Want {
        reply: Reply<()>,
    },
    /// It is ours, and was emptied: the first epoch and the highest id that was found, or why it cannot be had.
    Begin {
        found: Result<(u64, MessageId), QueueError>,
    },
    /// How many came from other processes to see all mail in the database, and to how many that was said.
    Visits(Result<(i64, i64), QueueError>),
    /// The number of our own visit to whoever has the log.
    Came(Result<i64, QueueError>),
    /// All moves, and the log is left to others.
    End {
        reply: Reply<()>,
    },
    /// It has, or could not.
    Ended {
        reply: Reply<()>,
        moved: Result<(), QueueError>,
    },
    Close,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, QueueError>>;

/// Only how much time passes counts here.
#[expect(clippy::disallowed_methods, reason = "mail grows old here by the time that really passes")]
pub(super) fn clock() -> Instant {
    Instant::now()
}

/// The log that is ours.
struct Ours {
    log: Log,
    /// A write or a sync failed: nothing more is taken in before all that it holds has moved.
    broken: bool,
    /// It is being left: what still comes goes into the database, for its segments become void.
    ending: bool,
}

pub(super) struct Scribe {
    // Closed before `writer`: whoever closes the database last carries its log over.
    lookup: Lookup,
    inbox: Receiver<Letter>,
    /// For letters to itself.
    letters: Sender<Letter>,
    shelf: Shelf,
    folder: Folder,
    writer: Writer,
    recent: Recent,
    version: Weak<watch::Sender<u64>>,
    log_size: usize,
    wanted: Arc<AtomicBool>,
    ours: Option<Ours>,
    /// It is being emptied to become ours; who waits for that, and who for its end.
    taking: bool,
    wanting: Vec<Reply<()>>,
    ending: Vec<Reply<()>>,
    /// Where that failed.
    patience: Patience,
    /// Whether somebody else has taken up what was left, where we could not.
    visit: Visit,
    /// Segments below this epoch may be used again.
    freed: Arc<AtomicU64>,
    /// Something was written that no sync covers.
    unsynced: bool,
    /// How many messages came together lately: the most, less one for each time since.
    lately: usize,
    /// For how many ticks nobody has come.
    quiet: u32,
    closed: bool,
}

/// A message that comes into the log.
pub(super) struct Accepted {
    pub(super) id: MessageId,
    pub(super) line: Vec<u8>,
    pub(super) message: Arc<NewMessage>,
    /// Nobody else comes with its key meanwhile.
    pub(super) reserved: Option<Reserved>,
    pub(super) reply: Reply<Vec<MessageId>>,
    /// In which segment it is.
    pub(super) epoch: u64,
}

/// Those who share a write.
#[derive(Default)]
struct Group {
    accepted: Vec<Accepted>,
    left: Vec<(Left, Reply<Vec<MessageId>>)>,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.accepted.is_empty() && self.left.is_empty()
    }
}

impl Scribe {
    pub(super) fn new(
        (letters, inbox): (Sender<Letter>, Receiver<Letter>),
        (shelf, folder): (Shelf, Folder),
        (writer, recent, lookup): (Writer, Recent, Lookup),
        options: &SqliteOptions,
        wanted: &Arc<AtomicBool>,
    ) -> Self {
        Self {
            lookup,
            inbox,
            letters,
            shelf,
            folder,
            version: writer.version_sender(),
            writer,
            recent,
            log_size: options.fresh_log,
            wanted: Arc::clone(wanted),
            ours: None,
            taking: false,
            wanting: Vec::new(),
            ending: Vec::new(),
            patience: Patience::default(),
            visit: Visit::No,
            freed: Arc::default(),
            unsynced: false,
            lately: 0,
            quiet: 0,
            closed: false,
        }
    }

    pub(super) fn serve(mut self) {
        let mut last_look = clock();
        let mut letters = VecDeque::new();
        while !self.closed {
            match self.inbox.recv_timeout(TICK) {
                Ok(letter) => {
                    self.quiet = 0;
                    letters.push_back(letter);
                }
                // Whoever came together lately is gone.
                Err(RecvTimeoutError::Timeout) => {
                    self.lately = 0;
                    self.quiet = self.quiet.saturating_add(1);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            letters.extend(self.inbox.try_iter());
            self.gather(&mut letters);
            // Whoever is among these has reserved its key by now.
            self.lookup.look_again();
            while !letters.is_empty() {
                self.share(&mut letters);
            }
            if last_look.elapsed() >= TICK {
                last_look = clock();
                self.look_after();
            }
        }
        self.write(Group::default());
        self.sync_what_is_written();
    }

    /// Waits a little for as many messages as came together lately: with many clients most of a message's time is the
    /// waking of threads, and these share it as well as the sync. The messages of a few clients wait for nobody, once the many
    /// have been quiet for a moment; those that have left wait for a moment only: whoever delivered them goes on then.
    fn gather(&mut self, letters: &mut VecDeque<Letter>) {
        let count = |letters: &VecDeque<Letter>| {
            letters.iter().filter(|letter| matches!(letter, Letter::Accept(_))).count()
        };
        let mut accepted = count(letters);
        let mut moments = match accepted {
            _ if letters.is_empty() || self.lately < MANY => 0,
            0 => 1,
            _ => MOMENTS,
        };
        while accepted < self.lately && moments > 0 {
            thread::sleep(MOMENT);
            letters.extend(self.inbox.try_iter());
            (accepted, moments) = (count(letters), moments - 1);
        }
        if accepted > 0 {
            self.lately = accepted.max(self.lately.saturating_sub(1));
        }
    }

    /// Takes as many letters as share one write.
    fn share(&mut self, letters: &mut VecDeque<Letter>) {
        let mut group = Group::default();
        while let Some(letter) = letters.pop_front() {
            match letter {
                Letter::Accept(mut accepted) => {
                    let key = accepted.message.source_key.as_deref();
                    if key.is_some_and(|key| self.lookup.may_know(key)) {
                        self.elsewhere(accepted);
                        continue;
                    }
                    match self.room_for(&accepted.line, &accepted.message) {
                        Some(log) => {
                            log.push_accepted(&accepted.line, &accepted.message.content);
                            accepted.epoch = log.epoch();
                            group.accepted.push(accepted);
                        }
                        None if group.is_empty() => self.elsewhere(accepted),
                        None => {
                            // The segment is full: what was pushed is written first.
                            letters.push_front(Letter::Accept(accepted));
                            break;
                        }
                    }
                }
                Letter::Leave { left, reply } => {
                    if let Some(Ours { log, .. }) = &mut self.ours {
                        log.push_left(left.id());
                    }
                    group.left.push((left, reply));
                }
                other if !group.is_empty() => {
                    letters.push_front(other);
                    break;
                }
                Letter::Want { reply } => self.want(reply),
                Letter::Begin { found } => self.begin(found),
                Letter::End { reply } => self.end(reply),
                Letter::Ended { reply, moved } => self.ended(reply, moved),
                Letter::Visits(counted) => self.counted(counted),
                Letter::Came(came) => self.came(came),
                Letter::Close => self.closed = true,
            }
        }
        self.write(group);
    }

    /// The segment that a message fits into: this one, or the next, which is the current one then.
    fn room_for(&mut self, line: &[u8], message: &NewMessage) -> Option<&mut Log> {
        let ours = self.ours.as_ref().filter(|ours| !ours.broken && !ours.ending)?;
        if !ours.log.has_room(line, &message.content) && !self.turn_over() {
            return None;
        }
        self.ours.as_mut().filter(|ours| !ours.broken).map(|ours| &mut ours.log)
    }

    /// Goes on in the next segment; false where it cannot, for its file holds what is needed still.
    fn turn_over(&mut self) -> bool {
        let Some(Ours { log, .. }) = &self.ours else { return false };
        let next = log.epoch() + 1;
        let is_free = next < SEGMENTS || next - SEGMENTS < self.freed.load(Ordering::Acquire);
        if !log.is_written() || !is_free {
            return false;
        }
        self.sync_what_is_written();
        let Some(ours) = self.ours.as_mut().filter(|_| !self.unsynced) else { return false };
        match ours.log.next() {
            Ok(log) => ours.log = log,
            Err(_) => ours.broken = true,
        }
        // In good time for the one after it.
        self.free(first_needed(next) - 1);
        true
    }

    /// The log cannot take it now: it goes into the database.
    fn elsewhere(&self, Accepted { id, message, reserved, reply, .. }: Accepted) {
        self.shelf.refused(id);
        let message = Arc::unwrap_or_clone(message);
        let intake = Intake::new(vec![message], Drafts::default(), self.recent.clone()).with(reserved);
        // Where it cannot even be sent the caller hears that the store is closed.
        let _ = self.writer.submit_for(reply, Promise::Durable, intake.weight(), intake);
    }

    fn write(&mut self, group: Group) {
        let Some(Ours { log, broken, .. }) = &mut self.ours else {
            return self.refuse(group, QueueError::Closed.into());
        };
        let untold = self.shelf.take_untold();
        let (lent, forgotten) = &untold;
        if group.is_empty() && lent.is_empty() && forgotten.is_empty() {
            return;
        }
        for lent in lent {
            log.push_lent(lent);
        }
        if !forgotten.is_empty() {
            log.push_forgotten(forgotten);
        }
        let begun_at = log.end();
        if let Err(error) = log.write() {
            *broken = log.take_back(begun_at).is_err();
            self.shelf.put_back_untold(untold);
            return self.fail(group, error);
        }
        self.unsynced = true;
        for (_, reply) in group.left {
            let _ = reply.send(Ok(Vec::new()));
        }
        if group.accepted.is_empty() {
            return;
        }
        if let Err(error) = log.sync() {
            // What of it is on the disk nobody knows. Nothing is promised here before the rest has moved.
            *broken = true;
            let taken_back = log.take_back(begun_at).is_ok();
            let group = Group { accepted: group.accepted, left: Vec::new() };
            return if taken_back { self.fail(group, error) } else { self.refuse(group, error.into()) };
        }
        self.unsynced = false;
        self.shelf.arrived(group.accepted.iter().map(|accepted| (accepted.id, accepted.epoch)));
        for Accepted { id, reserved, reply, .. } in group.accepted {
            drop(reserved);
            let _ = reply.send(Ok(vec![id]));
        }
        if let Some(version) = self.version.upgrade() {
            version.send_modify(|version| *version += 1);
        }
    }

    /// Nothing of it is in the log. The database may have room for what comes; what leaves is told.
    fn fail(&self, mut group: Group, error: io::Error) {
        for accepted in std::mem::take(&mut group.accepted) {
            self.elsewhere(accepted);
        }
        self.refuse(group, error.into());
    }

    fn refuse(&self, group: Group, Fault(error): Fault) {
        for Accepted { id, reserved, reply, .. } in group.accepted {
            self.shelf.refused(id);
            drop(reserved);
            let _ = reply.send(Err(error));
        }
        for (left, reply) in group.left {
            self.shelf.put_back_left(left);
            let _ = reply.send(Err(error));
        }
    }

    fn sync_what_is_written(&mut self) {
        if let Some(Ours { log, broken, .. }) = &mut self.ours
            && self.unsynced
        {
            // What it would have saved is delivering something twice.
            *broken |= log.sync().is_err();
            self.unsynced = *broken;
        }
    }

    /// Moves what is left in the log, which was taken, and then begins with an empty one if a server wants it.
    pub(super) fn take(&mut self) {
        (self.taking, self.visit) = (true, Visit::No);
        let (letters, recovery) = (self.letters.clone(), self.shelf.recovery.clone());
        recovery.begins();
        let then = move |found: Result<_, QueueError>| {
            recovery.ends(found.as_ref().map(|_| ()).map_err(|error| *error));
            let _ = letters.send(Letter::Begin { found });
        };
        transfer::recover(&self.writer, self.folder.clone(), Box::new(then));
    }

    fn want(&mut self, reply: Reply<()>) {
        if let Some(Ours { ending: false, .. }) = &self.ours {
            // After an end that failed.
            self.shelf.open(self.log_size / 4, MessageId::from_u64(0));
        }
        match self.take_if_it_is_free() {
            Ok(()) if self.taking => self.wanting.push(reply),
            looked => {
                // Whoever has it by now may have to move still what was found before.
                let begun = looked.and_then(|()| self.shelf.is_taken_up());
                let _ = reply.send(begun.map_err(|Fault(error)| error));
            }
        }
    }

    fn take_if_it_is_free(&mut self) -> Result<(), Fault> {
        if self.ours.is_none() && !self.taking && self.shelf.take_log(&self.folder)? {
            self.take();
        }
        Ok(())
    }

    fn begin(&mut self, found: Result<(u64, MessageId), QueueError>) {
        self.taking = false;
        if self.log_size == 0 {
            self.wanted.store(false, Ordering::Release);
        }
        let segment_size = self.log_size as u64 / SEGMENTS;
        let is_wanted = self.wanted.load(Ordering::Acquire);
        if let Ok((epoch, floor)) = found
            && is_wanted
            // Where this fails all that comes goes into the tables, until it can be had.
            && let Ok(log) = Log::begin(self.folder.clone(), epoch, segment_size)
        {
            self.freed.store(epoch, Ordering::Release);
            self.lookup.open();
            self.ours = Some(Ours { log, broken: false, ending: false });
            self.shelf.open(self.log_size / 4, floor);
            self.patience = Patience::default();
        } else {
            self.shelf.leave_log();
            if is_wanted || found.is_err() {
                self.patience.failed(clock());
            }
        }
        for reply in self.wanting.drain(..) {
            let _ = reply.send(found.map(|_| ()));
        }
        for reply in std::mem::take(&mut self.ending) {
            self.end(reply);
        }
    }

    fn end(&mut self, reply: Reply<()>) {
        if self.taking {
            return self.ending.push(reply);
        }
        let letters = self.letters.clone();
        let then: Then<()> = Box::new(move |moved| {
            let _ = letters.send(Letter::Ended { reply, moved });
        });
        match &mut self.ours {
            Some(Ours { log, ending, .. }) => {
                *ending = true;
                transfer::free(&self.shelf, &self.writer, log.epoch(), &self.freed, then);
            }
            None => then(self.shelf.is_taken_up().map_err(|Fault(error)| error)),
        }
    }

    /// What could not move stays in the log, which goes on being ours.
    fn ended(&mut self, reply: Reply<()>, moved: Result<(), QueueError>) {
        match &mut self.ours {
            Some(ours) if moved.is_err() => ours.ending = false,
            _ => {
                self.ours = None;
                self.shelf.leave_log();
            }
        }
        let _ = reply.send(moved);
    }

    /// Asks for the segments up to this epoch, unless they are free.
    fn free(&self, epoch: u64) {
        if self.freed.load(Ordering::Acquire) <= epoch {
            transfer::free(&self.shelf, &self.writer, epoch, &self.freed, Box::new(drop));
        }
    }

    /// What is done a few times a second.
    fn look_after(&mut self) {
        self.write(Group::default());
        self.sync_what_is_written();
        let Some(ours) = &mut self.ours else { return self.take_if_wanted() };
        let epoch = ours.log.epoch();
        if ours.broken {
            if self.freed.load(Ordering::Acquire) > epoch
                && let Ok(log) = ours.log.next()
            {
                (ours.log, ours.broken, self.unsynced) = (log, false, false);
            } else {
                self.free(epoch);
            }
            return;
        }
        let is_little = ours.log.end() <= LITTLE;
        // Once more, where it failed.
        self.free(first_needed(epoch) - 1);
        if self.quiet >= QUIET && !is_little && self.shelf.is_empty() && self.turn_over() {
            // A start need not read again what has long left.
            self.free(epoch);
        }
        if self.shelf.take_visited() {
            self.look_for_visits();
        } else if let Some(moment) = clock().checked_sub(AGE)
            && self.shelf.is_any_older(moment)
        {
            drop(transfer::move_out(&self.shelf, &self.writer, Which::Before(moment)));
        }
    }
}

impl Drop for Scribe {
    /// Where this thread panics the store ends: what leaves could be told to nobody, and would be delivered again.
    fn drop(&mut self) {
        self.shelf.close();
        if thread::panicking() {
            self.writer.close();
        }
        self.shelf.leave_log();
    }
}

/// Of which epoch the oldest segment is that stays while the segment of `epoch` is written; the one before it is freed
/// meanwhile.
fn first_needed(epoch: u64) -> u64 {
    (epoch + 2).saturating_sub(SEGMENTS).max(1)
}
