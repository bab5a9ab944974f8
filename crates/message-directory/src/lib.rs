//! Mail as files: Pickup, Replay and Drop directories as Exchange and IIS understand them.
//!
//! A fax gateway, a scanner, an ERP system or a script writes a file; it becomes an envelope and a content:
//!
//! ```
//! use postroad_address_space::Domain;
//! use postroad_message::Timestamp;
//! use postroad_message_directory::{Arrival, pickup};
//! let file = b"From: scanner@contoso.com\nTo: Jane Doe <jane@fabrikam.com>\nSubject: Page 1\n\nSee attached.\n";
//! let submission = pickup::decode(file, &pickup::Rules::default())?;
//! assert_eq!(submission.envelope.recipients[0].address.to_string(), "jane@fabrikam.com");
//!
//! let domain = Domain::parse("contoso.com")?;
//! let now = Timestamp::from_unix_millis(1_711_903_005_000);
//! let arrival = Arrival::new("hub01.contoso.com", &domain, now, [7; 16]);
//! let (_, content) = submission.into_message(&arrival)?;
//! assert!(content.head().starts_with(b"Received: from Pickup\r\n"));
//! assert!(content.head().ends_with(b"\r\n\r\nSee attached.\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Watching a directory, whole: `examples/watch_pickup.rs`.
//!
//! # The formats beside each other
//!
//! | | Pickup, Exchange | Pickup, IIS | Replay | Drop |
//! |---|---|---|---|---|
//! | direction | in | in | in | out |
//! | meant for | new messages of applications | the same | exported messages, gateways | foreign gateways |
//! | files | `*.eml` | all but `*.tmp`, `*.bad`, dot-files | `*.eml` | `<32 hex digits>.eml` |
//! | sender | From or Sender ([table](pickup::decode)) | `x-sender`, else as Exchange | X-Sender, once | X-Sender |
//! | recipients | To, Cc, Bcc | `x-receiver`, else as Exchange | X-Receiver, one each | X-Receiver, that connector's only |
//! | X-Sender, X-Receiver | ordinary fields | as the very first lines, sender first | leading block, any order | leading block |
//! | NOTIFY, RET, ENVID, ORCPT, BODY | no | yes | yes | yes |
//! | `Received`, `Resent-*` | removed | kept | kept | kept |
//! | organisation, forest fields | removed | removed | kept for a trusted X-CreatedBy | removed |
//! | Bcc | removed | removed | removed | kept as it is |
//! | Return-Path | removed | removed | kept | kept |
//! | `Received` added | `from Pickup` | `from Pickup` | `from` X-HeloDomain or `Replay` | no |
//! | Date, Message-ID repaired | yes | yes | yes | no |
//! | IMCEA recipients of the default domain | opened | opened | opened, or native `FAX:1` | written, or native |
//! | header, recipient limits | 64 KiB, 100 | 64 KiB, 100 | none | none |
//!
//! [`drop::decode`] reads what [`drop::encode`] wrote, byte for byte; a Drop file is a Replay file.
//!
//! # Strict and lenient
//!
//! Where the documents and the files of the field differ, what the field writes is always read: `X-ExtendedProps` for
//! X-ExtendedMessageProps, `;` behind a parameter, ORCPT without a type, the block in any order, an end marker with any number.
//! What neither knows is decided by [`Strictness`] for Replay; IIS's Pickup is lenient inside its block, a Drop file is read
//! strictly.
//!
//! | | strict, the default | lenient |
//! |---|---|---|
//! | an unknown parameter | the file is bad | passed over |
//! | `NOTIFY=NEVER` beside other wishes | the file is bad | NEVER |
//! | an unknown X-field before the end marker | the file is bad | stays in the message; the block goes on to the marker |
//! | no or two X-Sender, an address that is none, a blank X-CreatedBy | the file is bad | the file is bad |
//!
//! # Edges, all of them
//!
//! * **Line ends.** CRLF enters the queue, always. LF alone, `\r\r\n`, and CR alone in a body are mended when the message is
//!   stamped ([`Submission::into_message`]); CR alone in a header is refused, because programs differ in whether it
//!   starts a new field; NUL is refused anywhere. A lone dot is content.
//! * **The block ends** at X-EndOfInjectedXHeaders, else at the first other field. A later X-Receiver is content and adds no
//!   recipient. The marker's number is not believed: exported files have numbers there that fit nothing.
//! * **Addresses** all go through `Mailbox::parse`. Display names are passed over, never decoded: an encoded word is no
//!   address. Groups count by their members. One bad address of several is [rejected](Submission::rejected), not the file.
//! * **Bad files** ([`Badmail`]): with a good sender a report is owed and the file is deleted; without, it becomes `.bad`.
//! * **Producers** write elsewhere on the same volume and rename the finished file in; `.tmp` is the watcher's name. One who
//!   writes in place is waited for: until the file has rested a second, is unlocked, and did not change while it was read.
//!   [`Poll::next_at_rest`] says when it is worth a look; that something came at all the caller may learn from the system
//!   (`postroad-transport` does), but only looking finds everything.
//! * **A crash** leaves `.tmp` files, which [`Directory::recover`] names `.eml` again. [`Claimed::identity`] tells whether the
//!   queue has such a file already; where others with queues of their own watch the same directory, that is asked of each
//!   [left-over](Directory::left_over) that is [reclaimed](Directory::reclaim) before it is released. Once the queue has it: [`Claimed::settle`], then sync the directory, and only then let the
//!   queue forget the identity.
//! * **Many files**: the oldest of 20,000 come first, and where these hold too few the next poll looks behind them. Several
//!   [Drop files](DropDirectory::write_all) share their syncs.
//!
//! # What was not compiled
//!
//! The parts for systems other than Unix; `file_system.rs` says what is different there: a file that another program holds
//! open without sharing counts as busy, a link is judged by a look before it is opened, and between the look for a free name
//! and the rename somebody may take it.

mod badmail;
mod badmail_directory;
mod compose;
mod directory;
pub mod drop;
mod drop_directory;
#[doc(hidden)]
pub mod fuzz;
mod injected;
pub mod pickup;
mod rate;
pub mod replay;
mod submission;

mod claimed;
mod fields;
mod file_system;
mod parameter;

pub use badmail::{Badmail, BadmailReason};
pub use badmail_directory::{Bad, BadmailDirectory, Triplet};
pub use compose::compose;
pub use directory::{Candidate, Claimed, Directory, DirectoryError, Identity, Oddity, Poll, Skipped};
pub use drop_directory::{DropDirectory, DropError};
pub use injected::{AddressForm, EncodeError, Injected, Strictness};
pub use pickup::Dialect;
pub use rate::RateLimit;
pub use submission::{Arrival, Origin, Submission};
