//! The index of all other types: for each length of text before the first `*` that occurs, longest first, one probe.

use hashbrown::{HashMap, HashTable};

use crate::glob::Glob;
use crate::hash::hash;
use crate::map::run::{Cursor, Run, position};
use crate::other::OtherAddress;
use crate::space::{AddressSpace, Pattern};
use crate::specificity::Specificity;

/// Every space of a type that has no index of its own.
#[derive(Clone)]
pub(super) struct OtherIndex<T> {
    entries: Vec<Entry<T>>,
    types: HashMap<Box<str>, TypeIndex, foldhash::fast::FixedState>,
}

#[derive(Clone)]
struct Entry<T> {
    address_type: Box<str>,
    glob: Glob,
    cost: u8,
    value: T,
}

/// The spaces of one type.
#[derive(Clone, Default)]
struct TypeIndex {
    /// Those without a wildcard, by the hash of the whole text.
    exact: HashTable<(u64, Run)>,
    /// The lengths of text before the first `*`, longest first.
    prefixes: Vec<u32>,
    /// Those with a wildcard, by the hash of that text.
    globs: HashTable<(u64, Run)>,
}

impl<T> OtherIndex<T> {
    pub(super) fn build(spaces: Vec<(Box<str>, Glob, u8, T)>) -> Self {
        let mut entries: Vec<_> = spaces
            .into_iter()
            .map(|(address_type, glob, cost, value)| Entry { address_type, glob, cost, value })
            .collect();
        // Exact ones and those of one prefix side by side, the closest of them first.
        entries.sort_by(|left, right| {
            let key = |entry: &Entry<T>| std::cmp::Reverse(entry.glob.specificity());
            let place = |entry: &'_ Entry<T>| (entry.address_type.clone(), entry.glob.prefix().is_some());
            place(left)
                .cmp(&place(right))
                .then_with(|| prefix_of(left).cmp(prefix_of(right)))
                .then_with(|| key(left).cmp(&key(right)))
        });
        let mut types: HashMap<Box<str>, TypeIndex, _> =
            HashMap::with_hasher(foldhash::fast::FixedState::default());
        let mut start = 0;
        for run in entries.chunk_by(|left, right| {
            left.address_type == right.address_type
                && left.glob.prefix().is_some() == right.glob.prefix().is_some()
                && prefix_of(left) == prefix_of(right)
        }) {
            let end = start + run.len();
            if let Some(first) = run.first() {
                let index = types.entry(first.address_type.clone()).or_default();
                index.add(first, Run { start: position(start), end: position(end) });
            }
            start = end;
        }
        for index in types.values_mut() {
            index.prefixes.sort_unstable_by_key(|length| std::cmp::Reverse(*length));
            index.prefixes.dedup();
        }
        Self { entries, types }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (AddressSpace, &T)> {
        self.entries.iter().map(|entry| {
            let pattern =
                Pattern::Other { address_type: entry.address_type.clone(), glob: entry.glob.clone() };
            (AddressSpace::of(pattern, entry.cost), &entry.value)
        })
    }

    /// The next value that covers an address, closest first: exact ones, then those behind each length of prefix.
    #[inline(never)]
    pub(super) fn next(&self, address: &OtherAddress, cursor: &mut Cursor) -> Option<(Specificity, &T)> {
        let index = self.types.get(address.address_type())?;
        let text = address.folded();
        loop {
            while let Some(at) = cursor.next() {
                let entry = self.entries.get(at)?;
                if let Some(specificity) = entry.glob.matches(text) {
                    return Some((specificity, &entry.value));
                }
            }
            let first = |run: &Run| run.of(&self.entries).first().map(|entry| &entry.glob);
            let found = match cursor.probe().checked_sub(1) {
                None => probe(&index.exact, text.as_bytes(), |run| {
                    first(run).is_some_and(|glob| glob.folded() == text)
                }),
                Some(at) => {
                    let length = *index.prefixes.get(at)? as usize;
                    text.as_bytes().get(..length).and_then(|prefix| {
                        probe(&index.globs, prefix, |run| {
                            first(run).and_then(Glob::prefix).is_some_and(|found| found.as_bytes() == prefix)
                        })
                    })
                }
            };
            cursor.run = found.unwrap_or_default();
        }
    }
}

impl TypeIndex {
    fn add<T>(&mut self, first: &Entry<T>, run: Run) {
        let hash = hash(prefix_of(first).as_bytes());
        let table = match first.glob.prefix() {
            None => &mut self.exact,
            Some(prefix) => {
                self.prefixes.push(position(prefix.len()));
                &mut self.globs
            }
        };
        table.insert_unique(hash, (hash, run), |(hash, _)| *hash);
    }
}

/// The text before the first `*`, or all of it.
fn prefix_of<T>(entry: &Entry<T>) -> &str {
    entry.glob.prefix().unwrap_or(entry.glob.folded())
}

fn probe(table: &HashTable<(u64, Run)>, key: &[u8], fits: impl Fn(&Run) -> bool) -> Option<Run> {
    let hash = hash(key);
    table.find(hash, |(candidate, run)| *candidate == hash && fits(run)).map(|(_, run)| *run)
}
