//! What makes an exchange unlike every other.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// `nonce`: printable characters without a comma (RFC 5802 section 7). For one exchange only.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Of 18 bytes that nobody can foretell.
    pub fn from_random(bytes: [u8; 18]) -> Self {
        Self(STANDARD.encode(bytes))
    }

    /// `1*printable`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        is_nonce(text).then(|| Self(text.to_owned()))
    }

    /// Another for the same session: still unlike every other exchange's.
    pub(crate) fn numbered(&self, number: usize) -> Self {
        if number == 0 { self.clone() } else { Self(format!("{}.{number}", self.0)) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not shown: it is fresh for each exchange, and of use to nobody who reads a log.
impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce")
    }
}

pub(crate) fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}
