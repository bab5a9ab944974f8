//! The content of a message: header block, blank line, body, exactly as they will leave.

use std::fmt;
use std::sync::Arc;

/// The bytes between `DATA` and the final dot, unstuffed; shared, never changed.
///
/// A clone is a pointer. A change (a `Received` line put before it) makes a new content.
/// `Debug` shows the length only: message content is never logged.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Content(Arc<Vec<u8>>);

impl Content {
    /// All bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes, without a copy where nobody else has this content.
    pub fn into_bytes(self) -> Vec<u8> {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| shared.to_vec())
    }

    /// Whether there is not one byte: legal in SMTP (a lone dot right after 354).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any byte is above 127, so that a peer without 8BITMIME cannot take it.
    pub fn has_8bit(&self) -> bool {
        !self.0.is_ascii()
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.len())
    }
}
