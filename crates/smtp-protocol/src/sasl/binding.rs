//! Channel binding (RFC 5056): what ties a login to the TLS connection that it is made in, so that nobody between can use it.

use super::secret::Secret;
use super::signature_hash::certificate_hash;

/// A property of a TLS connection that both ends know and nobody between them can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BindingType {
    /// `tls-exporter` (RFC 9266): keying material of this very connection
    TlsExporter,
    /// `tls-server-end-point` (RFC 5929 section 4): a hash of the server's certificate
    TlsServerEndPoint,
}

impl BindingType {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TlsExporter => "tls-exporter",
            Self::TlsServerEndPoint => "tls-server-end-point",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::TlsExporter, Self::TlsServerEndPoint].into_iter().find(|known| known.name() == name)
    }
}

/// What one TLS connection can be bound by; nothing of it outside TLS.
///
/// `tls-unique` is not among it: TLS 1.3 has none, and rustls does not tell that of TLS 1.2.
#[derive(Clone, Default)]
pub struct ChannelBindings {
    exporter: Option<Secret>,
    server_end_point: Option<Secret>,
}

impl ChannelBindings {
    /// The label to export keying material by, with an empty context and 32 bytes long (RFC 9266 section 2).
    pub const EXPORTER_LABEL: &'static str = "EXPORTER-Channel-Binding";

    /// No binding.
    pub fn none() -> Self {
        Self::default()
    }

    /// With exported keying material. Of TLS 1.3 only: a TLS 1.2 connection without extended master secret can be made
    /// to have the same material as another (RFC 9266 section 4.2).
    #[must_use]
    pub fn with_exporter(mut self, material: [u8; 32]) -> Self {
        self.exporter = Some(Secret::new(material));
        self
    }

    /// With the server's certificate, DER. One whose signature names no single hash (Ed25519) leaves things as they were.
    #[must_use]
    pub fn with_server_certificate(mut self, certificate: &[u8]) -> Self {
        if let Some(hash) = certificate_hash(certificate) {
            self.server_end_point = Some(Secret::new(hash));
        }
        self
    }

    /// Whether there is nothing to bind by.
    pub fn is_empty(&self) -> bool {
        self.exporter.is_none() && self.server_end_point.is_none()
    }

    pub(crate) fn get(&self, kind: BindingType) -> Option<&Secret> {
        match kind {
            BindingType::TlsExporter => self.exporter.as_ref(),
            BindingType::TlsServerEndPoint => self.server_end_point.as_ref(),
        }
    }

    /// The closest of them.
    pub(crate) fn best(&self) -> Option<(BindingType, Secret)> {
        [BindingType::TlsExporter, BindingType::TlsServerEndPoint]
            .into_iter()
            .find_map(|kind| Some((kind, self.get(kind)?.clone())))
    }
}

/// Which there are; exported keying material is a secret.
impl std::fmt::Debug for ChannelBindings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = [BindingType::TlsExporter, BindingType::TlsServerEndPoint];
        f.debug_set().entries(kinds.iter().filter(|kind| self.get(**kind).is_some())).finish()
    }
}

/// What a client says about channel binding in SCRAM (`gs2-cbind-flag`, RFC 5802 sections 6 and 7).
#[derive(Clone)]
#[non_exhaustive]
pub enum Binding {
    /// `n`: it has none.
    None,
    /// `y`: it has one, and the server seems to have none. A server that does have one thereby learns that somebody
    /// changed what it offered.
    NotOffered,
    /// `p`: by this.
    Bound(BindingType, Secret),
}

/// The kind alone.
impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::NotOffered => f.write_str("NotOffered"),
            Self::Bound(kind, _) => write!(f, "Bound({kind:?}, ..)"),
        }
    }
}
