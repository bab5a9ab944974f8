//! The relay as its users meet it: a process with a configuration file, killed and started again, between other programs.
//!
//! The package `relay` builds this, because cargo tells only a binary's own package where it built it.

mod bad_input;
mod clients;
mod configuration;
mod connectors;
mod crash;
#[cfg(target_os = "linux")]
mod descriptors;
mod drop_directory;
mod drop_troubles;
mod failed_disk;
mod file_troubles;
mod gateway;
mod guides;
mod hostile_files;
mod iis;
mod kills;
#[cfg(target_os = "linux")]
mod kills_at_limits;
mod large_messages;
mod mailboxes;
mod neighbours;
mod plain;
mod postfix;
mod programs;
mod programs_answers;
mod queue;
mod receive;
mod reload;
mod reports;
mod round_trip;
mod route;
mod send;
mod smart_host;
mod smuggling;
mod synced;
mod tracking;
