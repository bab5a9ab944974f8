//! The whole life of many messages, with a crash at every step; and the life that begins with what one of them left.

use super::disk::{self, Disk, Loss};
use super::life;
use super::promises::Promises;
use super::record::{self, record};
use super::states::{Tried, try_all};
use super::trace::Step;
use crate::dice::Dice;

const TEST: &str = "crash_states::every_step::at_every_step_of_a_run_a_crash_loses_nothing_that_was_promised";
/// `.ci/long` asks for a million.
const STATES: &str = "POSTROAD_CRASH_STATES";
/// Which life is the first: two processes that share the work try others.
const FROM: &str = "POSTROAD_CRASH_STATES_FROM";
/// Of one recording; then comes the next, of other messages.
const EACH: usize = 10_000;

#[test]
#[ignore = "needs strace; .ci/run runs it"]
fn at_every_step_of_a_run_a_crash_loses_nothing_that_was_promised() {
    if let Some((path, number)) = record::child() {
        return record::runtime().block_on(life::live(&path, number));
    }
    let asked = |name| std::env::var(name).ok().and_then(|count| count.parse().ok());
    let (wanted, from) = (asked(STATES).unwrap_or(10_000), asked(FROM).unwrap_or(0));
    let mut tried = Tried::default();
    let (mut lives, mut found, mut known) = (from, disk::Files::new(), Promises::default());
    while tried.states < wanted || lives < from + 2 {
        // Every second life begins with what a crash left of the one before.
        if (lives - from) % 2 == 0 {
            (found, known) = (disk::Files::new(), Promises::default());
        }
        let folder = tempfile::tempdir_in(disk::memory()).expect("a folder");
        disk::lay_out(&found, folder.path());
        let steps = record(folder.path(), TEST, lives, &[]);
        let syncs = steps.iter().filter(|step| matches!(step, Step::Sync { .. })).count();
        assert!(steps.len() > 500 && syncs > life::MESSAGES, "{} steps, {syncs} syncs", steps.len());

        let share = wanted.saturating_sub(tried.states).min(EACH);
        let share = if lives == from { share.div_ceil(2) } else { share };
        let before = tried;
        tried += try_all(Disk::holding(&found), &known, (&steps, 0), share, lives);
        assert!(tried.states > before.states, "nothing is tried any more");
        (found, known) = somewhere(Disk::holding(&found), known, &steps, lives);
        lives += 1;
        println!("life {lives}, {} steps: {tried}, lost 0, corrupt 0", steps.len());
    }
}

/// What a crash left in the second half of a run.
fn somewhere(mut disk: Disk, mut promises: Promises, steps: &[Step], life: usize) -> (disk::Files, Promises) {
    let mut dice = Dice(life as u64);
    let half = steps.len() / 2;
    for step in &steps[..half + dice.below(half)] {
        disk.apply(step);
        promises.hear(step);
    }
    (disk.after_a_crash(Loss::Any, &mut dice), promises)
}
