//! SQLite's write-ahead log as a file: what of it counts, and how that is written over itself.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// The file's header, and that of each of its frames: a page follows.
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// So many bytes at a time, about.
const PIECE: usize = 1 << 20;

/// Writes the frames of the log over themselves, and syncs them: those of its round, as far as their sums are right. Behind them
/// may lie many that an earlier round left, and they stay as they are. Gives how many bytes were written.
///
/// What is read comes from memory where the disk has it not, for a sync failed. Where memory has let go of it too there are fewer
/// than the `frames` that are known to be there: then the log is not whole, and this fails as [`ErrorKind::InvalidData`].
pub(super) fn write_anew(file: &File, frames: usize) -> io::Result<u64> {
    let mut header = [0; HEADER];
    let (mut place, mut count) = (0, 0);
    if read_at(file, &mut header, 0)? == HEADER {
        let mut round = Round::of(&header);
        let frame = FRAME_HEADER + round.page_size;
        file.write_all_at(&header, 0)?;
        let mut bytes = vec![0; frame * (PIECE / frame).max(1)];
        place = HEADER as u64;
        loop {
            let read = read_at(file, &mut bytes, place)?;
            let found = bytes.get(..read).unwrap_or_default().chunks_exact(frame);
            let ours = found.take_while(|frame| round.has(frame)).count();
            file.write_all_at(bytes.get(..ours * frame).unwrap_or_default(), place)?;
            (count, place) = (count + ours, place + (ours * frame) as u64);
            if ours * frame < bytes.len() {
                break;
            }
        }
    }
    if count < frames {
        return Err(ErrorKind::InvalidData.into());
    }
    file.sync_data().map(|()| place)
}

/// Voids the frame behind the first `frames`, where a commit follows these that is whole, and syncs that; gives whether there was one.
/// What a commit left there that failed behind its writing would be found at the next start. Takes no room on the disk, but on one that
/// writes nothing over in its place (btrfs, ZFS).
pub(super) fn strike(file: &File, frames: u32) -> io::Result<bool> {
    let Some(place) = place_of_next(file, frames)? else { return Ok(false) };
    file.write_all_at(&[0; FRAME_HEADER], place)?;
    file.sync_data()?;
    Ok(true)
}

/// Whether a commit follows the first `frames` that is whole; one that broke off in the middle is found by nobody.
pub(super) fn is_followed(file: &File, frames: u32) -> io::Result<bool> {
    Ok(place_of_next(file, frames)?.is_some())
}

/// Where a whole commit begins behind the first `frames`.
fn place_of_next(file: &File, frames: u32) -> io::Result<Option<u64>> {
    let mut header = [0; HEADER];
    if read_at(file, &mut header, 0)? < HEADER {
        return Ok(None);
    }
    let mut round = Round::of(&header);
    let mut bytes = vec![0; FRAME_HEADER + round.page_size];
    let length = bytes.len() as u64;
    let place = HEADER as u64 + u64::from(frames) * length;
    if frames > 0 {
        read_at(file, &mut bytes, place - length)?;
        round.goes_on_behind(&bytes);
    }
    let mut next = place;
    while read_at(file, &mut bytes, next)? == bytes.len() && round.has(&bytes) {
        if four(&bytes, 4) != [0; 4] {
            return Ok(Some(place));
        }
        next += length;
    }
    Ok(None)
}

/// What the frames have in common that were written since the log was last begun anew, as SQLite documents its file format.
struct Round {
    page_size: usize,
    marks: [u8; 8],
    /// How the sums read a word.
    word: fn([u8; 4]) -> u32,
    /// Of the header and all frames until now.
    sums: (u32, u32),
}

impl Round {
    fn of(header: &[u8; HEADER]) -> Self {
        let number = |at: usize| u32::from_be_bytes(four(header, at));
        let word = if number(0) & 1 == 0 { u32::from_le_bytes } else { u32::from_be_bytes };
        let mut marks = [0; 8];
        marks.copy_from_slice(header.get(16..24).unwrap_or(&[0; 8]));
        let page_size = number(8).min(1 << 16) as usize;
        Self { page_size, marks, word, sums: (number(24), number(28)) }
    }

    /// This frame is whole, whatever lies before it.
    fn goes_on_behind(&mut self, frame: &[u8]) {
        let number = |at: usize| u32::from_be_bytes(four(frame, at));
        self.sums = (number(16), number(20));
    }

    /// Whether this is the next frame, and whole.
    fn has(&mut self, frame: &[u8]) -> bool {
        let (Some((begin, rest)), Some(page)) = (frame.split_first_chunk::<8>(), frame.get(FRAME_HEADER..))
        else {
            return false;
        };
        if !rest.starts_with(&self.marks) {
            return false;
        }
        let mut sums = self.sums;
        for words in begin.as_chunks::<8>().0.iter().chain(page.as_chunks::<8>().0) {
            sums.0 = sums.0.wrapping_add((self.word)(four(words, 0))).wrapping_add(sums.1);
            sums.1 = sums.1.wrapping_add((self.word)(four(words, 4))).wrapping_add(sums.0);
        }
        let number = |at: usize| u32::from_be_bytes(four(frame, at));
        let whole = sums == (number(16), number(20));
        if whole {
            self.sums = sums;
        }
        whole
    }
}

/// Four bytes from there on; zeros where there are none.
fn four(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default()
}

/// Reads until the end of the file, or as much as there is room for.
fn read_at(file: &File, bytes: &mut [u8], place: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, place + read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn what_an_earlier_round_left_behind_the_frames_is_not_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("some.db");
        let connection = Connection::open(&path).expect("it opens");
        connection
            .execute_batch(
                "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; CREATE TABLE t (x BLOB);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                 INSERT INTO t SELECT randomblob(4000) FROM n;",
            )
            .expect("filled");
        let log =
            File::options().read(true).write(true).open(folder.path().join("some.db-wal")).expect("a log");
        let bytes = || std::fs::read(folder.path().join("some.db-wal")).expect("a log");
        let whole = bytes();
        let frames = (whole.len() - HEADER) / (FRAME_HEADER + 8192);
        let written = write_anew(&log, frames).expect("written");
        assert_eq!(written, whole.len() as u64, "all of it is of this round");
        assert_eq!(bytes(), whole);

        let restarted =
            connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, i64>(0));
        assert_eq!(restarted, Ok(0));
        connection.execute("INSERT INTO t VALUES (1)", []).expect("one more");
        let whole = bytes();
        assert!(write_anew(&log, frames).is_err(), "there were more");
        let counts = write_anew(&log, 1).expect("written");
        assert!(counts < 100_000 && counts < whole.len() as u64, "{counts} of {}", whole.len());
        let frames =
            connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).expect("so many");
        assert!(!strike(&log, frames).expect("read"), "what lies behind them is not of this round");
        assert_eq!(bytes(), whole);
    }

    #[test]
    fn what_a_commit_left_that_failed_behind_its_writing_is_struck() {
        let folder = tempfile::tempdir().expect("a folder");
        let [path, copy] = ["some.db", "copy.db"].map(|name| folder.path().join(name));
        let log_of = |path: &std::path::Path| path.with_extension("db-wal");
        let connection = Connection::open(&path).expect("it opens");
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)")
            .expect("made");
        let frames: u32 =
            connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).expect("so many");
        connection.execute("INSERT INTO t VALUES (2)", []).expect("one more");
        // Without SQLite's index of the log, as at a start; and first without the stroke.
        for (strikes, expected) in [(0, 2), (1, 1), (2, 1)] {
            std::fs::copy(&path, &copy).expect("room");
            std::fs::copy(log_of(&path), log_of(&copy)).expect("room");
            let log = File::options().read(true).write(true).open(log_of(&copy)).expect("it opens");
            for time in 0..strikes {
                assert_eq!(strike(&log, frames).expect("struck"), time == 0);
            }
            let started = Connection::open(&copy).expect("it opens");
            let rows = started.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
            assert_eq!(rows, Ok(expected), "struck {strikes} times");
        }
        // One of several frames, and then as a disk leaves it that is full in the middle of it.
        connection.execute("INSERT INTO t VALUES (randomblob(20000))", []).expect("one more");
        let log = File::options().read(true).write(true).open(log_of(&path)).expect("it opens");
        let whole = std::fs::read(log_of(&path)).expect("a log");
        log.set_len(whole.len() as u64 - 9).expect("cut");
        assert!(!strike(&log, frames + 1).expect("read"), "nobody would find it");
        log.write_all_at(&whole, 0).expect("room");
        assert!(strike(&log, frames + 1).expect("struck"));
    }

    /// As where the kernel dropped a page that it could not write, and reads an older one from the disk.
    #[test]
    fn a_log_that_memory_has_let_go_of_in_part_is_not_taken_for_a_short_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("some.db");
        let connection = Connection::open(&path).expect("it opens");
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x);").expect("made");
        for number in 0..9 {
            connection.execute("INSERT INTO t VALUES (?1)", [number]).expect("written");
        }
        let frame = FRAME_HEADER + 4096;
        let name = folder.path().join("some.db-wal");
        let whole = std::fs::read(&name).expect("a log");
        let frames = (whole.len() - HEADER) / frame;
        assert!(frames >= 9, "{frames}");
        // In the header of a frame, in its page, and where nothing is any more.
        for (at, left) in [(0, 4), (FRAME_HEADER + 4000, 4), (frame, 5)] {
            let mut bytes = whole.clone();
            let at = HEADER + 4 * frame + at;
            bytes[at..at + 16].fill(0xa5);
            if left == 5 {
                bytes.truncate(at);
            }
            let copy = folder.path().join("copy");
            std::fs::write(&copy, &bytes).expect("room");
            let log = File::options().read(true).write(true).open(&copy).expect("it opens");
            let written = write_anew(&log, left).expect("so many are whole");
            assert_eq!(written, (HEADER + left * frame) as u64);
            let error = write_anew(&log, frames).expect_err("more are known to be there");
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
    }
}
