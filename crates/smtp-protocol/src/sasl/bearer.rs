//! OAUTHBEARER (RFC 7628) and XOAUTH2: a name and an OAuth 2.0 access token, and what follows when it will not do.

use std::fmt;

use zeroize::Zeroizing;

use super::saslname;
use super::secret::{Credential, Secret};

/// Separates and ends the pairs: `kvsep`.
const SEPARATOR: u8 = 1;
const SCHEME: &[u8] = b"Bearer ";

/// What the server says when the token will not do (RFC 7628 section 3.2.2); XOAUTH2 has the same form.
pub(crate) const REFUSAL: &[u8] = br#"{"status":"invalid_token","schemes":"bearer"}"#;

/// A token as a client sent it, not verified yet.
#[derive(Clone)]
#[non_exhaustive]
pub struct BearerToken {
    /// Whose it is said to be; empty in an OAUTHBEARER message that leaves it to the token.
    pub username: String,
    /// The token, without `Bearer `.
    pub token: Secret,
}

impl BearerToken {
    /// A token that is said to be this user's.
    pub fn new(username: impl Into<String>, token: Secret) -> Self {
        Self { username: username.into(), token }
    }
}

/// The name alone.
impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The message is not of the form, or has no bearer token in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an OAUTHBEARER (RFC 7628) or XOAUTH2 message with a bearer token")]
pub(crate) struct NotABearer;

/// `client-resp = gs2-header kvsep *kvpair kvsep` (RFC 7628 section 3.1)
pub(crate) fn encode_oauthbearer(credential: &Credential) -> Zeroizing<Vec<u8>> {
    let name = saslname::encode(&credential.username);
    let header = if name.is_empty() { "n,,".to_owned() } else { format!("n,a={name},") };
    message(header.as_bytes(), credential.secret())
}

/// `"user=" name kvsep "auth=Bearer " token kvsep kvsep`
pub(crate) fn encode_xoauth2(credential: &Credential) -> Zeroizing<Vec<u8>> {
    message(format!("user={}", credential.username).as_bytes(), credential.secret())
}

fn message(header: &[u8], token: &[u8]) -> Zeroizing<Vec<u8>> {
    let parts = [header, &[SEPARATOR], b"auth=", SCHEME, token, &[SEPARATOR, SEPARATOR]];
    // One allocation, so that no half-grown copy is left behind unwiped.
    let mut whole = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        whole.extend_from_slice(part);
    }
    whole
}

/// The inverse. `y` and `n` mean the same here, channel binding (`p`) does not exist; keys that we do not know are passed over.
pub(crate) fn decode_oauthbearer(message: &[u8]) -> Result<BearerToken, NotABearer> {
    let (header, pairs) = split_at_separator(message)?;
    let header = std::str::from_utf8(header).map_err(|_| NotABearer)?;
    let rest = header.strip_prefix("n,").or(header.strip_prefix("y,")).ok_or(NotABearer)?;
    let name = rest.strip_suffix(',').ok_or(NotABearer)?;
    let username = match name.strip_prefix("a=") {
        Some(name) => saslname::decode(name).ok_or(NotABearer)?,
        None if name.is_empty() => String::new(),
        None => return Err(NotABearer),
    };
    Ok(BearerToken::new(username, token(pairs)?))
}

/// The inverse of the other.
pub(crate) fn decode_xoauth2(message: &[u8]) -> Result<BearerToken, NotABearer> {
    let (header, pairs) = split_at_separator(message)?;
    let name = header.strip_prefix(b"user=").filter(|name| !name.is_empty()).ok_or(NotABearer)?;
    let username = std::str::from_utf8(name).map_err(|_| NotABearer)?.to_owned();
    Ok(BearerToken::new(username, token(pairs)?))
}

fn split_at_separator(message: &[u8]) -> Result<(&[u8], &[u8]), NotABearer> {
    let at = message.iter().position(|&byte| byte == SEPARATOR).ok_or(NotABearer)?;
    Ok((message.get(..at).unwrap_or_default(), message.get(at + 1..).unwrap_or_default()))
}

/// `kvpair = key "=" value kvsep`, until an empty one; `auth` once, with the scheme in any letter case.
fn token(pairs: &[u8]) -> Result<Secret, NotABearer> {
    let pairs = pairs.strip_suffix(&[SEPARATOR, SEPARATOR]).ok_or(NotABearer)?;
    let mut found = None;
    for pair in pairs.split(|&byte| byte == SEPARATOR) {
        let Some(value) = pair.strip_prefix(b"auth=") else { continue };
        let (scheme, token) = value.split_at_checked(SCHEME.len()).ok_or(NotABearer)?;
        // b64token of RFC 6750 section 2.1
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        let right = scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty() && token.iter().all(fits);
        if !right || found.replace(Secret::new(token)).is_some() {
            return Err(NotABearer);
        }
    }
    found.ok_or(NotABearer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for name in ["user@example.com", "a,b=c", "j\u{f6}rg"] {
            let credential =
                Credential::token(name, Secret::new("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"));
            let said = [
                decode_oauthbearer(&encode_oauthbearer(&credential)),
                decode_xoauth2(&encode_xoauth2(&credential)),
            ];
            for read in said {
                let Ok(read) = read else { panic!("{name} not decoded") };
                assert_eq!(read.username, name);
                assert_eq!(read.token.expose(), credential.secret());
            }
        }
    }

    #[test]
    fn the_example_of_rfc_7628() {
        let said = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        let Ok(read) = decode_oauthbearer(said) else { panic!("not decoded") };
        assert_eq!(read.username, "user@example.com");
        assert_eq!(read.token.expose(), b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        let Ok(read) = decode_oauthbearer(b"n,,\x01auth=bearer x\x01\x01") else { panic!("not decoded") };
        assert_eq!(read.username, "");
    }

    #[test]
    fn anything_else_is_refused() {
        for said in [
            &b""[..],
            b"\x01",
            b"n,,\x01\x01",
            b"n,,\x01auth=Bearer x\x01",
            b"n,,\x01auth=Bearer \x01\x01",
            b"n,,\x01auth=Basic eA==\x01\x01",
            b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
            b"n,,\x01auth=Bearer x y\x01\x01",
            b"p=tls-exporter,,\x01auth=Bearer x\x01\x01",
            b"n,a=b=c,\x01auth=Bearer x\x01\x01",
            b"n,b,\x01auth=Bearer x\x01\x01",
            b"user=\x01auth=Bearer x\x01\x01",
            b"user=\xff\x01auth=Bearer x\x01\x01",
        ] {
            assert!(decode_oauthbearer(said).is_err(), "{said:?}");
            assert!(decode_xoauth2(said).is_err(), "{said:?}");
        }
    }
}
