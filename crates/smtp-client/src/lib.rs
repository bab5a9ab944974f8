//! Delivers mail to smart hosts and to MX hosts by SMTP, and says for each recipient what became of it.

pub mod client;
mod connect;
mod connection;
mod delivery;
pub mod destination;
pub mod error;
mod memory;
pub mod resolve;
pub mod tls;

pub use client::{Builder, SmtpClient};
pub use destination::{CertificateName, Destination, Hosts, SmartHost, TlsPolicy, Verification};
pub use error::BuildError;
pub use postroad_smtp_protocol::client::{Authentication, Timeouts};
pub use postroad_smtp_protocol::sasl::{Credential, Mechanism, Secret};
pub use resolve::{Answer, HickoryResolver, MxRecord, Resolve, Security};
pub use tls::TrustAnchors;
