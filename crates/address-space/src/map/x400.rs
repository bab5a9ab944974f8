//! The index of O/R addresses: for each set of attributes that some space asks for, closest set first, one probe.

use hashbrown::HashTable;

use crate::hash::hash;
use crate::map::run::{Cursor, Run, position};
use crate::space::{AddressSpace, Pattern};
use crate::specificity::Specificity;
use crate::x400::attribute::HIERARCHY;
use crate::x400::or_address::{FOLDED_END, OrAddress};
use crate::x400::pattern::{OrPattern, Shape, shape_specificity};

/// Every X400 space without a wildcard of Exchange 5.5.
#[derive(Clone)]
pub(super) struct X400Index<T> {
    values: Box<[T]>,
    /// What each value was put in with; a look-up does not need it.
    patterns: Box<[(OrPattern, u8)]>,
    /// The sets of attributes that occur, closest first.
    shapes: Box<[Shape]>,
    table: HashTable<Space>,
    /// The key of each space: each wanted value with its [`FOLDED_END`].
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
                let hashes = pattern.wanted().map(|value| self::hash(value.as_bytes()) as u32);
                let shares = bits(shape).zip(hashes).map(|(bit, hash)| share(bit, hash));
                let hash = mixed(shares.fold(u64::from(shape), u64::wrapping_add));
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
        if let Some(at) = cursor.next() {
            let shape = self.shapes.get((cursor.probes as usize).checked_sub(1)?)?;
            return Some((shape_specificity(*shape), self.values.get(at)?));
        }
        if cursor.probes as usize >= self.shapes.len() {
            return None;
        }
        let values = Values::of(address);
        while let Some(wanted) = self.shapes.get(cursor.probe()) {
            if let Some(run) = self.find(&values, *wanted) {
                cursor.run = run;
                return Some((shape_specificity(*wanted), self.values.get(cursor.next()?)?));
            }
        }
        None
    }

    /// The values of the space that asks for just these attributes, with the address's values.
    fn find(&self, values: &Values<'_>, wanted: Shape) -> Option<Run> {
        if values.present & wanted != wanted {
            return None;
        }
        let hash = mixed(values.sum(wanted).wrapping_add(u64::from(wanted)));
        let fits = |space: &Space| {
            let key = self.keys.get(space.key as usize..).unwrap_or_default();
            space.hash == hash && space.shape == wanted && values.are(wanted, key)
        };
        self.table.find(hash, fits).map(|space| space.run)
    }
}

fn same_space(left: &OrPattern, right: &OrPattern) -> bool {
    left.shape() == right.shape() && left.wanted().eq(right.wanted())
}

fn key_of(pattern: &OrPattern) -> Vec<u8> {
    pattern.wanted().flat_map(|value| value.bytes().chain([FOLDED_END as u8])).collect()
}

/// The hash of a set of attributes: their shares and the set itself, added up and mixed.
fn mixed(sum: u64) -> u64 {
    let mixed = (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

/// What a value adds to the hash. A sum, unlike a chain, lets a processor add all values at once.
fn share(bit: usize, hash: u32) -> u64 {
    u64::from(hash).rotate_left(bit as u32 * 8)
}

/// The places of the attributes in a set, lowest first.
fn bits(mut shape: Shape) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = shape.trailing_zeros() as usize;
        shape &= shape.checked_sub(1)?;
        Some(bit)
    })
}

/// What an address has of the hierarchy.
struct Values<'a> {
    present: Shape,
    /// All values one behind the other, each with its [`FOLDED_END`].
    text: &'a [u8],
    starts: [u32; HIERARCHY],
    ends: [u32; HIERARCHY],
    /// What each adds to the hash.
    shares: [u64; HIERARCHY],
    /// What each and all before it add.
    sums: [u64; HIERARCHY],
}

impl<'a> Values<'a> {
    #[inline(always)]
    fn of(address: &'a OrAddress) -> Self {
        let (text, fields) = address.hierarchy();
        let mut found = Self {
            present: 0,
            text,
            starts: [0; HIERARCHY],
            ends: [0; HIERARCHY],
            shares: [0; HIERARCHY],
            sums: [0; HIERARCHY],
        };
        let (mut present, mut sum) = (0, 0u64);
        for (attribute, place, hash) in fields {
            let bit = attribute.index();
            if let (Some(start), Some(end), Some(own), Some(all)) = (
                found.starts.get_mut(bit),
                found.ends.get_mut(bit),
                found.shares.get_mut(bit),
                found.sums.get_mut(bit),
            ) {
                (*start, *end) = (position(place.start), position(place.end));
                *own = share(bit, hash);
                sum = sum.wrapping_add(*own);
                *all = sum;
                present |= 1 << bit;
            }
        }
        found.present = present;
        found
    }

    /// The shares of the values that are wanted.
    #[inline]
    fn sum(&self, wanted: Shape) -> u64 {
        let last = wanted.checked_ilog2().unwrap_or_default();
        if wanted == self.present & (Shape::MAX >> (Shape::BITS - 1 - last)) {
            // All that there are up to the last one, which is the usual set.
            return self.sums.get(last as usize).copied().unwrap_or_default();
        }
        bits(wanted).filter_map(|bit| self.shares.get(bit)).fold(0, |sum, share| sum.wrapping_add(*share))
    }

    /// The values from one to another, each with its end.
    fn text(&self, first: usize, last: usize) -> Option<&[u8]> {
        self.text.get(*self.starts.get(first)? as usize..*self.ends.get(last)? as usize + 1)
    }

    /// Whether a key begins with the values that are wanted.
    fn are(&self, mut wanted: Shape, mut key: &[u8]) -> bool {
        // Values that stand side by side are compared at once, which most often is all of them.
        while wanted != 0 {
            let first = wanted.trailing_zeros() as usize;
            let gap = self.present & !wanted & (Shape::MAX << first);
            let together = wanted & (gap & gap.wrapping_neg()).wrapping_sub(1);
            let last = together.checked_ilog2().unwrap_or_default() as usize;
            match self.text(first, last).and_then(|text| key.strip_prefix(text)) {
                Some(rest) => key = rest,
                None => return false,
            }
            wanted &= !together;
        }
        true
    }
}
