//! Times contestants against the first of them, turn by turn, so that what disturbs one disturbs the other.
//!
//! The clock is the thread's own: what others take of the processor's time does not count, what they take of its caches
//! does.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Runs once over its questions and answers how many they were.
pub(crate) struct Contestant<'a> {
    pub(crate) name: &'a str,
    pub(crate) run: Box<dyn FnMut() -> usize + 'a>,
}

impl<'a> Contestant<'a> {
    pub(crate) fn new(name: &'a str, run: impl FnMut() -> usize + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// Nanoseconds for one question, over at least so long.
    fn time(&mut self, least: Duration) -> f64 {
        let (start, mut done) = (now(), 0);
        loop {
            done += (self.run)();
            let elapsed = now().saturating_sub(start);
            if elapsed >= least {
                return elapsed.as_nanos() as f64 / done as f64;
            }
        }
    }
}

/// How long a contest lasts.
#[derive(Clone, Copy)]
pub(crate) struct Length {
    pub(crate) rounds: usize,
    pub(crate) turn: Duration,
}

/// What one contestant showed.
pub(crate) struct Score {
    pub(crate) name: String,
    /// Nanoseconds in its best round, in which it was least disturbed.
    pub(crate) best: f64,
    pub(crate) median: f64,
    /// Of the ratios to the floor just before it, a quarter, half and three quarters of the way.
    pub(crate) ratio: [f64; 3],
}

/// Every contestant has its turn in each round, right behind a turn of the first one, the floor.
pub(crate) fn contest(contestants: &mut [Contestant<'_>], length: Length) -> Vec<Score> {
    let mut times = vec![Vec::new(); contestants.len()];
    let mut ratios = vec![Vec::new(); contestants.len()];
    for _ in 0..length.rounds {
        for index in 0..contestants.len() {
            // Once to fetch into the cache what its predecessor drove out of it.
            (contestants[0].run)();
            let floor = contestants[0].time(length.turn);
            if index == 0 {
                times[0].push(floor);
                ratios[0].push(1.0);
                continue;
            }
            (contestants[index].run)();
            let time = contestants[index].time(length.turn);
            times[index].push(time);
            ratios[index].push(time / floor);
        }
    }
    let scores = contestants.iter().zip(times).zip(ratios);
    scores
        .map(|((contestant, mut times), mut ratios)| {
            times.sort_by(f64::total_cmp);
            ratios.sort_by(f64::total_cmp);
            Score {
                name: contestant.name.into(),
                best: times[0],
                median: times[times.len() / 2],
                ratio: [1, 2, 3].map(|quarter| ratios[(ratios.len() - 1) * quarter / 4]),
            }
        })
        .collect()
}

/// Nanoseconds of one run.
pub(crate) fn once<R>(run: impl FnOnce() -> R) -> (f64, R) {
    let start = now();
    let result = run();
    (now().saturating_sub(start).as_nanos() as f64, result)
}

fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
