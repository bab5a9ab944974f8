//! Replay files: no panic, and what enters the queue has CRLF line ends and no NUL.

#![no_main]

use postroad_message_directory::fuzz;

libfuzzer_sys::fuzz_target!(|file: &[u8]| fuzz::replay(file));
