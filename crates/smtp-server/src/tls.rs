//! Certificates for STARTTLS: PEM in, a rustls configuration out, nothing installed for the process.

use std::path::Path;
use std::sync::Arc;

use postroad_message::TlsFacts;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

/// What a connector needs to speak TLS, or nothing: then STARTTLS is not offered.
#[derive(Clone, Default)]
pub struct TlsMaterial(Option<Arc<ServerConfig>>);

/// Why a certificate or key is not usable. Whoever wrote the configuration mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsMaterialError {
    /// The file cannot be read, or holds no PEM certificate.
    #[error("no certificate could be read: expected PEM, the server's own first")]
    Certificate,
    /// The file cannot be read, or holds no PEM private key.
    #[error("no private key could be read: expected PEM (PKCS#8, PKCS#1 or SEC1), not encrypted")]
    Key,
    /// The two do not belong together, or are of a kind that is not supported.
    #[error("the certificate and the private key do not belong together or are of an unsupported kind")]
    Mismatch,
}

impl TlsMaterial {
    /// No TLS.
    pub fn none() -> Self {
        Self(None)
    }

    /// The embedder's own configuration.
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self(Some(config))
    }

    /// Reads both files, which blocks.
    pub fn from_pem_files(certificate: &Path, key: &Path) -> Result<Self, TlsMaterialError> {
        let certificate = std::fs::read(certificate).map_err(|_| TlsMaterialError::Certificate)?;
        let key = std::fs::read(key).map_err(|_| TlsMaterialError::Key)?;
        Self::from_pem(&certificate, &key)
    }

    /// A certificate chain and its key; TLS 1.2 and 1.3, ring, no client certificates.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsMaterialError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsMaterialError::Certificate)?;
        if chain.is_empty() {
            return Err(TlsMaterialError::Certificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsMaterialError::Key)?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsMaterialError::Mismatch)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|_| TlsMaterialError::Mismatch)?;
        Ok(Self(Some(Arc::new(config))))
    }

    pub(crate) fn config(&self) -> Option<&Arc<ServerConfig>> {
        self.0.as_ref()
    }
}

/// Whether there is any: keys are never shown.
impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "TlsMaterial(present)" } else { "TlsMaterial(none)" })
    }
}

/// How an established connection is protected.
pub(crate) fn facts(tls: &ServerConnection) -> TlsFacts {
    let version = match tls.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    };
    let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
    let cipher = suite.and_then(|suite| suite.as_str()).unwrap_or("unknown").trim_start_matches("TLS13_");
    let cipher = if cipher.starts_with("TLS_") { cipher.to_owned() } else { format!("TLS_{cipher}") };
    TlsFacts { version: version.to_owned(), cipher, authenticated: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_half_that_is_wrong() {
        let made = rcgen::generate_simple_self_signed(["mail.contoso.com".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        assert!(TlsMaterial::from_pem(certificate.as_bytes(), key.as_bytes()).is_ok());
        let other = rcgen::generate_simple_self_signed(["mail.contoso.com".to_owned()]).unwrap();
        for (certificate, key, error) in [
            ("", key.as_str(), TlsMaterialError::Certificate),
            (key.as_str(), key.as_str(), TlsMaterialError::Certificate),
            (certificate.as_str(), certificate.as_str(), TlsMaterialError::Key),
            (certificate.as_str(), other.signing_key.serialize_pem().as_str(), TlsMaterialError::Mismatch),
        ] {
            assert_eq!(TlsMaterial::from_pem(certificate.as_bytes(), key.as_bytes()).err(), Some(error));
        }
    }
}
