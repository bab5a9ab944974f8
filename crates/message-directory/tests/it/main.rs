//! What files become, what directories survive, and that Drop and Replay undo each other.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod allocations;
mod cases;
mod compose;
mod directory;
mod drop_directory;
mod inverse;
