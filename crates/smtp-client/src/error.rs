//! Why a client can't be built.

use std::path::PathBuf;

/// Why a client can't be built: each is a fault of the configuration or of this machine, and none of the mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The file of trust anchors can't be read.
    #[error("the trust anchors can't be read from {}: {reason}", path.display())]
    TrustAnchorFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// There is no certificate in the file, or one that is none.
    #[error("{} holds no usable trust anchor: it has to be PEM with one CERTIFICATE or more", path.display())]
    NoTrustAnchor {
        /// The file.
        path: PathBuf,
    },
    /// The client certificate or its key can't be read.
    #[error("the client certificate can't be read from {}: {reason}", path.display())]
    ClientCertificateFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// What was read is no certificate with its key.
    #[error("the client certificate can't be used: {0}")]
    ClientCertificate(String),
    /// The TLS provider can't do TLS 1.2 or 1.3.
    #[error("the TLS provider is of no use: {0}")]
    Provider(String),
    /// The system's resolver configuration can't be read, or a name server can't be used.
    #[error("the name service can't be set up: {0}")]
    Resolver(String),
}
