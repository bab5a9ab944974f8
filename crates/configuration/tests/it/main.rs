//! relay.toml as a postmaster writes it: good ones, broken ones, and texts that are neither.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod any_text;
mod broken;
mod defaults;
mod disk;
mod guides;
mod keys;
mod receive_connector;
