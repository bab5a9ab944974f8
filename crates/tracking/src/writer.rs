//! The thread that writes: takes rows as they come, says loudly what it cannot write, and never stops for it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use postroad_message::Timestamp;

use crate::folder::Folder;
use crate::rotation::{Rotation, Row};
use crate::waiting::Waiting;

/// What the thread is told.
pub(crate) enum Told {
    /// With whom it was said, where that counts.
    Row(Row, Option<IpAddr>),
    /// Answer when everything before this is written.
    Flush(SyncSender<()>),
}

/// Rows that are written in one piece.
const BATCH: usize = 256;
/// How often a fault that lasts is told of.
const AGAIN: Duration = Duration::from_secs(60);

/// Writes until nobody is left to tell. `admitted`: so many lost rows the log itself need not tell of.
pub(crate) fn run<F: Folder>(
    mut rotation: Rotation<F>,
    told: &Receiver<Told>,
    waiting: &Waiting,
    lost: &AtomicU64,
    mut admitted: u64,
) {
    let mut complaint = Complaint::default();
    let (mut rows, mut partners) = (Vec::new(), Vec::new());
    while let Ok(first) = told.recv() {
        let mut next = Some(first);
        let mut flush = None;
        while let Some(told_now) = next.take() {
            match told_now {
                Told::Row(row, partner) => {
                    rows.push(row);
                    partners.extend(partner);
                }
                Told::Flush(done) => flush = Some(done),
            }
            if rows.len() < BATCH && flush.is_none() {
                next = told.try_recv().ok();
            }
        }
        if let Some((at, _)) = rows.last() {
            let at = *at;
            waiting.forget(partners.drain(..));
            let so_far = lost.load(Ordering::Relaxed);
            let written = rotation.write(&rows, so_far - admitted);
            match written {
                Ok(()) => admitted = so_far,
                Err(_) => _ = lost.fetch_add(rows.len() as u64, Ordering::Relaxed),
            }
            complaint.consider(at, written.err().as_ref(), lost.load(Ordering::Relaxed));
        }
        rows.clear();
        if let Some(done) = flush {
            let _ = done.send(());
        }
    }
    let lost = lost.load(Ordering::Relaxed);
    if lost > admitted.max(complaint.said) {
        tracing::error!(lost, "a log ends, and its last rows are lost; mail goes on");
    }
}

/// What was said of lost rows, and when.
#[derive(Default)]
struct Complaint {
    said_at: Option<Timestamp>,
    said: u64,
    failing: bool,
}

impl Complaint {
    fn consider(&mut self, at: Timestamp, error: Option<&std::io::Error>, lost: u64) {
        let due = self.said_at.is_none_or(|said_at| at.since(said_at) >= AGAIN);
        match error {
            Some(error) if due || !self.failing => {
                tracing::error!(%error, lost, "a log cannot be written, and its rows are lost; mail goes on");
                (self.said_at, self.said) = (Some(at), lost);
            }
            None if self.failing => {
                tracing::warn!(lost, "the log is written again; rows are missing in it");
                (self.said_at, self.said) = (Some(at), lost);
            }
            None if lost > self.said && due => {
                tracing::error!(lost, "a log's disk is too slow, and rows are lost; mail goes on");
                (self.said_at, self.said) = (Some(at), lost);
            }
            _ => {}
        }
        self.failing = error.is_some();
    }
}
