//! Which certificate a client is shown: the one whose names hold what the client asks for, else the first.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::tls::material::TlsMaterialError;

/// Certificates by the DNS names in them. The names are the certificates' own: no table beside them can be out of date.
#[derive(Debug)]
pub(crate) struct ServedCertificates {
    first: Arc<CertifiedKey>,
    /// Lower case; `*.contoso.com` as it stands. Several of one name differ in the kind of their key.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl ServedCertificates {
    /// The first is shown where no name fits, or none was asked for.
    pub(crate) fn new(
        first: CertifiedKey,
        others: impl IntoIterator<Item = CertifiedKey>,
    ) -> Result<Self, TlsMaterialError> {
        let first = Arc::new(first);
        let mut by_name: HashMap<String, Vec<_>> = HashMap::new();
        for certified in std::iter::once(Arc::clone(&first)).chain(others.into_iter().map(Arc::new)) {
            let leaf =
                certified.end_entity_cert().map_err(|_| TlsMaterialError::Certificate { path: None })?;
            for name in dns_names(leaf) {
                by_name.entry(name).or_default().push(Arc::clone(&certified));
            }
        }
        Ok(Self { first, by_name })
    }

    /// For the name a client asks for: a certificate for it, else one for the wildcard above it, else the first.
    fn named(&self, asked: Option<&str>) -> &[Arc<CertifiedKey>] {
        let asked = asked.map(str::to_ascii_lowercase);
        let exact = asked.as_ref().and_then(|name| self.by_name.get(name));
        let wildcard = || {
            let (_, parent) = asked.as_ref()?.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        };
        exact.or_else(wildcard).map_or(std::slice::from_ref(&self.first), Vec::as_slice)
    }
}

impl ResolvesServerCert for ServedCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fitting = self.named(hello.server_name());
        let signs =
            |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(hello.signature_schemes()).is_some();
        fitting.iter().find(signs).or(fitting.first()).map(Arc::clone)
    }
}

/// Reads a chain, the server's own certificate first, and its key.
pub(crate) fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsMaterialError> {
    let read = |path: &Path| std::fs::read(path).map_err(TlsMaterialError::unreadable(path));
    parse(&read(certificate)?, &read(key)?, Some((certificate, key)), provider)
}

/// As [`read`], from PEM.
pub(crate) fn parse(
    certificate: &[u8],
    key: &[u8],
    files: Option<(&Path, &Path)>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsMaterialError> {
    let no_certificate = || TlsMaterialError::Certificate { path: files.map(|(path, _)| path.to_owned()) };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|_| no_certificate())?;
    if chain.is_empty() {
        return Err(no_certificate());
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| TlsMaterialError::Key { path: files.map(|(_, path)| path.to_owned()) })?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|_| TlsMaterialError::Mismatch { path: files.map(|(path, _)| path.to_owned()) })
}

/// The DNS names a certificate is for, in lower case; none where it cannot be read.
pub(crate) fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    webpki::EndEntityCert::try_from(certificate)
        .map(|leaf| leaf.valid_dns_names().map(str::to_ascii_lowercase).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_asked_for_chooses_the_certificate() {
        let provider = rustls::crypto::ring::default_provider();
        let made = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let made = rcgen::generate_simple_self_signed(names).unwrap();
            parse(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes(), None, &provider)
                .unwrap()
        };
        let others = [made(&["*.contoso.com"]), made(&["Mail.Contoso.com", "shop.test"])];
        let served = ServedCertificates::new(made(&["hub01.contoso.com"]), others).unwrap();
        for (asked, shown) in [
            (None, "hub01.contoso.com"),
            (Some("hub01.contoso.com"), "hub01.contoso.com"),
            (Some("MAIL.contoso.com"), "mail.contoso.com"),
            (Some("shop.test"), "mail.contoso.com"),
            (Some("other.contoso.com"), "*.contoso.com"),
            (Some("contoso.com"), "hub01.contoso.com"),
            (Some("a.b.contoso.com"), "hub01.contoso.com"),
            (Some("elsewhere.net"), "hub01.contoso.com"),
        ] {
            let certified = served.named(asked).first().unwrap();
            assert_eq!(dns_names(certified.end_entity_cert().unwrap())[0], shown, "{asked:?}");
        }
    }
}
