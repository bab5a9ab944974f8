//! E-mail addresses of every type, and the address spaces that cover them, matched closest first.

mod address;
pub mod encapsulation;
mod error;
mod glob;
mod map;
mod other;
#[cfg(feature = "serde")]
mod serde;
mod smtp;
mod space;
mod specificity;
mod x400;

pub use address::Address;
pub use error::{ParseError, ParseErrorKind};
pub use map::{AddressSpaceMap, Matches};
pub use other::OtherAddress;
pub use smtp::domain::Domain;
pub use smtp::literal::AddressLiteral;
pub use smtp::mailbox::{MailDomain, Mailbox};
pub use space::AddressSpace;
pub use specificity::Specificity;
pub use x400::attribute::Attribute;
pub use x400::or_address::{Admd, OrAddress};
