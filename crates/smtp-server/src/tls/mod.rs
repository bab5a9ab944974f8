//! TLS for receive connectors: certificates and who is shown which, client certificates, and files that change under us.
//!
//! [`TlsMaterial::of`] reads what a connector names: its own certificate, more of them for other names (SNI), and whose client
//! certificates are believed. Nothing is installed for the process. A running server looks at the files every second; a
//! change that cannot be used is logged, and the certificates before it stay in force. Sessions that stand are not touched.

mod certificate_name;
mod client_certificates;
mod cryptography;
mod lifetime;
pub mod material;
mod served_certificates;
pub(crate) mod watch;

pub use certificate_name::{InvalidCertificateName, TlsCertificateName};
pub use client_certificates::PeerCertificate;
pub use cryptography::Cryptography;
pub use material::{TlsMaterial, TlsMaterialError};
