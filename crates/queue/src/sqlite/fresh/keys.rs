//! What a source knows its messages by, for as long as it is the log that remembers it.
//!
//! A key outlives its message: a source may come with it again until it is forgotten. It stands in the message's record,
//! and moves into the tables with the message, or, where that has left, when the record's segment becomes void.
//!
//! Only the server that has the log sees what stands there, so a message with a key is taken in by that server, or while no
//! server has the log.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};

use super::super::fault::Fault;
use super::super::neighbours::Neighbours;
use super::super::schema;
use super::super::source_key;
use super::super::writer::Work;
use super::log::Folder;
use super::shelf::Shelf;
use crate::item::NewMessage;
use crate::message_id::MessageId;

/// What is known of a key.
pub(super) enum Known {
    /// Somebody is on the way with it.
    Coming,
    /// It stands in the log, durable.
    Here {
        message: MessageId,
        epoch: u64,
        /// The tables know it as well, or will.
        stored: bool,
    },
}

/// What becomes of messages with keys.
pub(in super::super) enum Asked {
    /// Nobody here came with them before; nothing where there are none.
    New(Option<Reserved>),
    /// Somebody did: the earlier message.
    Earlier(MessageId),
    /// Somebody is on the way, or another server may know them.
    NotNow,
}

/// Keys that nobody else comes with until it is known what became of them.
pub(in super::super) struct Reserved {
    shelf: Shelf,
    keys: Vec<String>,
    /// The log is ours, or nobody's, at least as long as this is open: what somebody else's remembers nobody sees.
    _lock: Arc<File>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut shared = self.shelf.shared();
        for key in &self.keys {
            if matches!(shared.keys.get(key), Some(Known::Coming)) {
                shared.keys.remove(key);
            }
        }
    }
}

impl Shelf {
    /// Asks for the keys of messages that are to be queued together.
    pub(super) fn reserve(&self, messages: &[NewMessage], folder: &Folder) -> Result<Asked, Fault> {
        let mut keys: Vec<_> = messages.iter().filter_map(|message| message.source_key.clone()).collect();
        if keys.is_empty() {
            return Ok(Asked::New(None));
        }
        keys.sort();
        keys.dedup();
        let mut shared = self.shared();
        let lock = match &shared.lock {
            Some(lock) => Arc::clone(lock),
            None => match folder.keep_free()? {
                Some(lock) => Arc::new(lock),
                None => return Ok(Asked::NotNow),
            },
        };
        for key in &keys {
            match shared.keys.get(key) {
                None => {}
                Some(Known::Coming) => return Ok(Asked::NotNow),
                Some(Known::Here { message, .. }) => return Ok(Asked::Earlier(*message)),
            }
        }
        for key in &keys {
            shared.keys.insert(key.clone(), Known::Coming);
        }
        drop(shared);
        Ok(Asked::New(Some(Reserved { shelf: self.clone(), keys, _lock: lock })))
    }

    /// Takes the log for this store; false where it is another's.
    pub(super) fn take_log(&self, folder: &Folder) -> Result<bool, Fault> {
        let mut shared = self.shared();
        // Nobody here sees the one without the other.
        let lock = folder.lock()?;
        let taken = lock.is_some();
        shared.lock = lock.map(Arc::new).or(shared.lock.take());
        Ok(taken)
    }

    /// Leaves it to others, who have it once nobody here is on the way with a key any more.
    pub(super) fn leave_log(&self) {
        let lock = self.shared().lock.take();
        // Whoever comes here from now on keeps it free together with these.
        lock.map(|lock| flock(&*lock, FlockOperation::LockShared));
    }

    /// Those of these keys that the log remembers, and the others.
    pub(in super::super) fn known(&self, keys: Vec<String>) -> (Vec<String>, Vec<String>) {
        let shared = self.shared();
        keys.into_iter().partition(|key| matches!(shared.keys.get(key), Some(Known::Here { .. })))
    }

    /// Forgets what the log remembers; gives those keys that the tables may know.
    pub(in super::super) fn forget(&self, mut keys: Vec<String>) -> Vec<String> {
        let mut shared = self.shared();
        keys.retain(|key| match shared.keys.get(key) {
            Some(&Known::Here { message, stored, .. }) => {
                shared.keys.remove(key);
                shared.forgotten.push(message);
                stored
            }
            _ => true,
        });
        keys
    }

    /// Writes down the keys of segments before this epoch. Until those are void they are remembered here as well.
    pub(super) fn store_keys(&self, work: &Work<'_>, before: u64) -> Result<(), Fault> {
        let mut here = Vec::new();
        for (key, known) in &mut self.shared().keys {
            match known {
                Known::Here { message, epoch, stored } if *epoch < before => {
                    *stored = true;
                    here.push((key.clone(), *message));
                }
                _ => {}
            }
        }
        here.iter().try_for_each(|(key, message)| source_key::remember(work, key, &[*message]))
    }

    /// The segments before this epoch are void: the tables remember what they held.
    pub(super) fn keys_are_stored(&self, before: u64) {
        let is_here = |known: &Known| !matches!(known, Known::Here { epoch, .. } if *epoch < before);
        self.shared().keys.retain(|_, known| is_here(known));
    }
}

/// Looks whether the tables know a key: other processes write there as well.
pub(in super::super) struct Lookup {
    path: PathBuf,
    patience: Duration,
    connection: Option<Connection>,
    /// Left after the connection.
    _neighbours: Arc<Neighbours>,
    /// What a look at all of them found; valid for those who were on the way by then.
    none: Option<bool>,
}

impl Lookup {
    pub(in super::super) fn new(path: &Path, patience: Duration, neighbours: Arc<Neighbours>) -> Self {
        let path = path.to_owned();
        Self { path, patience, connection: None, _neighbours: neighbours, none: None }
    }

    /// Where it cannot be opened, all that has a key goes into the tables.
    pub(super) fn open(&mut self) {
        if self.connection.is_none() {
            self.connection = schema::open_reader(&self.path, self.patience).ok();
        }
    }

    /// Others may have come since.
    pub(super) fn look_again(&mut self) {
        self.none = None;
    }

    /// Whether they may: then they are to be asked in their own thread.
    pub(super) fn may_know(&mut self, key: &str) -> bool {
        let Some(connection) = &self.connection else { return true };
        let exists = |sql: &str, key: &[&str]| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.exists(rusqlite::params_from_iter(key))
        };
        let none = match self.none {
            Some(none) => none,
            None => exists("SELECT 1 FROM source_key LIMIT 1", &[]).is_ok_and(|any| !any),
        };
        self.none = Some(none);
        !none && exists("SELECT 1 FROM source_key WHERE key = ?1", &[key]).unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use postroad_message::{Content, Envelope, ReversePath, Timestamp};

    use super::*;

    fn keyed(key: &str) -> Vec<NewMessage> {
        let (envelope, content) = (Envelope::new(ReversePath::Null, vec![]), Content::from(b"\r\n".to_vec()));
        let mut message = NewMessage::new(envelope, content, Timestamp::from_unix_millis(0), "test", vec![]);
        message.source_key = Some(key.to_owned());
        vec![message]
    }

    #[test]
    fn who_is_on_the_way_while_the_log_is_left_is_in_nobodys_way_here() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("queue.db");
        std::fs::write(&database, "").expect("a file");
        let log = Folder::beside(&database).map_err(|Fault(error)| error).expect("a folder");
        let (ours, theirs) = (Shelf::default(), Shelf::default());
        let take = |shelf: &Shelf| shelf.take_log(&log).map_err(|Fault(error)| error);
        let reserve = |shelf: &Shelf, key| match shelf.reserve(&keyed(key), &log) {
            Ok(Asked::New(reserved)) => reserved,
            _ => None,
        };
        assert_eq!(take(&ours), Ok(true));
        let first = reserve(&ours, "one").expect("the log is ours");
        assert!(reserve(&theirs, "three").is_none(), "and nobody else's");
        ours.leave_log();
        let second = reserve(&ours, "two").expect("it is nobody's");
        let third = reserve(&theirs, "three").expect("it is nobody's");
        assert_eq!(take(&theirs), Ok(false), "as long as somebody is on the way");
        drop((first, second, third));
        assert_eq!(take(&theirs), Ok(true));
    }

    #[test]
    fn what_the_log_could_not_be_told_is_told_with_what_comes_next() {
        let shelf = Shelf::default();
        shelf.shared().forgotten.push(MessageId::from_u64(1));
        let untold = shelf.take_untold();
        shelf.shared().forgotten.push(MessageId::from_u64(2));
        shelf.put_back_untold(untold);
        assert_eq!(shelf.take_untold().1, [MessageId::from_u64(1), MessageId::from_u64(2)]);
    }
}
