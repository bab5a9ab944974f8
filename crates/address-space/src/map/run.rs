//! Values that stand side by side because an address finds all of them or none.

use crate::specificity::Specificity;

/// Some consecutive entries of an index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Run {
    pub(super) const EMPTY: Self = Self { start: 0, end: 0 };

    pub(super) fn of<E>(self, entries: &[E]) -> &[E] {
        entries.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// The index of an entry. More than four thousand million spaces do not fit in memory.
pub(super) fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Goes through a run of values that fit equally closely.
#[derive(Debug)]
pub(super) struct RunMatches<'a, E> {
    pub(super) entries: std::slice::Iter<'a, E>,
    pub(super) specificity: Specificity,
}

impl<E> Clone for RunMatches<'_, E> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), specificity: self.specificity }
    }
}
