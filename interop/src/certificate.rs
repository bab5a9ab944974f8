//! A certificate authority for one test, and the certificate it gives to one server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

use crate::Scratch;

/// PEM files: what the host shows, and what its peer must trust.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The trust anchor.
    pub authority: PathBuf,
    /// The host's certificate.
    pub certificate: PathBuf,
    /// The host's private key.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes an authority and a certificate for `hosts`, DNS names or IP addresses, as files in `scratch` that are named
    /// after the first of them.
    pub fn for_hosts(scratch: &Scratch, hosts: &[&str]) -> Self {
        let names: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let parameters = CertificateParams::new(names).expect("host names");
        Self::issue(scratch, hosts.first().expect("a host"), &parameters)
    }

    /// The same for somebody who shows it to servers: the common name is `name`.
    pub fn for_person(scratch: &Scratch, name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no host names");
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        Self::issue(scratch, name, &parameters)
    }

    fn issue(scratch: &Scratch, name: &str, parameters: &CertificateParams) -> Self {
        let folder = format!("tls/{name}");
        let mut authority = CertificateParams::new(Vec::new()).expect("parameters of an authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own: OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
        authority.distinguished_name.push(DnType::CommonName, "authority.test");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key pair"))
            .expect("a self-signed authority");
        let key = KeyPair::generate().expect("a key pair");
        let certificate = parameters.signed_by(&key, &authority).expect("a certificate");
        let files = Self {
            authority: scratch.write(&format!("{folder}/authority.pem"), authority.pem()),
            certificate: scratch.write(&format!("{folder}/certificate.pem"), certificate.pem()),
            key: scratch.write(&format!("{folder}/key.pem"), key.serialize_pem()),
        };
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).expect("close the key to others");
        files
    }
}
