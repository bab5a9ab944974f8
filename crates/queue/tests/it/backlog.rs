//! A day's backlog on a pretend clock: a million deliveries over ten thousand next hops, some of them down.
//!
//! `POSTROAD_BACKLOG=10000000/100000` makes it ten million over a hundred thousand, as `.ci/long` does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use postroad_message::{NextHop, Timestamp};
use postroad_queue::{Concurrency, Contact, RetrySchedule, Scheduler, Slot};

const MINUTE: i64 = 60_000;
/// Deliveries that one slot takes, as the dispatcher's.
const BATCH: u32 = 8;
/// One next hop in so many is down for so long.
const DOWN: (usize, i64) = (20, 180 * MINUTE);
/// What a next hop that is down for three hours is tried: 4 times a minute apart, 6 times 5 minutes, then every 10.
const TRIES_WHILE_DOWN: u32 = 1 + 4 + 6 + 15;

/// The store's side: how much waits at each next hop.
struct Hop {
    name: NextHop,
    waiting: u32,
    in_use: usize,
    delivered: u32,
    failed: u32,
    /// Not to be reached before this.
    down_until: i64,
}

struct World {
    scheduler: Scheduler,
    hops: Vec<Hop>,
    /// Slots at work: when each ends, and where it stands in `slots`.
    ends: BinaryHeap<Reverse<(i64, usize)>>,
    slots: Vec<Option<(Slot, usize, u32)>>,
    free: Vec<usize>,
    random: u64,
    limits: Concurrency,
    delivered: u64,
    picks: u64,
}

#[test]
fn memory_grows_with_the_next_hops_and_every_one_of_them_gets_its_turn() {
    let (deliveries, hops) = size();
    let each = u32::try_from(deliveries / hops).expect("a small number for each");
    let limits = Concurrency::default();
    let mut world = World::new(hops, limits);
    let spent = allocation_counter::measure(|| {
        world.fill(each);
        world.run(u64::from(each) * hops as u64);
    });
    let most = spent.bytes_max;
    eprintln!(
        "{deliveries} deliveries, {hops} next hops: {} bytes for each next hop, {} slots, {} allocations for each",
        most / hops as u64,
        world.picks,
        spent.count_total / world.picks,
    );
    assert!(most <= 1024 * hops as u64, "{most} bytes for {hops} next hops");
    assert!(spent.bytes_current < 64 * 1024, "nothing is kept of what is gone: {}", spent.bytes_current);
    assert!(world.hops.iter().all(|hop| hop.delivered == each && hop.waiting == 0));
    let down = world.hops.iter().filter(|hop| hop.down_until > 0);
    for hop in down {
        assert!((1..=TRIES_WHILE_DOWN).contains(&hop.failed), "{} was tried {} times", hop.name, hop.failed);
    }
}

fn size() -> (usize, usize) {
    let wish = std::env::var("POSTROAD_BACKLOG").unwrap_or_else(|_| "1000000/10000".to_owned());
    let (deliveries, hops) = wish.split_once('/').expect("DELIVERIES/HOPS");
    (deliveries.parse().expect("a number"), hops.parse().expect("a number"))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

impl World {
    /// What the world itself keeps is allocated here, so that only the scheduler's memory is counted later.
    fn new(hops: usize, limits: Concurrency) -> Self {
        let hop = |number: usize| Hop {
            name: NextHop::new("Internet", format!("{number}.example")),
            waiting: 0,
            in_use: 0,
            delivered: 0,
            failed: 0,
            down_until: if number.is_multiple_of(DOWN.0) { DOWN.1 } else { 0 },
        };
        let total = limits.total.get();
        Self {
            scheduler: Scheduler::new(limits, RetrySchedule::default()),
            hops: (0..hops).map(hop).collect(),
            ends: BinaryHeap::with_capacity(total),
            slots: (0..total).map(|_| None).collect(),
            free: (0..total).collect(),
            random: 1,
            limits,
            delivered: 0,
            picks: 0,
        }
    }

    /// Every delivery is offered, one next hop after another, as mail comes in.
    fn fill(&mut self, each: u32) {
        for _ in 0..each {
            for hop in &mut self.hops {
                hop.waiting += 1;
                self.scheduler.offer(&hop.name, at(0));
            }
        }
    }

    fn run(&mut self, all: u64) {
        let mut now = 0;
        let mut fair = false;
        while self.delivered < all {
            while let Some(slot) = self.scheduler.next(at(now)) {
                self.begin(slot, now);
            }
            if !fair && self.delivered >= all / 2 {
                fair = true;
                self.assert_fair();
            }
            let end = self.ends.peek().map(|Reverse((end, _))| *end);
            let wake = self.scheduler.wake_at().map(Timestamp::as_unix_millis);
            now = now.max(end.into_iter().chain(wake).min().expect("something is still to come"));
            while self.ends.peek().is_some_and(|Reverse((end, _))| *end <= now) {
                let Some(Reverse((_, place))) = self.ends.pop() else { break };
                self.end(place, now);
            }
        }
        assert!(fair, "half of it was seen");
    }

    fn begin(&mut self, slot: Slot, now: i64) {
        self.picks += 1;
        let number: usize =
            slot.next_hop().destination.split('.').next().unwrap_or("").parse().expect("its number");
        let hop = &mut self.hops[number];
        let taken = hop.waiting.min(BATCH);
        hop.waiting -= taken;
        hop.in_use += 1;
        let most = if hop.failed > 0 && now < hop.down_until { 1 } else { self.limits.per_next_hop.get() };
        assert!(hop.in_use <= most, "{} has {} slots", hop.name, hop.in_use);
        self.scheduler.claimed(&slot, (hop.waiting > 0).then_some(at(0)));
        let place = self.free.pop().expect("no more slots than there are in all");
        self.slots[place] = Some((slot, number, taken));
        // A second and up to four more for a batch; a refused connection is quick.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let takes =
            if now < hop.down_until { 20 } else { 1_000 + i64::try_from(self.random >> 52).unwrap_or(0) };
        self.ends.push(Reverse((now + takes, place)));
    }

    fn end(&mut self, place: usize, now: i64) {
        let (slot, number, taken) = self.slots[place].take().expect("a slot at work");
        self.free.push(place);
        let hop = &mut self.hops[number];
        hop.in_use -= 1;
        let contact = if taken == 0 {
            Contact::None
        } else if now < hop.down_until {
            hop.waiting += taken;
            hop.failed += 1;
            self.scheduler.offer(&hop.name, at(now));
            Contact::Failed
        } else {
            hop.delivered += taken;
            self.delivered += u64::from(taken);
            Contact::Reached
        };
        self.scheduler.finished(slot, contact, at(now), self.random);
    }

    /// Those that can be reached had as many turns each, one more or less; none waits for those that are down.
    fn assert_fair(&self) {
        let turns = |hop: &Hop| hop.delivered / BATCH + u32::try_from(hop.in_use).unwrap_or(u32::MAX);
        let up = || self.hops.iter().filter(|hop| hop.down_until == 0).map(turns);
        let (least, most) = (up().min().unwrap_or(0), up().max().unwrap_or(0));
        assert!(most - least <= 1, "between {least} and {most} turns");
    }
}
