//! What this crate does to messages, read by others.

mod content;
mod seven_bit;
