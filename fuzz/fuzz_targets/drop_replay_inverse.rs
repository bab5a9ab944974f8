//! What can be read as a Drop file is written and read again the same.

#![no_main]

use postroad_message_directory::fuzz;

libfuzzer_sys::fuzz_target!(|file: &[u8]| fuzz::drop_replay_inverse(file));
