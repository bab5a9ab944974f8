//! SMTP without sockets: one judge of bytes for both sides of the wire.
//!
//! Nothing here reads a socket or a clock. [`client::Session`] and [`server::Session`] (SMTP and LMTP both) are told what came and say what to
//! do; their owner moves the bytes. Here they talk to each other:
//!
//! ```
//! use std::time::Instant;
//! use postroad_address_space::{Address, Domain, MailDomain};
//! use postroad_message::{Content, Envelope, Recipient, ReversePath, Timestamp};
//! use postroad_smtp_protocol::{client, server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::now();
//! let name = MailDomain::Name(Domain::parse("app.contoso.com")?);
//! let mut client = client::Session::new(client::Settings::new(name, "mail.fabrikam.com"), None, now);
//! let mut server = server::Session::new(server::Settings::new("mail.fabrikam.com", "postmaster@fabrikam.com".parse()?));
//!
//! let to_jane = Envelope::new(ReversePath::Null, vec![Recipient::new(Address::parse("jane@fabrikam.com")?)]);
//! let content = Content::from(b"Subject: Tea\r\n\r\nAt four.\r\n".to_vec());
//! let mut messages = Vec::new();
//! let outcomes = 'over: loop {
//!     let mut replies = Vec::new();
//!     loop {
//!         match server.poll() {
//!             server::Output::Transmit { bytes, .. } => replies.extend(bytes),
//!             server::Output::Event(server::Event::Message { envelope, content, .. }) => {
//!                 messages.push((envelope, content)); // a server writes it down durably, then says:
//!                 server.handle(server::Input::Verdict(server::Verdict::Queued("id-1".into())));
//!             }
//!             server::Output::Event(_) => server.handle(server::Input::Verdict(server::Verdict::Accept)),
//!             _ => break, // it wants to read
//!         }
//!     }
//!     client.handle(now, client::Input::Received(&replies));
//!     let mut commands = Vec::new();
//!     loop {
//!         match client.poll() {
//!             client::Output::Transmit { bytes, .. } => {
//!                 let written = bytes.len();
//!                 commands.extend(bytes);
//!                 client.handle(now, client::Input::Transmitted(written));
//!             }
//!             client::Output::Event(client::Event::Ready) => {
//!                 let date = Timestamp::from_unix_millis(1_711_903_005_000);
//!                 client.send(now, client::Transaction::new(&to_jane, &to_jane.recipients, &content, None, date));
//!             }
//!             client::Output::Event(client::Event::Settled(outcomes)) => break 'over outcomes,
//!             _ => break, // it waits for replies
//!         }
//!     }
//!     server.handle(server::Input::Received(&commands));
//! };
//! assert!(outcomes[0].is_success(), "{outcomes:?}");
//! assert_eq!(messages.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! Both judge line ends alike, in [`data`]: a lone CR or LF is never an end, and nothing that we send can be read as an earlier end.
//!
//! # What holds everywhere
//!
//! * Only CRLF ends a line, and only CRLF.CRLF ends content.
//! * What is held is bounded: lines, replies, content, recipients.
//! * How bytes are cut into packets changes nothing, but that what comes in one packet with STARTTLS ends the session; property
//!   tests and fuzz targets demand it.
//! * Passwords have no `Debug`, are wiped from memory, and are struck out of every [`transcript`].

#![warn(missing_debug_implementations, clippy::missing_errors_doc, clippy::return_self_not_must_use)]

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
