//! What a configuration needs on the disk and in the environment, looked for when somebody asks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postroad_connector::Connector;
use postroad_smtp_server::{CertificateFiles, Credentials, ReceiveConnector, TlsMaterial, TlsMaterialError};
use postroad_transport::agent::pipe;
use postroad_transport::{SystemWorld, World as _};

use crate::configuration::Configuration;
use crate::credential::SecretSource;
use crate::problem::{Problem, ProblemKind, Severity};
use crate::read::Written;
use crate::reading::fault::plain;
use crate::reading::gather::{Finding, Gather, Places};
use crate::sections::tls::TrustAnchors;

/// One thing that must be there, and the problem to tell when it is not.
#[derive(Clone, Debug)]
pub(crate) struct Needed {
    what: What,
    /// Complete but for its message.
    problem: Problem,
}

#[derive(Clone, Debug)]
enum What {
    /// A directory that is never created for its owner.
    Directory(PathBuf),
    /// Where the relay keeps its things; it is made where it is not there.
    DataDirectory(PathBuf),
    /// Certificates of authorities.
    TrustAnchors(PathBuf),
    /// The certificate of a connector, beside its key.
    Certificate(PathBuf, Option<PathBuf>),
    /// The key of a connector, beside its certificate.
    Key(PathBuf, Option<PathBuf>),
    /// A certificate that ends one day.
    Lifetime(PathBuf),
    /// More certificates of a receive connector, each with its key.
    Certificates(Vec<CertificateFiles>),
    /// The certificate a receive connector names by issuer and subject; its files are told elsewhere.
    NamedCertificate(Box<ReceiveConnector>),
    /// Whose client certificates a receive connector believes; everything else it names of TLS is told elsewhere.
    ClientAuthorities(Box<ReceiveConnector>),
    /// Who may log on to a receive connector.
    Logins(PathBuf),
    /// The secret of this credential.
    Secret(String),
    /// What a delivery agent runs.
    Program(PathBuf),
    /// As whom it runs.
    User(Option<String>),
    /// A file with a secret, which others on this machine should not read.
    Private(PathBuf),
}

impl Configuration {
    /// Looks for the directories, files and secrets this configuration names; reads secrets, and forgets them.
    ///
    /// A file without which the relay cannot start (certificate, key, credentials file, trust anchors, a data directory that is none)
    /// is an error;
    /// what only makes mail wait (a missing Drop directory, program, password or client certificate) is a warning, and so are a
    /// certificate that has ended or ends within two weeks, and a key or a password that others on this machine may read.
    #[must_use]
    pub fn check_disk(&self) -> Vec<Problem> {
        let missing = self.needed.iter().filter_map(|needed| {
            let message = match &needed.what {
                What::Directory(path) => directory_fault(path)?,
                What::DataDirectory(path) => data_directory_fault(path)?,
                What::TrustAnchors(path) => anchors_fault(path)?,
                What::Certificate(certificate, key) => file_fault(certificate).or_else(|| {
                    pair_fault(certificate, key.as_deref()?, |wrong| {
                        matches!(wrong, TlsMaterialError::Certificate { .. })
                    })
                })?,
                What::Key(key, certificate) => file_fault(key).or_else(|| {
                    pair_fault(certificate.as_deref()?, key, |wrong| {
                        !matches!(wrong, TlsMaterialError::Certificate { .. })
                    })
                })?,
                What::Lifetime(certificate) => lifetime_fault(certificate)?,
                What::Certificates(pairs) => pairs.iter().find_map(certificates_fault)?,
                What::NamedCertificate(connector) => name_fault(connector)?,
                What::ClientAuthorities(connector) => authorities_fault(connector)?,
                What::Logins(file) => logins_fault(file)?,
                What::Program(file) => program_fault(file)?,
                What::User(user) => user_fault(user.as_deref(), &self.server.data_directory)?,
                What::Private(file) => exposed(file)?,
                What::Secret(name) => {
                    let wrong = self.credential(name)?.load().err()?;
                    format!("{wrong}; mail of its connectors waits")
                }
            };
            Some(Problem { message, ..needed.problem.clone() })
        });
        missing.collect()
    }
}

fn directory_fault(path: &Path) -> Option<String> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{} is no directory; mail for it waits", path.display())),
        Err(error) => Some(format!("{}: {error}; mail for it waits until you make it", path.display())),
    }
}

fn data_directory_fault(path: &Path) -> Option<String> {
    let nearest = path.ancestors().find(|above| above.exists() && **above != *Path::new(""))?;
    (!nearest.is_dir()).then(|| format!("{} is no directory", nearest.display()))
}

fn anchors_fault(path: &Path) -> Option<String> {
    file_fault(path).or_else(|| {
        let held = std::fs::read(path).ok()?;
        let none = !held.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE);
        none.then(|| format!("{} holds no certificate: expected PEM", path.display()))
    })
}

/// How a certificate begins in PEM (RFC 7468 section 5.1).
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// How long before its end a certificate should have been renewed.
const RENEWAL: Duration = Duration::from_secs(14 * 86_400);

fn lifetime_fault(certificate: &Path) -> Option<String> {
    let (end, now) = (TlsMaterial::valid_until(certificate)?, SystemWorld.now());
    let (file, date) = (certificate.display(), end.to_rfc5322());
    if end < now {
        return Some(format!("{file} was valid until {date}: who looks at it sends nothing; renew it"));
    }
    (end < now.after(RENEWAL)).then(|| format!("{file} is valid until {date}: renew it"))
}

fn file_fault(path: &Path) -> Option<String> {
    // A metadata call would not see a file we have no right to read.
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(found) if found.is_file() => None,
        Ok(_) => Some(format!("{} is no file", path.display())),
        Err(error) => Some(format!("cannot read {}: {error}", path.display())),
    }
}

fn program_fault(path: &Path) -> Option<String> {
    let wrong = match std::fs::metadata(path) {
        Ok(found) if found.is_file() && may_run(&found) => return None,
        Ok(_) => "is no program that may be run".to_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!("{}: {wrong}; mail for it waits", path.display()))
}

#[cfg(unix)]
fn may_run(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    found.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn may_run(_: &std::fs::Metadata) -> bool {
    true
}

fn user_fault(user: Option<&str>, data: &Path) -> Option<String> {
    let wrong = pipe::check_user_here(user).err()?;
    if wrong == pipe::NoSuchUser::Root && user.is_none() && is_not_roots(data) {
        // Root looks after a relay that is not root itself.
        return None;
    }
    Some(format!("{}; mail for it waits", plain(&wrong.to_string())))
}

#[cfg(unix)]
fn is_not_roots(data: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(data).is_ok_and(|found| found.uid() != 0)
}

#[cfg(not(unix))]
fn is_not_roots(_: &Path) -> bool {
    false
}

/// What is wrong with a certificate and its key together, when it is `about` the one that is asked for.
fn pair_fault(
    certificate: &Path,
    key: &Path,
    about: impl FnOnce(&TlsMaterialError) -> bool,
) -> Option<String> {
    if file_fault(certificate).is_some() || file_fault(key).is_some() {
        return None;
    }
    // Built without cryptography it can't be said; whoever brings his own hears of it.
    let wrong = TlsMaterial::from_pem_files(certificate, key).err()?;
    (wrong != TlsMaterialError::NoProvider && about(&wrong)).then(|| plain(&wrong.to_string()))
}

fn certificates_fault(pair: &CertificateFiles) -> Option<String> {
    file_fault(&pair.certificate)
        .or_else(|| file_fault(&pair.key))
        .or_else(|| pair_fault(&pair.certificate, &pair.key, |_| true))
}

fn name_fault(connector: &ReceiveConnector) -> Option<String> {
    let wrong = TlsMaterial::of(connector).err()?;
    (wrong == TlsMaterialError::CertificateName).then(|| plain(&wrong.to_string()))
}

fn authorities_fault(connector: &ReceiveConnector) -> Option<String> {
    let wrong = TlsMaterial::of(connector).err()?;
    let file = connector.tls_client_ca_file.as_deref()?;
    file_fault(file).or_else(|| {
        matches!(wrong, TlsMaterialError::ClientAuthorities { .. }).then(|| plain(&wrong.to_string()))
    })
}

fn logins_fault(file: &Path) -> Option<String> {
    file_fault(file).or_else(|| Credentials::read(file).err().map(|wrong| plain(&wrong.to_string())))
}

/// Whether the file's mode lets everybody on this machine read it; what is not there is told elsewhere.
#[cfg(unix)]
fn exposed(file: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    let path = file.display();
    (mode & 0o004 != 0).then(|| format!("others may read {path} (mode {mode:o}); chmod o= takes that away"))
}

#[cfg(not(unix))]
fn exposed(_: &Path) -> Option<String> {
    None
}

/// Everything the configuration names, in the order of the sections.
pub(crate) fn needed(configuration: &Configuration, written: &Written, gather: &Gather<'_>) -> Vec<Needed> {
    let mut needed = Vec::new();
    let mut need = |severity, what, places: &Places, key: &str| {
        let readable = matches!(what, What::Private(_));
        let finding = Finding {
            severity,
            kind: if readable { ProblemKind::Doubtful } else { ProblemKind::Unreadable },
            section: &places.section,
            key,
            span: places.of(key),
            also: None,
            message: String::new(),
        };
        needed.push(Needed { what, problem: gather.problem(finding) });
    };
    if let TrustAnchors::File(file) = &configuration.trust_anchors {
        need(Severity::Error, What::TrustAnchors(file.clone()), &written.tls, "trust_anchors");
    }
    let data = configuration.server.data_directory.clone();
    need(Severity::Error, What::DataDirectory(data), &written.server, "data_directory");
    for (connector, places) in written.receive_connectors.iter().filter(|(connector, _)| connector.enabled) {
        let (certificate, key) = (&connector.tls_certificate, &connector.tls_key);
        if let Some(file) = certificate {
            need(Severity::Error, What::Certificate(file.clone(), key.clone()), places, "tls_certificate");
            need(Severity::Warning, What::Lifetime(file.clone()), places, "tls_certificate");
        }
        if let Some(file) = key {
            need(Severity::Error, What::Key(file.clone(), certificate.clone()), places, "tls_key");
            need(Severity::Warning, What::Private(file.clone()), places, "tls_key");
        }
        if !connector.tls_certificates.is_empty() {
            let pairs = connector.tls_certificates.clone();
            need(Severity::Error, What::Certificates(pairs), places, "tls_certificates");
            for pair in &connector.tls_certificates {
                let certificate = pair.certificate.clone();
                need(Severity::Warning, What::Lifetime(certificate), places, "tls_certificates");
                need(Severity::Warning, What::Private(pair.key.clone()), places, "tls_certificates");
            }
        }
        if connector.tls_certificate_name.is_some() {
            let connector = Box::new(connector.clone());
            need(Severity::Error, What::NamedCertificate(connector), places, "tls_certificate_name");
        }
        if connector.tls_client_ca_file.is_some() {
            let connector = Box::new(connector.clone());
            need(Severity::Error, What::ClientAuthorities(connector), places, "tls_client_ca_file");
        }
        if let Some(file) = &connector.credentials_file {
            need(Severity::Error, What::Logins(file.clone()), places, "credentials_file");
        }
    }
    for (connector, places) in &written.connectors {
        match connector {
            Connector::Send(send) => {
                let (certificate, key) = (&send.tls_certificate, &send.tls_key);
                if let Some(file) = certificate {
                    let what = What::Certificate(file.clone(), key.clone());
                    need(Severity::Warning, what, places, "tls_certificate");
                    need(Severity::Warning, What::Lifetime(file.clone()), places, "tls_certificate");
                }
                if let Some(file) = key {
                    let what = What::Key(file.clone(), certificate.clone());
                    need(Severity::Warning, what, places, "tls_key");
                    need(Severity::Warning, What::Private(file.clone()), places, "tls_key");
                }
            }
            Connector::Foreign(foreign) => {
                let directory = configuration.drop_directory(foreign);
                need(Severity::Warning, What::Directory(directory), places, "drop_directory");
            }
            Connector::DeliveryAgent(agent) if agent.delivery_protocol.eq_ignore_ascii_case("pipe") => {
                let program = agent.command.first().map(PathBuf::from).unwrap_or_default();
                need(Severity::Warning, What::Program(program), places, "command");
                need(Severity::Warning, What::User(agent.user.clone()), places, "user");
            }
            _ => {}
        }
    }
    for (credential, places) in &written.credentials {
        need(Severity::Warning, What::Secret(credential.name.clone()), places, "");
        match &credential.source {
            SecretSource::PasswordFile(file) => {
                need(Severity::Warning, What::Private(file.clone()), places, "password_file");
            }
            SecretSource::TokenFile(file) => {
                need(Severity::Warning, What::Private(file.clone()), places, "token_file");
            }
            SecretSource::PasswordEnvironment(_) => {}
        }
    }
    needed
}
