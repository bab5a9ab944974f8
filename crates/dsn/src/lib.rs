//! Delivery status notifications: who is owed one, and the report itself (RFC 3461 to 3464, 6533).
//!
//! [`owed`] says which outcome owes the sender a report; [`report`] writes it. No clock, no randomness, no I/O:
//!
//! ```
//! use postroad_address_space::{Address, Mailbox};
//! use postroad_dsn::{Action, RecipientReport, Report, Stamp, report};
//! use postroad_message::{
//!     Content, EnhancedStatus, Envelope, Failure, Fault, Outcome, Phase, Recipient, Scope, Timestamp,
//! };
//! let envelope = Envelope::new("app@contoso.com".parse()?, vec![]);
//! let content = Content::from("Subject: Tea\r\n\r\nAt four.\r\n");
//! let jane = Recipient::new(Address::parse("jane@fabrikam.com")?);
//! let refused = Outcome::Failed(Failure::new(
//!     EnhancedStatus::permanent(1, 1), Fault::Remote, Scope::Recipient, Phase::RcptTo, "There is no such mailbox.",
//! ));
//! let recipients = [RecipientReport::new(Action::Failed, &jane, &refused)];
//! let postmaster = Mailbox::parse("postmaster@contoso.com")?;
//! let stamp = Stamp::new("4f2a", Timestamp::from_unix_millis(1_711_903_005_000), "<1@contoso.com>");
//! let refusal = Report::new(&envelope, &content, &recipients, "hub01.contoso.com", &postmaster);
//! let (to, back) = report(&refusal, &stamp).ok_or("the sender is null")?;
//! assert!(to.reverse_path.is_null());
//! assert_eq!(to.recipients[0].address.to_string(), "app@contoso.com");
//! let back = String::from_utf8_lossy(back.head()).into_owned();
//! assert!(back.contains("\r\nSubject: Undeliverable: Tea\r\n"));
//! assert!(back.contains("\r\nFinal-Recipient: rfc822;jane@fabrikam.com\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds for every report
//!
//! * Its reverse-path is null, and none is written for a message whose own reverse-path is null.
//! * Whatever came from outside (replies, addresses, ENVID, ORCPT, subjects) is cleaned: it stays on its line, and within
//!   ASCII. What lies beyond is written `\x{HEX}` in addresses and texts (RFC 6533).
//! * It is 7-bit, except where the sender said `RET=FULL` for an 8-bit message, or used SMTPUTF8 and there is something
//!   beyond ASCII to tell: then its parts are those of RFC 6533.
//! * The parts are `text/plain`, `message/delivery-status`, then `message/rfc822` or `text/rfc822-headers`;
//!   in an international report `message/global-delivery-status`, then `message/global` or `message/global-headers`.
//! * No line is longer than 998 octets.
//!
//! mail-builder writes the MIME frame. Date, Message-ID and boundary are given to it, so that it asks no clock, and every
//! part names its transfer encoding, so that it re-encodes nothing.

mod clean;
mod owed;
mod recipient;
mod report;
mod text;

pub use owed::{Action, Circumstances, owed};
pub use recipient::RecipientReport;
pub use report::{HEADERS_ONLY_ABOVE, Report, Stamp, Wording, may_return_all, report};
