//! The index of O/R addresses: for each set of attributes that some space asks for, closest set first, one probe.

use hashbrown::HashTable;

use crate::hash::hash;
use crate::map::run::{Cursor, Run, position};
use crate::space::{AddressSpace, Pattern};
use crate::specificity::Specificity;
use crate::x400::attribute::HIERARCHY;
use crate::x400::or_address::OrAddress;
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
    /// The key of each space: the length of each wanted value, then all of them.
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
                    .fold(u64::from(shape), |hash, value| with(hash, self::hash(value.as_bytes()) as u32));
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
        let hash = bits(wanted).fold(u64::from(wanted), |hash, bit| with(hash, values.at(bit).hash));
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
    // A space's value has at most 64 characters, all of them ASCII.
    let lengths = pattern.wanted().map(|value| u8::try_from(value.len()).unwrap_or(u8::MAX));
    lengths.chain(pattern.wanted().flat_map(str::bytes)).collect()
}

/// The hash of one value more.
fn with(hash: u64, value: u32) -> u64 {
    let mixed = (hash.rotate_left(23) ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
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
    /// All values one behind the other.
    text: &'a [u8],
    values: [Value; HIERARCHY],
}

/// Where a value stands, and its hash.
#[derive(Clone, Copy, Default)]
struct Value {
    start: u32,
    end: u32,
    hash: u32,
}

impl<'a> Values<'a> {
    fn of(address: &'a OrAddress) -> Self {
        let (text, fields) = address.hierarchy();
        let mut found = Self { present: 0, text, values: [Value::default(); HIERARCHY] };
        for (attribute, place, hash) in fields {
            if let Some(value) = found.values.get_mut(attribute.index()) {
                *value = Value { start: position(place.start), end: position(place.end), hash };
                found.present |= 1 << attribute.index();
            }
        }
        found
    }

    fn at(&self, bit: usize) -> Value {
        self.values.get(bit).copied().unwrap_or_default()
    }

    /// Whether the values that are wanted are those of a key.
    fn are(&self, wanted: Shape, key: &[u8]) -> bool {
        let Some((lengths, mut rest)) = key.split_at_checked(wanted.count_ones() as usize) else {
            return false;
        };
        let is_long =
            |(bit, length): (usize, &u8)| self.at(bit).end - self.at(bit).start == u32::from(*length);
        if !bits(wanted).zip(lengths).all(is_long) {
            return false;
        }
        // Values that stand side by side are compared at once, which most often is all of them.
        let mut wanted = wanted;
        while wanted != 0 {
            let first = wanted.trailing_zeros() as usize;
            let gap = self.present & !wanted & (Shape::MAX << first);
            let together = wanted & (gap & gap.wrapping_neg()).wrapping_sub(1);
            let last = Shape::BITS - 1 - together.leading_zeros();
            let text = self.text.get(self.at(first).start as usize..self.at(last as usize).end as usize);
            match text.and_then(|text| rest.strip_prefix(text)) {
                Some(behind) => rest = behind,
                None => return false,
            }
            wanted &= !together;
        }
        true
    }
}
