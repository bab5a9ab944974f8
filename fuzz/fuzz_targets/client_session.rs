//! Whatever a server says, the client's session ends, and every recipient has one outcome.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/smtp-protocol/tests/it/client_rehearsal.rs"]
mod client_rehearsal;

fuzz_target!(|data: &[u8]| client_rehearsal::rehearse(data));
