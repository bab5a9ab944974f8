//! How much content all connections together have in memory, or unfinished elsewhere, and how much of that one source may have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::admission::OnceAMinute;
use crate::source::Source;

/// Counts the bytes of content that the connections of a server have in one place.
#[derive(Debug)]
pub(crate) struct ContentRoom {
    /// What bounds it, for the log.
    bound: &'static str,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: u64,
    by_source: HashMap<Source, u64>,
    told: OnceAMinute,
}

/// A connection's part in the room for content; given back when it is dropped.
pub(crate) struct Held<'a> {
    room: &'a ContentRoom,
    source: Option<Source>,
    mine: u64,
}

impl ContentRoom {
    pub(crate) fn bounded_by(bound: &'static str) -> Self {
        Self { bound, counts: Mutex::default() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Whether a connection that holds `mine` may hold `bytes`.
    ///
    /// One message of a source may take what there is, as large as messages may be. Several of them together may take no
    /// more than they leave to everybody else: no number of connections brings one source beyond half.
    fn allow(&self, source: Option<Source>, mine: u64, bytes: u64, limit: u64) -> bool {
        let all = (self.all - mine).saturating_add(bytes);
        let besides = source.and_then(|source| self.by_source.get(&source)).map_or(0, |held| held - mine);
        all <= limit && (besides == 0 || besides.saturating_add(bytes) <= limit - all)
    }

    /// Says that so much is refused: to the log, once a minute.
    fn refused(&mut self, held: &Held<'_>, bytes: u64, limit: u64) {
        if self.told.is_due() {
            let Held { source, room: ContentRoom { bound, .. }, .. } = held;
            let of_source = source.and_then(|source| self.by_source.get(&source)).copied().unwrap_or(0);
            tracing::warn!(
                ?source,
                bytes,
                of_source,
                all = self.all,
                limit,
                "content is refused: no room in {bound}"
            );
        }
    }

    fn change(&mut self, source: Option<Source>, mine: u64, bytes: u64) {
        self.all = (self.all - mine).saturating_add(bytes);
        let Some(source) = source else { return };
        let held = self.by_source.entry(source).or_insert(0);
        *held = (*held - mine).saturating_add(bytes);
        if *held == 0 {
            self.by_source.remove(&source);
        }
    }
}

impl<'a> Held<'a> {
    /// Nothing yet. Without a source only all together are counted.
    pub(crate) fn nothing(room: &'a ContentRoom, source: Option<IpAddr>) -> Self {
        Self { room, source: source.map(Source::from), mine: 0 }
    }

    /// Whether so much would be allowed now.
    pub(crate) fn has_room(&self, bytes: u64, limit: u64) -> bool {
        self.is_allowed(&mut self.room.counts(), bytes, limit)
    }

    fn is_allowed(&self, counts: &mut Counts, bytes: u64, limit: u64) -> bool {
        let allowed = counts.allow(self.source, self.mine, bytes, limit);
        if !allowed {
            counts.refused(self, bytes, limit);
        }
        allowed
    }

    /// Says what is held now; false, and nothing more is counted, where that is more than is allowed.
    pub(crate) fn set(&mut self, bytes: u64, limit: u64) -> bool {
        if bytes == self.mine {
            return true;
        }
        let mut counts = self.room.counts();
        if bytes > self.mine && !self.is_allowed(&mut counts, bytes, limit) {
            return false;
        }
        counts.change(self.source, self.mine, bytes);
        self.mine = bytes;
        true
    }

    /// Says what is held now, allowed or not.
    pub(crate) fn force(&mut self, bytes: u64) {
        if bytes != self.mine {
            self.room.counts().change(self.source, self.mine, bytes);
            self.mine = bytes;
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.force(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn several_messages_of_one_source_leave_as_much_as_they_take() {
        let memory = ContentRoom::bounded_by("a test");
        let greedy: Vec<_> = std::iter::repeat_with(|| {
            let mut held = Held::nothing(&memory, source("192.0.2.1"));
            held.set(10, 100).then_some(held)
        })
        .map_while(|held| held)
        .collect();
        assert_eq!(greedy.len(), 5);
        let second: Vec<_> = ["192.0.2.2", "::ffff:192.0.2.2", "192.0.2.2"]
            .map(|text| {
                let mut held = Held::nothing(&memory, source(text));
                (held.set(10, 100), held)
            })
            .into();
        assert_eq!(
            [true, true, false].as_slice(),
            second.iter().map(|(taken, _)| *taken).collect::<Vec<_>>()
        );
        assert!(Held::nothing(&memory, None).has_room(30, 100));
        assert!(!Held::nothing(&memory, None).has_room(31, 100));
        drop((greedy, second));
        assert!(memory.counts().by_source.is_empty() && memory.counts().all == 0);
    }

    #[test]
    fn one_message_may_take_what_there_is() {
        let memory = ContentRoom::bounded_by("a test");
        let mut other = Held::nothing(&memory, source("192.0.2.1"));
        assert!(other.set(10, 100));
        let mut large = Held::nothing(&memory, source("192.0.2.2"));
        assert!(large.set(40, 100) && large.set(90, 100) && !large.set(91, 100));
        let mut small = Held::nothing(&memory, source("192.0.2.2"));
        assert!(!small.set(1, 100));
        large.force(200);
        assert!(!other.set(11, 100) && other.set(9, 100));
        large.force(44);
        assert!(small.set(1, 100) && !large.set(46, 100));
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let memory = ContentRoom::bounded_by("a test");
        let mut first = Held::nothing(&memory, source("2001:db8::1"));
        assert!(first.set(60, 100));
        assert!(!Held::nothing(&memory, source("2001:db8::ffff:0:0:2")).has_room(1, 100));
        assert!(Held::nothing(&memory, source("2001:db8:0:1::2")).has_room(40, 100));
    }
}
