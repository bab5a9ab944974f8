//! The map itself: sends each space, and each address, to the index of its type.

use std::fmt;

use crate::address::Address;
use crate::map::other::{OtherIndex, OtherMatches};
use crate::map::smtp::{SmtpIndex, SmtpMatches};
use crate::map::x400::{X400Index, X400Matches};
use crate::space::{AddressSpace, Pattern};
use crate::specificity::Specificity;

/// Many address spaces, each with a value, compiled into one look-up that yields the closest first.
///
/// Immutable, and `Send + Sync` if its values are. A look-up allocates nothing and finds one match at a time: an SMTP
/// address costs one probe if its domain is named, or else one for each length of suffix that some space has.
/// Several values may stand behind one space; they come in the order in which they were put in. Spaces of equal
/// [`Specificity`] that are not the same space come in no promised order: there, cost decides.
///
/// To change it, build another: `map.iter().map(|(space, value)| (space, *value)).chain(more).collect()`.
#[derive(Clone)]
pub struct AddressSpaceMap<T> {
    smtp: SmtpIndex<T>,
    x400: X400Index<T>,
    other: OtherIndex<T>,
}

impl<T> AddressSpaceMap<T> {
    /// The values whose spaces cover the address, closest first.
    pub fn matches<'a>(&'a self, address: &'a Address) -> Matches<'a, T> {
        Matches(match address {
            Address::Smtp(mailbox) => State::Smtp(self.smtp.matches(mailbox.domain())),
            Address::X400(address) => State::X400(self.x400.matches(address)),
            Address::Other(other) => State::Other(self.other.matches(other)),
        })
    }

    /// Every space, put together again, with its value: SMTP first, then X400, then the others, the values of one
    /// domain side by side.
    pub fn iter(&self) -> impl Iterator<Item = (AddressSpace, &T)> {
        self.smtp.iter().chain(self.x400.iter()).chain(self.other.iter())
    }

    /// How many spaces there are.
    pub fn len(&self) -> usize {
        self.smtp.len() + self.x400.len() + self.other.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Default for AddressSpaceMap<T> {
    fn default() -> Self {
        std::iter::empty().collect()
    }
}

impl<T> FromIterator<(AddressSpace, T)> for AddressSpaceMap<T> {
    fn from_iter<I: IntoIterator<Item = (AddressSpace, T)>>(spaces: I) -> Self {
        let (mut smtp, mut x400, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for (space, value) in spaces {
            let cost = space.cost();
            match space.into_pattern() {
                Pattern::Smtp(pattern) => smtp.push((pattern, cost, value)),
                Pattern::X400(pattern) => x400.push((pattern, cost, value)),
                Pattern::Other { address_type, glob } => other.push((address_type, glob, cost, value)),
            }
        }
        Self { smtp: SmtpIndex::build(smtp), x400: X400Index::build(x400), other: OtherIndex::build(other) }
    }
}

impl<T: fmt::Debug> fmt::Debug for AddressSpaceMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// What [`AddressSpaceMap::matches`] finds, one at a time.
#[derive(Clone)]
#[must_use = "finds nothing until it is asked for the next match"]
pub struct Matches<'a, T>(State<'a, T>);

#[derive(Clone)]
enum State<'a, T> {
    Smtp(SmtpMatches<'a, T>),
    X400(X400Matches<'a, T>),
    Other(OtherMatches<'a, T>),
}

impl<'a, T> Iterator for Matches<'a, T> {
    type Item = (Specificity, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            State::Smtp(matches) => matches.next(),
            State::X400(matches) => matches.next(),
            State::Other(matches) => matches.next(),
        }
    }
}

impl<T> std::iter::FusedIterator for Matches<'_, T> {}

impl<T> fmt::Debug for Matches<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Matches { .. }")
    }
}
