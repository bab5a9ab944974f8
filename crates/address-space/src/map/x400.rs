//! The index of O/R addresses: for each set of attributes that some space asks for, closest set first, one probe.

use hashbrown::HashTable;

use crate::hash::hash;
use crate::map::run::{Cursor, Run, position};
use crate::space::{AddressSpace, Pattern};
use crate::specificity::Specificity;
use crate::x400::attribute::HIERARCHY;
use crate::x400::or_address::OrAddress;
use crate::x400::pattern::{OrPattern, Shape, shape_specificity};

/// Ends each value of a key; no value holds a control character.
const END: u8 = 0x1f;

/// Every X400 space without a wildcard of Exchange 5.5.
#[derive(Clone)]
pub(super) struct X400Index<T> {
    values: Box<[T]>,
    /// What each value was put in with; a look-up does not need it.
    patterns: Box<[(OrPattern, u8)]>,
    /// The sets of attributes that occur, closest first.
    shapes: Box<[Shape]>,
    table: HashTable<Space>,
    /// The wanted values of each space, each with its [`END`].
    keys: Box<[u8]>,
}

#[derive(Clone, Copy)]
struct Space {
    hash: u64,
    run: Run,
    /// Where its key begins.
    key: u32,
    shape: Shape,
}

impl<T> X400Index<T> {
    pub(super) fn build(mut entries: Vec<(OrPattern, u8, T)>) -> Self {
        entries.sort_by_cached_key(|(pattern, ..)| (pattern.shape(), key_of(pattern)));
        let mut shapes: Vec<Shape> = entries.iter().map(|(pattern, ..)| pattern.shape()).collect();
        shapes.dedup();
        shapes.sort_by_key(|shape| std::cmp::Reverse((shape_specificity(*shape), *shape)));
        let mut table = HashTable::new();
        let mut keys = Vec::new();
        let mut start = 0;
        for run in entries.chunk_by(|left, right| same_space(&left.0, &right.0)) {
            let end = start + run.len();
            if let Some((pattern, ..)) = run.first() {
                let shape = pattern.shape();
                let hash = pattern
                    .wanted()
                    .fold(u64::from(shape), |hash, value| with(hash, self::hash(value.as_bytes())));
                let run = Run { start: position(start), end: position(end) };
                let space = Space { hash, run, key: position(keys.len()), shape };
                keys.extend(key_of(pattern));
                table.insert_unique(hash, space, |space| space.hash);
            }
            start = end;
        }
        let (patterns, values): (Vec<_>, Vec<_>) =
            entries.into_iter().map(|(pattern, cost, value)| ((pattern, cost), value)).unzip();
        Self {
            values: values.into(),
            patterns: patterns.into(),
            shapes: shapes.into(),
            table,
            keys: keys.into(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (AddressSpace, &T)> {
        self.patterns
            .iter()
            .map(|(pattern, cost)| AddressSpace::of(Pattern::X400(pattern.clone()), *cost))
            .zip(&self.values)
    }

    /// The next value that covers an address, closest first.
    #[inline(never)]
    pub(super) fn next(&self, address: &OrAddress, cursor: &mut Cursor) -> Option<(Specificity, &T)> {
        let mut values = None;
        loop {
            if let Some(at) = cursor.next() {
                let shape = self.shapes.get((cursor.probes as usize).checked_sub(1)?)?;
                return Some((shape_specificity(*shape), self.values.get(at)?));
            }
            let wanted = *self.shapes.get(cursor.probe())?;
            let values = values.get_or_insert_with(|| Values::of(address));
            cursor.run = self.find(values, wanted).unwrap_or_default();
        }
    }

    /// The values of the space that asks for just these attributes, with the address's values.
    fn find(&self, values: &Values<'_>, wanted: Shape) -> Option<Run> {
        if values.present & wanted != wanted {
            return None;
        }
        let hash = values.wanted(wanted).fold(u64::from(wanted), |hash, (_, value)| with(hash, *value));
        let fits = |space: &Space| {
            let mut key = self.keys.get(space.key as usize..).unwrap_or_default();
            space.hash == hash
                && space.shape == wanted
                && values.wanted(wanted).all(|(value, _)| {
                    let rest = key.strip_prefix(*value).and_then(|rest| rest.strip_prefix(&[END]));
                    rest.map(|rest| key = rest).is_some()
                })
        };
        self.table.find(hash, fits).map(|space| space.run)
    }
}

fn same_space(left: &OrPattern, right: &OrPattern) -> bool {
    left.shape() == right.shape() && left.wanted().eq(right.wanted())
}

fn key_of(pattern: &OrPattern) -> Vec<u8> {
    pattern.wanted().flat_map(|value| value.bytes().chain([END])).collect()
}

/// The hash of one value more.
fn with(hash: u64, value: u64) -> u64 {
    let mixed = (hash.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

/// What an address has of the hierarchy: each value and its hash.
struct Values<'a> {
    present: Shape,
    values: [(&'a [u8], u64); HIERARCHY],
}

impl<'a> Values<'a> {
    fn of(address: &'a OrAddress) -> Self {
        let mut found = Self { present: 0, values: [(&[], 0); HIERARCHY] };
        for (attribute, value) in address.folded_attributes() {
            let Some(slot) = found.values.get_mut(attribute.index()) else { break };
            *slot = (value.as_bytes(), hash(value.as_bytes()));
            found.present |= 1 << attribute.index();
        }
        found
    }

    /// Those that are asked for, in the order of the hierarchy.
    fn wanted(&self, wanted: Shape) -> impl Iterator<Item = &(&'a [u8], u64)> {
        self.values
            .iter()
            .enumerate()
            .filter(move |(index, _)| wanted >> index & 1 == 1)
            .map(|(_, value)| value)
    }
}
