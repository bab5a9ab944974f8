//! Passwords in memory: wiped when dropped, and printed nowhere.

use std::sync::Arc;

use zeroize::Zeroizing;

/// A password or token. It has no `Debug`, no `Display` and no serde on purpose.
///
/// A clone is a pointer; the bytes are overwritten when the last one goes.
///
/// ```compile_fail
/// println!("{:?}", postroad_smtp_protocol::sasl::Secret::new("hunter2"));
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes.into())))
    }

    /// The bytes themselves. Whoever calls this answers for where they go.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Compares in a time that depends on the lengths only.
    pub fn matches(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.expose(), other.expose());
        mine.len() == theirs.len() && mine.iter().zip(theirs).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

/// Who we are for a server that wants a login.
#[derive(Clone)]
pub struct Credential {
    /// The name that is logged in (SASL: authentication identity).
    pub username: String,
    /// Its password.
    pub password: Secret,
}

impl Credential {
    /// A name and its password.
    pub fn new(username: impl Into<String>, password: Secret) -> Self {
        Self { username: username.into(), password }
    }
}

/// The name alone.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_shows_its_name_only() {
        let shown = format!("{:?}", Credential::new("relay", Secret::new("hunter2")));
        assert_eq!(shown, "Credential { username: \"relay\", .. }");
    }

    #[test]
    fn compares_by_value() {
        for (a, b, equal) in [("a", "a", true), ("a", "b", false), ("a", "ab", false), ("", "", true)] {
            assert_eq!(Secret::new(a).matches(&Secret::new(b)), equal, "{a:?} {b:?}");
        }
    }
}
