//! The directory that logs are in, as far as they need one: the disk's, or a pretend one.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::PathBuf;

/// A directory of log files.
pub(crate) trait Folder: Send {
    /// Name and size of every file.
    fn files(&self) -> io::Result<Vec<(String, u64)>>;

    /// The file, made where it is missing and open for appending, and its size. A last line that was torn is ended.
    fn append(&self, name: &str) -> io::Result<(Box<dyn Write + Send>, u64)>;

    /// Takes a file away.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// One on the disk.
pub(crate) struct OnDisk(pub(crate) PathBuf);

impl Folder for OnDisk {
    fn files(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            // One that vanishes meanwhile is no fault.
            let Ok(metadata) = entry.metadata() else { continue };
            if let (Ok(name), true) = (entry.file_name().into_string(), metadata.is_file()) {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn append(&self, name: &str) -> io::Result<(Box<dyn Write + Send>, u64)> {
        fs::create_dir_all(&self.0)?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        // Who wrote to whom is nobody's business but the postmaster's.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let mut file = options.open(self.0.join(name))?;
        let mut size = file.seek(SeekFrom::End(0))?;
        if size > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\r\n")?;
                size += 2;
            }
        }
        Ok((Box::new(file), size))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper");
        let on_disk = OnDisk(path.clone());
        assert!(on_disk.files().is_err(), "nothing is there yet");
        let (mut file, size) = on_disk.append("a.LOG").unwrap();
        assert_eq!(size, 0);
        file.write_all(b"one\r\ntw").unwrap();
        let (mut file, size) = on_disk.append("a.LOG").unwrap();
        assert_eq!(size, 9);
        file.write_all(b"three\r\n").unwrap();
        assert_eq!(fs::read_to_string(path.join("a.LOG")).unwrap(), "one\r\ntw\r\nthree\r\n");
        assert_eq!(on_disk.files().unwrap(), [("a.LOG".to_owned(), 16)]);
        on_disk.remove("a.LOG").unwrap();
        assert_eq!(on_disk.files().unwrap(), []);
    }
}
