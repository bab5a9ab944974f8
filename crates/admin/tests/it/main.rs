//! The commands on a queue with mail in it, as a postmaster gives them.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod commands;
mod support;
