//! How closely an address space fits an address.

/// How closely an address space fits an address: the greater, the closer.
///
/// A total order, meaningful between spaces that match one address:
///
/// | | SMTP | X400 | other types |
/// |---|---|---|---|
/// | greatest | the domain itself | | the whole text, no wildcard |
/// | then | `*.suffix`, more labels first | more attributes first, then a named ADMD before `a=*`, then the deeper last attribute | longer text before the first `*`, then more text in all |
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

    pub(crate) const fn partial(first: u32, second: u32) -> Self {
        Self { rank: 1, first, second }
    }
}
