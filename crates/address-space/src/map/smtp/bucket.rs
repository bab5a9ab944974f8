//! The door of the table: sixteen bytes that say where the names of a bucket stand, and which of them may be the one.

/// How many names have a tag in their bucket; those beyond are tried one by one.
pub(super) const TAGS: usize = 12;

/// How many names a bucket has on average, in tenths: few buckets are then overfull, and all of them stay small enough
/// for the cache.
const AVERAGE: usize = 65;

/// How many buckets there are for so many names.
pub(super) fn bucket_count(names: usize) -> usize {
    (names * 10).div_ceil(AVERAGE).max(1)
}

/// The bucket of a hash: buckets follow one another as the hashes do.
#[inline]
pub(super) fn bucket_of(hash: u64, buckets: usize) -> usize {
    // The product of a number below 2^64 and `buckets`, without its lower half, is below `buckets`.
    ((u128::from(hash) * buckets as u128) >> 64) as usize
}

/// Which names may be the one that is looked for, told by eight bits of each.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct Bucket {
    /// The tags of the first eight names, the first one lowest; 0 where there is no name.
    low: u64,
    /// The tags of the next four.
    high: u32,
    /// Where the names of this bucket begin.
    pub(super) first: u32,
}

impl Bucket {
    pub(super) fn starting_at(first: u32) -> Self {
        Self { low: 0, high: 0, first }
    }

    /// Notes the tag of the name that is so many places behind the first.
    pub(super) fn put(&mut self, place: usize, hash: u64) {
        match place {
            0..8 => self.low |= u64::from(tag(hash)) << (place * 8),
            8..TAGS => self.high |= u32::from(tag(hash)) << ((place - 8) * 8),
            _ => {}
        }
    }

    /// The places behind the first where the name may stand. None is left out; one in two hundred is wrong.
    #[inline]
    pub(super) fn candidates(&self, hash: u64) -> Candidates {
        let low = zero_bytes(self.low ^ (LOWEST_BITS * u64::from(tag(hash))));
        let high = zero_bytes(u64::from(self.high) ^ (LOWEST_BITS * u64::from(tag(hash))));
        // The flags of the first eight go to bit 0 of each byte, those of the next four to bit 1.
        Candidates(low >> 7 | (high & 0x8080_8080) >> 6)
    }

    /// Whether names without a tag may follow.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.high >> 24 != 0
    }
}

/// Places in a bucket.
#[derive(Clone, Copy)]
pub(super) struct Candidates(u64);

impl Candidates {
    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first of them, or some place if there is none.
    #[inline]
    pub(super) fn first(self) -> u32 {
        let bit = self.0.trailing_zeros();
        (bit >> 3) + (bit & 1) * 8
    }
}

impl Iterator for Candidates {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let first = self.first();
        self.0 &= self.0 - 1;
        Some(first)
    }
}

const LOWEST_BITS: u64 = 0x0101_0101_0101_0101;
const HIGHEST_BITS: u64 = LOWEST_BITS << 7;

/// 1 to 255, from bits that have no say in which bucket it is.
fn tag(hash: u64) -> u8 {
    (hash & 0xff).max(1) as u8
}

/// The highest bit of each byte that is 0; of a byte above such a one it may be set too.
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOWEST_BITS) & !word & HIGHEST_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_candidate_at_its_own_place() {
        let hashes: Vec<u64> = (0..TAGS as u64).map(|place| place * 37 + 1).collect();
        let mut bucket = Bucket::starting_at(7);
        for (place, hash) in hashes.iter().enumerate() {
            assert!(!bucket.is_full());
            bucket.put(place, *hash);
        }
        assert!(bucket.is_full());
        for (place, hash) in hashes.iter().enumerate() {
            assert!(bucket.candidates(*hash).any(|candidate| candidate as usize == place), "{place}");
        }
        assert_eq!(bucket.candidates(255).count(), 0);
    }
}
