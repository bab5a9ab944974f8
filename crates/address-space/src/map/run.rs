//! Values that stand side by side because an address finds all of them or none.

/// Some consecutive entries of an index.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Run {
    pub(super) fn of<E>(self, entries: &[E]) -> &[E] {
        entries.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// The index of an entry. More than four thousand million spaces do not fit in memory.
pub(super) fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// How far a look-up has come: three numbers for every index, so that it stays in registers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    /// What remains of the entries that were found last; for SMTP, `start` alone is the next one.
    pub(super) run: Run,
    /// How many of the index's probes were made.
    pub(super) probes: u32,
}

impl Cursor {
    /// The place of the next entry that was found already.
    pub(super) fn next(&mut self) -> Option<usize> {
        let at = self.run.start;
        if at >= self.run.end {
            return None;
        }
        self.run.start += 1;
        Some(at as usize)
    }

    /// The place in the list of probes of the one that comes next.
    pub(super) fn probe(&mut self) -> usize {
        self.probes += 1;
        self.probes as usize - 1
    }
}
