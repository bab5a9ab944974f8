//! Passwords in memory: wiped when dropped, and printed nowhere.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::hash::same;

/// A password or token. It has no `Debug`, no `Display` and no serde on purpose.
///
/// A clone is a pointer; the bytes are overwritten when the last one goes.
///
/// ```compile_fail
/// println!("{:?}", postroad_smtp_protocol::sasl::Secret::new("hunter2"));
/// ```
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "whoever shows it has to say so")]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes.into())))
    }

    /// The same, of bytes that were wiped in any case, without a copy.
    pub(crate) fn taken_from(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        Self::new(std::mem::take(&mut *bytes))
    }

    /// The bytes themselves. Whoever calls this answers for where they go.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Compares in a time that depends on the lengths only.
    pub fn matches(&self, other: &Self) -> bool {
        same(self.expose(), other.expose())
    }
}

/// Who we are for a server that wants a login.
#[derive(Clone)]
#[non_exhaustive]
pub struct Credential {
    /// The name that is logged in (SASL: authentication identity; of a certificate: whom it acts as, or empty).
    pub username: String,
    /// How we prove it. Mechanisms that take another kind are not used.
    pub proof: Proof,
}

/// By what a name is proven.
#[derive(Clone)]
#[non_exhaustive]
pub enum Proof {
    /// A password: SCRAM, CRAM-MD5, PLAIN, LOGIN
    Password(Secret),
    /// An OAuth 2.0 access token, as it goes on the wire: OAUTHBEARER, XOAUTH2
    Token(Secret),
    /// The client certificate of the TLS connection: EXTERNAL
    Certificate,
    /// Nothing that we hold: only mechanisms that the owner of the session answers for
    Elsewhere,
}

impl Credential {
    /// A name and its password.
    pub fn new(username: impl Into<String>, password: Secret) -> Self {
        Self { username: username.into(), proof: Proof::Password(password) }
    }

    /// A name and its OAuth 2.0 access token (RFC 6750: without `Bearer `).
    pub fn token(username: impl Into<String>, token: Secret) -> Self {
        Self { username: username.into(), proof: Proof::Token(token) }
    }

    /// The client certificate, for the name that it stands for, or for another that it may act as.
    pub fn certificate(act_as: Option<String>) -> Self {
        Self { username: act_as.unwrap_or_default(), proof: Proof::Certificate }
    }

    /// Nothing of ours: whoever answers for mechanisms of his own knows what proves the name.
    pub fn elsewhere(username: impl Into<String>) -> Self {
        Self { username: username.into(), proof: Proof::Elsewhere }
    }

    /// Whether both prove the same name by the same secret, which is compared in a time that depends on its length only.
    pub fn is_same(&self, other: &Self) -> bool {
        let same_proof = match (&self.proof, &other.proof) {
            (Proof::Password(ours), Proof::Password(theirs)) | (Proof::Token(ours), Proof::Token(theirs)) => {
                ours.matches(theirs)
            }
            (Proof::Certificate, Proof::Certificate) | (Proof::Elsewhere, Proof::Elsewhere) => true,
            _ => false,
        };
        same_proof && self.username == other.username
    }

    /// The password or token; empty where there is none.
    pub(crate) fn secret(&self) -> &[u8] {
        match &self.proof {
            Proof::Password(secret) | Proof::Token(secret) => secret.expose(),
            Proof::Certificate | Proof::Elsewhere => b"",
        }
    }
}

/// The name and the kind of proof alone.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).field("proof", &self.proof).finish()
    }
}

/// The kind alone.
impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Token(_) => "Token(..)",
            Self::Certificate => "Certificate",
            Self::Elsewhere => "Elsewhere",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_shows_its_name_only() {
        let shown = format!("{:?}", Credential::new("relay", Secret::new("hunter2")));
        assert_eq!(shown, "Credential { username: \"relay\", proof: Password(..) }");
    }

    #[test]
    fn a_token_is_no_password() {
        let secret = || Secret::new("hunter2");
        let all = [
            Credential::new("relay", secret()),
            Credential::new("other", secret()),
            Credential::new("relay", Secret::new("hunter3")),
            Credential::token("relay", secret()),
            Credential::certificate(Some("relay".to_owned())),
        ];
        for (a, one) in all.iter().enumerate() {
            for (b, other) in all.iter().enumerate() {
                assert_eq!(one.is_same(other), a == b, "{one:?} {other:?}");
            }
        }
    }
}
