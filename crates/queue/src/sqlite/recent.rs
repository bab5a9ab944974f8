//! The contents queued last: most mail is delivered at once, and need not be read again to be sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postroad_message::Content;

use crate::message_id::MessageId;

/// Contents that are on the disk as well; the oldest make room.
#[derive(Clone)]
pub(super) struct Recent {
    kept: Arc<Mutex<Kept>>,
    room: usize,
}

#[derive(Default)]
struct Kept {
    contents: BTreeMap<MessageId, Content>,
    bytes: usize,
}

impl Recent {
    /// Keeps so many bytes at most.
    pub(super) fn new(room: usize) -> Self {
        Self { kept: Arc::default(), room }
    }

    pub(super) fn get(&self, message: MessageId) -> Option<Content> {
        self.kept().contents.get(&message).cloned()
    }

    pub(super) fn put(&self, message: MessageId, content: &Content) {
        if content.len() > self.room / 8 || content.in_memory().is_none() {
            return;
        }
        let mut kept = self.kept();
        kept.bytes += content.len();
        if let Some(before) = kept.contents.insert(message, content.clone()) {
            kept.bytes -= before.len();
        }
        while kept.bytes > self.room
            && let Some((_, oldest)) = kept.contents.pop_first()
        {
            kept.bytes -= oldest.len();
        }
    }

    pub(super) fn forget(&self, message: MessageId) {
        let mut kept = self.kept();
        if let Some(content) = kept.contents.remove(&message) {
            kept.bytes -= content.len();
        }
    }

    pub(super) fn clear(&self) {
        *self.kept() = Kept::default();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let recent = Recent::new(800);
        for number in 1..=10 {
            recent.put(MessageId::from_u64(number), &Content::from(vec![0; 100]));
        }
        let known: Vec<bool> =
            (1..=10).map(|number| recent.get(MessageId::from_u64(number)).is_some()).collect();
        assert_eq!(known, [false, false, true, true, true, true, true, true, true, true]);
        recent.put(MessageId::from_u64(11), &Content::from(vec![0; 101]));
        assert!(recent.get(MessageId::from_u64(11)).is_none(), "one that would drive out many others");
        recent.forget(MessageId::from_u64(10));
        recent.put(MessageId::from_u64(10), &Content::from(vec![0; 100]));
        let kept = recent.kept();
        assert_eq!((kept.bytes, kept.contents.len()), (800, 8));
    }
}
