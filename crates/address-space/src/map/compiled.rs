//! The map itself: sends each space, and each address, to the index of its type.

use std::fmt;

use crate::address::Address;
use crate::map::other::OtherIndex;
use crate::map::run::Cursor;
use crate::map::smtp::SmtpIndex;
use crate::map::x400::X400Index;
use crate::space::{AddressSpace, Pattern};
use crate::specificity::Specificity;

/// Many address spaces, each with a value, compiled into one look-up that yields the closest first.
///
/// Immutable, and `Send + Sync` if its values are. A look-up allocates nothing and finds one match at a time: an SMTP
/// address costs one probe if its domain is named, or else one for each length of suffix that some space has.
/// Several values may stand behind one space; they come in the order in which they were put in. Spaces of equal
/// [`Specificity`] that are not the same space come in no promised order: there, cost decides.
///
/// To change it, [build another](AddressSpaceMap::rebuilt). With the feature `serde` it is a list of pairs of space and
/// value. Its places are 32 bits wide: four thousand million spaces, or 4 GiB of their names, are more than it can find.
#[derive(Clone)]
pub struct AddressSpaceMap<T> {
    smtp: SmtpIndex<T>,
    x400: X400Index<T>,
    other: OtherIndex<T>,
    /// The spaces with wildcards of Exchange 5.5, closest first; tried one by one.
    wildcards: Box<[(Specificity, AddressSpace, T)]>,
}

impl<T> AddressSpaceMap<T> {
    /// The values whose spaces cover the address, closest first.
    #[inline]
    pub fn matches<'a>(&'a self, address: &'a Address) -> Matches<'a, T> {
        let mut cursor = Cursor::default();
        if let Address::Smtp(mailbox) = address {
            cursor.run.start = self.smtp.first(mailbox.domain());
        }
        Matches { map: self, address, cursor, wildcards: 0, held: None }
    }

    /// The map of those spaces that `keeps` keeps, and of others behind them.
    ///
    /// ```
    /// # use postroad_address_space::{AddressSpace, AddressSpaceMap, ParseError};
    /// let routes: AddressSpaceMap<u8> = [("contoso.com".parse()?, 1), ("*".parse()?, 2)].into_iter().collect();
    /// let changed = routes.rebuilt(|space, _| space.to_string() != "SMTP:*;1", [("*.org".parse()?, 3)]);
    /// let texts: Vec<String> = changed.iter().map(|(space, value)| format!("{space} {value}")).collect();
    /// assert_eq!(texts, ["SMTP:contoso.com;1 1", "SMTP:*.org;1 3"]);
    /// # Ok::<(), ParseError>(())
    /// ```
    #[must_use]
    pub fn rebuilt(
        &self,
        mut keeps: impl FnMut(&AddressSpace, &T) -> bool,
        others: impl IntoIterator<Item = (AddressSpace, T)>,
    ) -> Self
    where
        T: Clone,
    {
        let kept = self.iter().filter(|(space, value)| keeps(space, value));
        kept.map(|(space, value)| (space, value.clone())).chain(others).collect()
    }

    /// Every space, put together again, with its value: SMTP first, then X400, then the others, then those with
    /// wildcards of Exchange 5.5; the values of one domain side by side, otherwise in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (AddressSpace, &T)> {
        let wildcards = self.wildcards.iter().map(|(_, space, value)| (space.clone(), value));
        self.smtp.iter().chain(self.x400.iter()).chain(self.other.iter()).chain(wildcards)
    }

    /// How many spaces there are.
    pub fn len(&self) -> usize {
        self.smtp.len() + self.x400.len() + self.other.len() + self.wildcards.len()
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
        let spaces = spaces.into_iter();
        let mut smtp = Vec::with_capacity(spaces.size_hint().0);
        let (mut x400, mut other, mut wildcards) = (Vec::new(), Vec::new(), Vec::new());
        for (space, value) in spaces {
            if let Some(specificity) = space.wildcard_specificity() {
                wildcards.push((specificity, space, value));
                continue;
            }
            let cost = space.cost();
            match space.into_pattern() {
                Pattern::Smtp(pattern) => smtp.push((pattern, cost, Some(value))),
                Pattern::X400(pattern) => x400.push((pattern, cost, value)),
                Pattern::Other { address_type, glob } => other.push((address_type, glob, cost, value)),
                Pattern::SmtpWildcards(_) => {}
            }
        }
        wildcards.sort_by_key(|(specificity, ..)| std::cmp::Reverse(*specificity));
        Self {
            smtp: SmtpIndex::build(smtp),
            x400: X400Index::build(x400),
            other: OtherIndex::build(other),
            wildcards: wildcards.into(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for AddressSpaceMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// What [`AddressSpaceMap::matches`] finds, one at a time.
#[must_use = "finds nothing until it is asked for the next match"]
pub struct Matches<'a, T> {
    map: &'a AddressSpaceMap<T>,
    address: &'a Address,
    cursor: Cursor,
    /// How many of the spaces with wildcards of Exchange 5.5 were tried.
    wildcards: usize,
    /// Found by the index, and not as close as what was found among those.
    held: Option<(Specificity, &'a T)>,
}

impl<'a, T> Iterator for Matches<'a, T> {
    type Item = (Specificity, &'a T);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.map.wildcards.is_empty() { self.indexed() } else { self.merged() }
    }
}

impl<'a, T> Matches<'a, T> {
    #[inline]
    fn indexed(&mut self) -> Option<(Specificity, &'a T)> {
        match self.address {
            Address::Smtp(_) => self.map.smtp.next(&mut self.cursor.run.start),
            Address::X400(address) => self.map.x400.next(address, &mut self.cursor),
            Address::Other(other) => self.map.other.next(other, &mut self.cursor),
        }
    }

    /// The closer of what the index finds and of what is found among the wildcards.
    #[cold]
    fn merged(&mut self) -> Option<(Specificity, &'a T)> {
        let indexed = self.held.take().or_else(|| self.indexed());
        while let Some((specificity, space, value)) = self.map.wildcards.get(self.wildcards) {
            if indexed.is_some_and(|(indexed, _)| indexed >= *specificity) {
                break;
            }
            self.wildcards += 1;
            if space.matches(self.address).is_some() {
                self.held = indexed;
                return Some((*specificity, value));
            }
        }
        indexed
    }
}

impl<T> Clone for Matches<'_, T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T> std::iter::FusedIterator for Matches<'_, T> {}

impl<T> fmt::Debug for Matches<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Matches { .. }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_may_share_a_map_of_what_threads_may_share() {
        fn is_shared<T: Send + Sync + 'static>() {}
        is_shared::<AddressSpaceMap<String>>();
        is_shared::<Matches<'static, String>>();
        is_shared::<Address>();
        is_shared::<AddressSpace>();
    }
}
