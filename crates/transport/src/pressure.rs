//! Back-pressure: the doors close while disk or memory is nearly full, before anything is lost, and open again by themselves.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use postroad_message::Timestamp;

use crate::pipeline::Shared;
use crate::settings::Settings;
use crate::world::World;

/// How long one look counts.
const LOOK: Duration = Duration::from_secs(1);

/// What the last look at the disk and the memory showed.
#[derive(Debug, Default)]
pub(crate) struct Pressure(Mutex<Seen>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    at: Option<Timestamp>,
    disk: Room,
    memory: Room,
}

#[derive(Clone, Copy, Debug, Default)]
struct Room {
    /// `None`: nobody can tell, so the store's own word counts.
    free: Option<u64>,
    short: bool,
}

/// What is to stay free.
struct Floors<'a> {
    folder: Option<&'a Path>,
    disk: u64,
    memory: u64,
}

impl Shared {
    /// Whether the doors are to refuse a message of `size` bytes for now.
    pub(crate) fn is_short_of_room(&self, size: u64) -> bool {
        let settings = &self.in_force().settings;
        self.pressure.judge(&*self.world, &Floors::of(settings), size)
    }

    /// How many bytes there are for content of which a part is here already: the doors keep so much free that it may use half of that.
    pub(crate) fn room_under_way(&self) -> u64 {
        let settings = &self.in_force().settings;
        self.pressure.under_way(&*self.world, &Floors::of(settings))
    }
}

impl<'a> Floors<'a> {
    fn of(settings: &'a Settings) -> Self {
        let (disk, memory) = (settings.minimum_free_space, settings.minimum_free_memory);
        Self { folder: settings.queue_folder.as_deref(), disk, memory }
    }
}

impl Pressure {
    fn judge(&self, world: &dyn World, floors: &Floors<'_>, size: u64) -> bool {
        let Seen { disk, memory, .. } = self.look(world, floors);
        disk.is_short_for(floors.disk, size) || memory.is_short_for(floors.memory, size)
    }

    fn under_way(&self, world: &dyn World, floors: &Floors<'_>) -> u64 {
        // Of the memory it has no more than a piece, whose refusal would give nothing back.
        let Seen { disk, .. } = self.look(world, floors);
        disk.free.map_or(u64::MAX, |free| free.saturating_sub(floors.disk / 2))
    }

    /// At most so old.
    fn look(&self, world: &dyn World, floors: &Floors<'_>) -> Seen {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = world.now();
        // A clock that went back is no reason to believe an old look.
        let fresh = seen.at.is_some_and(|at| at <= now && now < at.after(LOOK));
        if !fresh {
            let disk = floors.folder.and_then(|folder| world.free_space(folder));
            seen.disk = seen.disk.look("the queue's disk", "minimum_free_space", disk, floors.disk);
            seen.memory =
                seen.memory.look("the memory", "minimum_free_memory", world.free_memory(), floors.memory);
            seen.at = Some(now);
        }
        *seen
    }
}

impl Room {
    fn look(self, what: &str, parameter: &str, free: Option<u64>, minimum: u64) -> Self {
        let short = free.is_some_and(|free| is_short(self.short, free, minimum));
        match (self.short, short) {
            (false, true) => {
                tracing::error!(
                    free,
                    minimum,
                    "{what} is nearly full: nothing more is begun until a tenth more than {parameter} is free"
                )
            }
            (true, false) => tracing::info!(free, minimum, "{what} has room again"),
            _ => {}
        }
        Self { free, short }
    }

    fn is_short_for(self, minimum: u64, size: u64) -> bool {
        self.short || self.free.is_some_and(|free| free < minimum.saturating_add(size))
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

    struct Machine {
        now: AtomicU64,
        disk: AtomicU64,
        memory: AtomicU64,
    }

    /// `u64::MAX`: nobody can tell.
    fn told(room: &AtomicU64) -> Option<u64> {
        Some(room.load(Ordering::Relaxed)).filter(|free| *free < u64::MAX)
    }

    impl World for Machine {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_millis(self.now.load(Ordering::Relaxed).cast_signed())
        }

        fn random(&self) -> u128 {
            0
        }

        fn free_space(&self, _: &Path) -> Option<u64> {
            told(&self.disk)
        }

        fn free_memory(&self) -> Option<u64> {
            told(&self.memory)
        }
    }

    #[test]
    fn the_doors_close_below_the_floor_and_open_a_tenth_above_it() {
        let folder = Some(Path::new("/"));
        for memory_is_short in [false, true] {
            let pressure = Pressure::default();
            let machine = Machine { now: 0.into(), disk: u64::MAX.into(), memory: u64::MAX.into() };
            let (room, floors) = if memory_is_short {
                (&machine.memory, Floors { folder, disk: 0, memory: 1_000 })
            } else {
                (&machine.disk, Floors { folder, disk: 1_000, memory: 0 })
            };
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
                machine.now.store(now, Ordering::Relaxed);
                room.store(free, Ordering::Relaxed);
                let judged = pressure.judge(&machine, &floors, size);
                let case = format!("{now} ms, {free} free, {size} asked for, memory: {memory_is_short}");
                assert_eq!(judged, short, "{case}");
            }
        }
    }

    #[test]
    fn memory_is_looked_at_where_no_disk_is() {
        let machine = Machine { now: 0.into(), disk: 0.into(), memory: 999.into() };
        let floors = |memory| Floors { folder: None, disk: 1_000, memory };
        assert!(Pressure::default().judge(&machine, &floors(1_000), 0));
        assert!(!Pressure::default().judge(&machine, &floors(0), 0));
    }

    #[test]
    fn what_is_under_way_may_use_half_of_what_is_kept_free() {
        let floors = Floors { folder: Some(Path::new("/")), disk: 1_000, memory: 100 };
        for (disk, memory, room) in [
            (u64::MAX, u64::MAX, u64::MAX),
            (5_000, u64::MAX, 4_500),
            (900, 0, 400),
            (500, 1_000, 0),
            (0, 1_000, 0),
        ] {
            let machine = Machine { now: 0.into(), disk: disk.into(), memory: memory.into() };
            assert_eq!(Pressure::default().under_way(&machine, &floors), room, "{disk} {memory}");
        }
    }

    /// They take pieces as long as they may, each as much as all of them have is allowed to be.
    #[test]
    fn what_is_under_way_closes_no_door_while_half_as_much_again_as_the_floor_is_free() {
        let floors = Floors { folder: Some(Path::new("/")), disk: 1_000, memory: 0 };
        for (free, short) in [(1_000, true), (1_490, true), (1_500, false), (2_000, false), (100_000, false)]
        {
            let machine = Machine { now: 0.into(), disk: free.into(), memory: u64::MAX.into() };
            let mut unfinished = 0;
            // Every look a new one.
            while unfinished < Pressure::default().under_way(&machine, &floors) {
                unfinished += 1;
                machine.disk.fetch_sub(1, Ordering::Relaxed);
            }
            assert_eq!(
                Pressure::default().judge(&machine, &floors, 0),
                short,
                "{free}: {unfinished} are taken"
            );
        }
    }
}
