//! The reading machinery: TOML to typed values, every fault gathered with its place.

pub(crate) mod document;
pub(crate) mod fault;
pub(crate) mod gather;
pub(crate) mod quantity;
pub(crate) mod section;
pub(crate) mod source;
pub(crate) mod suggestion;
pub(crate) mod value;
