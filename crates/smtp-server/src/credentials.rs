//! The credentials file: who may log on, with what is kept of each password, and never a password.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use postroad_smtp_protocol::sasl::{Hash, ScramVerifier, Secret, prepare_name, prepare_password};

use crate::verify::PasswordVerdict;

/// Why a credentials file cannot be used. Whoever wrote it mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("the credentials file {} cannot be read: {kind}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: ErrorKind,
    },
    /// It is not lines `name = "hash"`.
    #[error("{0}: the credentials file is not TOML lines of the form name = \"hash\"")]
    Syntax(Place),
    /// One of the hashes is none; a plain password is none.
    #[error(
        "{0}: the credentials file holds a value that is neither an argon2id hash nor a SCRAM-SHA-256 verifier: make one with hash-password"
    )]
    NotAHash(Place),
    /// Two names are one, by SASLprep; the place of one of them.
    #[error("{0}: the credentials file holds two names that are one to whoever types them")]
    SameName(Place),
    /// No randomness could be had for a salt.
    #[error("the password could not be hashed")]
    Hashing,
}

/// A line of a credentials file. Printed as `users.toml:3`, or `line 3` of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, where there is one.
    pub path: Option<PathBuf>,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}:{}", path.display(), self.line),
            None => write!(f, "line {}", self.line),
        }
    }
}

/// Hashes a password with argon2id and a fresh salt (19 MiB, two passes): what stands in a credentials file.
///
/// It is the hardest to guess at where the file is stolen, and serves PLAIN and LOGIN.
///
/// ```
/// let line = format!("\"app@contoso.com\" = \"{}\"", postroad_smtp_server::hash_password(b"hunter2")?);
/// assert!(line.starts_with("\"app@contoso.com\" = \"$argon2id$v=19$"));
/// # Ok::<(), postroad_smtp_server::CredentialsError>(())
/// ```
///
/// # Errors
///
/// No randomness could be had for a salt.
pub fn hash_password(password: &[u8]) -> Result<String, CredentialsError> {
    let prepared = prepare_password(password);
    let hash = Argon2::default().hash_password(prepared.expose()).map_err(|_| CredentialsError::Hashing)?;
    Ok(hash.to_string())
}

/// Makes a SCRAM-SHA-256 verifier with a fresh salt: what else may stand in a credentials file.
///
/// It serves SCRAM, where neither the wire nor the server ever has the password, and PLAIN and LOGIN too.
///
/// ```
/// let line = format!("\"app@contoso.com\" = \"{}\"", postroad_smtp_server::scram_verifier(b"hunter2")?);
/// assert!(line.starts_with("\"app@contoso.com\" = \"SCRAM-SHA-256$16384:"));
/// # Ok::<(), postroad_smtp_server::CredentialsError>(())
/// ```
///
/// # Errors
///
/// No randomness could be had for a salt.
pub fn scram_verifier(password: &[u8]) -> Result<String, CredentialsError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| CredentialsError::Hashing)?;
    let password = Secret::new(password);
    Ok(ScramVerifier::derive(Hash::Sha256, &password, salt, SCRAM_ITERATIONS).to_text())
}

/// Four times what RFC 7677 asks at least: milliseconds for a client in a compiled language, half a second in a slow one.
const SCRAM_ITERATIONS: u32 = 16_384;

/// Names and hashes of one file.
///
/// ```toml
/// "app@contoso.com" = "$argon2id$v=19$m=19456,t=2,p=1$..."
/// "scanner" = "SCRAM-SHA-256$16384:salt$StoredKey:ServerKey"
/// ```
///
/// A client takes the strongest mechanism that it is offered. SCRAM is therefore offered where *every* line can serve it: a
/// user with an argon2id hash alone could not log on by it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(BTreeMap<String, Kept>);

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
enum Kept {
    Argon2id(String),
    Scram(ScramVerifier),
}

impl Credentials {
    /// Reads TOML lines `name = "hash"`.
    ///
    /// # Errors
    ///
    /// The first line that cannot be used.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        Self::parse_of(None, text)
    }

    /// Reads a file, which blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a line of it cannot be used.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| CredentialsError::Unreadable { path: path.to_owned(), kind: error.kind() })?;
        Self::parse_of(Some(path), &text)
    }

    fn parse_of(path: Option<&Path>, text: &str) -> Result<Self, CredentialsError> {
        let place = |at: toml_span::Span| {
            let before = text.as_bytes().iter().take(at.start);
            Place { path: path.map(Path::to_owned), line: 1 + before.filter(|byte| **byte == b'\n').count() }
        };
        let document = toml_span::parse(text).map_err(|error| CredentialsError::Syntax(place(error.span)))?;
        let table = document.as_table().ok_or_else(|| CredentialsError::Syntax(place(document.span)))?;
        let mut found = BTreeMap::new();
        for (name, value) in table {
            let text = value.as_str().ok_or_else(|| CredentialsError::Syntax(place(name.span)))?;
            let kept = Kept::parse(text).ok_or_else(|| CredentialsError::NotAHash(place(name.span)))?;
            if found.insert(prepare_name(&name.name).into_owned(), kept).is_some() {
                return Err(CredentialsError::SameName(place(name.span)));
            }
        }
        Ok(Self(found))
    }

    /// Whether it has this name.
    pub fn has(&self, username: &str) -> bool {
        self.0.contains_key(prepare_name(username).as_ref())
    }

    /// Whether everybody in it can log on by SCRAM-SHA-256.
    pub fn serves_scram(&self) -> bool {
        !self.0.is_empty() && self.0.values().all(|kept| matches!(kept, Kept::Scram(_)))
    }

    /// The verifier of this name, or a decoy; `None` where the file does not [serve SCRAM](Self::serves_scram).
    ///
    /// `key` is a secret that lasts: by it, a name that is not there has the same salt each time.
    pub fn scram(&self, username: &str, key: &Secret) -> Option<ScramVerifier> {
        let username = prepare_name(username);
        if !self.serves_scram() {
            return None;
        }
        match (self.0.get(username.as_ref()), self.stand_in(&username, key)) {
            (Some(Kept::Scram(verifier)), _) => Some(verifier.clone()),
            (_, Some(Kept::Scram(like))) => {
                Some(ScramVerifier::decoy(Hash::Sha256, key, &username, like.iterations()))
            }
            _ => None,
        }
    }

    /// Compares; a name that is not there takes as long as one that is. Takes tens of milliseconds of a processor.
    pub fn verify(&self, username: &str, password: &Secret, key: &Secret) -> PasswordVerdict {
        self.verify_within(username, password, key, &mut Vec::new())
    }

    /// The same, in memory that an earlier verification may have used.
    pub(crate) fn verify_within(
        &self,
        username: &str,
        password: &Secret,
        key: &Secret,
        memory: &mut Vec<Block>,
    ) -> PasswordVerdict {
        let username = prepare_name(username);
        let known = self.0.get(username.as_ref());
        let nobody = Kept::Argon2id(NOBODY.to_owned());
        let kept = known.or_else(|| self.stand_in(&username, key)).unwrap_or(&nobody);
        match (kept.matches(password, memory), known) {
            (Some(true), Some(_)) => PasswordVerdict::Accepted,
            (Some(_), _) => PasswordVerdict::Rejected,
            (None, _) => PasswordVerdict::Unavailable,
        }
    }

    /// Whose line a name that is not there is measured against: always the same one, so that strangers take as long as the
    /// users do, one like another.
    fn stand_in(&self, username: &str, key: &Secret) -> Option<&Kept> {
        let decoy = ScramVerifier::decoy(Hash::Sha256, key, username, 0);
        let number = decoy.salt().iter().rev().take(4).fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        self.0.values().nth(number.checked_rem(self.0.len())?)
    }
}

impl Kept {
    /// `None` of what is neither.
    fn parse(text: &str) -> Option<Self> {
        if text.starts_with("$argon2id$") && PasswordHash::new(text).is_ok() {
            return Some(Self::Argon2id(text.to_owned()));
        }
        let verifier: ScramVerifier = text.parse().ok()?;
        (verifier.hash() == Hash::Sha256).then_some(Self::Scram(verifier))
    }

    /// Whether it was made of that password, compared in constant time; `None` where it is of a kind that we cannot make.
    fn matches(&self, password: &Secret, memory: &mut Vec<Block>) -> Option<bool> {
        let text = match self {
            Self::Scram(verifier) => return Some(verifier.matches(password)),
            Self::Argon2id(text) => text,
        };
        let hash = PasswordHash::new(text).ok()?;
        let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
        let version =
            hash.version.map_or(Some(Version::default()), |version| Version::try_from(version).ok())?;
        let params = Params::try_from(&hash).ok()?;
        let blocks = params.block_count();
        if memory.len() < blocks {
            memory.resize(blocks, Block::new());
        }
        let mut computed = vec![0; expected.len()];
        let prepared = prepare_password(password.expose());
        Argon2::new(Algorithm::Argon2id, version, params)
            .hash_password_into_with_memory(prepared.expose(), salt, &mut computed, memory.get_mut(..blocks)?)
            .ok()?;
        Some(Output::new(&computed).ok()? == *expected)
    }
}

/// The number of names: hashes are not shown.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({} names)", self.0.len())
    }
}

/// A hash of nothing that anybody types, with the cost of a real one: for a file without a line.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$cG9zdHJvYWQtbm9ib2R5$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Secret {
        Secret::new("lasting")
    }

    #[test]
    fn the_right_password_of_the_right_name() {
        for hash in [hash_password(b"secret").unwrap(), scram_verifier(b"secret").unwrap()] {
            let credentials = Credentials::parse(&format!("jane = \"{hash}\"\n# a comment\n")).unwrap();
            let verify =
                |name: &str, password: &str| credentials.verify(name, &Secret::new(password), &key());
            assert_eq!(verify("jane", "secret"), PasswordVerdict::Accepted);
            assert_eq!(verify("ja\u{ad}ne", "sec\u{ad}ret"), PasswordVerdict::Accepted, "SASLprep");
            for (name, password) in
                [("jane", "Secret"), ("jane", ""), ("joe", "secret"), ("Jane", "secret"), ("", "")]
            {
                assert_eq!(verify(name, password), PasswordVerdict::Rejected, "{name} {password}");
            }
            assert_eq!(format!("{credentials:?}"), "Credentials(1 names)");
        }
    }

    #[test]
    fn a_plain_password_in_the_file_is_refused() {
        let at = |line| Place { path: None, line };
        for (text, error) in [
            ("jane = \"secret\"", CredentialsError::NotAHash(at(1))),
            ("# users\n\njane = \"secret\"\n", CredentialsError::NotAHash(at(3))),
            ("jane = 1", CredentialsError::Syntax(at(1))),
            ("# users\njane", CredentialsError::Syntax(at(2))),
            ("jane = \"$argon2id$rubbish\"", CredentialsError::NotAHash(at(1))),
            ("jane = \"SCRAM-SHA-256$1:c2FsdA==$AA==:AA==\"", CredentialsError::NotAHash(at(1))),
            (
                "jane = \"SCRAM-SHA-1$4096:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAA=\"",
                CredentialsError::NotAHash(at(1)),
            ),
        ] {
            assert_eq!(Credentials::parse(text), Err(error), "{text}");
        }
        assert!(PasswordHash::new(NOBODY).is_ok());
        let verifier = scram_verifier(b"secret").unwrap();
        let twice = format!("\"j\u{e4}ne\" = \"{verifier}\"\n\"ja\u{308}ne\" = \"{verifier}\"\n");
        assert!(matches!(Credentials::parse(&twice), Err(CredentialsError::SameName(_))));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let missing = CredentialsError::Unreadable { path: path.clone(), kind: ErrorKind::NotFound };
        assert_eq!(Credentials::read(&path), Err(missing));
        std::fs::write(&path, "\njane = \"secret\"").unwrap();
        let told = Credentials::read(&path).unwrap_err().to_string();
        assert!(told.starts_with(&format!("{}:2: ", path.display())), "{told}");
    }

    #[test]
    fn scram_is_served_where_everybody_can_use_it() {
        let (argon2id, scram) = (hash_password(b"secret").unwrap(), scram_verifier(b"secret").unwrap());
        for (lines, served) in [
            (String::new(), false),
            (format!("jane = \"{scram}\""), true),
            (format!("jane = \"{argon2id}\""), false),
            (format!("jane = \"{scram}\"\njoe = \"{argon2id}\""), false),
        ] {
            let credentials = Credentials::parse(&lines).unwrap();
            assert_eq!(credentials.serves_scram(), served, "{lines}");
            assert_eq!(credentials.scram("jane", &key()).is_some(), served, "{lines}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_looks_like_one_that_is() {
        let lines: String = ["a", "b", "c"]
            .map(|name| format!("{name} = \"{}\"\n", scram_verifier(name.as_bytes()).unwrap()))
            .concat();
        let credentials = Credentials::parse(&lines).unwrap();
        let shown = |name: &str, key: &Secret| {
            let verifier = credentials.scram(name, key).unwrap();
            (verifier.iterations(), verifier.salt().to_vec())
        };
        let (iterations, salt) = shown("a", &key());
        let stranger = shown("stranger", &key());
        assert_eq!((stranger.0, stranger.1.len()), (iterations, salt.len()));
        assert_eq!(stranger, shown("stranger", &key()));
        assert_ne!(stranger, shown("stranger", &Secret::new("another")));
        for password in ["a", "b", "c", ""] {
            assert_eq!(
                credentials.verify("stranger", &Secret::new(password), &key()),
                PasswordVerdict::Rejected
            );
        }
    }
}
