//! Why a client can't be built.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a client can't be built: each is a fault of the configuration or of this machine, and none of the mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The file of trust anchors can't be read.
    #[error("the trust anchors can't be read from {}: {cause}", path.display())]
    #[non_exhaustive]
    TrustAnchorFile {
        /// The file.
        path: PathBuf,
        /// An [`io::Error`](std::io::Error).
        #[source]
        cause: Cause,
    },
    /// There is no certificate in the file, or one that is none.
    #[error("{} holds no usable trust anchor: it has to be PEM with one CERTIFICATE or more", path.display())]
    #[non_exhaustive]
    NoTrustAnchor {
        /// The file.
        path: PathBuf,
    },
    /// The client certificate or its key can't be read.
    #[error("the client certificate can't be read from {}: {cause}", path.display())]
    #[non_exhaustive]
    ClientCertificateFile {
        /// The file.
        path: PathBuf,
        /// An [`io::Error`](std::io::Error).
        #[source]
        cause: Cause,
    },
    /// There is no client certificate in what was read.
    #[error("the client certificate can't be used: it has to be PEM with one CERTIFICATE or more")]
    NoClientCertificate,
    /// There is no key in what was read.
    #[error("the client certificate can't be used: its key has to be PEM with a PRIVATE KEY")]
    NoClientKey,
    /// The key is another certificate's, or one that the TLS provider can't sign by: a [`rustls::Error`].
    #[error("the client certificate can't be used: {0}")]
    ClientCertificate(#[source] Cause),
    /// The TLS provider can't do TLS 1.2 or 1.3: a [`rustls::Error`].
    #[error("the TLS provider is of no use: {0}")]
    Provider(#[source] Cause),
    /// The crate was built without `ring`, and no provider was given.
    #[error(
        "no cryptography: `SmtpClientBuilder::crypto_provider` has to be given where the feature `ring` is off"
    )]
    NoProvider,
    /// The crate was built without `hickory`, and no resolver was given.
    #[error(
        "no name service: `SmtpClientBuilder::resolver` has to be given where the feature `hickory` is off"
    )]
    NoResolver,
    /// The crate was built without `native-certs`, and no trust anchors were given.
    #[error("no trust anchors: they have to be given where the feature `native-certs` is off")]
    NoTrustAnchors,
    /// The system's resolver configuration can't be read, or a name server can't be used.
    #[error("the name service can't be set up: {0}")]
    Resolver(#[source] Cause),
}

/// What an error came from, for whoever takes it apart: [`source`](Error::source) has it. Two are equal that read the same.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    pub(crate) fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

impl Deref for Cause {
    type Target = dyn Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for Cause {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
