//! Builds the table of domains: sorts by hash, lays the names out, links each value to what fits next best.

use crate::map::run::position;
use crate::map::smtp::bucket::{Bucket, bucket_count, bucket_of};
use crate::map::smtp::index::{Entry, NONE, Rank, SmtpIndex, Value, Written, below, label_bit};
use crate::map::smtp::name::Name;
use crate::smtp::domain::Domain;
use crate::smtp::pattern::SmtpPattern;

/// A space with its cost, and its value until that has found its place.
pub(in crate::map) type Space<T> = (SmtpPattern, u8, Option<T>);

impl<T> SmtpIndex<T> {
    pub(in crate::map) fn build(mut spaces: Vec<Space<T>>) -> Self {
        let (order, every) = order(&spaces);
        let names = order.chunk_by(|left, right| is_same_name(&spaces, left, right)).count();
        let mut layout = Layout {
            names: Vec::with_capacity(names),
            more: Vec::with_capacity(spaces.len() - names),
            name_count: position(names),
            long: Vec::new(),
            wildcard_labels: 0,
            written: Vec::new(),
        };
        let buckets = layout.place_names(&mut spaces, &order, &every);
        // In the order in which they came, which is likely that of their places in memory.
        drop(spaces);
        layout.finish(buckets, every.len())
    }
}

/// The places of all spaces with a name, equal names side by side, exact before suffix, equal spaces in the order in
/// which they came; and the places of those without.
fn order<T>(spaces: &[Space<T>]) -> (Vec<(u64, u32)>, Vec<u32>) {
    let mut order = Vec::with_capacity(spaces.len());
    let mut every = Vec::new();
    for (at, space) in (0..).zip(spaces) {
        match space.0.domain() {
            Some(domain) => order.push((domain.hash(), at)),
            None => every.push(at),
        }
    }
    order.sort_unstable();
    for equal in order.chunk_by_mut(|left, right| left.0 == right.0).filter(|equal| equal.len() > 1) {
        let is_suffix = |at| matches!(pattern(spaces, at), Some(SmtpPattern::Suffix(_)));
        let name = |at| pattern(spaces, at).and_then(SmtpPattern::domain).map(Domain::ascii);
        equal.sort_by(|(_, left), (_, right)| {
            (name(*left), is_suffix(*left)).cmp(&(name(*right), is_suffix(*right)))
        });
    }
    (order, every)
}

fn is_same_name<T>(spaces: &[Space<T>], left: &(u64, u32), right: &(u64, u32)) -> bool {
    let name = |at| pattern(spaces, at).and_then(SmtpPattern::domain).map(Domain::ascii);
    left.0 == right.0 && name(left.1) == name(right.1)
}

fn pattern<T>(spaces: &[Space<T>], at: u32) -> Option<&SmtpPattern> {
    spaces.get(at as usize).map(|(pattern, ..)| pattern)
}

/// An index that has no links from one name to another yet.
struct Layout<T> {
    names: Vec<Entry<T>>,
    more: Vec<Value<T>>,
    /// How many names there will be.
    name_count: u32,
    long: Vec<u8>,
    wildcard_labels: u64,
    written: Vec<(u32, Box<str>)>,
}

impl<T> Layout<T> {
    /// Moves every space to its place, those of `*` last of all.
    fn place_names(&mut self, spaces: &mut [Space<T>], order: &[(u64, u32)], every: &[u32]) -> Vec<Bucket> {
        let count = bucket_count(self.name_count as usize);
        let mut buckets = Vec::with_capacity(count + 1);
        let mut went_on = false;
        let mut order = order.iter().peekable();
        while let Some(space) = order.next() {
            let goes_on = order.peek().is_some_and(|next| is_same_name(spaces, space, next));
            let begins = !std::mem::replace(&mut went_on, goes_on);
            let (hash, at) = *space;
            if begins {
                self.open_bucket(&mut buckets, hash, count);
            }
            self.place(spaces.get_mut(at as usize), begins, goes_on);
        }
        buckets.resize(count + 1, Bucket::starting_at(self.name_count));
        for (index, at) in every.iter().enumerate() {
            self.place(spaces.get_mut(*at as usize), false, index + 1 < every.len());
        }
        buckets
    }

    /// Notes that the next name to be placed has this hash.
    fn open_bucket(&self, buckets: &mut Vec<Bucket>, hash: u64, count: usize) {
        let next = position(self.names.len());
        buckets.resize(bucket_of(hash, count) + 1, Bucket::starting_at(next));
        if let Some(bucket) = buckets.last_mut() {
            bucket.put((next - bucket.first) as usize, hash);
        }
    }

    /// Places a value, as the first of its name or as one more, and links it to the next of the same name.
    fn place(&mut self, space: Option<&mut Space<T>>, begins: bool, goes_on: bool) {
        let Some((pattern, cost, value)) = space else { return };
        let (Some(value), cost) = (value.take(), *cost) else { return };
        let more = self.name_count + position(self.more.len());
        let at = if begins { position(self.names.len()) } else { more };
        let next = match (goes_on, begins) {
            (false, _) => NONE,
            (true, true) => more,
            (true, false) => more + 1,
        };
        let rank = match pattern {
            SmtpPattern::Every => Rank::EVERY,
            SmtpPattern::Exact(_) => Rank::EXACT,
            SmtpPattern::Suffix(domain) => {
                self.wildcard_labels |= label_bit(domain.label_count());
                // A domain has at most 128 labels.
                Rank(u8::try_from(domain.label_count()).unwrap_or(128))
            }
        };
        if let Some(domain) = pattern.domain()
            && domain.as_str() != domain.ascii()
        {
            self.written.push((at, domain.as_str().into()));
        }
        let value = Value { value, next, cost, rank, last: !goes_on };
        match pattern.domain() {
            Some(domain) if begins => {
                self.names.push(Entry { name: Name::new(domain.ascii(), &mut self.long), value });
            }
            _ => self.more.push(value),
        }
    }

    /// Links the last value of each name to the closest wildcard above, and that of the topmost to `*`.
    fn finish(self, buckets: Vec<Bucket>, every: usize) -> SmtpIndex<T> {
        let Self { names, more, wildcard_labels, long, written, .. } = self;
        let all = names.len() + more.len();
        let mut index = SmtpIndex {
            buckets: buckets.into(),
            names: names.into(),
            more: more.into(),
            long: long.into(),
            wildcard_labels,
            every: if every == 0 { NONE } else { position(all - every) },
            written: Written::of(written),
        };
        index.link_names();
        index
    }
}

impl<T> SmtpIndex<T> {
    fn link_names(&mut self) {
        let every = self.every;
        for at in 0..self.names.len() {
            let Some(entry) = self.names.get(at) else { continue };
            let above = self.wildcard_above(entry.name.text(&self.long)).unwrap_or(every);
            let mut last = position(at);
            while let Some(value) = self.value_mut(last) {
                if value.last {
                    value.next = above;
                    break;
                }
                last = value.next;
            }
        }
    }

    /// The first value of the closest wildcard above a name, while not all names are linked: one without a wildcard of
    /// its own is no answer yet.
    fn wildcard_above(&self, name: &str) -> Option<u32> {
        let mut labels = label_count(name);
        let mut rest = name;
        while self.wildcard_labels & below(labels) != 0 {
            rest = rest.split_once('.')?.1;
            labels -= 1;
            if self.wildcard_labels & label_bit(labels) != 0
                && let Some(found) = self.own_wildcard(rest)
            {
                return Some(found);
            }
        }
        None
    }

    fn value_mut(&mut self, at: u32) -> Option<&mut Value<T>> {
        let at = at as usize;
        let names = self.names.len();
        match self.names.get_mut(at) {
            Some(entry) => Some(&mut entry.value),
            None => self.more.get_mut(at - names),
        }
    }
}

fn label_count(name: &str) -> u32 {
    1 + name.bytes().map(|byte| u32::from(byte == b'.')).sum::<u32>()
}

impl Written {
    fn of(mut texts: Vec<(u32, Box<str>)>) -> Self {
        texts.sort_unstable();
        let mut text = String::with_capacity(texts.iter().map(|(_, text)| text.len()).sum());
        let ends = texts
            .iter()
            .map(|(value, written)| {
                text.push_str(written);
                (*value, position(text.len()))
            })
            .collect();
        Self { ends, text: text.into() }
    }
}
