//! One mail transaction: the envelope as it grows, and the chunks of BDAT.

use postroad_message::line_end::{are_crlf, with_crlf};
use postroad_message::{Envelope, Recipient, ReversePath};

use crate::parameter::MailParameters;

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

    /// Envelope, content, and whether a line end that stood alone was met.
    pub(super) fn finish_chunks(self, make_crlf: bool) -> (Envelope, Vec<u8>, bool) {
        let octets = self.chunks.unwrap_or_default();
        match are_crlf(&octets) {
            true => (self.envelope, octets, false),
            false if make_crlf => (self.envelope, with_crlf(&octets), true),
            false => (self.envelope, octets, true),
        }
    }

    pub(super) fn into_envelope(self) -> Envelope {
        self.envelope
    }
}
