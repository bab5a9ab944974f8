//! The embedded store under crashes, damage, company and a full disk.

mod backlog;
mod company;
mod crash;
mod crash_states;
mod damage;
mod large;
mod mail;
mod migrated;
mod pages;
mod watched;
