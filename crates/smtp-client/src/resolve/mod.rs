//! The questions a client asks the name service, and what the answers may be.

pub mod answer;
pub mod hickory;
pub mod hosts;
pub(crate) mod questions;

pub use answer::{Answer, BoxFuture, MxRecord, Resolve, Security};
pub use hickory::HickoryResolver;
