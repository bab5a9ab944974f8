//! The mail pipeline as a library: submit, route, enqueue, deliver, settle, report.

mod attempt;
pub mod deliver;
pub mod dial;
mod dispatcher;
pub mod observe;
pub mod pipeline;
mod plan;
mod receive;
mod report;
mod reroute;
pub mod settings;
mod settlement;
pub mod watch;
pub mod world;

pub use deliver::{Deliver, Delivers, DropDeliver, Job, SmtpDeliver};
pub use observe::{NobodyWatches, Observe};
pub use pipeline::{Pipeline, Submission, SubmitError, Submitted};
pub use settings::Settings;
pub use watch::WatchedDirectory;
pub use world::{SystemWorld, World};
