//! A disk of its own for a folder, with as much room as a test wants: it stays when the relay on it is killed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::statvfs;

/// A file system in memory, which only those see who are started by [`command`](SmallDisk::command); it goes with this.
#[derive(Debug)]
pub struct SmallDisk {
    /// It has the mount, and ends with its standard input.
    holder: Child,
    folder: PathBuf,
    seen_from_here: PathBuf,
}

impl SmallDisk {
    /// Mounts one at `folder`, which must exist, with room enough. Root only.
    pub fn mounted(folder: &Path) -> Self {
        let script = "mount -t tmpfs -o mode=755 none \"$1\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().expect("run unshare (Debian's essential package util-linux)");
        let mut said = String::new();
        let mut output = BufReader::new(holder.stdout.take().expect("its standard output"));
        output.read_line(&mut said).expect("a line");
        assert_eq!(said, "mounted\n", "a disk at {}: needs root", folder.display());
        let inside = folder.strip_prefix("/").expect("an absolute path");
        let seen_from_here = PathBuf::from(format!("/proc/{}/root", holder.id())).join(inside);
        Self { holder, folder: folder.to_path_buf(), seen_from_here }
    }

    /// The command `program` for who is to see the disk.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.id().to_string()]).arg(program);
        command
    }

    /// Makes it as small as it has to be for about so many bytes to be free.
    pub fn leave(&self, bytes: u64) {
        let room = statvfs(&self.seen_from_here).expect("its room");
        let used = (room.f_blocks - room.f_bfree) * room.f_frsize;
        let size = format!("remount,size={}", used + bytes);
        let status = self.command("mount").args(["-o", &size]).arg(&self.folder).status();
        assert!(status.expect("run mount").success(), "{size}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
