//! The files behind a connector's TLS: reads them, and looks whether they changed.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use crate::connection::told_to_stop;
use crate::parameters::{TlsClientCertificates, TlsMinimumVersion};
use crate::receive_connector::{CertificateFiles, ReceiveConnector};
use crate::tls::certificate_name::TlsCertificateName;
use crate::tls::client_certificates;
use crate::tls::cryptography::Cryptography;
use crate::tls::material::{InForce, TlsMaterial, TlsMaterialError};
use crate::tls::served_certificates::{self, ServedCertificates};

/// How long between two looks; a change counts when two looks find the same, so that nobody is caught half-way through
/// replacing a certificate and its key.
const LOOK: Duration = Duration::from_secs(1);

/// What a connector says of TLS, and where it lies.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The connector's name, for the log.
    connector: String,
    first: CertificateFiles,
    others: Vec<CertificateFiles>,
    name: Option<TlsCertificateName>,
    client_certificates: TlsClientCertificates,
    client_authorities: Option<PathBuf>,
    minimum: TlsMinimumVersion,
}

impl Source {
    /// Where the connector's certificate and key lie; `None` where it names none. Half of a pair is none of both.
    pub(crate) fn of(connector: &ReceiveConnector) -> Result<Option<Self>, TlsMaterialError> {
        let first = match (connector.tls_certificate.clone(), connector.tls_key.clone()) {
            (Some(certificate), Some(key)) => CertificateFiles::new(certificate, key),
            (None, None) if connector.tls_certificates.is_empty() => return Ok(None),
            _ => return Err(TlsMaterialError::Half),
        };
        Ok(Some(Self {
            connector: connector.name.clone(),
            first,
            others: connector.tls_certificates.clone(),
            name: connector.tls_certificate_name.clone(),
            client_certificates: connector.tls_client_certificates,
            client_authorities: connector.tls_client_ca_file.clone(),
            minimum: connector.tls_minimum_version,
        }))
    }

    /// Reads everything, which blocks.
    pub(crate) fn read(&self, cryptography: &Cryptography) -> Result<InForce, TlsMaterialError> {
        // First, so that what is written meanwhile is seen as a change.
        let look = self.look();
        let provider = &cryptography.provider;
        let read =
            |files: &CertificateFiles| served_certificates::read(&files.certificate, &files.key, provider);
        let mut others: Vec<_> = self.others.iter().map(read).collect::<Result<_, _>>()?;
        let mut first = read(&self.first)?;
        if let Some(name) = &self.name {
            let named = |certified: &CertifiedKey| {
                certified.end_entity_cert().is_ok_and(|certificate| name.is_of(certificate))
            };
            if !named(&first) {
                let chosen = others.iter_mut().find(|certified| named(certified));
                std::mem::swap(&mut first, chosen.ok_or(TlsMaterialError::CertificateName)?);
            }
        }
        let served = ServedCertificates::new(first, others)?;
        let verifier = match (self.client_certificates, &self.client_authorities) {
            (TlsClientCertificates::None, _) => None,
            (wanted, Some(file)) => Some((client_certificates::verifier(file, provider)?, wanted)),
            (_, None) => return Err(TlsMaterialError::ClientAuthorities { path: None }),
        };
        InForce::new(served, verifier, self.minimum, cryptography).map(|read| InForce { look, ..read })
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = std::iter::once(&self.first).chain(&self.others);
        pairs
            .flat_map(|pair| [pair.certificate.as_path(), pair.key.as_path()])
            .chain(self.client_authorities.as_deref())
    }

    /// How the files look now: what changes when somebody writes or replaces one.
    fn look(&self) -> Vec<Option<Look>> {
        self.files().map(|file| std::fs::metadata(file).ok().map(|found| Look::of(&found))).collect()
    }
}

/// What tells a file from the one that takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Look {
    fn of(found: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(found);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: found.modified().ok(), length: found.len(), inode }
    }
}

/// Looks at the files until told to stop, and puts what changed in force. What cannot be used is logged once for each change,
/// and what was stays.
pub(crate) async fn keep_current(material: TlsMaterial, mut stopped: watch::Receiver<bool>) {
    let (Some(source), Some(in_force)) = (material.source().cloned(), material.in_force()) else { return };
    let source = Arc::new(source);
    let mut tried = in_force.look.clone();
    let mut before = tried.clone();
    drop(in_force);
    loop {
        tokio::select! {
            () = told_to_stop(&mut stopped) => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let looking = Arc::clone(&source);
        let Some(now) = beside(&mut stopped, move || looking.look()).await else { return };
        if now != tried && now == before {
            let reloading = material.clone();
            match beside(&mut stopped, move || reloading.reload()).await {
                Some(Ok(())) => tracing::info!(connector = source.connector, "certificates read anew"),
                Some(Err(error)) => {
                    let files: Vec<_> = source.files().collect();
                    tracing::error!(connector = source.connector, ?files, %error,
                        "changed certificates cannot be used; those before stay in force");
                }
                None => return,
            }
            tried = now.clone();
        }
        before = now;
    }
}

/// What a disk says that may take its time; `None` where the server is told to stop meanwhile.
async fn beside<T: Send + 'static>(
    stopped: &mut watch::Receiver<bool>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::select! {
        () = told_to_stop(stopped) => None,
        done = tokio::task::spawn_blocking(work) => done.ok(),
    }
}
