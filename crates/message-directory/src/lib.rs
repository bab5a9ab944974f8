//! Mail as files: Pickup, Replay and Drop directories as Exchange and IIS understand them.

pub mod badmail;
pub mod directory;
pub mod drop;
pub mod drop_directory;
pub mod injected;
pub mod pickup;
pub mod rate;
pub mod replay;
pub mod submission;

mod fields;
mod file_system;
mod parameter;

pub use badmail::{Badmail, BadmailReason};
pub use directory::{Candidate, Claimed, Directory, DirectoryError, Identity, Oddity, Poll, Skipped};
pub use drop_directory::{DropDirectory, DropError};
pub use injected::{AddressForm, EncodeError, Injected, Strictness};
pub use pickup::Dialect;
pub use rate::RateLimit;
pub use submission::{Arrival, Origin, Submission};
