//! What our client says in commands and content, our server understands as it was meant.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/smtp-protocol/tests/it/there_and_back.rs"]
mod there_and_back;

fuzz_target!(|data: &[u8]| {
    there_and_back::send(data);
});
