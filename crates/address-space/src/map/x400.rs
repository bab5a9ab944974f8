//! The index of O/R addresses: for each set of attributes that some space asks for, closest set first, one probe.

use hashbrown::HashTable;

use crate::hash::hash;
use crate::map::run::{Run, RunMatches, position};
use crate::space::{AddressSpace, Pattern};
use crate::specificity::Specificity;
use crate::x400::attribute::HIERARCHY;
use crate::x400::or_address::OrAddress;
use crate::x400::pattern::{OrPattern, Shape, shape_specificity};

/// Every X400 space.
#[derive(Clone)]
pub(super) struct X400Index<T> {
    entries: Vec<(OrPattern, u8, T)>,
    /// The sets of attributes that occur, closest first.
    shapes: Box<[Shape]>,
    table: HashTable<(u64, Run)>,
}

impl<T> X400Index<T> {
    pub(super) fn build(mut entries: Vec<(OrPattern, u8, T)>) -> Self {
        entries.sort_by_cached_key(|(pattern, ..)| {
            (pattern.shape(), pattern.wanted().map(String::from).collect::<Vec<_>>())
        });
        let mut shapes: Vec<Shape> = entries.iter().map(|(pattern, ..)| pattern.shape()).collect();
        shapes.dedup();
        shapes.sort_by_key(|shape| std::cmp::Reverse((shape_specificity(*shape), *shape)));
        let mut table = HashTable::new();
        let mut start = 0;
        for run in entries.chunk_by(|left, right| same_space(&left.0, &right.0)) {
            let end = start + run.len();
            if let Some((pattern, ..)) = run.first() {
                let values = pattern.wanted().fold(Hashes::default(), Hashes::with);
                let hash = values.of(pattern.shape(), pattern.shape());
                let run = Run { start: position(start), end: position(end) };
                table.insert_unique(hash, (hash, run), |(hash, _)| *hash);
            }
            start = end;
        }
        Self { entries, shapes: shapes.into(), table }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (AddressSpace, &T)> {
        self.entries
            .iter()
            .map(|(pattern, cost, value)| (AddressSpace::of(Pattern::X400(pattern.clone()), *cost), value))
    }

    pub(super) fn matches<'a>(&'a self, address: &'a OrAddress) -> X400Matches<'a, T> {
        X400Matches { index: self, address, hashes: None, shapes: self.shapes.iter(), run: None }
    }
}

fn same_space(left: &OrPattern, right: &OrPattern) -> bool {
    left.shape() == right.shape() && left.wanted().eq(right.wanted())
}

/// The hash of each value of the hierarchy that an address has, packed in order, none between two.
#[derive(Clone, Copy, Default)]
struct Hashes {
    values: [u64; HIERARCHY],
    count: usize,
}

impl Hashes {
    fn with(mut self, value: &str) -> Self {
        if let Some(slot) = self.values.get_mut(self.count) {
            *slot = hash(value.as_bytes());
            self.count += 1;
        }
        self
    }

    /// The hash of those values that `wanted` asks for, where `present` says which these are.
    fn of(&self, present: Shape, wanted: Shape) -> u64 {
        let mut hash = u64::from(wanted);
        let bits = (0..HIERARCHY).filter(|bit| present >> bit & 1 == 1);
        for (bit, value) in bits.zip(self.values) {
            if wanted >> bit & 1 == 1 {
                hash = (hash.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
        hash ^ hash >> 32
    }
}

/// What covers one O/R address, closest first.
pub(super) struct X400Matches<'a, T> {
    index: &'a X400Index<T>,
    address: &'a OrAddress,
    /// Which attributes the address has, and their hashes; made when they are first needed.
    hashes: Option<(Shape, Hashes)>,
    shapes: std::slice::Iter<'a, Shape>,
    run: Option<RunMatches<'a, (OrPattern, u8, T)>>,
}

impl<T> Clone for X400Matches<'_, T> {
    fn clone(&self) -> Self {
        Self { shapes: self.shapes.clone(), run: self.run.clone(), ..*self }
    }
}

impl<'a, T> X400Matches<'a, T> {
    fn probe(&mut self, wanted: Shape) -> Option<RunMatches<'a, (OrPattern, u8, T)>> {
        let address = self.address;
        let (present, hashes) = *self.hashes.get_or_insert_with(|| {
            let hierarchy =
                address.folded_attributes().filter(|(attribute, _)| attribute.index() < HIERARCHY);
            hierarchy.fold((0, Hashes::default()), |(shape, hashes), (attribute, value)| {
                (shape | 1 << attribute.index(), hashes.with(value))
            })
        });
        if present & wanted != wanted {
            return None;
        }
        let hash = hashes.of(present, wanted);
        let entries = &self.index.entries;
        let fits = |run: &Run| {
            let first = run.of(entries).first();
            first.is_some_and(|(pattern, ..)| pattern.shape() == wanted && pattern.matches(address).is_some())
        };
        let (_, run) = self.index.table.find(hash, |(candidate, run)| *candidate == hash && fits(run))?;
        Some(RunMatches { entries: run.of(entries).iter(), specificity: shape_specificity(wanted) })
    }
}

impl<'a, T> Iterator for X400Matches<'a, T> {
    type Item = (Specificity, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(run) = &mut self.run
                && let Some((_, _, value)) = run.entries.next()
            {
                return Some((run.specificity, value));
            }
            let wanted = *self.shapes.next()?;
            self.run = self.probe(wanted);
        }
    }
}
