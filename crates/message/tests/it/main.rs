//! What this crate does to messages, read by others.

mod seven_bit;
