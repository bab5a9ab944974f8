//! SMTP without sockets: one judge of bytes for both sides of the wire.

pub mod capability;
pub mod client;
pub mod command;
pub mod data;
pub mod line;
pub mod parameter;
pub mod path;
pub mod reply;
pub mod sasl;
pub mod server;
pub mod xtext;
