//! How far long work has come: one line on a terminal, nothing anywhere else.

use std::io::{IsTerminal as _, Write as _, stderr};

/// Cells of the bar.
const WIDTH: u64 = 30;

/// A line on standard error, in the place of the one before. Wiped when dropped.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    /// The last permille drawn: a terminal need not be written to for each of a million.
    last: Option<u64>,
    drawn: bool,
}

impl Progress {
    /// Shown where standard error is a terminal.
    pub fn on_terminal() -> Self {
        Self { shown: stderr().is_terminal(), last: None, drawn: false }
    }

    /// Never shown.
    pub fn silent() -> Self {
        Self { shown: false, last: None, drawn: false }
    }

    /// So many of so many are done.
    pub fn at(&mut self, done: u64, total: u64) {
        let permille = done.saturating_mul(1_000) / total.max(1);
        if self.last.replace(permille) != Some(permille) {
            let full = permille * WIDTH / 1_000;
            let cells: String = (0..WIDTH).map(|cell| if cell < full { '#' } else { '.' }).collect();
            self.say(&format!("[{cells}] {done} of {total}"));
        }
    }

    /// These words.
    pub fn say(&mut self, words: &str) {
        if self.shown {
            let words: String = words.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            // A terminal that went away is no reason to stop.
            let _ = write!(stderr(), "\r\x1b[K{words}").and_then(|()| stderr().flush());
            self.drawn = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(stderr(), "\r\x1b[K").and_then(|()| stderr().flush());
        }
    }
}
