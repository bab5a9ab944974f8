//! Many address spaces in one look-up.

use crate::address::Address;
use crate::space::AddressSpace;
use crate::specificity::Specificity;

/// Many address spaces, each with a value, in one look-up that yields the closest first.
///
/// Spaces that fit equally closely come in the order in which they were put in.
#[derive(Clone, Debug)]
pub struct AddressSpaceMap<T> {
    entries: Vec<(AddressSpace, T)>,
}

impl<T> AddressSpaceMap<T> {
    /// The values whose spaces cover the address, closest first.
    pub fn matches<'a>(&'a self, address: &'a Address) -> impl Iterator<Item = (Specificity, &'a T)> {
        let mut found: Vec<_> =
            self.entries.iter().filter_map(|(space, value)| Some((space.matches(address)?, value))).collect();
        found.sort_by_key(|(specificity, _)| std::cmp::Reverse(*specificity));
        found.into_iter()
    }

    /// Every space and its value, in the order in which they were put in.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&AddressSpace, &T)> {
        self.entries.iter().map(|(space, value)| (space, value))
    }

    /// How many spaces there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T> FromIterator<(AddressSpace, T)> for AddressSpaceMap<T> {
    fn from_iter<I: IntoIterator<Item = (AddressSpace, T)>>(spaces: I) -> Self {
        Self { entries: spaces.into_iter().collect() }
    }
}
