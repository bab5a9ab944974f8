//! TLS by rustls: one configuration for each thing that a certificate may have to prove.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use postroad_address_space::Domain;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::certificate_fault::NoNameBelow;
use crate::client_certificate::ClientCertificate;
use crate::destination::{CertificateName, TlsPolicy, Verification};
use crate::error::{BuildError, Cause};

/// Which authorities certificates are checked against.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum TrustAnchors {
    /// Those of the operating system; the feature `native-certs` reads them.
    #[default]
    System,
    /// The certificates in a PEM file, and no others.
    PemFile(PathBuf),
    /// A store the caller made.
    Store(Arc<RootCertStore>),
}

/// Makes configurations for policies.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    given: Option<Arc<ClientConfig>>,
    encryption_only: Arc<ClientConfig>,
    chain_only: Arc<ClientConfig>,
    chain_and_host: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(
        provider: Option<Arc<CryptoProvider>>,
        anchors: &TrustAnchors,
        given: Option<Arc<ClientConfig>>,
    ) -> Result<Self, BuildError> {
        let provider = provider
            .or_else(|| given.as_ref().map(|given| given.crypto_provider().clone()))
            .or_else(usual_provider)
            .ok_or(BuildError::NoProvider)?;
        let roots = match (&given, anchors) {
            (Some(_), _) => Arc::new(RootCertStore::empty()),
            (None, TrustAnchors::System) => Arc::new(system_roots()?),
            (None, TrustAnchors::PemFile(path)) => Arc::new(roots_of_file(path)?),
            (None, TrustAnchors::Store(store)) => store.clone(),
        };
        let configure = |proof| configuration(&provider, &roots, proof);
        Ok(Self {
            encryption_only: configure(Proof::Nothing)?,
            chain_only: configure(Proof::Chain)?,
            chain_and_host: configure(Proof::ChainAndServerName)?,
            provider: provider.clone(),
            roots: roots.clone(),
            given,
        })
    }

    /// What a handshake under this policy is made with.
    pub(crate) fn terms(
        &self,
        policy: &TlsPolicy,
        certificate: Option<&ClientCertificate>,
    ) -> Result<Terms, BuildError> {
        let mut terms = self.terms_without_certificate(policy)?;
        if let Some(certificate) = certificate {
            let shown = certificate.certified(terms.configuration.crypto_provider())?;
            let mut configuration = ClientConfig::clone(&terms.configuration);
            configuration.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(shown));
            // A session that was begun under this certificate is not to be resumed by whoever shows none.
            configuration.resumption = Resumption::disabled();
            terms.configuration = Arc::new(configuration);
        }
        Ok(terms)
    }

    fn terms_without_certificate(&self, policy: &TlsPolicy) -> Result<Terms, BuildError> {
        let verify = match policy {
            TlsPolicy::Never | TlsPolicy::Opportunistic => &Verification::EncryptionOnly,
            TlsPolicy::Required { verify } => verify,
        };
        let terms = |configuration: &Arc<ClientConfig>| Terms {
            configuration: configuration.clone(),
            name: None,
            name_below: None,
            authenticates: true,
        };
        Ok(match (verify, &self.given) {
            (Verification::EncryptionOnly, _) => {
                Terms { authenticates: false, ..terms(&self.encryption_only) }
            }
            (Verification::CertificateValidation, None) => terms(&self.chain_only),
            (Verification::DomainValidation(CertificateName::Host), None) => terms(&self.chain_and_host),
            (Verification::DomainValidation(CertificateName::Exact(name)), Some(given)) => {
                Terms { name: Some(name.clone()), ..terms(given) }
            }
            (Verification::DomainValidation(CertificateName::Exact(name)), None) => {
                terms(&self.configure(Proof::ChainAndName(name.clone()))?)
            }
            (Verification::DomainValidation(CertificateName::Below(name)), None) => {
                terms(&self.configure(Proof::ChainAndNameBelow(name.clone()))?)
            }
            (Verification::DomainValidation(CertificateName::Below(name)), Some(given)) => {
                Terms { name_below: Some(name.clone()), ..terms(given) }
            }
            (
                Verification::CertificateValidation | Verification::DomainValidation(CertificateName::Host),
                Some(given),
            ) => terms(given),
        })
    }

    fn configure(&self, proof: Proof) -> Result<Arc<ClientConfig>, BuildError> {
        configuration(&self.provider, &self.roots, proof)
    }
}

/// ring; `None` where it was left out. The process's default is neither read nor set.
fn usual_provider() -> Option<Arc<CryptoProvider>> {
    #[cfg(feature = "ring")]
    return Some(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(feature = "ring"))]
    None
}

/// How one handshake is made.
pub(crate) struct Terms {
    pub(crate) configuration: Arc<ClientConfig>,
    /// The name that is demanded, if it is not the host's.
    pub(crate) name: Option<Domain>,
    /// One label below this has to be a name of the certificate: of a given configuration nobody can tell its verifier so.
    pub(crate) name_below: Option<Domain>,
    /// Whether it proves who the server is.
    pub(crate) authenticates: bool,
}

impl Terms {
    /// What is to be checked of a certificate that the configuration has accepted.
    pub(crate) fn accept(&self, shown: Option<&[CertificateDer<'_>]>) -> Result<(), Error> {
        match (&self.name_below, shown) {
            (None, _) => Ok(()),
            (Some(domain), Some([end_entity, ..])) => verify_name_below(end_entity, domain),
            (Some(_), _) => Err(Error::NoCertificatesPresented),
        }
    }
}

fn configuration(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    proof: Proof,
) -> Result<Arc<ClientConfig>, BuildError> {
    let verifier = Verifier { provider: provider.clone(), roots: roots.clone(), proof };
    // A configuration of its own for each policy keeps TLS sessions of one from being resumed under another.
    Ok(Arc::new(
        ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| BuildError::Provider(Cause::new(error)))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth(),
    ))
}

/// What is unreadable in the system's store is left out: mail that needs it is deferred, with the certificate named.
#[cfg(feature = "native-certs")]
fn system_roots() -> Result<RootCertStore, BuildError> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a trust anchor of the system can't be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    Ok(roots)
}

#[cfg(not(feature = "native-certs"))]
fn system_roots() -> Result<RootCertStore, BuildError> {
    Err(BuildError::NoTrustAnchors)
}

fn roots_of_file(path: &PathBuf) -> Result<RootCertStore, BuildError> {
    let text = std::fs::read(path)
        .map_err(|error| BuildError::TrustAnchorFile { path: path.clone(), cause: Cause::new(error) })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| BuildError::NoTrustAnchor { path: path.clone() })?;
        roots.add(certificate).map_err(|_| BuildError::NoTrustAnchor { path: path.clone() })?;
    }
    if roots.is_empty() { Err(BuildError::NoTrustAnchor { path: path.clone() }) } else { Ok(roots) }
}

/// What a certificate has to prove.
#[derive(Debug)]
enum Proof {
    Nothing,
    Chain,
    ChainAndServerName,
    ChainAndName(Domain),
    ChainAndNameBelow(Domain),
}

/// Checks the chain and the name apart, as Exchange's levels do.
struct Verifier {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    proof: Proof,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if matches!(self.proof, Proof::Nothing) {
            return Ok(ServerCertVerified::assertion());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        match &self.proof {
            Proof::Nothing | Proof::Chain => {}
            Proof::ChainAndServerName => verify_name(&certificate, end_entity, server_name)?,
            Proof::ChainAndName(name) => {
                let name =
                    ServerName::try_from(name.ascii()).map_err(|_| CertificateError::NotValidForName)?;
                verify_name(&certificate, end_entity, &name)?;
            }
            Proof::ChainAndNameBelow(domain) => verify_name_below(end_entity, domain)?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("proof", &self.proof).finish_non_exhaustive()
    }
}

/// The certificate is for this name or address, and not by a wildcard for all that is below a top-level domain: nobody
/// holds that, and no authority may sign it.
fn verify_name(
    certificate: &ParsedCertificate<'_>,
    end_entity: &CertificateDer<'_>,
    name: &ServerName<'_>,
) -> Result<(), Error> {
    verify_server_name(certificate, name)?;
    let ServerName::DnsName(wanted) = name else { return Ok(()) };
    let wanted = wanted.as_ref().trim_end_matches('.');
    let held = webpki::EndEntityCert::try_from(end_entity).map_err(|_| CertificateError::BadEncoding)?;
    let fits = |name: &str| match name.strip_prefix("*.") {
        Some(parent) => parent.contains('.') && is_one_label_below(wanted, parent),
        None => name.eq_ignore_ascii_case(wanted),
    };
    if held.valid_dns_names().any(fits) {
        return Ok(());
    }
    let presented = held.valid_dns_names().map(str::to_owned).collect();
    Err(CertificateError::NotValidForNameContext { expected: name.to_owned(), presented }.into())
}

/// One of the certificate's names, which may be a wildcard itself, is one label below the domain.
fn verify_name_below(end_entity: &CertificateDer<'_>, domain: &Domain) -> Result<(), Error> {
    let certificate =
        webpki::EndEntityCert::try_from(end_entity).map_err(|_| CertificateError::BadEncoding)?;
    if certificate.valid_dns_names().any(|name| is_one_label_below(name, domain.ascii())) {
        return Ok(());
    }
    let names = certificate.valid_dns_names().map(str::to_owned).collect();
    let nothing = NoNameBelow { domain: domain.ascii().to_owned(), names };
    Err(CertificateError::Other(OtherError(Arc::new(nothing))).into())
}

fn is_one_label_below(name: &str, domain: &str) -> bool {
    name.split_once('.').is_some_and(|(label, rest)| {
        let is_label = label == "*"
            || label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        !label.is_empty() && is_label && rest.eq_ignore_ascii_case(domain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reaches_one_label_down() {
        for (name, fits) in [
            ("x.a.test", true),
            ("X.A.TEST", true),
            ("*.a.test", true),
            ("a.test", false),
            ("x.y.a.test", false),
            ("xa.test", false),
            (".a.test", false),
            ("f*.a.test", false),
        ] {
            assert_eq!(is_one_label_below(name, "a.test"), fits, "{name}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let missing = TrustAnchors::PemFile("no-such-file.pem".into());
        let refused = Tls::new(None, &missing, None).err();
        assert!(matches!(refused, Some(BuildError::TrustAnchorFile { .. })), "{refused:?}");
        let cause = refused.as_ref().and_then(std::error::Error::source);
        let kind = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
        assert_eq!(kind, Some(std::io::ErrorKind::NotFound));
        let manifest = TrustAnchors::PemFile("Cargo.toml".into());
        assert!(matches!(Tls::new(None, &manifest, None), Err(BuildError::NoTrustAnchor { .. })));
    }
}
