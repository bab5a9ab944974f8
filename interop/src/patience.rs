//! How long a test waits for another process, and how it asks again in the meantime.

use std::thread;
use std::time::Duration;

/// Long enough for a loaded two-core machine; a test that waits this long has failed.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Between two looks at something that cannot call us: a directory, a port, a process.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Looks until `look` finds something, and panics after [`LONGEST`] naming `what` was missed.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(LONGEST, look).unwrap_or_else(|| panic!("waited {LONGEST:?} in vain for {what}"))
}

/// Looks until `look` finds something or about `longest` has passed.
pub fn within<T>(longest: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let looks = longest.as_millis() / BETWEEN_LOOKS.as_millis();
    for _ in 0..looks {
        if let Some(found) = look() {
            return Some(found);
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    look()
}
