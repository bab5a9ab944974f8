//! A login by its name in relay.toml: the username, and where the secret is kept until somebody needs it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use postroad_smtp_protocol::sasl;

/// A `[credentials.NAME]`, without its secret.
///
/// The secret is read by [`Credential::load`] when a connector needs it, so that a configuration can be printed
/// and compared without ever holding one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credential {
    /// NAME, by which connectors call it.
    pub name: String,
    /// Whom to log in as.
    pub username: String,
    /// Where the secret is kept.
    pub source: SecretSource,
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSource {
    /// The file's content, without one line end at its end.
    PasswordFile(PathBuf),
    /// The value of this environment variable.
    PasswordEnvironment(String),
    /// An OAuth 2.0 access token, the file's content without white space around it. Whoever renews the token writes it
    /// anew; it is read again for each login.
    TokenFile(PathBuf),
}

/// Why a secret cannot be had. All of them are ours to put right, none is the recipient's fault: mail waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("credential {name:?}: cannot read {}: {reason}", file.display())]
    #[non_exhaustive]
    Unreadable {
        /// The credential.
        name: String,
        /// Its file.
        file: PathBuf,
        /// What kind of failure it is.
        kind: io::ErrorKind,
        /// What the system said.
        reason: String,
    },
    /// The environment variable is not set.
    #[error("credential {name:?}: the environment variable {variable} is not set")]
    NotSet {
        /// The credential.
        name: String,
        /// Its variable.
        variable: String,
    },
    /// There is nothing in the file or the variable.
    #[error("credential {name:?}: the password or token is empty")]
    Empty {
        /// The credential.
        name: String,
    },
    /// A password has one line, and a file of several is another one.
    #[error("credential {name:?}: {} has more than one line", file.display())]
    SeveralLines {
        /// The credential.
        name: String,
        /// Its file.
        file: PathBuf,
    },
    /// A file of more than 64 KB is no password.
    #[error("credential {name:?}: {} is longer than 64 KB", file.display())]
    TooLong {
        /// The credential.
        name: String,
        /// Its file.
        file: PathBuf,
    },
}

const MOST_BYTES: u64 = 64 << 10;

impl Credential {
    /// A login called `name`, as `username`, its secret kept in `source`.
    pub fn new(name: impl Into<String>, username: impl Into<String>, source: SecretSource) -> Self {
        Self { name: name.into(), username: username.into(), source }
    }

    /// Reads the secret now: from the disk or from the environment.
    ///
    /// # Errors
    /// There is none, or it cannot be read, or it is no password. The next call reads it anew.
    pub fn load(&self) -> Result<sasl::Credential, CredentialError> {
        let secret = match &self.source {
            SecretSource::PasswordFile(file) => self.one_line(file, self.read(file)?)?,
            // The white space around a token is passed over, by who asks for one.
            SecretSource::TokenFile(file) => self.one_line(file, self.read(file)?.trim_ascii().to_vec())?,
            SecretSource::PasswordEnvironment(variable) => {
                let value = std::env::var_os(variable).ok_or_else(|| CredentialError::NotSet {
                    name: self.name.clone(),
                    variable: variable.clone(),
                })?;
                value.into_encoded_bytes()
            }
        };
        if secret.is_empty() {
            return Err(CredentialError::Empty { name: self.name.clone() });
        }
        let (username, secret) = (self.username.clone(), sasl::Secret::new(secret));
        Ok(match self.source {
            SecretSource::TokenFile(_) => sasl::Credential::token(username, secret),
            _ => sasl::Credential::new(username, secret),
        })
    }

    fn read(&self, file: &PathBuf) -> Result<Vec<u8>, CredentialError> {
        let unreadable = |error: io::Error| CredentialError::Unreadable {
            name: self.name.clone(),
            file: file.clone(),
            kind: error.kind(),
            reason: error.to_string(),
        };
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(file).map_err(unreadable)?;
        opened.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(CredentialError::TooLong { name: self.name.clone(), file: file.clone() });
        }
        // Editors and `echo` end a file with a line end that is no part of the password.
        let length = bytes
            .strip_suffix(b"\r\n")
            .or_else(|| bytes.strip_suffix(b"\n"))
            .map_or(bytes.len(), <[u8]>::len);
        bytes.truncate(length);
        Ok(bytes)
    }

    fn one_line(&self, file: &Path, secret: Vec<u8>) -> Result<Vec<u8>, CredentialError> {
        if secret.contains(&b'\n') {
            return Err(CredentialError::SeveralLines { name: self.name.clone(), file: file.to_owned() });
        }
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(credential: &sasl::Credential) -> Vec<u8> {
        match &credential.proof {
            sasl::Proof::Password(secret) | sasl::Proof::Token(secret) => secret.expose().to_vec(),
            _ => Vec::new(),
        }
    }

    fn in_file(content: &[u8]) -> Result<Vec<u8>, CredentialError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, content).unwrap();
        let credential = Credential::new("relay", "joe", SecretSource::PasswordFile(file));
        credential.load().map(|loaded| exposed(&loaded)).map_err(|error| match error {
            CredentialError::TooLong { name, .. } => {
                CredentialError::TooLong { name, file: "password".into() }
            }
            CredentialError::SeveralLines { name, .. } => {
                CredentialError::SeveralLines { name, file: "password".into() }
            }
            other => other,
        })
    }

    #[test]
    fn one_line_end_is_no_part_of_the_password() {
        let name = String::from("relay");
        for (content, password) in
            [("secret", "secret"), ("secret\n", "secret"), ("se cret\r\n", "se cret"), (" a ", " a ")]
        {
            assert_eq!(in_file(content.as_bytes()), Ok(password.into()), "{content:?}");
        }
        assert_eq!(in_file(b"\n"), Err(CredentialError::Empty { name: name.clone() }));
        assert_eq!(
            in_file(&vec![b'x'; 65_537]),
            Err(CredentialError::TooLong { name, file: "password".into() })
        );
    }

    #[test]
    fn an_empty_line_beside_a_password_is_another_line() {
        for content in ["a\n\n", "\na", "\na\n", "a\r\n\r\n", "a\nb"] {
            let file = PathBuf::from("password");
            let several = CredentialError::SeveralLines { name: "relay".to_owned(), file };
            assert_eq!(in_file(content.as_bytes()), Err(several), "{content:?}");
        }
    }

    #[test]
    fn a_token_is_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, " ya29.token\r\n\n").unwrap();
        let loaded = Credential::new("relay", "joe", SecretSource::TokenFile(file)).load().unwrap();
        assert!(loaded.is_same(&sasl::Credential::token("joe", sasl::Secret::new("ya29.token"))));
    }

    #[test]
    fn a_missing_file_or_variable_is_told_by_its_name() {
        let file =
            Credential::new("relay", "joe", SecretSource::PasswordFile("/nonexistent/password".into()));
        assert_eq!(
            file.load().map(|_| ()).unwrap_err().to_string(),
            "credential \"relay\": cannot read /nonexistent/password: No such file or directory (os error 2)"
        );
        let variable = SecretSource::PasswordEnvironment("POSTROAD_NO_SUCH_VARIABLE".into());
        assert_eq!(
            Credential::new("relay", "joe", variable).load().map(|_| ()).unwrap_err().to_string(),
            "credential \"relay\": the environment variable POSTROAD_NO_SUCH_VARIABLE is not set"
        );
    }
}
