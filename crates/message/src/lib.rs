//! The currency that every room of a mail router pays in: envelope, recipient, content, outcome.

pub mod content;
pub mod envelope;
pub mod next_hop;
pub mod outcome;
pub mod recipient;
pub mod status;
pub mod timestamp;

pub use content::Content;
pub use envelope::{Body, Envelope, Return, ReversePath};
pub use next_hop::NextHop;
pub use outcome::{Failure, Fault, Outcome, Phase, Receipt, RemoteReply, Scope, TlsFacts};
pub use recipient::{Notify, OriginalRecipient, Recipient};
pub use status::{EnhancedStatus, InvalidStatus, StatusClass};
pub use timestamp::Timestamp;
