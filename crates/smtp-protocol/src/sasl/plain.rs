//! PLAIN (RFC 4616): everything in one message.

use std::fmt;

use zeroize::Zeroizing;

use super::secret::{Credential, Secret};

/// A name and a password as a client sent them, not verified yet.
#[derive(Clone)]
#[non_exhaustive]
pub struct ClearCredential {
    /// Who the client wants to act as; empty when it is itself.
    pub authorization_identity: String,
    /// Whose password this is.
    pub username: String,
    /// What is to be verified.
    pub password: Secret,
}

/// The names alone.
impl fmt::Debug for ClearCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClearCredential")
            .field("authorization_identity", &self.authorization_identity)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The message is not two NULs with a name between them, or a name is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PLAIN message: expected [authorization identity] NUL user name NUL password (RFC 4616)")]
pub(crate) struct NotPlain;

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd` (RFC 4616 section 2)
pub(crate) fn decode(message: &[u8]) -> Result<ClearCredential, NotPlain> {
    let mut parts = message.split(|&byte| byte == 0);
    let (Some(authorization), Some(username), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(NotPlain);
    };
    if username.is_empty() || password.is_empty() {
        return Err(NotPlain);
    }
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| NotPlain);
    Ok(ClearCredential {
        authorization_identity: text(authorization)?,
        username: text(username)?,
        password: Secret::new(password),
    })
}

/// The same, from a credential; the authorization identity stays empty.
pub(crate) fn encode(credential: &Credential) -> Zeroizing<Vec<u8>> {
    let password = credential.secret();
    // One allocation, so that no half-grown copy is left behind unwiped.
    let mut message = Zeroizing::new(Vec::with_capacity(credential.username.len() + password.len() + 2));
    message.push(0);
    message.extend_from_slice(credential.username.as_bytes());
    message.push(0);
    message.extend_from_slice(password);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let message = encode(&Credential::new("tim", Secret::new("tanstaaftanstaaf")));
        assert_eq!(message.as_slice(), b"\0tim\0tanstaaftanstaaf");
        let Ok(read) = decode(&message) else { panic!("not decoded") };
        assert_eq!((read.authorization_identity.as_str(), read.username.as_str()), ("", "tim"));
        assert!(read.password.matches(&Secret::new("tanstaaftanstaaf")));
        let Ok(other) = decode(b"Ursel\0Kurt\0xipj3plmq") else { panic!("not decoded") };
        assert_eq!((other.authorization_identity.as_str(), other.username.as_str()), ("Ursel", "Kurt"));
    }

    #[test]
    fn anything_else_is_refused() {
        for message in [
            &b""[..],
            b"\0",
            b"\0\0",
            b"\0\0\0\0",
            b"\0tim\0",
            b"\0\0pw",
            b"tim\0pw",
            b"\0tim\0p\0w",
            b"\0\xff\0pw",
        ] {
            assert!(decode(message).is_err(), "{message:?}");
        }
    }
}
