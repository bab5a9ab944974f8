//! CRAM-MD5 (RFC 2195): a challenge, and the name with a keyed hash of it. The client's side alone: a server would have to
//! keep what is as good as the password.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::hash::hmac_md5;
use super::secret::Credential;

/// `user name SP digest`, the digest in lower-case hexadecimal (RFC 2195 section 2).
pub(crate) fn respond(credential: &Credential, challenge: &[u8]) -> Zeroizing<Vec<u8>> {
    let digest = hmac_md5(credential.secret(), challenge);
    let mut answer = Zeroizing::new(String::with_capacity(credential.username.len() + 1 + 2 * digest.len()));
    answer.push_str(&credential.username);
    answer.push(' ');
    for byte in digest.iter() {
        let _ = write!(answer, "{byte:02x}");
    }
    Zeroizing::new(std::mem::take(&mut *answer).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::secret::Secret;
    use super::*;

    #[test]
    fn the_example_of_rfc_2195() {
        let tim = Credential::new("tim", Secret::new("tanstaaftanstaaf"));
        let answer = respond(&tim, b"<1896.697170952@postoffice.reston.mci.net>");
        assert_eq!(answer.as_slice(), b"tim b913a602c7eda7a495b4e6e7334d3890");
    }
}
