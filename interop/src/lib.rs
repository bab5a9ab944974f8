//! Real mail programs under test control: each is started on free loopback ports in a temporary folder, and ended.
//!
//! ```text
//!   swaks or Application ──SMTP──> Relay ──SMTP, STARTTLS, AUTH──> Postfix or Sink ──> files that a test compares
//! ```
//!
//! [`Postfix`] and [`swaks`] need Debian's packages `postfix`, `sasl2-bin`, `libsasl2-modules`, `swaks` and
//! `libnet-ssleay-perl`, and root to start Postfix; the tests that use them are marked `#[ignore]` with that reason and
//! `.ci/run` runs them. [`Application`] and [`Sink`] need nothing, so their tests run everywhere.
//!
//! Everything panics when it fails: this is a test harness, and the panic is the test's message.

pub mod application;
pub mod certificate;
pub mod mailbox;
pub mod patience;
pub mod port;
pub mod postfix;
pub mod relay;
pub mod sample;
pub mod scratch;
pub mod sink;
pub mod swaks;

pub use application::Application;
pub use postfix::Postfix;
pub use relay::Relay;
pub use sample::Sample;
pub use scratch::Scratch;
pub use sink::Sink;
