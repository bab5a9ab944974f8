//! A certificate authority for one test, and the certificate it gives to one host.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::Scratch;

/// PEM files: what the host shows, and what its peer must trust.
#[derive(Debug)]
pub struct Certificate {
    /// The trust anchor.
    pub authority: PathBuf,
    /// The host's certificate.
    pub certificate: PathBuf,
    /// The host's private key.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes an authority and a certificate for the DNS name `host`, as files in `scratch`.
    pub fn for_host(scratch: &Scratch, host: &str) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).expect("parameters of an authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key pair"))
            .expect("a self-signed authority");
        let key = KeyPair::generate().expect("a key pair");
        let certificate = CertificateParams::new(vec![host.to_owned()])
            .and_then(|parameters| parameters.signed_by(&key, &authority))
            .expect("a certificate for a host name");
        Self {
            authority: scratch.write("tls/authority.pem", authority.pem()),
            certificate: scratch.write("tls/certificate.pem", certificate.pem()),
            key: scratch.write("tls/key.pem", key.serialize_pem()),
        }
    }
}
