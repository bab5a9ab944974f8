//! The index of domains: one hash probe for the whole name, then a chain of ready-made links to ever shorter suffixes.
//!
//! ```text
//! mail.eu.contoso.com ──probe──> not there            names:     contoso.com ──> exact entries
//!      eu.contoso.com ──(no suffix has 3 labels: no probe)            │
//!         contoso.com ──probe──> there ─────────────────┘             └ wildcard ──> *.contoso.com ──> *.com ──> *
//! ```

use hashbrown::HashTable;

use crate::map::run::{hash, position};
use crate::smtp::domain::Domain;
use crate::smtp::mailbox::MailDomain;
use crate::smtp::pattern::{SmtpPattern, label_count};
use crate::space::{AddressSpace, Pattern};
use crate::specificity::Specificity;

const NONE: u32 = u32::MAX;

/// Every SMTP space.
#[derive(Clone)]
pub(super) struct SmtpIndex<T> {
    names: HashTable<Name>,
    /// Each name in its comparable form behind its length in one byte.
    text: Box<[u8]>,
    wildcards: Box<[Wildcard]>,
    /// The label counts of all wildcards, a bit for each; the highest bit stands for all that are above it.
    wildcard_labels: u128,
    entries: Box<[Entry<T>]>,
    /// Where the entries of `*` begin.
    every: u32,
    /// The text of those entries whose text is not their comparable form, sorted by entry.
    written: Box<[(u32, Box<str>)]>,
}

/// A domain that is the name of an exact space, or the suffix of a wildcard, or both.
#[derive(Clone, Copy)]
struct Name {
    text: u32,
    /// The first entry of the exact space, or `NONE`.
    exact: u32,
    /// The closest wildcard that covers this name, or `NONE`.
    wildcard: u32,
}

/// `*.suffix`
#[derive(Clone, Copy)]
struct Wildcard {
    first: u32,
    labels: u32,
    /// The closest wildcard above it, or `NONE`.
    parent: u32,
}

#[derive(Clone)]
struct Entry<T> {
    value: T,
    cost: u8,
    /// No entry of the same space follows.
    last: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Exact,
    Suffix,
    Every,
}

impl<T> SmtpIndex<T> {
    pub(super) fn build(mut spaces: Vec<(SmtpPattern, u8, T)>) -> Self {
        // Equal names side by side, exact before suffix; the sort keeps the order of equal spaces.
        spaces.sort_by(|(left, ..), (right, ..)| sort_key(left).cmp(&sort_key(right)));
        let mut builder = Builder::default();
        let mut entries: Vec<Entry<T>> = Vec::with_capacity(spaces.len());
        let mut previous: Option<SmtpPattern> = None;
        for (index, (pattern, cost, value)) in spaces.into_iter().enumerate() {
            let entry = position(index);
            if previous.as_ref() != Some(&pattern) {
                if let Some(before) = entries.last_mut() {
                    before.last = true;
                }
                builder.space(&pattern, entry);
            }
            if let SmtpPattern::Exact(domain) | SmtpPattern::Suffix(domain) = &pattern
                && domain.as_str() != domain.ascii()
            {
                builder.written.push((entry, domain.as_str().into()));
            }
            entries.push(Entry { value, cost, last: false });
            previous = Some(pattern);
        }
        if let Some(before) = entries.last_mut() {
            before.last = true;
        }
        builder.finish(entries)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn matches<'a>(&'a self, domain: &MailDomain) -> SmtpMatches<'a, T> {
        let mut matches = SmtpMatches {
            index: self,
            entries: NONE,
            specificity: Specificity::EXACT,
            wildcard: NONE,
            done: false,
        };
        let MailDomain::Name(domain) = domain else { return matches };
        let name = domain.ascii();
        if let Some(found) = find(&self.names, &self.text, name) {
            matches.entries = found.exact;
            matches.wildcard = found.wildcard;
        } else if self.wildcard_labels != 0 {
            matches.wildcard = self.closest_wildcard(name);
        }
        matches
    }

    /// The closest wildcard above a name that is not itself in the table.
    fn closest_wildcard(&self, name: &str) -> u32 {
        let mut labels = label_count(name);
        let mut rest = name;
        while let Some((_, suffix)) = rest.split_once('.') {
            rest = suffix;
            labels -= 1;
            if self.wildcard_labels & label_bit(labels) != 0
                && let Some(found) = find(&self.names, &self.text, rest)
            {
                return found.wildcard;
            }
        }
        NONE
    }

    /// Every space with its value, in the order of the entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = (AddressSpace, &T)> {
        let mut firsts: Vec<(u32, Kind, u32)> = Vec::with_capacity(self.names.len() + 1);
        for name in &self.names {
            if name.exact != NONE {
                firsts.push((name.exact, Kind::Exact, name.text));
            }
            if let Some(wildcard) = self.wildcard_of(name) {
                firsts.push((wildcard.first, Kind::Suffix, name.text));
            }
        }
        if self.every != NONE {
            firsts.push((self.every, Kind::Every, 0));
        }
        firsts.sort_unstable();
        let mut firsts = firsts.into_iter();
        let mut current = None;
        let mut begins = true;
        self.entries.iter().enumerate().filter_map(move |(index, entry)| {
            if std::mem::replace(&mut begins, entry.last) {
                current = firsts.next();
            }
            let (_, kind, text) = current?;
            let pattern = match kind {
                Kind::Every => SmtpPattern::Every,
                Kind::Exact => SmtpPattern::Exact(self.written_domain(index, text)?),
                Kind::Suffix => SmtpPattern::Suffix(self.written_domain(index, text)?),
            };
            Some((AddressSpace::of(Pattern::Smtp(pattern), entry.cost), &entry.value))
        })
    }

    /// The wildcard on this very name, not one above it.
    fn wildcard_of(&self, name: &Name) -> Option<&Wildcard> {
        let wildcard = self.wildcards.get(name.wildcard as usize)?;
        (wildcard.labels == label_count(name_at(&self.text, name.text))).then_some(wildcard)
    }

    fn written_domain(&self, entry: usize, text: u32) -> Option<Domain> {
        let written = self.written.binary_search_by_key(&position(entry), |(at, _)| *at).ok();
        let written = written.and_then(|at| self.written.get(at)).map(|(_, text)| &**text);
        Domain::parse(written.unwrap_or_else(|| name_at(&self.text, text))).ok()
    }
}

fn sort_key(pattern: &SmtpPattern) -> (&str, Kind) {
    match pattern {
        SmtpPattern::Every => ("", Kind::Every),
        SmtpPattern::Exact(domain) => (domain.ascii(), Kind::Exact),
        SmtpPattern::Suffix(domain) => (domain.ascii(), Kind::Suffix),
    }
}

fn label_bit(labels: u32) -> u128 {
    1 << labels.min(u128::BITS - 1)
}

fn find<'a>(names: &'a HashTable<Name>, text: &[u8], name: &str) -> Option<&'a Name> {
    names.find(hash(name.as_bytes()), |candidate| name_at(text, candidate.text) == name)
}

fn name_at(text: &[u8], at: u32) -> &str {
    let at = at as usize;
    let name = text.get(at).and_then(|length| text.get(at + 1..at + 1 + usize::from(*length)));
    name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
}

struct Builder {
    names: HashTable<Name>,
    text: Vec<u8>,
    wildcards: Vec<Wildcard>,
    wildcard_labels: u128,
    every: u32,
    written: Vec<(u32, Box<str>)>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            names: HashTable::new(),
            text: Vec::new(),
            wildcards: Vec::new(),
            wildcard_labels: 0,
            every: NONE,
            written: Vec::new(),
        }
    }
}

impl Builder {
    /// Notes where the entries of a space begin.
    fn space(&mut self, pattern: &SmtpPattern, first: u32) {
        match pattern {
            SmtpPattern::Every => self.every = first,
            SmtpPattern::Exact(domain) => self.name(domain.ascii()).exact = first,
            SmtpPattern::Suffix(domain) => {
                let labels = label_count(domain.ascii());
                self.wildcard_labels |= label_bit(labels);
                let wildcard = position(self.wildcards.len());
                self.wildcards.push(Wildcard { first, labels, parent: NONE });
                self.name(domain.ascii()).wildcard = wildcard;
            }
        }
    }

    fn name(&mut self, name: &str) -> &mut Name {
        let Self { names, text, .. } = self;
        let at = position(text.len());
        let entry = names.entry(
            hash(name.as_bytes()),
            |candidate| name_at(text, candidate.text) == name,
            |candidate| hash(name_at(text, candidate.text).as_bytes()),
        );
        let is_new = matches!(entry, hashbrown::hash_table::Entry::Vacant(_));
        let found = entry.or_insert(Name { text: at, exact: NONE, wildcard: NONE }).into_mut();
        if is_new {
            text.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            text.extend_from_slice(name.as_bytes());
        }
        found
    }

    /// Links every name and every wildcard to the closest wildcard above it.
    fn finish<T>(self, entries: Vec<Entry<T>>) -> SmtpIndex<T> {
        let Self { mut names, text, mut wildcards, wildcard_labels, every, written } = self;
        let own: Vec<(u32, u32)> = names.iter().map(|name| (name.text, name.wildcard)).collect();
        for (at, wildcard) in own {
            let above = closest_above(&names, &text, &wildcards, wildcard_labels, name_at(&text, at));
            if let Some(wildcard) = wildcards.get_mut(wildcard as usize) {
                wildcard.parent = above;
            } else if let Some(name) =
                names.find_mut(hash(name_at(&text, at).as_bytes()), |candidate| candidate.text == at)
            {
                name.wildcard = above;
            }
        }
        names.shrink_to_fit(|candidate| hash(name_at(&text, candidate.text).as_bytes()));
        SmtpIndex {
            names,
            text: text.into(),
            wildcards: wildcards.into(),
            wildcard_labels,
            entries: entries.into(),
            every,
            written: written.into(),
        }
    }
}

/// The closest wildcard whose suffix is above a name and not the name itself.
fn closest_above(
    names: &HashTable<Name>,
    text: &[u8],
    wildcards: &[Wildcard],
    wildcard_labels: u128,
    name: &str,
) -> u32 {
    let mut labels = label_count(name);
    let mut rest = name;
    while let Some((_, suffix)) = rest.split_once('.') {
        rest = suffix;
        labels -= 1;
        if wildcard_labels & label_bit(labels) == 0 {
            continue;
        }
        let found = find(names, text, rest).map_or(NONE, |found| found.wildcard);
        // A name that is already linked may show a wildcard further up, which is the answer all the same.
        if wildcards.get(found as usize).is_some() {
            return found;
        }
    }
    NONE
}

/// What covers one domain, closest first.
pub(super) struct SmtpMatches<'a, T> {
    index: &'a SmtpIndex<T>,
    /// The next entry of the space at hand, or `NONE` if it has no more.
    entries: u32,
    specificity: Specificity,
    /// The wildcard that comes next, or `NONE`.
    wildcard: u32,
    /// `*` has had its turn.
    done: bool,
}

impl<T> Clone for SmtpMatches<'_, T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, T> Iterator for SmtpMatches<'a, T> {
    type Item = (Specificity, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        if self.entries == NONE {
            if let Some(wildcard) = self.index.wildcards.get(self.wildcard as usize) {
                self.specificity = Specificity::partial(wildcard.labels, 0);
                self.entries = wildcard.first;
                self.wildcard = wildcard.parent;
            } else if !self.done {
                self.specificity = Specificity::CATCH_ALL;
                self.entries = self.index.every;
                self.done = true;
            }
        }
        let entry = self.index.entries.get(self.entries as usize)?;
        self.entries = if entry.last { NONE } else { self.entries + 1 };
        Some((self.specificity, &entry.value))
    }
}
