//! What a source knows its messages by, for as long as it is the log that remembers it.
//!
//! A key outlives its message: a source may come with it again until it is forgotten. It stands in the message's record,
//! and moves into the tables with the message, or, where that has left, when the record's segment becomes void.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::super::enqueue;
use super::super::fault::Fault;
use super::super::schema;
use super::super::writer::Work;
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
    /// Nobody here came with them before.
    New(Reserved),
    /// Somebody did: the earlier message.
    Earlier(MessageId),
    /// Somebody is on the way.
    Coming,
}

/// Keys that nobody else comes with until it is known what became of them.
pub(in super::super) struct Reserved {
    shelf: Shelf,
    keys: Vec<String>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            let mut shared = self.shelf.shared();
            for key in &self.keys {
                if matches!(shared.keys.get(key), Some(Known::Coming)) {
                    shared.keys.remove(key);
                }
            }
        }
    }
}

impl Shelf {
    /// Asks for the keys of messages that are to be queued together.
    pub(in super::super) fn reserve(&self, messages: &[NewMessage]) -> Asked {
        let mut reserved = Reserved { shelf: self.clone(), keys: Vec::new() };
        let mut keys: Vec<_> = messages.iter().filter_map(|message| message.source_key.clone()).collect();
        if keys.is_empty() {
            return Asked::New(reserved);
        }
        keys.sort();
        keys.dedup();
        let mut shared = self.shared();
        for key in &keys {
            match shared.keys.get(key) {
                None => {}
                Some(Known::Coming) => return Asked::Coming,
                Some(Known::Here { message, .. }) => return Asked::Earlier(*message),
            }
        }
        for key in &keys {
            shared.keys.insert(key.clone(), Known::Coming);
        }
        reserved.keys = keys;
        Asked::New(reserved)
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
        here.iter().try_for_each(|(key, message)| enqueue::remember(work, key, &[*message]))
    }

    /// The segments before this epoch are void: the tables remember what they held.
    pub(super) fn keys_are_stored(&self, before: u64) {
        let is_here = |known: &Known| !matches!(known, Known::Here { epoch, .. } if *epoch < before);
        self.shared().keys.retain(|_, known| is_here(known));
    }
}

/// Looks whether the tables know a key: other processes write there as well.
pub(super) struct Lookup {
    path: PathBuf,
    patience: Duration,
    connection: Option<Connection>,
    /// What a look at all of them found; valid for those who were on the way by then.
    none: Option<bool>,
}

impl Lookup {
    pub(super) fn new(path: &Path, patience: Duration) -> Self {
        Self { path: path.to_owned(), patience, connection: None, none: None }
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
