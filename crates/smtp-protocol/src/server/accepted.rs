//! The RCPT commands that were accepted, and which recipient of the envelope each of them stands for.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use postroad_message::Recipient;

/// Who is named twice with the same wishes is one recipient, and gets one copy; in LMTP each RCPT has its reply all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    places: Vec<usize>,
    by_hash: HashMap<u64, usize>,
}

impl Accepted {
    /// Puts the recipient behind the others, unless he stands there. Another NOTIFY or ORCPT makes another (RFC 3461 section 4).
    pub(super) fn add(&mut self, recipient: Recipient, recipients: &mut Vec<Recipient>) {
        let hash = self.by_hash.hasher().hash_one(&recipient);
        let place = *self.by_hash.entry(hash).or_insert(recipients.len());
        if recipients.get(place) == Some(&recipient) {
            return self.places.push(place);
        }
        self.places.push(recipients.len());
        recipients.push(recipient);
    }

    /// How many RCPT commands there were.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// For each RCPT, where in the envelope its recipient stands.
    pub(super) fn into_places(self) -> Vec<usize> {
        self.places
    }
}
