//! The house rules that a machine can read: every file says what it is for, no file is long, the relay stays thin.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 600;
const LONGEST_RELAY: usize = 1000;

#[test]
fn every_file_opens_with_what_it_is_for() {
    let silent: Vec<_> = rust_files().into_iter().filter(|file| !read(file).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "these do not open with a `//! ` line: {silent:#?}");
}

#[test]
fn no_file_is_longer_than_six_hundred_lines() {
    let measured = rust_files().into_iter().map(|file| (lines(&file), file));
    let long: Vec<_> = measured.filter(|(lines, _)| *lines > LONGEST_FILE).collect();
    assert!(long.is_empty(), "these are longer than {LONGEST_FILE} lines: {long:#?}");
}

#[test]
fn the_relay_without_its_demo_is_thin() {
    let relay = root().join("examples/relay");
    let is_thin_part = |file: &&PathBuf| {
        file.strip_prefix(&relay)
            .is_ok_and(|inside| !inside.components().any(|part| is_demo(part.as_os_str())))
    };
    let total: usize = rust_files().iter().filter(is_thin_part).map(|file| lines(file)).sum();
    assert!(
        total < LONGEST_RELAY,
        "examples/relay without demo has {total} lines, {LONGEST_RELAY} is too many"
    );
}

fn is_demo(part: &OsStr) -> bool {
    part == "demo" || part == "demo.rs"
}

/// Every `.rs` file of the repository, build output and hidden folders aside.
fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("list a folder of the repository") {
            let path = entry.expect("an entry of the repository").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 10, "this is not the repository: {}", root().display());
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository above interop/").to_owned()
}

fn lines(file: &Path) -> usize {
    read(file).lines().count()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).expect("read a source file")
}
