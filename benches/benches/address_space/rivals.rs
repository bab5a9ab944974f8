//! Everything else that could answer which space covers a domain, each with what it needs to give the right answer.

use std::collections::HashMap;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use publicsuffix::Psl;

use crate::questions::Space;

/// No space covers it.
pub(crate) const MISS: u32 = u32::MAX;

type State = foldhash::fast::FixedState;

/// The floor: one probe of the whole domain, right for exact spaces alone.
pub(crate) type Floor = hashbrown::HashMap<Box<str>, u32, State>;

pub(crate) fn floor(spaces: &[Space]) -> Floor {
    let mut map = Floor::with_capacity_and_hasher(spaces.len(), State::default());
    for (space, value) in spaces.iter().zip(0..) {
        map.insert(space.name.as_str().into(), value);
    }
    map
}

pub(crate) fn ask_floor(floor: &Floor, domain: &str) -> u32 {
    floor.get(domain).copied().unwrap_or(MISS)
}

/// What stands behind one name: its exact space and its wildcard.
pub(crate) type Walk<S> = hashbrown::HashMap<Box<str>, (u32, u32), S>;

pub(crate) fn walk<S: std::hash::BuildHasher + Default>(spaces: &[Space]) -> Walk<S> {
    let mut map = Walk::with_capacity_and_hasher(spaces.len(), S::default());
    for (space, value) in spaces.iter().zip(0..) {
        let (exact, wildcard) = map.entry(space.name.as_str().into()).or_insert((MISS, MISS));
        *(if space.wildcard { wildcard } else { exact }) = value;
    }
    map
}

/// The whole domain, then each suffix, until one is found.
pub(crate) fn ask_walk<S: std::hash::BuildHasher>(walk: &Walk<S>, domain: &str) -> u32 {
    if let Some((exact, wildcard)) = walk.get(domain) {
        return if *exact == MISS { *wildcard } else { *exact };
    }
    let mut rest = domain;
    while let Some((_, suffix)) = rest.split_once('.') {
        rest = suffix;
        if let Some((_, wildcard)) = walk.get(rest)
            && *wildcard != MISS
        {
            return *wildcard;
        }
    }
    MISS
}

/// The labels from the right, a dot behind each: a suffix becomes a prefix.
fn reversed<'a>(domain: &str, buffer: &'a mut [u8; 300]) -> &'a mut [u8] {
    let mut length = 0;
    for label in domain.rsplit('.') {
        buffer[length..length + label.len()].copy_from_slice(label.as_bytes());
        length += label.len() + 1;
        buffer[length - 1] = b'.';
    }
    &mut buffer[..length]
}

/// An exact space ends in `$`, which no label holds.
fn reversed_key(space: &Space) -> Vec<u8> {
    let mut buffer = [0; 300];
    let mut key = reversed(&space.name, &mut buffer).to_vec();
    if !space.wildcard {
        key.push(b'$');
    }
    key
}

pub(crate) fn fst(spaces: &[Space]) -> fst::Map<Vec<u8>> {
    let mut keys: Vec<_> = spaces.iter().map(reversed_key).zip(0u64..).collect();
    keys.sort();
    fst::Map::from_iter(keys).expect("sorted keys, none twice")
}

/// Follows the bytes and keeps the last value that was passed.
pub(crate) fn ask_fst(map: &fst::Map<Vec<u8>>, domain: &str) -> u32 {
    let mut buffer = [0; 300];
    let map = map.as_fst();
    let (mut node, mut sum, mut best) = (map.root(), fst::raw::Output::zero(), MISS);
    for byte in reversed(domain, &mut buffer).iter().chain(b"$") {
        let Some(index) = node.find_input(*byte) else { break };
        let transition = node.transition(index);
        sum = sum.cat(transition.out);
        node = map.node(transition.addr);
        if node.is_final() {
            best = sum.cat(node.final_output()).value() as u32;
        }
    }
    best
}

pub(crate) type QpTrie = qp_trie::Trie<Vec<u8>, u32>;

pub(crate) fn qp_trie(spaces: &[Space]) -> QpTrie {
    spaces.iter().map(reversed_key).zip(0..).collect()
}

/// It has no look-up of the longest key that begins another, so that each label is asked for, the longest first.
pub(crate) fn ask_qp_trie(trie: &QpTrie, domain: &str) -> u32 {
    let mut buffer = [0; 300];
    let length = reversed(domain, &mut buffer).len();
    buffer[length] = b'$';
    if let Some(value) = trie.get(&buffer[..=length]) {
        return *value;
    }
    let ends = (0..length).rev().filter(|at| buffer[*at] == b'.');
    ends.map(|at| trie.get(&buffer[..=at])).find_map(|found| found.copied()).unwrap_or(MISS)
}

/// It tells the suffix and no value, and `*.a` means something else to it: its time counts, its answer does not.
pub(crate) fn public_suffix(spaces: &[Space]) -> publicsuffix::List {
    let mut text = String::from("// ===BEGIN ICANN DOMAINS===\n");
    for space in spaces {
        text += if space.wildcard { "*." } else { "" };
        text += &space.name;
        text.push('\n');
    }
    text += "// ===END ICANN DOMAINS===\n";
    text.parse().expect("a list of suffixes")
}

pub(crate) fn ask_public_suffix(list: &publicsuffix::List, domain: &str) -> u32 {
    list.suffix(domain.as_bytes()).map_or(MISS, |suffix| suffix.as_bytes().len() as u32)
}

pub(crate) fn globset(spaces: &[Space]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for space in spaces {
        let text = if space.wildcard { format!("*.{}", space.name) } else { space.name.clone() };
        set.add(GlobBuilder::new(&text).build().expect("a glob"));
    }
    set.build().expect("a set of globs")
}

/// At most one of our spaces covers a domain, so that the first is the closest.
pub(crate) fn ask_globset(set: &GlobSet, domain: &str, found: &mut Vec<usize>) -> u32 {
    set.matches_into(domain, found);
    found.first().map_or(MISS, |index| *index as u32)
}

/// Reads the list from the top, as most relays do.
pub(crate) fn ask_list(spaces: &[Space], domain: &str) -> u32 {
    let mut best = (MISS, 0);
    for (space, value) in spaces.iter().zip(0..) {
        if space.name == domain {
            return value;
        }
        let below = domain.strip_suffix(&*space.name).is_some_and(|rest| rest.ends_with('.'));
        if space.wildcard && below && space.name.len() > best.1 {
            best = (value, space.name.len());
        }
    }
    best.0
}

/// A HashMap as the standard library makes it, for those who take nothing else.
pub(crate) fn walk_std(spaces: &[Space]) -> HashMap<Box<str>, (u32, u32)> {
    let mut map: HashMap<Box<str>, (u32, u32)> = HashMap::with_capacity(spaces.len());
    for (space, value) in spaces.iter().zip(0..) {
        let (exact, wildcard) = map.entry(space.name.as_str().into()).or_insert((MISS, MISS));
        *(if space.wildcard { wildcard } else { exact }) = value;
    }
    map
}

pub(crate) fn ask_walk_std(walk: &HashMap<Box<str>, (u32, u32)>, domain: &str) -> u32 {
    if let Some((exact, wildcard)) = walk.get(domain) {
        return if *exact == MISS { *wildcard } else { *exact };
    }
    let mut rest = domain;
    while let Some((_, suffix)) = rest.split_once('.') {
        rest = suffix;
        if let Some((_, wildcard)) = walk.get(rest)
            && *wildcard != MISS
        {
            return *wildcard;
        }
    }
    MISS
}
