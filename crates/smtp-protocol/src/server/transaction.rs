//! One mail transaction: the envelope as it grows, and the chunks of BDAT.

use postroad_message::{Body, Envelope, Recipient, ReversePath};

use crate::data::BareLineEnds;
use crate::parameter::MailParameters;
use crate::server::accepted::Accepted;
use crate::server::chunks::Chunks;

/// From an accepted MAIL to the verdict on the message, or to RSET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    envelope: Envelope,
    accepted: Accepted,
    chunks: Option<Chunks>,
}

impl Transaction {
    pub(super) fn new(reverse_path: ReversePath, parameters: MailParameters) -> Self {
        let mut envelope = Envelope::new(reverse_path, Vec::new());
        envelope.body = parameters.body;
        envelope.smtputf8 = parameters.smtputf8;
        envelope.ret = parameters.ret;
        envelope.envelope_id = parameters.envelope_id;
        envelope.require_tls = parameters.require_tls;
        Self { envelope, accepted: Accepted::default(), chunks: None }
    }

    /// What is known so far. Each recipient stands in it once.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub(super) fn add(&mut self, recipient: Recipient) {
        self.accepted.add(recipient, &mut self.envelope.recipients);
    }

    /// How many RCPT commands were accepted.
    pub(super) fn accepted(&self) -> usize {
        self.accepted.len()
    }

    /// Whether a BDAT has been accepted: from there on nothing but BDAT carries content.
    pub(super) fn has_chunks(&self) -> bool {
        self.chunks.is_some()
    }

    pub(super) fn chunks(&self) -> Option<&Chunks> {
        self.chunks.as_ref()
    }

    pub(super) fn add_chunk(&mut self, octets: &[u8], bare: BareLineEnds) {
        let binary = self.envelope.body == Body::BinaryMime;
        self.chunks.get_or_insert_with(|| Chunks::new(bare, binary)).add(octets);
    }

    pub(super) fn take_chunks(&mut self) -> Vec<u8> {
        self.chunks.as_mut().map(Chunks::take).unwrap_or_default()
    }

    pub(super) fn finish(self) -> (Envelope, Accepted, Chunks) {
        (self.envelope, self.accepted, self.chunks.unwrap_or_default())
    }
}
