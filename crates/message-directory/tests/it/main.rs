//! What files become, what directories survive, and that Drop and Replay undo each other.

mod cases;
mod directory;
mod drop_directory;
mod inverse;
