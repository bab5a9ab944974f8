//! IIS's Badmail directory: what can neither be taken nor returned, in three files each.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::file_system;

/// Where IIS put what it could not deliver and not return either (its `Badmail` folder, KB250040).
///
/// | file | holds |
/// |---|---|
/// | `<name>.BAD` | the file or message, byte for byte |
/// | `<name>.BDP` | where it came from, one `field: value` a line (IIS wrote binary properties there) |
/// | `<name>.BDR` | the reason, for a human |
///
/// The `.BAD` file comes last, so that whoever sees it sees all three; each is synced under a temporary name first. The
/// directory is not created here. Blocking calls, no thread of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadmailDirectory {
    path: PathBuf,
    max_size: Option<u64>,
}

/// What is kept for one file or message.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Triplet<'a> {
    /// The same for the same file or message: what is written again after a crash replaces what the crash left.
    pub unique: [u8; 16],
    /// As it was found.
    pub bad: Bad<'a>,
    /// Where it came from, as fields and values.
    pub properties: &'a [(&'a str, &'a str)],
    /// Why it is here.
    pub reason: &'a str,
}

impl<'a> Triplet<'a> {
    /// What is kept, without properties; set these on the value where they are known.
    pub fn new(unique: [u8; 16], bad: Bad<'a>, reason: &'a str) -> Self {
        Self { unique, bad, properties: &[], reason }
    }
}

/// What becomes the `.BAD` file.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Bad<'a> {
    /// These bytes.
    Content(&'a [u8]),
    /// This file, which is moved: it is never read into memory.
    File(&'a Path),
}

impl BadmailDirectory {
    /// The directory at `path`, without a cap.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), max_size: None }
    }

    /// MaxBadMailFolderSize: the most bytes that all files there may have together, with those that would come. 0 keeps
    /// nothing, `None` everything (KB884068).
    #[must_use]
    pub fn max_size(self, max_size: Option<u64>) -> Self {
        Self { max_size, ..self }
    }

    /// Where this directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the three files, durable when this returns, and gives the path of the `.BAD` one; `None` where the cap allows
    /// no more. A failure is this machine's: what was to be kept must stay where it is.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn keep(&self, triplet: &Triplet<'_>) -> io::Result<Option<PathBuf>> {
        let mut properties = String::new();
        for (field, value) in triplet.properties {
            properties.push_str(&format!("{field}: {}\r\n", value.escape_debug()));
        }
        let reason = format!("{}\r\n", triplet.reason.escape_debug());
        let bad = match triplet.bad {
            Bad::Content(content) => content.len() as u64,
            Bad::File(path) => file_system::look(path)?.size,
        };
        let size = bad.saturating_add((properties.len() + reason.len()) as u64);
        if let Some(max_size) = self.max_size
            && file_system::bytes_in(&self.path)?.saturating_add(size) > max_size
        {
            return Ok(None);
        }
        let name = format!("{:032x}", u128::from_be_bytes(triplet.unique));
        let placed = self
            .place(&name, "BDP", properties.as_bytes())
            .and_then(|()| self.place(&name, "BDR", reason.as_bytes()))
            .and_then(|()| self.place_bad(&name, triplet.bad));
        let path = placed.inspect_err(|_| {
            // None without the others; what is bad stays where it was.
            for extension in ["BAD", "BDP", "BDR"] {
                let _ = std::fs::remove_file(self.path.join(format!("{name}.{extension}")));
            }
        })?;
        file_system::sync_directory(&self.path)?;
        Ok(Some(path))
    }

    fn place_bad(&self, name: &str, bad: Bad<'_>) -> io::Result<PathBuf> {
        let path = self.path.join(format!("{name}.BAD"));
        match bad {
            Bad::Content(content) => self.place(name, "BAD", content)?,
            Bad::File(file) => match std::fs::rename(file, &path) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    self.place(name, "BAD", file_system::open(file)?)?;
                    std::fs::remove_file(file)?;
                }
                moved => moved?,
            },
        }
        Ok(path)
    }

    fn place(&self, name: &str, extension: &str, mut bytes: impl Read) -> io::Result<()> {
        let temporary = self.path.join(format!(".{name}.{extension}.tmp"));
        // A crash may have left it.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        let path = self.path.join(format!("{name}.{extension}"));
        let written = io::copy(&mut bytes, &mut file)
            .and_then(|_| file.sync_all())
            .and_then(|()| std::fs::rename(&temporary, &path));
        written.inspect_err(|_| drop(std::fs::remove_file(&temporary)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &[u8] = b"To: nobody\r\n\r\n\0";
    const TRIPLET: Triplet<'_> = Triplet {
        unique: [1; 16],
        bad: Bad::Content(CONTENT),
        properties: &[("File", "a.txt"), ("Source", "pickup\nforged: line")],
        reason: "no sender",
    };
    const NAME: &str = "01010101010101010101010101010101";

    #[test]
    fn three_files_tell_what_whence_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let badmail = BadmailDirectory::new(folder.path());
        for _ in ["at first", "and again after a crash"] {
            let bad = badmail.keep(&TRIPLET).unwrap().unwrap();
            assert_eq!(bad, folder.path().join(format!("{NAME}.BAD")));
        }
        let read = |extension| std::fs::read(folder.path().join(format!("{NAME}.{extension}"))).unwrap();
        assert_eq!(read("BAD"), CONTENT);
        assert_eq!(read("BDP"), b"File: a.txt\r\nSource: pickup\\nforged: line\r\n");
        assert_eq!(read("BDR"), b"no sender\r\n");
        assert_eq!(folder.path().read_dir().unwrap().count(), 3);
    }

    #[test]
    fn a_file_is_moved() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tmp");
        std::fs::write(&file, CONTENT).unwrap();
        let badmail = folder.path().join("Badmail");
        std::fs::create_dir(&badmail).unwrap();
        let kept = BadmailDirectory::new(badmail).keep(&Triplet { bad: Bad::File(&file), ..TRIPLET });
        assert_eq!(std::fs::read(kept.unwrap().unwrap()).unwrap(), CONTENT);
        assert!(!file.exists());
    }

    #[test]
    fn a_reason_does_not_stay_without_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let vanished = folder.path().join("vanished.tmp");
        let kept =
            BadmailDirectory::new(folder.path()).keep(&Triplet { bad: Bad::File(&vanished), ..TRIPLET });
        assert_eq!(kept.unwrap_err().kind(), io::ErrorKind::NotFound);
        // It cannot be moved to where a folder stands.
        std::fs::write(&vanished, CONTENT).unwrap();
        std::fs::create_dir(folder.path().join(format!("{NAME}.BAD"))).unwrap();
        let kept =
            BadmailDirectory::new(folder.path()).keep(&Triplet { bad: Bad::File(&vanished), ..TRIPLET });
        assert!(kept.is_err());
        assert_eq!(folder.path().read_dir().unwrap().count(), 2, "the file, and what is in its way");
    }

    #[test]
    fn the_cap_counts_what_is_there_and_what_would_come() {
        let folder = tempfile::tempdir().unwrap();
        let all =
            CONTENT.len() + "File: a.txt\r\nSource: pickup\\nforged: line\r\n".len() + "no sender\r\n".len();
        let capped =
            |max_size| BadmailDirectory::new(folder.path()).max_size(Some(max_size)).keep(&TRIPLET).unwrap();
        assert_eq!(capped(0), None);
        assert_eq!(capped(all as u64 - 1), None);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        assert!(capped(all as u64).is_some());
        assert_eq!(capped(all as u64 + 1), None);
    }

    #[test]
    fn a_missing_directory_is_an_error_and_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("Badmail");
        let error = BadmailDirectory::new(&missing).keep(&TRIPLET).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!missing.exists());
    }
}
