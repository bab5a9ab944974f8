//! Mail that was accepted a moment ago: in an append log on the disk, and in memory, until it is delivered or moves
//! into the database.
//!
//! Most mail is delivered within the second. So a message is first appended to a log, which is one short write and one
//! sync for all who come at the time; it is lent from memory; and when all of its recipients have left, a few bytes more
//! in the log say so. Whatever takes another course (an attempt failed, a postmaster wants it, it is three
//! seconds old, the log needs its room) moves into the database first, under its number and lease, and goes on there.
//!
//! | on the disk | what it is |
//! |---|---|
//! | `queue.db-fresh/lock` | held by the server whose log it is; other processes use the database alone, and hold it together while they take in what a source may come with twice |
//! | `queue.db-fresh/0` to `3` | the log's segments, used in turn |
//! | `counter.live_epoch` in the database | segments of an earlier epoch are void: all that they held has left or moved |
//! | `moved` in the database | messages of valid segments that moved, written in the transaction that moved them |
//! | `source_key` in the database | what sources know messages by, that moved or whose segments are void |
//!
//! So what is valid is decided by the database alone, in one transaction with what moves. A log that was left behind is
//! read when the store is next opened, and all that has not left moves: opening does not wait for that, but whatever is then
//! asked does. Where it cannot move nothing is taken in, and no source is told that it is unknown, before a later try succeeds.

mod format;
mod keeper;
mod keys;
mod log;
mod moving;
mod recovery;
mod scribe;
mod shelf;
mod stored;
mod transfer;

pub(super) use keeper::Keeper;
pub(super) use keys::{Asked, Lookup, Reserved};
pub(super) use log::{open_beside, remove_beside, without_server};
pub(super) use moving::Which;
pub(super) use shelf::{Finish, Lending, Shelf};
pub(super) use transfer::move_out;
