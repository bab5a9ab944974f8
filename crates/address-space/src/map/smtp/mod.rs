//! The index of domains: a table of short buckets, built once for all, and chains of ready-made links.

mod bucket;
mod build;
mod index;
mod name;

pub(super) use index::SmtpIndex;
