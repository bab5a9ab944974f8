//! SQLite's write-ahead log as a file: what of it counts, and how that is written over itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The file's header, and that of each of its frames: a page follows.
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// So many bytes at a time, about.
const PIECE: usize = 1 << 20;

/// Writes the frames of the log over themselves, and syncs them. Behind them may lie many that an earlier round left, and they
/// stay as they are: those bear the marks of their round. Gives how many bytes were written.
pub(super) fn write_anew(file: &File) -> io::Result<u64> {
    let mut header = [0; HEADER];
    if read_at(file, &mut header, 0)? < HEADER {
        return file.sync_data().map(|()| 0);
    }
    // Both stand there as big-endian numbers: the size of a page from byte 8, and the marks of this round from byte 16.
    let (page, round) = (u32::from_be_bytes([header[8], header[9], header[10], header[11]]), &header[16..24]);
    let frame = FRAME_HEADER + page.min(1 << 16) as usize;
    file.write_all_at(&header, 0)?;
    let mut bytes = vec![0; frame * (PIECE / frame).max(1)];
    let mut place = HEADER as u64;
    loop {
        let read = read_at(file, &mut bytes, place)?;
        let ours = |frame: &&[u8]| frame.get(8..16).is_some_and(|marks| marks == round);
        let count = bytes.get(..read).unwrap_or_default().chunks_exact(frame).take_while(ours).count();
        file.write_all_at(bytes.get(..count * frame).unwrap_or_default(), place)?;
        if count * frame < bytes.len() {
            return file.sync_data().map(|()| place + (count * frame) as u64);
        }
        place += (count * frame) as u64;
    }
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
        assert_eq!(write_anew(&log).expect("written"), whole.len() as u64, "all of it is of this round");
        assert_eq!(bytes(), whole);

        let restarted =
            connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, i64>(0));
        assert_eq!(restarted, Ok(0));
        connection.execute("INSERT INTO t VALUES (1)", []).expect("one more");
        let whole = bytes();
        let counts = write_anew(&log).expect("written");
        assert!(counts < 100_000 && counts < whole.len() as u64, "{counts} of {}", whole.len());
        assert_eq!(bytes(), whole);
    }
}
