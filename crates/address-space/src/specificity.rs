//! How closely an address space fits an address.

/// How closely an address space fits an address: the greater, the closer.
///
/// A total order, meaningful between spaces that match one address:
///
/// | | SMTP | X400 | other types |
/// |---|---|---|---|
/// | greatest | the domain itself | | the whole text, no wildcard |
/// | then | `*.suffix`, more labels first | more attributes first, then a named ADMD before `a=*`, then the deeper last attribute | longer text before the first `*`, then more text in all |
/// | between (5.5's wildcards) | as `*.suffix` with the whole labels at the end, then more characters | whole values first, then more characters | |
/// | least | `*` | `X400:*` | `*` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specificity {
    rank: u8,
    first: u32,
    second: u32,
}

impl Specificity {
    /// The fit of `*`, the least of all.
    pub const CATCH_ALL: Self = Self { rank: 0, first: 0, second: 0 };
    /// The fit of a space that names this address's domain, or the address itself: the greatest of all.
    pub const EXACT: Self = Self { rank: 2, first: 0, second: 0 };

    /// The same with values of which only so many characters are named: closer than without, not as close as with one
    /// more whole value.
    pub(crate) fn with_partial_values(self, characters: u32) -> Self {
        Self { second: self.second.saturating_add(characters.saturating_add(1).saturating_mul(256)), ..self }
    }

    pub(crate) const fn partial(first: u32, second: u32) -> Self {
        Self { rank: 1, first, second }
    }
}
