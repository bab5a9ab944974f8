//! The questions a client asks the name service, and what the answers may be.

pub(crate) mod answer;
#[cfg(feature = "hickory")]
mod hickory;
pub(crate) mod hosts;
pub(crate) mod questions;

pub use answer::{Answer, BoxFuture, MxRecord, Resolve, Security};
#[cfg(feature = "hickory")]
pub use hickory::HickoryResolver;
