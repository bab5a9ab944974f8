//! Many address spaces compiled into one look-up: one index for each kind of address.

mod compiled;
mod other;
mod run;
mod smtp;
mod x400;

pub use compiled::{AddressSpaceMap, Matches};
