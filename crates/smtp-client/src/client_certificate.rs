//! The certificate that we show to a server that asks who we are, and its key.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::error::{BuildError, Cause};

/// A certificate, those that lead from it to an authority, and its key. A clone is a pointer.
///
/// It is shown to servers that ask for one, and to no others; whether they believe it is theirs to say.
#[derive(Clone)]
pub struct ClientCertificate(Arc<Pair>);

struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ClientCertificate {
    /// From PEM: one CERTIFICATE or more, ours first, and the first key in the other file.
    ///
    /// # Errors
    /// A file that can't be read, or holds none. Whether the key is the certificate's shows when it is used first: the mail waits.
    pub fn from_pem_files(certificate: &Path, key: &Path) -> Result<Self, BuildError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| BuildError::ClientCertificateFile {
                path: path.to_owned(),
                cause: Cause::new(error),
            })
        };
        Self::from_pem(&read(certificate)?, &zeroize::Zeroizing::new(read(key)?))
    }

    /// The same, from what such files hold.
    ///
    /// # Errors
    /// [`BuildError::NoClientCertificate`], [`BuildError::NoClientKey`].
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, BuildError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(BuildError::NoClientCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| BuildError::NoClientKey)?;
        Ok(Self(Arc::new(Pair { chain, key })))
    }

    /// Whether both show the same: of one certificate there is but one key.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.chain == other.0.chain
    }

    /// Ready to sign by this cryptography, once it is sure that the key is the certificate's.
    pub(crate) fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, BuildError> {
        let Pair { chain, key } = &*self.0;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), provider)
            .map_err(|error| BuildError::ClientCertificate(Cause::new(error)))
    }
}

/// How many certificates, and no key.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("chain", &self.0.chain.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_is_read_whole_and_shows_no_key() {
        let provider = rustls::crypto::ring::default_provider();
        let ((certificate, key), (other, other_key)) = (made("hub.test"), made("other.test"));
        let read = |certificate: &str, key: &str| {
            ClientCertificate::from_pem(certificate.as_bytes(), key.as_bytes())
        };
        let ours = read(&certificate, &key).unwrap();
        assert!(ours.certified(&provider).is_ok());
        assert_eq!(format!("{ours:?}"), "ClientCertificate { chain: 1, .. }");
        assert!(ours.is_same(&read(&certificate, &key).unwrap()));
        assert!(!ours.is_same(&read(&other, &other_key).unwrap()));
        let mixed = read(&certificate, &other_key).unwrap().certified(&provider);
        assert!(matches!(mixed, Err(BuildError::ClientCertificate(_))), "{mixed:?}");
        for (certificate, key, why) in [
            ("", &key[..], BuildError::NoClientCertificate),
            (&certificate, "", BuildError::NoClientKey),
            ("no PEM", "no PEM", BuildError::NoClientCertificate),
            (&key, &certificate, BuildError::NoClientCertificate),
        ] {
            assert_eq!(read(certificate, key).err(), Some(why));
        }
        let missing = ClientCertificate::from_pem_files("no-such.pem".as_ref(), "no-such.key".as_ref()).err();
        assert!(matches!(missing, Some(BuildError::ClientCertificateFile { .. })), "{missing:?}");
    }
}
