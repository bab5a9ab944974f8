//! A crash at every step: the system calls of a run are recorded, every prefix of them is rebuilt with what was not
//! synced dropped, reordered or torn, and the store is opened on it: nothing is lost, nothing is half there.

mod disk;
mod every_step;
mod failed_syncs;
mod life;
mod promises;
mod record;
mod states;
mod trace;

pub(crate) use disk::memory;
