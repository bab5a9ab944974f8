//! A run of this test's own program under `strace`, as the steps that it took.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::trace::{self, Step};

const CHILD: &str = "POSTROAD_QUEUE_TRACED";
const NUMBER: &str = "POSTROAD_QUEUE_TRACED_NUMBER";

/// In the program that is recorded: which store it works on, and the number of the run.
pub(super) fn child() -> Option<(PathBuf, usize)> {
    let number = std::env::var(NUMBER).ok()?.parse().expect("a number");
    Some((std::env::var(CHILD).ok()?.into(), number))
}

/// Runs `test` as a [`child`] over a folder, under `strace` with these options too.
pub(super) fn record(folder: &Path, test: &str, number: usize, options: &[&str]) -> Vec<Step> {
    let trace = folder.with_extension("trace");
    let calls = "trace=openat,unlink,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat2,writev,pwritev,fallocate";
    let status = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "10000000", "-e", calls])
        .args(options)
        .arg("-o")
        .arg(&trace)
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture", "--ignored"])
        .env(CHILD, folder.join("queue.db"))
        .env(NUMBER, number.to_string())
        .stdout(Stdio::null())
        .status()
        .expect("strace");
    assert!(status.success());
    let text = fs::read_to_string(&trace).expect("a trace");
    fs::remove_file(&trace).expect("removed");
    let unknown =
        |line: &&str| ["rename", "writev(", "pwritev", "fallocate("].iter().any(|call| line.contains(call));
    assert_eq!(text.lines().find(unknown), None, "a call that this test does not rebuild");
    trace::read(&text, folder)
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}
