//! The pipeline with a real queue, a clock of its own and pretend ways out: what a postmaster expects of it.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod agent_batches;
mod agents;
mod by_hand;
mod client_certificate;
mod closed_queue;
mod crash_states;
#[path = "../../../queue/tests/it/dice.rs"]
mod dice;
mod doors;
mod drop_deliver;
mod files;
mod held_store;
mod large;
mod lmtp;
mod manage;
mod pipe;
mod poison;
mod receiving;
mod reports;
mod retries;
mod routing;
mod stop;
mod submitting;
mod support;
mod told;
mod tracking;
mod watched;
