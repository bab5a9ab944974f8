//! Real mail programs under test control: each is started on free loopback ports in a temporary folder, and ended.
//!
//! ```text
//!   swaks or Application ──SMTP──> Relay ──SMTP, STARTTLS, AUTH──> Postfix or Sink ──> files that a test compares
//! ```
//!
//! The client alone meets [`Dovecot`], [`EximHost`], [`OpenSmtpd`], [`SmtpSink`], [`NameServer`] and [`Socks`] in `tests/servers`.
//!
//! [`Postfix`], [`Exim`], [`swaks`] and the other clients are Debian's packages, and Postfix wants root; the tests that use
//! them are marked `#[ignore]` with that reason, and `.ci/run` installs the packages and runs them. Exim and OpenSMTPD, which
//! cannot be installed beside Postfix, are only unpacked. [`Application`] and [`Sink`] need nothing, so their tests run everywhere.
//!
//! Everything panics when it fails: this is a test harness, and the panic is the test's message.

#![allow(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "whoever calls is a test, and reads the panic"
)]

pub mod application;
pub mod background;
pub mod certificate;
pub mod dovecot;
pub mod exim;
pub mod mailbox;
pub mod name_server;
pub mod opensmtpd;
pub mod patience;
pub mod port;
pub mod postfix;
pub mod program;
pub mod relay;
pub mod sample;
pub mod scratch;
pub mod sink;
pub mod small_disk;
pub mod smtp_sink;
pub mod socks;
pub mod swaks;

pub use application::Application;
pub use dovecot::Dovecot;
pub use exim::{Exim, EximHost};
pub use name_server::NameServer;
pub use opensmtpd::OpenSmtpd;
pub use postfix::Postfix;
pub use relay::Relay;
pub use sample::Sample;
pub use scratch::Scratch;
pub use sink::Sink;
pub use small_disk::SmallDisk;
pub use smtp_sink::SmtpSink;
pub use socks::Socks;

/// The README's example runs as a test of this crate: a package that is published reaches for nothing beside it.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
