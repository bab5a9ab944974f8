//! The currency that every room of a mail router pays in: envelope, recipient, content, outcome.
//!
//! A message is an [`Envelope`] (from whom, to whom, how handled) and a [`Content`] (the bytes that travel).
//!
//! ```
//! use postroad_address_space::Address;
//! use postroad_message::{Content, Envelope, Recipient};
//! let envelope = Envelope::new(
//!     "app@contoso.com".parse()?,
//!     vec![Recipient::new(Address::parse("jane@fabrikam.com")?), Recipient::new(Address::parse("FAX:+1 425 555 0100")?)],
//! );
//! let content = Content::from("Subject: Tea\r\n\r\nAt four.\r\n");
//! assert_eq!((envelope.recipients.len(), content.len()), (2, 26));
//! # Ok::<(), postroad_address_space::ParseError>(())
//! ```
//!
//! What one attempt did for one recipient is an [`Outcome`]: who said so, where, and whether to try again.
//!
//! # Changing a header without touching the rest
//!
//! A header is found, never rewritten. [`HeaderBlock`] gives byte ranges; [`trace`], [`repair`] and [`firewall`]
//! answer with [`Edits`]; applying them copies the content once:
//!
//! ```text
//!   content ──► HeaderBlock::scan ──► firewall::organization ──► Edits ─┐ merge
//!      │                         └──► repair::date, message_id ─► Edits ┤
//!      │                              trace::Received ──► prepend ──────┤
//!      └────────────────────────────────────────────────────────► apply ┴──► new content
//! ```
//!
//! ```
//! use postroad_address_space::Domain;
//! use postroad_message::{HeaderBlock, Timestamp, firewall, repair, trace};
//! let now = Timestamp::from_unix_millis(1_711_903_005_000);
//! let content = b"X-MS-Exchange-Organization-SCL: -1\r\nSubject: Tea\r\n\r\nAt four.\r\n";
//! let header = HeaderBlock::scan(content);
//! let mut edits = firewall::organization(&header);
//! edits.merge(repair::date(&header, now));
//! edits.merge(repair::message_id(&header, [7; 16], &Domain::parse("contoso.com")?));
//! edits.prepend(trace::Received::new(trace::Source::Pickup, "hub01.contoso.com", now).to_string());
//! assert_eq!(
//!     String::from_utf8_lossy(&edits.apply(content)),
//!     "Received: from Pickup\r\n\tby hub01.contoso.com with Pickup;\r\n\tSun, 31 Mar 2024 16:36:45 +0000\r\n\
//!      Subject: Tea\r\nDate: Sun, 31 Mar 2024 16:36:45 +0000\r\n\
//!      Message-ID: <07070707-0707-0707-0707-070707070707@contoso.com>\r\n\r\nAt four.\r\n",
//! );
//! # Ok::<(), postroad_address_space::ParseError>(())
//! ```
//!
//! # What holds everywhere
//!
//! * Line ends are CRLF. Content that came by length (a file, an API) goes through [`line_end`] first.
//! * Clock and randomness are arguments; this crate has no I/O.
//! * Nothing from outside gets into a field uncleaned: a HELO text of `x)\r\nSubject: owned` stays on its line.
//! * `Debug` never shows content.
//! * An enum that is not `non_exhaustive` has all variants that its RFC knows: match it without `_`, as the compiler then
//!   tells what a new RFC would ask for.

pub mod content;
mod deliver_by;
mod edits;
mod envelope;
pub mod firewall;
mod header;
pub mod line_end;
mod next_hop;
mod outcome;
mod recipient;
pub mod repair;
pub mod seven_bit;
mod shape;
mod status;
mod timestamp;
pub mod trace;
pub mod xtext;

pub use content::{Content, ContentSource};
pub use deliver_by::{DeliverBy, NoSuchPriority, Priority, WhenLate};
pub use edits::Edits;
pub use envelope::{Body, Envelope, Return, ReversePath};
pub use header::{Field, HeaderBlock, HeaderEnd};
pub use next_hop::NextHop;
pub use outcome::{Failure, Fault, Outcome, Phase, Receipt, RemoteReply, Scope, TlsFacts};
pub use recipient::{Notify, OriginalRecipient, Recipient};
pub use shape::Shape;
pub use status::{EnhancedStatus, InvalidStatus, StatusClass};
pub use timestamp::{InvalidTimestamp, Timestamp};
