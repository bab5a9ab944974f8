//! What a server keeps of a password: enough to verify it, and not enough to log in with.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::super::hash::{Digested, Hash, same, xor};
use super::super::prepare::prepare_password;
use super::super::secret::Secret;

/// How often a password is hashed at least (RFC 5802 section 5.1, RFC 7677 section 4).
pub(crate) const LEAST_ITERATIONS: u32 = 4096;
/// And at most: somewhat less than a second of a processor, which whoever names the number makes the other side spend.
pub(crate) const MOST_ITERATIONS: u32 = 1_000_000;

/// `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, base64, as PostgreSQL writes it.
///
/// ```
/// use postroad_smtp_protocol::sasl::{Hash, ScramVerifier, Secret};
/// let salt = *b"sixteen bytes, ."; // fresh for each password
/// let verifier = ScramVerifier::derive(Hash::Sha256, &Secret::new("hunter2"), salt, 4096);
/// assert_eq!(verifier.to_text().parse::<ScramVerifier>()?.to_text(), verifier.to_text());
/// assert!(verifier.matches(&Secret::new("hunter2")));
/// # Ok::<(), postroad_smtp_protocol::sasl::NotAVerifier>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    pub(crate) hash: Hash,
    pub(crate) iterations: u32,
    pub(crate) salt: Vec<u8>,
    pub(crate) stored_key: Digested,
    pub(crate) server_key: Digested,
}

/// The text is no verifier, or its iterations are not from 4096 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a SCRAM verifier: expected SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, with 4096 to 1000000 iterations"
)]
pub struct NotAVerifier;

impl ScramVerifier {
    /// Makes one of a password; `iterations` is brought into its range. Takes milliseconds of a processor.
    pub fn derive(hash: Hash, password: &Secret, salt: impl Into<Vec<u8>>, iterations: u32) -> Self {
        let (salt, iterations) = (salt.into(), iterations.clamp(LEAST_ITERATIONS, MOST_ITERATIONS));
        let keys = Keys::derive(hash, password, &salt, iterations);
        Self { hash, iterations, salt, stored_key: keys.stored_key, server_key: keys.server_key }
    }

    /// One for a name that does not exist: no password fits it, and a stranger who asks twice sees the same salt twice, as
    /// with a name that does exist. `key` is a secret that lasts.
    pub fn decoy(hash: Hash, key: &Secret, username: &str, iterations: u32) -> Self {
        let nothing = || Zeroizing::new(vec![0; hash.length()]);
        let iterations = iterations.clamp(LEAST_ITERATIONS, MOST_ITERATIONS);
        let mut salt = hash.hmac(key.expose(), username.as_bytes()).to_vec();
        salt.truncate(16);
        Self { hash, iterations, salt, stored_key: nothing(), server_key: nothing() }
    }

    /// Whether it was made of this password, compared in constant time. Takes as long as making it.
    pub fn matches(&self, password: &Secret) -> bool {
        same(&Keys::derive(self.hash, password, &self.salt, self.iterations).stored_key, &self.stored_key)
    }

    /// By which hash.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// How often the password was hashed.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// What it was hashed with.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The text. Whoever calls this answers for where it goes: a password can be guessed at with it.
    pub fn to_text(&self) -> String {
        let name = match self.hash {
            Hash::Sha1 => "SCRAM-SHA-1",
            Hash::Sha256 => "SCRAM-SHA-256",
        };
        let [salt, stored, server] =
            [self.salt.as_slice(), &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        format!("{name}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl FromStr for ScramVerifier {
    type Err = NotAVerifier;

    fn from_str(text: &str) -> Result<Self, NotAVerifier> {
        let mut parts = text.split('$');
        let (Some(name), Some(cost), Some(keys), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAVerifier);
        };
        let hash = match name {
            "SCRAM-SHA-1" => Hash::Sha1,
            "SCRAM-SHA-256" => Hash::Sha256,
            _ => return Err(NotAVerifier),
        };
        let (iterations, salt) = cost.split_once(':').ok_or(NotAVerifier)?;
        let (stored, server) = keys.split_once(':').ok_or(NotAVerifier)?;
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| NotAVerifier);
        let iterations = iterations.parse().map_err(|_| NotAVerifier)?;
        let (stored_key, server_key) = (Zeroizing::new(bytes(stored)?), Zeroizing::new(bytes(server)?));
        let salt = bytes(salt)?;
        let fits = stored_key.len() == hash.length() && server_key.len() == hash.length() && !salt.is_empty();
        if !fits || !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(NotAVerifier);
        }
        Ok(Self { hash, iterations, salt, stored_key, server_key })
    }
}

/// The cost alone.
impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramVerifier")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// What follows from a password (RFC 5802 section 3).
pub(crate) struct Keys {
    pub(crate) client_key: Digested,
    pub(crate) stored_key: Digested,
    pub(crate) server_key: Digested,
}

impl Keys {
    pub(crate) fn derive(hash: Hash, password: &Secret, salt: &[u8], iterations: u32) -> Self {
        let salted = hash.stretch(prepare_password(password.expose()).expose(), salt, iterations);
        let client_key = hash.hmac(&salted, b"Client Key");
        let stored_key = hash.digest(&client_key);
        Self { client_key, stored_key, server_key: hash.hmac(&salted, b"Server Key") }
    }
}

impl ScramVerifier {
    /// Whether whoever made this proof knows the password.
    pub(crate) fn proves(&self, auth_message: &str, proof: &[u8]) -> bool {
        let signature = self.hash.hmac(&self.stored_key, auth_message.as_bytes());
        proof.len() == signature.len() && same(&self.hash.digest(&xor(&signature, proof)), &self.stored_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by PostgreSQL's form of the RFC 7677 example: user "user", password "pencil".
    fn pencil() -> ScramVerifier {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        ScramVerifier::derive(Hash::Sha256, &Secret::new("pencil"), salt, 4096)
    }

    #[test]
    fn the_text_is_read_back() {
        let text = pencil().to_text();
        assert!(text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"), "{text}");
        assert!(text.parse::<ScramVerifier>() == Ok(pencil()));
        let old = ScramVerifier::derive(Hash::Sha1, &Secret::new("pencil"), *b"salt", 5000);
        assert!(old.to_text().parse() == Ok(old));
        assert_eq!(format!("{:?}", pencil()), "ScramVerifier { hash: Sha256, iterations: 4096, .. }");
    }

    #[test]
    fn only_its_own_password_fits() {
        for (password, fits) in [("pencil", true), ("Pencil", false), ("", false), ("pen\u{ad}cil", true)] {
            assert_eq!(pencil().matches(&Secret::new(password)), fits, "{password:?}");
        }
    }

    #[test]
    fn a_decoy_is_the_same_each_time_and_fits_nobody() {
        let key = Secret::new("lasting");
        let decoy = |name| ScramVerifier::decoy(Hash::Sha256, &key, name, 1);
        assert!(decoy("joe") == decoy("joe") && decoy("joe").salt() != decoy("jane").salt());
        assert_eq!((decoy("joe").salt().len(), decoy("joe").iterations()), (16, 4096));
        assert!(!decoy("joe").matches(&Secret::new("")));
    }

    #[test]
    fn what_is_no_verifier_is_refused() {
        let right = pencil().to_text();
        for (from, to) in [
            ("SCRAM-SHA-256", "SCRAM-SHA-512"),
            ("$4096:", "$4095:"),
            ("$4096:", "$1000001:"),
            ("$4096:", "$:"),
            ("W22ZaJ0SNY7soEsUEjb6gQ==", ""),
            ("W22ZaJ0SNY7soEsUEjb6gQ==", "!"),
            ("SCRAM-SHA-256$", ""),
            ("SCRAM-SHA-256", "SCRAM-SHA-1"),
        ] {
            assert_eq!(
                right.replace(from, to).parse::<ScramVerifier>().err(),
                Some(NotAVerifier),
                "{from} {to}"
            );
        }
        for wrong in ["", "pencil", &format!("{right}$"), &right[..right.len() - 4]] {
            assert_eq!(wrong.parse::<ScramVerifier>().err(), Some(NotAVerifier), "{wrong}");
        }
    }
}
