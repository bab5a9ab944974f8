//! X.400 addresses: attributes, O/R addresses in both text forms, and the part of the hierarchy a space covers.

pub(crate) mod attribute;
pub(crate) mod or_address;
pub(crate) mod pattern;
mod print;
pub(crate) mod text;
