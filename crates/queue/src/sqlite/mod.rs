//! The embedded store: one SQLite file, one writing thread whose transactions many callers share.

mod content_file;
mod desk;
mod draft;
mod enqueue;
mod fault;
mod file_threads;
mod filter;
mod fresh;
mod lease;
mod manage;
mod neighbours;
mod options;
mod owner;
mod reader;
mod recent;
mod record;
mod result;
mod schema;
mod source_key;
mod store;
mod stored;
mod syncer;
mod view;
mod write_ahead_log;
mod writer;

pub use options::SqliteOptions;
pub use store::SqliteStore;
