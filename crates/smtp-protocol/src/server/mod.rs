//! The server side of a session: events to judge, and the replies that follow the verdicts.
//!
//! A [`Session`] knows no socket and no clock. Its owner gives it what came, polls it until it wants more, and answers every
//! [`Event`] with a [`Verdict`]:
//!
//! ```text
//!  Input::Received(bytes) ──┐                    ┌── Output::Transmit: write it
//!  Input::Verdict(..) ──────┼──>  Session  ──────┼── Output::Event: judge it, hand in the verdict
//!  Input::TlsEstablished ───┘                    ├── Output::StartTls: write, then shake hands
//!                                                └── Output::Receive: write, then read · Output::Close
//! ```
//!
//! ```
//! use postroad_smtp_protocol::server::{Event, Input, Output, Session, Settings, Verdict};
//! let postmaster = "postmaster@contoso.com".parse().expect("a mailbox");
//! let mut session = Session::new(Settings::new("mail.contoso.com", postmaster));
//! let wire = "EHLO server\r\nMAIL FROM: joe@contoso.com\r\nRCPT TO:<jane@contoso.com>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n";
//! let mut received = Some(wire.as_bytes());
//! let (mut replies, mut messages) = (Vec::new(), 0);
//! loop {
//!     match session.poll() {
//!         Output::Transmit { bytes, .. } => replies.extend(bytes),
//!         Output::Event(Event::Message { .. }) => {
//!             messages += 1; // write it down durably, then:
//!             session.handle(Input::Verdict(Verdict::Queued("id-1".into())));
//!         }
//!         Output::Event(_) => session.handle(Input::Verdict(Verdict::Accept)),
//!         Output::Receive => session.handle(Input::Received(received.take().expect("QUIT ended it"))),
//!         // No TLS is offered and no verdict left open, so this is `Close`.
//!         _ => break,
//!     }
//! }
//! assert_eq!(messages, 1);
//! assert!(replies.ends_with(b"250 2.6.0 Queued as id-1\r\n221 2.0.0 Closing the connection\r\n"));
//! ```
//!
//! A large content may be [taken out](Session::take_content) in pieces while it comes, so that it is never held as a whole; where nobody
//! does, [`Event::Message`] has all of it.
//!
//! With [`Settings::lmtp`] it speaks LMTP: LHLO, and after the content a reply for each recipient, all alike or each its own by
//! [`Verdict::Each`]. With [`Settings::xclient`] it believes XCLIENT; a PROXY header comes before any session and is read by
//! [`proxy::Reader`](crate::proxy::Reader).

mod accepted;
mod chunks;
mod commands;
mod content;
pub mod event;
mod front;
pub mod limits;
mod logon;
#[doc(hidden)]
pub mod rehearsal;
pub mod reply_line;
pub mod session;
pub mod settings;
mod state;
pub mod transaction;
pub mod verdict;

pub use event::{Event, Input, Output, Slow};
pub use limits::Limits;
pub use reply_line::ReplyLine;
pub use session::Session;
pub use settings::{LogonOffer, Settings, SizeKeyword};
pub use transaction::Transaction;
pub use verdict::{Refusal, Verdict};
