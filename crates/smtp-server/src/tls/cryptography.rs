//! Who does the arithmetic of TLS: ring unless an embedder brings another.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

/// A provider of cryptography, and how the tickets are made by which clients resume their sessions. A clone is a pointer.
///
/// `default-features = false` leaves ring out; aws-lc-rs then comes with a dependency on rustls of your own:
///
/// ```
/// use std::sync::Arc;
/// use postroad_smtp_server::{Cryptography, ReceiveConnector, TlsMaterial};
/// # use rustls::crypto::ring as aws_lc_rs; // here it would be `rustls::crypto::aws_lc_rs`
///
/// let cryptography = Cryptography::new(Arc::new(aws_lc_rs::default_provider())).tickets(aws_lc_rs::Ticketer::new);
/// let connector = ReceiveConnector::new("Default"); // it names no certificate, and so has no TLS
/// let tls = TlsMaterial::of_with(&connector, cryptography)?;
/// # Ok::<(), postroad_smtp_server::TlsMaterialError>(())
/// ```
#[derive(Clone)]
pub struct Cryptography {
    pub(crate) provider: Arc<CryptoProvider>,
    tickets: Option<Arc<MakeTickets>>,
}

type MakeTickets = dyn Fn() -> Result<Arc<dyn ProducesTickets>, rustls::Error> + Send + Sync;

impl Cryptography {
    /// This provider, and no tickets: every handshake is a full one.
    pub fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, tickets: None }
    }

    /// Sessions are resumed by tickets that are made so. It is asked each time certificates are read: new keys each time keep
    /// a session of one connector, or of a policy before this one, from being resumed under another.
    #[must_use]
    pub fn tickets(
        mut self,
        make: impl Fn() -> Result<Arc<dyn ProducesTickets>, rustls::Error> + Send + Sync + 'static,
    ) -> Self {
        self.tickets = Some(Arc::new(make));
        self
    }

    /// ring, with tickets; `None` where it was left out. The process's default is neither read nor set.
    pub(crate) fn usual() -> Option<Self> {
        #[cfg(feature = "ring")]
        return Some(
            Self::new(Arc::new(rustls::crypto::ring::default_provider()))
                .tickets(rustls::crypto::ring::Ticketer::new),
        );
        #[cfg(not(feature = "ring"))]
        None
    }

    pub(crate) fn make_tickets(&self) -> Result<Option<Arc<dyn ProducesTickets>>, rustls::Error> {
        self.tickets.as_ref().map(|make| make()).transpose()
    }
}

/// The provider: what tickets are made by has no name.
impl fmt::Debug for Cryptography {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cryptography").field("provider", &self.provider).finish_non_exhaustive()
    }
}
