//! Base64 as AUTH frames it: strict, with `=` for an answer that is empty.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The text of a challenge or response that is not base64 (RFC 4954 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not base64")]
pub(crate) struct NotBase64;

/// Reads one challenge or response.
pub(crate) fn base64_decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotBase64> {
    STANDARD.decode(text).map(Zeroizing::new).map_err(|_| NotBase64)
}

/// Writes one challenge or response.
pub(crate) fn base64_encode(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(bytes))
}

/// Reads what follows the mechanism's name in AUTH: `=` is an empty initial response (RFC 4954 section 4).
pub(crate) fn initial_response(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotBase64> {
    if text == b"=" { Ok(Zeroizing::new(Vec::new())) } else { base64_decode(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equals_sign_is_empty_only_as_initial_response() {
        assert_eq!(initial_response(b"=").map(|v| v.len()), Ok(0));
        assert!(base64_decode(b"=").is_err());
        assert_eq!(base64_decode(b"").map(|v| v.len()), Ok(0));
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in ["!", "YQ", "YQ= =", "YR==", "*", "YWJj\r"] {
            assert!(base64_decode(text.as_bytes()).is_err(), "{text:?}");
        }
        assert_eq!(base64_decode(b"YWJj").as_deref().map(Vec::as_slice), Ok(&b"abc"[..]));
    }
}
