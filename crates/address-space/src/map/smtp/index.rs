//! The table of domains and what a look-up does in it.
//!
//! ```text
//! mail.eu.contoso.com ──bucket──> no tag fits
//!      eu.contoso.com             (no wildcard has 3 labels: not tried)
//!         contoso.com ──bucket──> name ──> its exact values ──> *.contoso.com ──> *.com ──> *
//! ```

use crate::hash::hash;
use crate::map::run::position;
use crate::map::smtp::bucket::{Bucket, Candidates, TAGS, bucket_of};
use crate::map::smtp::name::Name;
use crate::smtp::domain::Domain;
use crate::smtp::mailbox::MailDomain;
use crate::smtp::pattern::SmtpPattern;
use crate::space::{AddressSpace, Pattern};
use crate::specificity::Specificity;

/// No value.
pub(super) const NONE: u32 = u32::MAX;

/// Every SMTP space without a wildcard of Exchange 5.5.
///
/// Each value links to the one that fits next best, up to the last value of `*`: a look-up finds one and follows.
#[derive(Clone)]
pub(in crate::map) struct SmtpIndex<T> {
    /// One more than there are, so that each knows where it ends.
    pub(super) buckets: Box<[Bucket]>,
    /// In the order of their hashes, each with its first value.
    pub(super) names: Box<[Entry<T>]>,
    /// The values that have a name in common with another, and those of `*`; they are counted on from the names.
    pub(super) more: Box<[Value<T>]>,
    /// The names that are too long to stand in their entries.
    pub(super) long: Box<[u8]>,
    /// The label counts of all wildcards, a bit for each; the highest bit stands for all that are above it.
    pub(super) wildcard_labels: u64,
    /// The first value of `*`, or `NONE`.
    pub(super) every: u32,
    pub(super) written: Written,
}

/// A name with its closest value: half a cache line, if a value has four bytes.
#[derive(Clone)]
#[repr(align(32))]
pub(super) struct Entry<T> {
    pub(super) name: Name,
    pub(super) value: Value<T>,
}

#[derive(Clone)]
pub(super) struct Value<T> {
    pub(super) value: T,
    /// What fits next best, or `NONE`.
    pub(super) next: u32,
    pub(super) cost: u8,
    pub(super) rank: Rank,
    /// What comes next has another name.
    pub(super) last: bool,
}

/// The labels of a wildcard, 0 for `*`, or 255 for an exact space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Rank(pub(super) u8);

impl Rank {
    pub(super) const EXACT: Self = Self(255);
    pub(super) const EVERY: Self = Self(0);

    #[inline]
    fn specificity(self) -> Specificity {
        match self {
            Self::EXACT => Specificity::EXACT,
            Self::EVERY => Specificity::CATCH_ALL,
            Self(labels) => Specificity::partial(u32::from(labels), 0),
        }
    }
}

/// The text of those spaces that were not written in their comparable form.
#[derive(Clone, Default)]
pub(super) struct Written {
    /// Sorted: which value, and where its text ends; it begins where the one before ends.
    pub(super) ends: Box<[(u32, u32)]>,
    pub(super) text: Box<str>,
}

impl<T> SmtpIndex<T> {
    pub(in crate::map) fn len(&self) -> usize {
        self.names.len() + self.more.len()
    }

    /// Where the values begin that cover a domain, closest first.
    #[inline]
    pub(in crate::map) fn first(&self, domain: &MailDomain) -> u32 {
        match domain {
            MailDomain::Name(domain) => self.closest(domain),
            MailDomain::Literal(_) => self.every,
        }
    }

    /// The value at this place, and the place of the next.
    #[inline]
    pub(in crate::map) fn next(&self, at: &mut u32) -> Option<(Specificity, &T)> {
        let value = self.value(*at)?;
        *at = value.next;
        Some((value.rank.specificity(), &value.value))
    }

    /// The value that fits best.
    #[inline]
    fn closest(&self, domain: &Domain) -> u32 {
        // Most often no wildcard is as short as a name above this one. To ask for that first keeps apart what a
        // processor learns of the two kinds of names.
        if self.wildcard_labels & below(domain.label_count()) != 0 {
            return self.closest_or_above(domain);
        }
        match self.find(domain.hash(), || domain.ascii_bytes()) {
            NONE => self.every,
            found => found,
        }
    }

    #[inline(never)]
    fn closest_or_above(&self, domain: &Domain) -> u32 {
        match self.find(domain.hash(), || domain.ascii_bytes()) {
            NONE => self.above(domain),
            found => found,
        }
    }

    /// The value of the closest wildcard above a name.
    fn above(&self, domain: &Domain) -> u32 {
        let mut name = domain.ascii_bytes();
        let mut labels = domain.label_count();
        let mut label = domain.first_label();
        while self.wildcard_labels & below(labels) != 0 {
            let Some(rest) = name.get(label + 1..) else { break };
            name = rest;
            labels -= 1;
            if self.wildcard_labels & label_bit(labels) != 0
                && let Some(found) = self.wildcard(name)
            {
                return found;
            }
            if self.wildcard_labels & below(labels) == 0 {
                break;
            }
            label = name.iter().position(|byte| *byte == b'.').unwrap_or(name.len());
        }
        self.every
    }

    /// The first value of the closest wildcard that covers a name, if that name is in the table.
    #[inline]
    fn wildcard(&self, name: &[u8]) -> Option<u32> {
        let mut at = self.find(hash(name), || name);
        while let Some(value) = self.value(at) {
            if value.rank != Rank::EXACT {
                return Some(at);
            }
            at = value.next;
        }
        None
    }

    /// The first value of the wildcard on this very name.
    pub(super) fn own_wildcard(&self, name: &str) -> Option<u32> {
        let found = self.find(hash(name.as_bytes()), || name.as_bytes());
        self.chain(found).find(|(_, value)| value.rank != Rank::EXACT).map(|(at, _)| at)
    }

    /// The closest value of a name, which is asked for only if some name may be the same.
    #[inline(always)]
    fn find<'n>(&self, hash: u64, name: impl FnOnce() -> &'n [u8]) -> u32 {
        let at = bucket_of(hash, self.buckets.len() - 1);
        let Some(bucket) = self.buckets.get(at) else { return NONE };
        let candidates = bucket.candidates(hash);
        // One look at sixteen bytes is all that most names cost that are not there.
        if candidates.is_empty() && !bucket.is_full() {
            return NONE;
        }
        let name = name();
        let first = bucket.first + candidates.first();
        if self.has_name(first, name) { first } else { self.find_behind(at, candidates, name) }
    }

    /// The closest value of a name that is not the first candidate.
    #[cold]
    fn find_behind(&self, at: usize, candidates: Candidates, name: &[u8]) -> u32 {
        let Some([bucket, next]) = self.buckets.get(at..at + 2) else { return NONE };
        let tagged = candidates.map(|place| bucket.first + place).find(|at| self.has_name(*at, name));
        let untagged = || (bucket.first + position(TAGS)..next.first).find(|at| self.has_name(*at, name));
        tagged.or_else(untagged).unwrap_or(NONE)
    }

    #[inline]
    fn has_name(&self, at: u32, name: &[u8]) -> bool {
        self.names.get(at as usize).is_some_and(|entry| entry.name.is(name, &self.long))
    }

    #[inline]
    fn value(&self, at: u32) -> Option<&Value<T>> {
        let at = at as usize;
        match self.names.get(at) {
            Some(entry) => Some(&entry.value),
            None => self.more.get(at - self.names.len()),
        }
    }

    /// Every space with its value, the values of one name side by side.
    pub(in crate::map) fn iter(&self) -> impl Iterator<Item = (AddressSpace, &T)> {
        let of_names = (0..).zip(&self.names).flat_map(move |(at, entry)| {
            self.chain(at).map(move |(at, value)| (at, value, entry.name.text(&self.long)))
        });
        let of_every = self.chain(self.every).map(|(at, value)| (at, value, ""));
        of_names.chain(of_every).filter_map(move |(at, value, name)| {
            let domain = || Domain::parse(self.written.get(at).unwrap_or(name)).ok();
            let pattern = match value.rank {
                Rank::EVERY => SmtpPattern::Every,
                Rank::EXACT => SmtpPattern::Exact(domain()?),
                _ => SmtpPattern::Suffix(domain()?),
            };
            Some((AddressSpace::of(Pattern::Smtp(pattern), value.cost), &value.value))
        })
    }

    /// The values from this one to the last of its name.
    fn chain(&self, first: u32) -> impl Iterator<Item = (u32, &Value<T>)> {
        let mut at = first;
        std::iter::from_fn(move || {
            let found = (at, self.value(at)?);
            at = if found.1.last { NONE } else { found.1.next };
            Some(found)
        })
    }
}

impl Written {
    fn get(&self, value: u32) -> Option<&str> {
        let at = self.ends.binary_search_by_key(&value, |(value, _)| *value).ok()?;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(_, end)| *end);
        self.text.get(start as usize..self.ends.get(at)?.1 as usize)
    }
}

/// The bit that stands for a label count; the highest stands for all that are above it.
#[inline]
pub(super) fn label_bit(labels: u32) -> u64 {
    1 << labels.min(u64::BITS - 1)
}

/// The bits of all lower label counts.
#[inline]
pub(super) fn below(labels: u32) -> u64 {
    1u64.checked_shl(labels).map_or(u64::MAX, |bit| bit - 1)
}
