//! Back-pressure: the doors close while the queue's disk is nearly full, before anything is lost, and open again by themselves.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use postroad_message::Timestamp;

use crate::pipeline::Shared;
use crate::world::World;

/// How long one look at the disk counts.
const LOOK: Duration = Duration::from_secs(1);

/// What the last look at the disk showed.
#[derive(Debug, Default)]
pub(crate) struct Pressure(Mutex<Seen>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    at: Option<Timestamp>,
    /// `None`: nobody can tell, so the store's own word counts.
    free: Option<u64>,
    short: bool,
}

impl Shared {
    /// Whether the doors are to refuse a message of `size` bytes for now.
    pub(crate) fn is_short_of_room(&self, size: u64) -> bool {
        let settings = &self.in_force().settings;
        match &settings.queue_folder {
            Some(folder) => self.pressure.judge(&*self.world, folder, settings.minimum_free_space, size),
            None => false,
        }
    }
}

impl Pressure {
    fn judge(&self, world: &dyn World, folder: &Path, minimum: u64, size: u64) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = world.now();
        // A clock that went back is no reason to believe an old look.
        let fresh = seen.at.is_some_and(|at| at <= now && now < at.after(LOOK));
        if !fresh {
            *seen = seen.look(now, world.free_space(folder), minimum);
        }
        seen.short || seen.free.is_some_and(|free| free < minimum.saturating_add(size))
    }
}

impl Seen {
    fn look(self, at: Timestamp, free: Option<u64>, minimum: u64) -> Self {
        let short = free.is_some_and(|free| is_short(self.short, free, minimum));
        match (self.short, short) {
            (false, true) => {
                tracing::error!(free, minimum, "the queue's disk is nearly full: nothing more is taken in");
            }
            (true, false) => tracing::info!(free, minimum, "the queue's disk has room again"),
            _ => {}
        }
        Self { at: Some(at), free, short }
    }
}

/// Once short, a tenth more has to be free before the doors open: they do not flap with every message that leaves.
fn is_short(before: bool, free: u64, minimum: u64) -> bool {
    let floor = if before { minimum.saturating_add(minimum / 10) } else { minimum };
    free < floor
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Disk {
        now: AtomicU64,
        free: AtomicU64,
    }

    impl World for Disk {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_millis(self.now.load(Ordering::Relaxed).cast_signed())
        }

        fn random(&self) -> u128 {
            0
        }

        fn free_space(&self, _: &Path) -> Option<u64> {
            Some(self.free.load(Ordering::Relaxed)).filter(|free| *free < u64::MAX)
        }
    }

    #[test]
    fn the_doors_close_below_the_floor_and_open_a_tenth_above_it() {
        let pressure = Pressure::default();
        let disk = Disk { now: AtomicU64::new(0), free: AtomicU64::new(0) };
        // (milliseconds, bytes free, size asked for, short)
        for (now, free, size, short) in [
            (0, 1000, 0, false),
            (999, 10, 0, false),
            (1_000, 999, 0, true),
            (2_000, 1_099, 0, true),
            (3_000, 1_100, 0, false),
            (4_000, 1_050, 50, false),
            (4_000, 1_050, 51, true),
            (4_000, 1_050, u64::MAX, true),
            (5_000, 0, 0, true),
            (4_000, 2_000, 0, false),
            (6_000, u64::MAX, 0, false),
        ] {
            disk.now.store(now, Ordering::Relaxed);
            disk.free.store(free, Ordering::Relaxed);
            let judged = pressure.judge(&disk, Path::new("/"), 1_000, size);
            assert_eq!(judged, short, "{now} ms, {free} free, {size} asked for");
        }
    }
}
