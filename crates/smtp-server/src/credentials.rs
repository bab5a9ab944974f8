//! The credentials file: who may log on, with argon2id hashes and never a plain password.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use postroad_smtp_protocol::sasl::Secret;
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::receive_connector::ReceiveConnector;
use crate::submit::BoxFuture;
use crate::verify::{Verification, Verify};

/// Why a credentials file cannot be used. Whoever wrote it mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("the credentials file cannot be read")]
    Unreadable,
    /// It is not lines `name = "hash"`.
    #[error("the credentials file is not TOML lines of the form name = \"hash\"")]
    Syntax,
    /// One of the hashes is none; a plain password is none.
    #[error("the credentials file holds a value that is no argon2id hash: make one with hash-password")]
    NotAHash,
    /// No randomness could be had for a salt.
    #[error("the password could not be hashed")]
    Hashing,
}

/// Hashes a password with argon2id and a fresh salt (19 MiB, two passes): what stands in a credentials file.
///
/// ```
/// let line = format!("\"app@contoso.com\" = \"{}\"", postroad_smtp_server::hash_password(b"hunter2")?);
/// assert!(line.starts_with("\"app@contoso.com\" = \"$argon2id$v=19$"));
/// # Ok::<(), postroad_smtp_server::CredentialsError>(())
/// ```
pub fn hash_password(password: &[u8]) -> Result<String, CredentialsError> {
    let hash = Argon2::default().hash_password(password).map_err(|_| CredentialsError::Hashing)?;
    Ok(hash.to_string())
}

/// Names and hashes of one file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(HashMap<String, String>);

impl Credentials {
    /// Reads TOML lines `name = "hash"`.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let document = toml_span::parse(text).map_err(|_| CredentialsError::Syntax)?;
        let table = document.as_table().ok_or(CredentialsError::Syntax)?;
        let mut found = HashMap::new();
        for (name, value) in table {
            let hash = value.as_str().ok_or(CredentialsError::Syntax)?;
            if !hash.starts_with("$argon2id$") || PasswordHash::new(hash).is_err() {
                return Err(CredentialsError::NotAHash);
            }
            found.insert(name.name.to_string(), hash.to_owned());
        }
        Ok(Self(found))
    }

    /// Reads a file, which blocks.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let text = std::fs::read_to_string(path).map_err(|_| CredentialsError::Unreadable)?;
        Self::parse(&text)
    }

    /// Compares; a name that is not there takes as long as one that is. Takes tens of milliseconds of a processor.
    pub fn verify(&self, username: &str, password: &Secret) -> Verification {
        self.verify_within(username, password, &mut Vec::new())
    }

    /// The same, in memory that an earlier verification may have used.
    fn verify_within(&self, username: &str, password: &Secret, memory: &mut Vec<Block>) -> Verification {
        let known = self.0.get(username);
        let hash = known.map_or(NOBODY, String::as_str);
        let Ok(hash) = PasswordHash::new(hash) else { return Verification::Unavailable };
        match (matches(&hash, password, memory), known) {
            (Some(true), Some(_)) => Verification::Accepted,
            (Some(_), _) => Verification::Rejected,
            (None, _) => Verification::Unavailable,
        }
    }
}

/// Whether this is the hash of that password, compared in constant time; `None` where the hash is none we can make.
fn matches(hash: &PasswordHash, password: &Secret, memory: &mut Vec<Block>) -> Option<bool> {
    let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
    let version = hash.version.map_or(Some(Version::default()), |version| Version::try_from(version).ok())?;
    let params = Params::try_from(hash).ok()?;
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::new());
    }
    let mut computed = vec![0; expected.len()];
    Argon2::new(Algorithm::Argon2id, version, params)
        .hash_password_into_with_memory(password.expose(), salt, &mut computed, memory.get_mut(..blocks)?)
        .ok()?;
    Some(Output::new(&computed).ok()? == *expected)
}

/// The number of names: hashes are not shown.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({} names)", self.0.len())
    }
}

/// A hash of nothing that anybody types, with the cost of a real one.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$cG9zdHJvYWQtbm9ib2R5$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

/// Verifies against each receive connector's `credentials_file`, and reads a file again when it has changed.
#[derive(Debug)]
pub struct FileVerifier {
    files: HashMap<String, Arc<CachedFile>>,
    /// Each hash takes a processor and 19 MiB; logons beyond these wait.
    at_once: Arc<Semaphore>,
    /// The memory of hashes that are done, for the next: an allocator that is asked for 19 MiB by ever other threads keeps
    /// a gigabyte of them, and anybody may fail to log on.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

#[derive(Debug)]
struct CachedFile {
    path: PathBuf,
    cached: Mutex<Option<(Stamp, Arc<Credentials>)>>,
}

type Stamp = (Option<SystemTime>, u64);

impl FileVerifier {
    /// Reads the file of each connector that names one, which blocks.
    pub fn new<'a>(
        connectors: impl IntoIterator<Item = &'a ReceiveConnector>,
    ) -> Result<Self, CredentialsError> {
        let mut files = HashMap::new();
        for connector in connectors {
            if let Some(path) = &connector.credentials_file {
                let file = CachedFile { path: path.clone(), cached: Mutex::new(None) };
                file.current()?;
                files.insert(connector.name.clone(), Arc::new(file));
            }
        }
        Ok(Self { files, at_once: Arc::new(Semaphore::new(4)), memory: Arc::default() })
    }
}

impl CachedFile {
    fn current(&self) -> Result<Arc<Credentials>, CredentialsError> {
        let metadata = std::fs::metadata(&self.path).map_err(|_| CredentialsError::Unreadable)?;
        let stamp = (metadata.modified().ok(), metadata.len());
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some((read, credentials)) if *read == stamp => Ok(Arc::clone(credentials)),
            _ => {
                let credentials = Arc::new(Credentials::read(&self.path)?);
                *cached = Some((stamp, Arc::clone(&credentials)));
                Ok(credentials)
            }
        }
    }
}

impl Verify for FileVerifier {
    fn verify<'a>(
        &'a self,
        client: &'a Client,
        username: &'a str,
        password: Secret,
    ) -> BoxFuture<'a, Verification> {
        Box::pin(async move {
            let Some(file) = self.files.get(&client.connector).map(Arc::clone) else {
                return Verification::Rejected;
            };
            let Ok(permit) = Arc::clone(&self.at_once).acquire_owned().await else {
                return Verification::Unavailable;
            };
            let username = username.to_owned();
            let spare = Arc::clone(&self.memory);
            let verified = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                match file.current() {
                    Ok(credentials) => {
                        let locked = || spare.lock().unwrap_or_else(PoisonError::into_inner);
                        let mut memory = locked().pop().unwrap_or_default();
                        let verified = credentials.verify_within(&username, &password, &mut memory);
                        locked().push(memory);
                        verified
                    }
                    Err(error) => {
                        tracing::error!(path = %file.path.display(), %error, "logons cannot be verified");
                        Verification::Unavailable
                    }
                }
            });
            verified.await.unwrap_or(Verification::Unavailable)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_password_of_the_right_name() {
        let text = format!("jane = \"{}\"\n# a comment\n", hash_password(b"secret").unwrap());
        let credentials = Credentials::parse(&text).unwrap();
        assert_eq!(credentials.verify("jane", &Secret::new("secret")), Verification::Accepted);
        for (name, password) in
            [("jane", "Secret"), ("jane", ""), ("joe", "secret"), ("Jane", "secret"), ("", "")]
        {
            assert_eq!(
                credentials.verify(name, &Secret::new(password)),
                Verification::Rejected,
                "{name} {password}"
            );
        }
        assert_eq!(format!("{credentials:?}"), "Credentials(1 names)");
    }

    #[test]
    fn a_plain_password_in_the_file_is_refused() {
        assert_eq!(Credentials::parse("jane = \"secret\""), Err(CredentialsError::NotAHash));
        assert_eq!(Credentials::parse("jane = 1"), Err(CredentialsError::Syntax));
        assert_eq!(Credentials::parse("jane"), Err(CredentialsError::Syntax));
        assert_eq!(Credentials::parse("jane = \"$argon2id$rubbish\""), Err(CredentialsError::NotAHash));
        assert!(PasswordHash::new(NOBODY).is_ok());
    }

    #[tokio::test]
    async fn logons_share_the_memory_of_those_before_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        std::fs::write(&path, format!("jane = \"{}\"\n", hash_password(b"secret").unwrap())).unwrap();
        let mut connector = ReceiveConnector::new("Applications");
        connector.credentials_file = Some(path);
        let verifier = FileVerifier::new([&connector]).unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let client = Client::new("Applications", address, address);
        for password in ["wrong", "secret", "worse", "secret"] {
            let expected = if password == "secret" { Verification::Accepted } else { Verification::Rejected };
            assert_eq!(verifier.verify(&client, "jane", Secret::new(password)).await, expected);
        }
        let spare = verifier.memory.lock().unwrap();
        assert_eq!(spare.iter().map(Vec::len).collect::<Vec<_>>(), [19456]);
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let line =
            |name: &str, password: &[u8]| format!("{name} = \"{}\"\n", hash_password(password).unwrap());
        std::fs::write(&path, line("jane", b"old")).unwrap();
        let mut connector = ReceiveConnector::new("Applications");
        connector.credentials_file = Some(path.clone());
        let verifier = FileVerifier::new([&connector]).unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let client = Client::new("Applications", address, address);
        let try_one =
            async |name: &str, password: &str| verifier.verify(&client, name, Secret::new(password)).await;
        assert_eq!(try_one("jane", "old").await, Verification::Accepted);
        std::fs::write(&path, line("jane", b"new") + &line("joe", b"x")).unwrap();
        assert_eq!(try_one("jane", "old").await, Verification::Rejected);
        assert_eq!(try_one("jane", "new").await, Verification::Accepted);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(try_one("jane", "new").await, Verification::Unavailable);
        let stranger = Client::new("Other", address, address);
        assert_eq!(verifier.verify(&stranger, "jane", Secret::new("new")).await, Verification::Rejected);
    }
}
