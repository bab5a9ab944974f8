//! The index of all other types: for each length of text before the first `*` that occurs, longest first, one probe.

use hashbrown::{HashMap, HashTable};

use crate::glob::Glob;
use crate::hash::hash;
use crate::map::run::{Run, position};
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

    pub(super) fn matches<'a>(&'a self, address: &'a OtherAddress) -> OtherMatches<'a, T> {
        let index = self.types.get(address.address_type());
        let text = address.folded();
        let exact = index.and_then(|index| {
            let starts =
                |run: &Run| run.of(&self.entries).first().is_some_and(|first| first.glob.folded() == text);
            probe(&index.exact, text.as_bytes(), starts)
        });
        OtherMatches {
            entries: &self.entries,
            index,
            text,
            prefixes: index.map_or(&[][..], |index| &index.prefixes).iter(),
            run: exact.unwrap_or(Run::EMPTY).of(&self.entries).iter(),
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

/// What covers one address, closest first.
pub(super) struct OtherMatches<'a, T> {
    entries: &'a [Entry<T>],
    index: Option<&'a TypeIndex>,
    text: &'a str,
    prefixes: std::slice::Iter<'a, u32>,
    run: std::slice::Iter<'a, Entry<T>>,
}

impl<T> Clone for OtherMatches<'_, T> {
    fn clone(&self) -> Self {
        Self { prefixes: self.prefixes.clone(), run: self.run.clone(), ..*self }
    }
}

impl<'a, T> Iterator for OtherMatches<'a, T> {
    type Item = (Specificity, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            for entry in self.run.by_ref() {
                if let Some(specificity) = entry.glob.matches(self.text) {
                    return Some((specificity, &entry.value));
                }
            }
            let length = *self.prefixes.next()? as usize;
            let Some(prefix) = self.text.as_bytes().get(..length) else { continue };
            let starts = |run: &Run| {
                let first = run.of(self.entries).first();
                first.and_then(|first| first.glob.prefix()).is_some_and(|found| found.as_bytes() == prefix)
            };
            if let Some(run) = probe(&self.index?.globs, prefix, starts) {
                self.run = run.of(self.entries).iter();
            }
        }
    }
}
