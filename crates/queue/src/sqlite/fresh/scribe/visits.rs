//! Visits among the processes that have a store open: whoever comes wants to see all mail in the database, and whoever has the log
//! moves it there, and says so.

use std::sync::atomic::Ordering;

use super::{Letter, Scribe, clock, transfer};
use crate::error::QueueError;

/// How far it is with a visit of ours, where we could not take up what was left in the log.
#[derive(Clone, Copy)]
pub(super) enum Visit {
    No,
    OnTheWay,
    /// It has this number, and is not answered yet.
    Came(i64),
}

impl Scribe {
    /// Whoever had the log may have left, or what lies there may move by now.
    pub(super) fn take_if_wanted(&mut self) {
        let is_left = self.shelf.is_taken_up().is_err();
        let is_wanted = self.wanted.load(Ordering::Acquire) || is_left;
        if is_wanted && self.patience.is_over(clock()) {
            // Where it cannot be seen, the next look may.
            let looked = self.take_if_it_is_free();
            if looked.is_ok() && is_left && !self.taking {
                self.ask_whoever_has_it();
            }
        }
    }

    /// He has taken up what was left, once he has moved what lay there when we came.
    fn ask_whoever_has_it(&mut self) {
        match self.visit {
            Visit::No => {
                self.visit = Visit::OnTheWay;
                let letters = self.letters.clone();
                let then = move |came| drop(letters.send(Letter::Came(came)));
                transfer::visit(&self.writer, Box::new(then));
            }
            Visit::Came(_) if self.shelf.take_visited() => self.look_for_visits(),
            Visit::OnTheWay | Visit::Came(_) => {}
        }
    }

    pub(super) fn came(&mut self, came: Result<i64, QueueError>) {
        match came {
            // It was made while somebody else had the log.
            _ if !matches!(self.visit, Visit::OnTheWay) => {}
            Ok(number) => {
                self.visit = Visit::Came(number);
                // He may have answered already.
                self.shelf.visited();
            }
            Err(_) => {
                self.visit = Visit::No;
                self.patience.failed(clock());
            }
        }
    }

    pub(super) fn look_for_visits(&self) {
        let letters = self.letters.clone();
        let then = move |visits| drop(letters.send(Letter::Visits(visits)));
        transfer::look_for_visits(&self.writer, Box::new(then));
    }

    /// How many came, and to how many that was said.
    pub(super) fn counted(&mut self, counted: Result<(i64, i64), QueueError>) {
        match (counted, self.visit) {
            (Ok((visits, answered)), _) if self.ours.is_some() && visits > answered => {
                transfer::answer_visits(&self.shelf, &self.writer, visits);
            }
            (Ok((_, answered)), Visit::Came(visit)) if !self.taking && answered >= visit => {
                self.visit = Visit::No;
                self.shelf.recovery.ends(Ok(()));
            }
            (Err(_), Visit::Came(_)) => {
                self.patience.failed(clock());
                self.shelf.visited();
            }
            _ => {}
        }
    }
}
