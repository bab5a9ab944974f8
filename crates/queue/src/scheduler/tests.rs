//! The scheduler's turns, holds and limits, and the same rules by linear search.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn hop(name: &str) -> NextHop {
    NextHop::new("Internet", name)
}

fn limits(total: usize, per_next_hop: usize) -> Concurrency {
    let of = |n| NonZeroUsize::new(n).expect("not zero");
    Concurrency { total: of(total), per_next_hop: of(per_next_hop) }
}

fn scheduler(total: usize, per_next_hop: usize) -> Scheduler {
    Scheduler::new(limits(total, per_next_hop), RetrySchedule::IisIntervals(vec![Duration::from_millis(100)]))
}

/// Takes slots until there are none, each with more mail left behind it.
fn take_all(scheduler: &mut Scheduler, now: i64) -> Vec<Slot> {
    std::iter::from_fn(|| scheduler.next(at(now))).collect()
}

fn names(slots: &[Slot]) -> Vec<&str> {
    slots.iter().map(|slot| slot.next_hop().destination.as_ref()).collect()
}

#[test]
fn next_hops_take_turns_however_much_mail_one_has() {
    let mut scheduler = scheduler(6, 20);
    for name in ["a", "b", "c"] {
        scheduler.offer(&hop(name), at(0));
    }
    let slots = take_all(&mut scheduler, 0);
    assert_eq!(names(&slots), ["a", "b", "c", "a", "b", "c"]);
    assert_eq!(scheduler.wake_at(), None, "every slot is in use");
}

#[test]
fn one_next_hop_gets_no_more_than_its_share() {
    let mut scheduler = scheduler(100, 2);
    scheduler.offer(&hop("a"), at(0));
    let mut slots = take_all(&mut scheduler, 0);
    assert_eq!(slots.len(), 2);
    let slot = slots.pop().expect("two");
    scheduler.finished(slot, Contact::Reached, at(0), 0);
    assert_eq!(names(&take_all(&mut scheduler, 0)), ["a"]);
}

#[test]
fn a_next_hop_with_a_limit_of_its_own_keeps_to_that() {
    let mut scheduler = scheduler(100, 20);
    let own = |most| NonZeroUsize::new(most).expect("not zero");
    for (name, most) in [("wide", 30), ("narrow", 5)] {
        scheduler.offer(&hop(name), at(0));
        scheduler.limit(&hop(name), own(most));
    }
    scheduler.offer(&hop("ordinary"), at(0));
    let slots = take_all(&mut scheduler, 0);
    let of = |name: &str| names(&slots).iter().filter(|slot| **slot == name).count();
    assert_eq!((of("wide"), of("narrow"), of("ordinary")), (30, 5, 20));
    // Without a word of its connector it is like the others.
    scheduler.reconfigure(limits(100, 20), RetrySchedule::IisIntervals(vec![]));
    assert_eq!(names(&take_all(&mut scheduler, 0)), ["narrow"; 15]);
}

#[test]
fn a_next_hop_that_is_down_holds_back_only_its_own_queue() {
    let mut scheduler = scheduler(100, 1);
    scheduler.offer(&hop("down"), at(0));
    scheduler.offer(&hop("up"), at(0));
    let mut slots = take_all(&mut scheduler, 0);
    assert_eq!(names(&slots), ["down", "up"]);
    let up = slots.pop().expect("two");
    let down = slots.pop().expect("two");
    assert_eq!(scheduler.finished(down, Contact::Failed, at(0), 0), Some(at(100)));
    scheduler.finished(up, Contact::Reached, at(0), 0);
    assert_eq!(names(&take_all(&mut scheduler, 50)), ["up"]);
    assert_eq!(scheduler.wake_at(), Some(at(100)));
    assert_eq!(names(&take_all(&mut scheduler, 100)), ["down"]);
}

#[test]
fn connections_that_fail_side_by_side_count_once_and_one_probe_follows() {
    let mut scheduler = scheduler(100, 5);
    scheduler.offer(&hop("a"), at(0));
    for slot in take_all(&mut scheduler, 0) {
        scheduler.finished(slot, Contact::Failed, at(0), 0);
    }
    assert_eq!(scheduler.standing(&hop("a")).map(|standing| standing.failures), Some(1));
    let mut probe = take_all(&mut scheduler, 100);
    assert_eq!(probe.len(), 1, "one connection finds out whether it is up again");
    scheduler.finished(probe.pop().expect("one"), Contact::Reached, at(100), 0);
    assert_eq!(take_all(&mut scheduler, 100).len(), 5);
}

#[test]
fn an_administrator_can_end_the_hold() {
    let mut scheduler = scheduler(100, 1);
    scheduler.offer(&hop("a"), at(0));
    let slot = scheduler.next(at(0)).expect("due");
    scheduler.finished(slot, Contact::Failed, at(0), 0);
    assert!(scheduler.next(at(1)).is_none());
    scheduler.retry_now(&hop("a"));
    assert!(scheduler.next(at(1)).is_some());
}

#[test]
fn an_empty_queue_is_forgotten_once_it_has_no_failure_to_remember() {
    let mut scheduler = scheduler(100, 1);
    for name in ["up", "down"] {
        scheduler.offer(&hop(name), at(0));
        let slot = scheduler.next(at(0)).expect("due");
        scheduler.claimed(&slot, None);
        let contact = if name == "up" { Contact::Reached } else { Contact::Failed };
        scheduler.finished(slot, contact, at(0), 0);
    }
    assert_eq!(scheduler.standing(&hop("up")), None);
    assert!(scheduler.standing(&hop("down")).is_some());
    scheduler.offer(&hop("down"), at(1));
    assert!(scheduler.next(at(1)).is_none(), "new mail does not end the hold");
    scheduler.offer(&hop("down"), at(100));
    let slot = scheduler.next(at(100)).expect("hold is over");
    scheduler.claimed(&slot, None);
    scheduler.finished(slot, Contact::Reached, at(100), 0);
    assert_eq!((scheduler.queues.len(), scheduler.ids.len()), (0, 0));
}

/// The same rules by linear search over a list, in the order in which next hops became known.
#[derive(Default)]
struct Naive {
    queues: Vec<NaiveQueue>,
    turn: u64,
}

struct NaiveQueue {
    name: u8,
    due: Option<i64>,
    in_use: usize,
    failures: u32,
    held_until: Option<i64>,
    epoch: u64,
    served: u64,
}

impl NaiveQueue {
    fn has_room(&self) -> bool {
        self.in_use < if self.failures > 0 { 1 } else { 2 }
    }

    fn wake(&self) -> Option<i64> {
        let due = self.due.filter(|_| self.has_room())?;
        Some(self.held_until.map_or(due, |until| until.max(due)))
    }
}

impl Naive {
    fn in_use(&self) -> usize {
        self.queues.iter().map(|queue| queue.in_use).sum()
    }

    fn of(&mut self, name: u8) -> &mut NaiveQueue {
        let index = self.queues.iter().position(|queue| queue.name == name).unwrap_or_else(|| {
            let served = self.turn;
            self.queues.push(NaiveQueue {
                name,
                due: None,
                in_use: 0,
                failures: 0,
                held_until: None,
                epoch: 0,
                served,
            });
            self.queues.len() - 1
        });
        &mut self.queues[index]
    }

    fn next(&mut self, now: i64) -> Option<(u8, u64)> {
        for queue in &mut self.queues {
            queue.held_until = queue.held_until.filter(|until| *until > now);
        }
        self.forget();
        if self.in_use() >= 4 {
            return None;
        }
        let turn = self.turn + 1;
        let queue = self
            .queues
            .iter_mut()
            .filter(|queue| queue.wake().is_some_and(|at| at <= now))
            .min_by_key(|queue| queue.served)?;
        self.turn = turn;
        queue.served = turn;
        queue.in_use += 1;
        Some((queue.name, queue.epoch))
    }

    fn finished(&mut self, name: u8, epoch: u64, contact: Contact, now: i64) {
        let queue = self.of(name);
        queue.in_use -= 1;
        queue.held_until = queue.held_until.filter(|until| *until > now);
        if contact == Contact::Reached {
            (queue.failures, queue.held_until) = (0, None);
        } else if contact == Contact::Failed && epoch == queue.epoch {
            queue.failures += 1;
            queue.epoch += 1;
            queue.held_until = Some(now + 100);
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.queues.retain(|queue| queue.due.is_some() || queue.in_use > 0 || queue.held_until.is_some());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Offer { name: u8, due: i64 },
    Next { then_due: Option<i64> },
    Finish { which: usize, contact: Contact },
    Wait { millis: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let contact = prop_oneof![Just(Contact::Reached), Just(Contact::Failed), Just(Contact::None)];
    prop_oneof![
        (0u8..6, 0i64..300).prop_map(|(name, due)| Step::Offer { name, due }),
        proptest::option::of(0i64..200).prop_map(|then_due| Step::Next { then_due }),
        (0usize..8, contact).prop_map(|(which, contact)| Step::Finish { which, contact }),
        (0i64..80).prop_map(|millis| Step::Wait { millis }),
    ]
}

proptest! {
    #[test]
    fn it_agrees_with_a_linear_search(steps in proptest::collection::vec(step(), 1..120)) {
        let mut naive = Naive::default();
        let mut scheduler = scheduler(4, 2);
        let mut running: Vec<(Slot, u8, u64)> = Vec::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Offer { name, due } => {
                    scheduler.offer(&hop(&name.to_string()), at(now + due));
                    let queue = naive.of(name);
                    queue.due = Some(queue.due.map_or(now + due, |known| known.min(now + due)));
                }
                Step::Next { then_due } => {
                    let expected = naive.next(now);
                    let slot = scheduler.next(at(now));
                    let got = slot.as_ref().map(|slot| slot.next_hop().destination.to_string());
                    prop_assert_eq!(got, expected.map(|(name, _)| name.to_string()));
                    if let (Some(slot), Some((name, epoch))) = (slot, expected) {
                        let due = then_due.map(|wait| now + wait);
                        scheduler.claimed(&slot, due.map(at));
                        naive.of(name).due = due;
                        running.push((slot, name, epoch));
                    }
                }
                Step::Finish { which, contact } if !running.is_empty() => {
                    let (slot, name, epoch) = running.swap_remove(which % running.len());
                    scheduler.finished(slot, contact, at(now), 0);
                    naive.finished(name, epoch, contact, now);
                }
                Step::Finish { .. } => {}
                Step::Wait { millis } => now += millis,
            }
            prop_assert_eq!(scheduler.in_use(), naive.in_use());
            // Whoever sleeps until wake_at misses nothing; a moment that has passed is as good as any other.
            let first = naive.queues.iter().filter_map(NaiveQueue::wake).min();
            if let (Some(first), true) = (first, naive.in_use() < 4) && scheduler.ready.is_empty() {
                prop_assert!(scheduler.wake_at().is_some_and(|wake| wake <= at(first.max(now))));
            }
        }
    }
}

#[test]
fn a_hold_that_ended_while_the_last_slot_was_out_is_remembered_no_longer() {
    let mut scheduler = scheduler(4, 2);
    scheduler.offer(&hop("slow"), at(0));
    let (first, second) = (scheduler.next(at(0)).expect("a slot"), scheduler.next(at(0)).expect("another"));
    scheduler.claimed(&second, None);
    scheduler.finished(first, Contact::Failed, at(0), 0);
    // Held for 100 ms; this one tells of the same outage, long after.
    scheduler.finished(second, Contact::Failed, at(1000), 0);
    assert_eq!(scheduler.standing(&hop("slow")), None);
}

#[test]
fn a_next_hop_that_fails_for_long_is_told_of_once_in_a_while() {
    let mut scheduler = scheduler(10, 1);
    let idle = Duration::from_millis(250);
    let mut told = Vec::new();
    for step in 0..8 {
        scheduler.offer(&hop("down"), at(0));
        let slot = scheduler.next(at(step * 100)).expect("a slot");
        // The hold of 100 ms ends with each step; on the last the host answers.
        let contact = if step < 7 { Contact::Failed } else { Contact::Reached };
        scheduler.finished(slot, contact, at(step * 100), 0);
        told.push(scheduler.take_idle(&hop("down"), idle, at(step * 100)));
    }
    assert_eq!(told, [false, false, false, true, false, false, true, false]);
    assert!(!scheduler.take_idle(&hop("unknown"), idle, at(0)));
}
