//! Certificates that clients show: asked for, checked against authorities of our own, and told to whoever serves the client.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConnection, SignatureScheme,
};

use crate::tls::material::TlsMaterialError;
use crate::tls::served_certificates::dns_names;

/// A client's certificate that leads to one of the authorities in `tls_client_ca_file`, and is valid now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCertificate {
    /// The DNS names it is for, in lower case; a wildcard as it stands.
    pub names: Vec<String>,
    /// The certificate itself, DER: for an embedder who knows it by its fingerprint.
    pub der: Vec<u8>,
}

impl PeerCertificate {
    /// What is known of a certificate that was verified.
    pub fn new(der: impl Into<Vec<u8>>) -> Self {
        let der = der.into();
        Self { names: dns_names(&CertificateDer::from(der.as_slice())), der }
    }

    /// Whether it is for this DNS name (RFC 6125: a wildcard stands for the first label, and for it whole).
    pub fn is_for(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|held| match held.strip_prefix("*.") {
            Some(held) => parent.is_some_and(|parent| parent.eq_ignore_ascii_case(held)),
            None => held.eq_ignore_ascii_case(name),
        })
    }
}

/// The check of client certificates against a file of authorities.
pub(crate) fn verifier(
    authorities: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsMaterialError> {
    let mut roots = RootCertStore::empty();
    let none = || TlsMaterialError::ClientAuthorities { path: Some(authorities.to_owned()) };
    let pem = std::fs::read(authorities).map_err(TlsMaterialError::unreadable(authorities))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|_| none())?).map_err(|_| none())?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| none())
}

/// The same check, put off until after the handshake.
pub(crate) fn lenient(strict: Arc<dyn ClientCertVerifier>) -> Arc<dyn ClientCertVerifier> {
    Arc::new(Lenient(strict))
}

/// Takes whatever a client shows, and nothing too: many mail servers show their own certificate to whoever asks, and must not
/// be sent away for it. What it is worth is judged after the handshake; that the client has its key is proved in any case.
#[derive(Debug)]
struct Lenient(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Lenient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The certificate this connection's client has proved to have, if it is good now: also in a session that was
/// resumed, whose certificate may have expired since.
pub(crate) fn verified(
    connection: &ServerConnection,
    verifier: Option<&dyn ClientCertVerifier>,
) -> Option<PeerCertificate> {
    let (leaf, intermediates) = connection.peer_certificates()?.split_first()?;
    let judged = verifier.map(|verifier| verifier.verify_client_cert(leaf, intermediates, UnixTime::now()));
    match judged.transpose() {
        Ok(_) => Some(PeerCertificate::new(leaf.as_ref())),
        Err(error) => {
            tracing::debug!(%error, "the client's certificate is not believed");
            None
        }
    }
}
