//! The hash by which names and values are looked up.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

/// Keys come from the configuration, never from a stranger, so that a fixed seed invites no collisions.
const STATE: FixedState = FixedState::with_seed(0x706f_7374_726f_6164);

/// Good in every bit.
#[inline]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = STATE.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}
