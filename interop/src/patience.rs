//! How long a test waits for another process, and how it asks again in the meantime.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a loaded two-core machine; a test that waits this long has failed.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Between two looks at something that cannot call us: a directory, a port, a process.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Looks until `look` finds something, and panics after [`LONGEST`] naming `what` was missed.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(LONGEST, look).unwrap_or_else(|| panic!("waited {LONGEST:?} in vain for {what}"))
}

/// Looks until `look` finds something or `longest` has passed.
#[expect(clippy::disallowed_methods, reason = "other processes live by the clock")]
pub fn within<T>(longest: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        // The last look comes after the time, however long the one before it took.
        let late = start.elapsed() >= longest;
        match look() {
            None if !late => thread::sleep(BETWEEN_LOOKS),
            found => return found,
        }
    }
}
