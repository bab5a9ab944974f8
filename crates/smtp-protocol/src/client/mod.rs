//! The client side of a session: what is said, what is awaited, and one outcome for each recipient.
//!
//! ```text
//!   Session::new ──> 220 ──> EHLO ──> STARTTLS ──> EHLO ──> AUTH ──> Event::Ready ◄────────────┐
//!                      └────────┴─────────┴──────────┴────────┴──> Event::Unusable             │
//!                                                                                              │
//!   Session::send ──> [RSET] MAIL RCPT.. DATA ──> 354 ──> content and final dot ──> reply ──> Event::Settled
//!                                      └─> BDAT n LAST, content, where CHUNKING is offered ──┘
//!                                                                                (one outcome for each recipient)
//! ```
//!
//! [`Session`] does no I/O and asks no clock: the caller carries bytes, the time and the TLS handshake between it and
//! the world, in the loop that its documentation shows.

mod content;
pub mod content_task;
mod dialogue;
pub mod login;
mod opening;
pub mod session;
pub mod settings;
pub mod timeouts;
pub mod transaction;
mod transfer;

pub use content_task::{ContentResult, ContentTask};
pub use login::Answer;
pub use session::{Event, Input, Output, Session};
pub use settings::{Authentication, EightBitContent, Settings, StartTls};
pub use timeouts::Timeouts;
pub use transaction::Transaction;
