//! Whatever a server or a client says in a SASL exchange, nobody logs on who has not proved who he is.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/smtp-protocol/tests/it/sasl_rehearsal.rs"]
mod sasl_rehearsal;

fuzz_target!(|data: &[u8]| sasl_rehearsal::rehearse(data));
