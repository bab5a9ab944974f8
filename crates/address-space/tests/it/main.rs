//! Tables that a postmaster can read, and properties that no table can list.

mod allocations;
mod properties;
mod tables;
