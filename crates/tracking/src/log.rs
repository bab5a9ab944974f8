//! The handle that rows are given to: never in the way of mail.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use postroad_message::Timestamp;

use crate::folder::{Folder, OnDisk};
use crate::layout::Layout;
use crate::rotation::Rotation;
use crate::settings::LogSettings;
use crate::value::Value;
use crate::waiting::Waiting;
use crate::writer::{self, Told};

/// Rows that may wait for the disk; more are lost.
const WAITING: usize = 8192;
/// How long the end of a log waits for what is still to be written.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// One log, on or off. Dropped or put off, it first writes what it was given, for 5 seconds at most.
pub struct Log {
    layout: Layout,
    running: RwLock<Option<Running>>,
    lost: Arc<AtomicU64>,
}

/// A thread at work.
struct Running {
    settings: LogSettings,
    /// `None` once it is to end.
    tell: Option<SyncSender<Told>>,
    waiting: Arc<Waiting>,
    ended: Mutex<Receiver<()>>,
}

impl Log {
    /// A log of that form, off.
    pub fn new(layout: Layout) -> Self {
        Self { layout, running: RwLock::new(None), lost: Arc::default() }
    }

    /// Puts it on, off, or elsewhere; what it is already, it stays. Waits until the rows that it was given before are written, for 5
    /// seconds at most. A directory that cannot be written to is told of when the
    /// first row comes, and tried again with each.
    pub fn configure(&self, settings: Option<&LogSettings>) {
        let before = {
            let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
            if running.as_ref().map(|running| &running.settings) == settings {
                return;
            }
            let next = settings.and_then(|to| self.start(to, OnDisk(to.directory.clone())));
            std::mem::replace(&mut *running, next)
        };
        // Waits for the last rows of the old one, and keeps nobody else waiting. Should both have the same file, rows are whole
        // all the same.
        drop(before);
    }

    /// Whether rows are wanted.
    pub fn is_on(&self) -> bool {
        self.running.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Gives it a row, which is only made where it is wanted: the fields of the layout behind the moment. Returns at once; where
    /// too many wait, the row is lost and counted.
    pub fn write(&self, at: Timestamp, values: impl FnOnce() -> Vec<Value>) {
        self.give(None, at, values);
    }

    /// The same for a row about a conversation with that partner, who has a share only of the rows that may wait. Where a network
    /// is to count as one, give its first address.
    pub fn write_about(&self, partner: IpAddr, at: Timestamp, values: impl FnOnce() -> Vec<Value>) {
        self.give(Some(partner), at, values);
    }

    fn give(&self, partner: Option<IpAddr>, at: Timestamp, values: impl FnOnce() -> Vec<Value>) {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Running { tell: Some(tell), waiting, .. }) = running.as_ref() else { return };
        if partner.is_some_and(|partner| !waiting.admits(partner, WAITING)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        } else if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            tell.try_send(Told::Row((at, values()), partner))
        {
            waiting.forget(partner);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything that was given so far is written or lost: for tests, and for a program that ends.
    pub fn flush(&self) {
        let tell = {
            let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
            running.as_ref().and_then(|running| running.tell.clone())
        };
        let (done, wait) = sync_channel(1);
        if tell.is_some_and(|tell| tell.send(Told::Flush(done)).is_ok()) {
            let _ = wait.recv();
        }
    }

    /// Rows that could not be written since it was made.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn start(&self, settings: &LogSettings, folder: impl Folder + 'static) -> Option<Running> {
        let (tell, told) = sync_channel(WAITING);
        let (end, ended) = channel();
        let rotation = Rotation::new(folder, self.layout, settings.clone());
        let (lost, waiting) = (Arc::clone(&self.lost), Arc::<Waiting>::default());
        let waiting_there = Arc::clone(&waiting);
        // Before the thread is: what is lost until it begins is for it to tell.
        let admitted = lost.load(Ordering::Relaxed);
        let thread = thread::Builder::new().name(format!("log {}", self.layout.prefix)).spawn(move || {
            writer::run(rotation, &told, &waiting_there, &lost, admitted);
            drop(end);
        });
        match thread {
            Ok(_) => {
                let settings = settings.clone();
                Some(Running { settings, tell: Some(tell), waiting, ended: Mutex::new(ended) })
            }
            Err(error) => {
                tracing::error!(%error, log = self.layout.log_type, "no thread could be started for this log");
                None
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tell = None;
        // Answered by the thread's end, which drops the other side.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("a log's last rows are still not written, and are left behind");
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("log_type", &self.layout.log_type).field("on", &self.is_on()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc;

    use super::*;

    const LAYOUT: Layout =
        Layout { prefix: "T", log_type: "T", version: "1", fields: &["date-time", "text"] };
    const AT: Timestamp = Timestamp::from_unix_millis(1_711_886_400_000);

    /// A disk that answers nothing but errors, or nothing at all until it is told to.
    struct Broken(Option<Receiver<()>>);

    impl Folder for Broken {
        fn files(&self) -> io::Result<Vec<(String, u64)>> {
            if let Some(hung) = &self.0 {
                let _ = hung.recv();
            }
            Err(io::ErrorKind::StorageFull.into())
        }

        fn append(&self, _: &str) -> io::Result<(Box<dyn Write + Send>, u64)> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn remove(&self, _: &str) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    /// A disk that does nothing until it is told to.
    struct Slow(OnDisk, Receiver<()>);

    impl Folder for Slow {
        fn files(&self) -> io::Result<Vec<(String, u64)>> {
            let _ = self.1.recv();
            self.0.files()
        }

        fn append(&self, name: &str) -> io::Result<(Box<dyn Write + Send>, u64)> {
            self.0.append(name)
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.0.remove(name)
        }
    }

    fn broken(hung: Option<Receiver<()>>) -> Log {
        let log = Log::new(LAYOUT);
        *log.running.write().unwrap() = log.start(&LogSettings::new("unused"), Broken(hung));
        log
    }

    fn write(log: &Log, rows: usize) {
        for _ in 0..rows {
            log.write(AT, || vec![Value::Word("x")]);
        }
    }

    #[test]
    fn a_full_disk_costs_rows_which_are_counted_and_nothing_else() {
        let log = broken(None);
        write(&log, 100);
        log.flush();
        assert_eq!(log.lost(), 100);
        write(&log, 1);
        log.flush();
        assert_eq!(log.lost(), 101);
    }

    #[test]
    fn a_disk_that_hangs_keeps_nobody_waiting() {
        let (wake, hung) = mpsc::channel();
        let log = broken(Some(hung));
        // If a write waited, this would not end: nothing is written meanwhile.
        write(&log, 3 * WAITING);
        assert!(log.lost() >= (2 * WAITING - 2 * 256) as u64, "{}", log.lost());
        drop(wake);
        log.flush();
        assert_eq!(log.lost(), 3 * WAITING as u64);
    }

    #[test]
    fn who_floods_a_log_loses_his_own_rows_and_it_is_said_how_many() {
        let folder = tempfile::tempdir().unwrap();
        let (wake, hung) = mpsc::channel();
        let log = Log::new(LAYOUT);
        let slow = Slow(OnDisk(folder.path().to_owned()), hung);
        *log.running.write().unwrap() = log.start(&LogSettings::new("unused"), slow);
        let write = |source: [u8; 4], text: &'static str, rows: usize| {
            for _ in 0..rows {
                log.write_about(source.into(), AT, || vec![Value::Word(text)]);
            }
        };
        write([192, 0, 2, 1], "flood", 3 * WAITING);
        write([192, 0, 2, 2], "other", 1000);
        let lost = log.lost();
        assert!(lost >= 2 * WAITING as u64, "{lost}");
        drop(wake);
        log.flush();
        assert_eq!(log.lost(), lost);
        write([192, 0, 2, 1], "again", 1);
        log.flush();
        let written = std::fs::read_to_string(folder.path().join("T20240331-1.LOG")).unwrap();
        let count = |text: &str| written.lines().filter(|line| line.ends_with(text)).count();
        assert_eq!(count(",other"), 1000);
        assert_eq!(count(",flood") as u64 + lost, 3 * WAITING as u64);
        assert_eq!(count(",again"), 1);
        let said: u64 =
            written.lines().filter_map(|line| line.strip_prefix("#Lost: ")?.parse::<u64>().ok()).sum();
        assert_eq!(said, lost);
    }

    #[test]
    fn it_is_put_on_elsewhere_and_off_and_writes_its_last_rows() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(LAYOUT);
        log.write(AT, || panic!("nobody wants this row"));
        for place in ["a", "b"] {
            log.configure(Some(&LogSettings::new(folder.path().join(place))));
            write(&log, 500);
        }
        log.configure(None);
        log.write(AT, || panic!("nobody wants this row"));
        for place in ["a", "b"] {
            let written = std::fs::read_to_string(folder.path().join(place).join("T20240331-1.LOG")).unwrap();
            assert_eq!(written.lines().filter(|line| line.ends_with(",x")).count(), 500, "{place}");
        }
        assert_eq!(log.lost(), 0);
    }
}
