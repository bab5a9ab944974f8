//! The embedded store under crashes, damage, company and a full disk.

mod backlog;
mod clock;
mod company;
mod crash;
mod crash_states;
mod damage;
mod dice;
mod door;
mod drafts;
mod forsaken;
mod fresh;
mod full_disk;
mod kills;
mod large;
mod mail;
mod migrated;
mod owner;
mod pages;
mod read_only;
mod recovery;
mod source_keys;
mod system_calls;
mod threads;
mod watched;
