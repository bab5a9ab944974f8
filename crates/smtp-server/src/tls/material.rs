//! What a connector needs to speak TLS: PEM files in, a rustls configuration out, nothing installed for the process.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use postroad_message::TlsFacts;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage};
use rustls::{ServerConfig, ServerConnection};

use crate::parameters::{TlsClientCertificates, TlsMinimumVersion};
use crate::receive_connector::ReceiveConnector;
use crate::tls::client_certificates::{self, PeerCertificate};
use crate::tls::cryptography::Cryptography;
use crate::tls::served_certificates::{self, ServedCertificates};
use crate::tls::watch::{Look, Source};

/// What a connector needs to speak TLS, or nothing: then STARTTLS is not offered. A clone is a handle to the same.
#[derive(Clone, Default)]
pub struct TlsMaterial(Option<Arc<Shared>>);

struct Shared {
    in_force: RwLock<Arc<InForce>>,
    origin: Origin,
}

/// Where it came from.
enum Origin {
    /// Files, read by this cryptography.
    Files(Box<(Source, Cryptography)>),
    /// A certificate in memory.
    Memory,
    /// The embedder's own configuration.
    Embedder,
}

/// One reading of the files, replaced as a whole.
pub(crate) struct InForce {
    pub(crate) config: Arc<ServerConfig>,
    /// Judges client certificates after the handshake; `None`: what the handshake let through was judged there.
    pub(crate) verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// How the files looked when they were read.
    pub(crate) look: Vec<Option<Look>>,
}

/// Why a certificate or key is not usable. Whoever wrote the configuration mends it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsMaterialError {
    /// A file cannot be read.
    #[error("{} cannot be read: {kind}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// There is no PEM certificate in it.
    #[error("{}no certificate could be read: expected PEM, the server's own first", In(path))]
    Certificate {
        /// The file; `None` of what was given in memory.
        path: Option<PathBuf>,
    },
    /// There is no PEM private key in it.
    #[error("{}no private key could be read: expected PEM (PKCS#8, PKCS#1 or SEC1), not encrypted", In(path))]
    Key {
        /// The file; `None` of what was given in memory.
        path: Option<PathBuf>,
    },
    /// The two do not belong together, or are of a kind that is not supported.
    #[error(
        "{}the certificate and the private key do not belong together or are of an unsupported kind",
        In(path)
    )]
    Mismatch {
        /// The certificate's file; `None` of what was given in memory.
        path: Option<PathBuf>,
    },
    /// `tls_certificate_name` names none of those that were read.
    #[error(
        "no certificate in `tls_certificate` and `tls_certificates` has this issuer and subject: `openssl x509 -noout -issuer -subject` shows theirs"
    )]
    CertificateName,
    /// There is no authority for client certificates in the file, or no file is named.
    #[error(
        "{}no authority for client certificates could be read: expected PEM certificates of authorities",
        In(path)
    )]
    ClientAuthorities {
        /// The file.
        path: Option<PathBuf>,
    },
    /// The provider has neither of the TLS versions, or makes no tickets.
    #[error("the provider of cryptography is of no use: {0}")]
    Provider(rustls::Error),
    /// The connector names one file of a pair, or further certificates without the first.
    #[error("`tls_certificate` and `tls_key` need each other, and `tls_certificates` needs both")]
    Half,
    /// The feature `ring` was left out, and [`Cryptography`] was not given.
    #[error("there is no cryptography: give a provider of it, or build with the feature `ring`")]
    NoProvider,
}

impl TlsMaterialError {
    pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Unreadable { path: path.to_owned(), kind: error.kind() }
    }
}

/// The file before what is wrong in it.
struct In<'a>(&'a Option<PathBuf>);

impl fmt::Display for In<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |path| write!(f, "{}: ", path.display()))
    }
}

impl TlsMaterial {
    /// No TLS.
    pub fn none() -> Self {
        Self(None)
    }

    /// The embedder's own configuration. A client certificate that it lets through counts as verified.
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self::new(InForce { config, verifier: None, look: Vec::new() }, Origin::Embedder)
    }

    /// Everything the connector names: certificates, authorities, the least version. None where it names no certificate.
    ///
    /// Reads files, which blocks. A running server looks at them again every second; see [`reload`](Self::reload).
    ///
    /// # Errors
    ///
    /// Half a certificate, a file that cannot be read or used, or no [`Cryptography`].
    pub fn of(connector: &ReceiveConnector) -> Result<Self, TlsMaterialError> {
        Self::of_by(connector, Cryptography::usual)
    }

    /// As [`of`](Self::of), by this cryptography, also when the files are read again.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub fn of_with(
        connector: &ReceiveConnector,
        cryptography: Cryptography,
    ) -> Result<Self, TlsMaterialError> {
        Self::of_by(connector, || Some(cryptography))
    }

    fn of_by(
        connector: &ReceiveConnector,
        cryptography: impl FnOnce() -> Option<Cryptography>,
    ) -> Result<Self, TlsMaterialError> {
        let Some(source) = Source::of(connector)? else { return Ok(Self::none()) };
        let cryptography = cryptography().ok_or(TlsMaterialError::NoProvider)?;
        let read = source.read(&cryptography)?;
        Ok(Self::new(read, Origin::Files(Box::new((source, cryptography)))))
    }

    /// Reads both files, which blocks: one certificate, TLS 1.2 and 1.3, no client certificates.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub fn from_pem_files(certificate: &Path, key: &Path) -> Result<Self, TlsMaterialError> {
        let mut connector = ReceiveConnector::new("");
        connector.tls_certificate = Some(certificate.to_owned());
        connector.tls_key = Some(key.to_owned());
        Self::of(&connector)
    }

    /// As [`from_pem_files`](Self::from_pem_files), from memory.
    ///
    /// # Errors
    ///
    /// What was given is no certificate with its key, or there is no [`Cryptography`].
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsMaterialError> {
        let cryptography = Cryptography::usual().ok_or(TlsMaterialError::NoProvider)?;
        Self::from_pem_with(certificate, key, &cryptography)
    }

    /// As [`from_pem`](Self::from_pem), by this cryptography.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Self::from_pem).
    pub fn from_pem_with(
        certificate: &[u8],
        key: &[u8],
        cryptography: &Cryptography,
    ) -> Result<Self, TlsMaterialError> {
        let certified = served_certificates::parse(certificate, key, None, &cryptography.provider)?;
        let served = ServedCertificates::new(certified, [])?;
        Ok(Self::new(InForce::new(served, None, TlsMinimumVersion::Tls12, cryptography)?, Origin::Memory))
    }

    /// Reads the files again, now, and puts them in force for the handshakes to come.
    ///
    /// For an embedder who knows that they changed; a running server finds out by itself. Blocks.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of). What was in force stays.
    pub fn reload(&self) -> Result<(), TlsMaterialError> {
        let Some(shared) = &self.0 else { return Ok(()) };
        let Origin::Files(files) = &shared.origin else { return Ok(()) };
        let (source, cryptography) = &**files;
        let read = Arc::new(source.read(cryptography)?);
        *shared.in_force.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    fn new(in_force: InForce, origin: Origin) -> Self {
        Self(Some(Arc::new(Shared { in_force: RwLock::new(Arc::new(in_force)), origin })))
    }

    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// What counts for a handshake that begins now.
    pub(crate) fn in_force(&self) -> Option<Arc<InForce>> {
        let shared = self.0.as_ref()?;
        Some(Arc::clone(&shared.in_force.read().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) fn source(&self) -> Option<&Source> {
        match &self.0.as_ref()?.origin {
            Origin::Files(files) => Some(&files.0),
            Origin::Memory | Origin::Embedder => None,
        }
    }

    /// Whether there is somebody who judges the certificates of clients, where they are asked for.
    pub(crate) fn judges_clients(&self) -> bool {
        let Some(shared) = &self.0 else { return false };
        match shared.origin {
            Origin::Files(..) => self.in_force().is_some_and(|in_force| in_force.verifier.is_some()),
            Origin::Memory => false,
            Origin::Embedder => true,
        }
    }
}

impl InForce {
    pub(crate) fn new(
        served: ServedCertificates,
        verifier: Option<(Arc<dyn ClientCertVerifier>, TlsClientCertificates)>,
        minimum: TlsMinimumVersion,
        cryptography: &Cryptography,
    ) -> Result<Self, TlsMaterialError> {
        let versions: &[&rustls::SupportedProtocolVersion] = match minimum {
            TlsMinimumVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsMinimumVersion::Tls13 => &[&rustls::version::TLS13],
        };
        let in_handshake: Arc<dyn ClientCertVerifier> = match &verifier {
            Some((strict, TlsClientCertificates::Require)) => Arc::clone(strict),
            Some((strict, _)) => client_certificates::lenient(Arc::clone(strict)),
            None => Arc::new(NoClientAuth),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&cryptography.provider))
            .with_protocol_versions(versions)
            .map_err(TlsMaterialError::Provider)?
            .with_client_cert_verifier(in_handshake)
            .with_cert_resolver(Arc::new(served));
        // Sessions are resumed by what the client keeps, so that thousands of clients cost no memory here. The keys are this
        // configuration's own: nobody resumes into another policy. A certificate is required in a full handshake only, so
        // where it is required there is no other: it may have expired since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let required = matches!(verifier, Some((_, TlsClientCertificates::Require)));
        let tickets = if required { Ok(None) } else { cryptography.make_tickets() };
        if let Some(ticketer) = tickets.map_err(TlsMaterialError::Provider)? {
            config.ticketer = ticketer;
            config.send_tls13_tickets = 1;
        }
        let verifier = verifier.map(|(strict, _)| strict);
        Ok(Self { config: Arc::new(config), verifier, look: Vec::new() })
    }

    /// How an established connection is protected, and who its client has proved to be.
    pub(crate) fn facts(&self, tls: &ServerConnection) -> (TlsFacts, Option<PeerCertificate>) {
        let version = match tls.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLS",
        };
        let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
        let cipher = suite.and_then(|suite| suite.as_str()).unwrap_or("unknown").trim_start_matches("TLS13_");
        let cipher = if cipher.starts_with("TLS_") { cipher.to_owned() } else { format!("TLS_{cipher}") };
        let certificate = client_certificates::verified(tls, self.verifier.as_deref());
        (TlsFacts::new(version, cipher, certificate.is_some()), certificate)
    }
}

/// Whether there is any: keys are never shown.
impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "TlsMaterial(present)" } else { "TlsMaterial(none)" })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::receive_connector::CertificateFiles;

    #[test]
    fn names_the_half_that_is_wrong() {
        let made = rcgen::generate_simple_self_signed(["mail.contoso.com".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        assert!(TlsMaterial::from_pem(certificate.as_bytes(), key.as_bytes()).is_ok());
        let other = rcgen::generate_simple_self_signed(["mail.contoso.com".to_owned()]).unwrap();
        for (certificate, key, error) in [
            ("", key.as_str(), TlsMaterialError::Certificate { path: None }),
            (key.as_str(), key.as_str(), TlsMaterialError::Certificate { path: None }),
            (certificate.as_str(), certificate.as_str(), TlsMaterialError::Key { path: None }),
            (
                certificate.as_str(),
                other.signing_key.serialize_pem().as_str(),
                TlsMaterialError::Mismatch { path: None },
            ),
        ] {
            assert_eq!(TlsMaterial::from_pem(certificate.as_bytes(), key.as_bytes()).err(), Some(error));
        }
    }

    #[test]
    fn half_a_certificate_is_not_no_tls() {
        let of = |certificate: bool, key: bool, further: bool| {
            let mut connector = ReceiveConnector::new("Default");
            let file = |named: bool| named.then(|| "nowhere.pem".into());
            (connector.tls_certificate, connector.tls_key) = (file(certificate), file(key));
            if further {
                connector.tls_certificates = vec![CertificateFiles::new("shop.pem", "shop.key")];
            }
            TlsMaterial::of(&connector).map(|material| material.is_some())
        };
        assert_eq!(of(false, false, false), Ok(false));
        for (certificate, key, further) in
            [(true, false, false), (false, true, false), (false, false, true), (false, true, true)]
        {
            assert_eq!(of(certificate, key, further), Err(TlsMaterialError::Half));
        }
    }

    #[test]
    fn the_cryptography_that_was_given_is_also_that_of_files_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["mail.contoso.com".to_owned()]).unwrap();
        let mut connector = ReceiveConnector::new("Default");
        let write = |name: &str, text: String| {
            let file = directory.path().join(name);
            std::fs::write(&file, text).unwrap();
            Some(file)
        };
        connector.tls_certificate = write("cert.pem", made.cert.pem());
        connector.tls_key = write("key.pem", made.signing_key.serialize_pem());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = || asked.load(Ordering::Relaxed);
        let counted = Arc::clone(&asked);
        let cryptography = Cryptography::new(Arc::clone(&provider)).tickets(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            rustls::crypto::ring::Ticketer::new()
        });
        let material = TlsMaterial::of_with(&connector, cryptography).unwrap();
        let in_force = || material.in_force().unwrap().config.clone();
        assert!(Arc::ptr_eq(in_force().crypto_provider(), &provider) && in_force().ticketer.enabled());
        assert_eq!(count(), 1);
        material.reload().unwrap();
        assert!(Arc::ptr_eq(in_force().crypto_provider(), &provider) && in_force().ticketer.enabled());
        assert_eq!(count(), 2, "keys of its own for each reading");
        let untold = TlsMaterial::of_with(&connector, Cryptography::new(provider)).unwrap();
        assert!(!untold.in_force().unwrap().config.ticketer.enabled());
    }

    #[test]
    fn a_file_that_became_unusable_leaves_what_was() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        let made = rcgen::generate_simple_self_signed(["mail.contoso.com".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let material = TlsMaterial::from_pem_files(&certificate, &key).unwrap();
        let before = material.in_force().unwrap();
        std::fs::write(&certificate, "half of a").unwrap();
        let path = Some(certificate.clone());
        assert_eq!(material.reload(), Err(TlsMaterialError::Certificate { path }));
        std::fs::remove_file(&certificate).unwrap();
        let (path, kind) = (certificate.clone(), io::ErrorKind::NotFound);
        assert_eq!(material.reload(), Err(TlsMaterialError::Unreadable { path, kind }));
        assert!(Arc::ptr_eq(&before, &material.in_force().unwrap()));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        assert_eq!(material.reload(), Ok(()));
        assert!(!Arc::ptr_eq(&before, &material.in_force().unwrap()));
    }
}
