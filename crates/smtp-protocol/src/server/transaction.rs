//! One mail transaction: the envelope as it grows, and the chunks of BDAT.

use postroad_message::line_end::{are_crlf, with_crlf};
use postroad_message::{Body, Envelope, Recipient, ReversePath};

use crate::parameter::MailParameters;

/// A CR, LF or (in the header of binary content) NUL where none may stand.
pub(super) struct BareLineEnd {
    pub(super) recipients: usize,
}

/// From an accepted MAIL to the verdict on the message, or to RSET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    envelope: Envelope,
    chunks: Option<Vec<u8>>,
}

impl Transaction {
    pub(super) fn new(reverse_path: ReversePath, parameters: MailParameters) -> Self {
        let mut envelope = Envelope::new(reverse_path, Vec::new());
        envelope.body = parameters.body;
        envelope.smtputf8 = parameters.smtputf8;
        envelope.ret = parameters.ret;
        envelope.envelope_id = parameters.envelope_id;
        envelope.require_tls = parameters.require_tls;
        Self { envelope, chunks: None }
    }

    /// What is known so far.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub(super) fn add(&mut self, recipient: Recipient) {
        self.envelope.recipients.push(recipient);
    }

    /// Whether a BDAT has been accepted: from there on nothing but BDAT carries content.
    pub(super) fn has_chunks(&self) -> bool {
        self.chunks.is_some()
    }

    pub(super) fn chunks_held(&self) -> usize {
        self.chunks.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn add_chunk(&mut self, octets: &[u8]) {
        self.chunks.get_or_insert_default().extend_from_slice(octets);
    }

    /// Envelope and content, unless a line end stands alone where none may.
    ///
    /// In a BINARYMIME message that is its header only: what follows are no lines, and nobody may change them.
    pub(super) fn finish_chunks(self, refuse_bare: bool) -> Result<(Envelope, Vec<u8>), BareLineEnd> {
        let octets = self.chunks.unwrap_or_default();
        let binary = self.envelope.body == Body::BinaryMime;
        let lines = if binary { header_of(&octets) } else { octets.as_slice() };
        if are_crlf(lines) && !(binary && lines.contains(&0)) {
            return Ok((self.envelope, octets));
        }
        if refuse_bare || binary {
            return Err(BareLineEnd { recipients: self.envelope.recipients.len() });
        }
        Ok((self.envelope, with_crlf(&octets)))
    }

    pub(super) fn into_envelope(self) -> Envelope {
        self.envelope
    }
}

/// The lines before the blank one; all of it where there is none.
fn header_of(content: &[u8]) -> &[u8] {
    if content.starts_with(b"\r\n") {
        return b"";
    }
    let end = memchr::memmem::find(content, b"\r\n\r\n").map_or(content.len(), |at| at + 2);
    content.get(..end).unwrap_or_default()
}
