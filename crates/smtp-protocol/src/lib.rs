//! SMTP without sockets: one judge of bytes for both sides of the wire.
//!
//! Nothing here reads a socket or a clock. [`server::Session`] (SMTP and LMTP) and [`client`]'s session are told what came and say what to do;
//! their owner moves the bytes. Both judge line ends alike, in [`data`]:
//!
//! ```
//! use postroad_smtp_protocol::data;
//! let mut wire = Vec::new();
//! data::encode(b"one\n.\ntwo", &mut wire);
//! assert_eq!(wire, b"one\r\n..\r\ntwo\r\n.\r\n", "nothing that we send can be read as an earlier end");
//! ```
//!
//! # What holds everywhere
//!
//! * Only CRLF ends a line, and only CRLF.CRLF ends content.
//! * What is held is bounded: lines, replies, content, recipients.
//! * How bytes are cut into packets changes nothing, but that what comes in one packet with STARTTLS ends the session; property
//!   tests and fuzz targets demand it.
//! * Passwords have no `Debug`, are wiped from memory, and are struck out of every [`transcript`].

pub mod capability;
pub mod client;
pub mod command;
pub mod data;
pub mod line;
pub mod parameter;
pub mod path;
pub mod proxy;
pub mod reply;
pub mod sasl;
pub mod server;
pub mod transcript;
pub mod xclient;

// Written on the wire here, and in the lines on top of a Replay file by a room that does not know this one.
pub use postroad_message::xtext;
