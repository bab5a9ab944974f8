//! The house rules that a machine can read: files say what they are for and stay short, and no arrow points up.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 600;
const LONGEST_RELAY: usize = 1000;
/// What an embedder who wants to receive mail writes.
const LONGEST_RECEIVER: usize = 60;

/// The floors of ARCHITECTURE.md, from the ground up. A room may know the floors below its own, nothing else.
const FLOORS: &[&[&str]] = &[
    &["address-space", "log-line"],
    &["message", "connector"],
    &["smtp-protocol", "queue", "message-directory", "dsn", "tracking"],
    &["smtp-client", "smtp-server"],
    &["transport"],
    &["admin", "configuration"],
];

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

#[test]
fn a_server_is_written_in_sixty_lines() {
    let example = root().join("crates/smtp-server/examples/receive.rs");
    assert!(lines(&example) <= LONGEST_RECEIVER, "{} has {} lines", example.display(), lines(&example));
}

#[test]
fn no_room_knows_one_above_or_beside_it() {
    for room in rooms() {
        for known in dependencies(&room) {
            assert!(
                floor(&known) < floor(&room),
                "{room} must not depend on {known}: it is not on a lower floor"
            );
        }
    }
}

#[test]
fn the_architecture_page_names_every_room() {
    let page = read(&root().join("ARCHITECTURE.md"));
    for room in rooms() {
        assert!(page.contains(&format!("(crates/{room})")), "ARCHITECTURE.md does not lead to crates/{room}");
    }
}

#[test]
fn every_room_can_be_packed_and_sent() {
    assert!(read(&root().join("Cargo.toml")).contains("postroad-interop = { path = \"interop\" }\n"));
    for room in rooms() {
        let folder = root().join("crates").join(&room);
        let manifest = read(&folder.join("Cargo.toml"));
        let description = manifest.split("description = \"").nth(1).and_then(|rest| rest.split('"').next());
        let begins = format!("# postroad-{room}\n\n{}.\n", description.expect("a description"));
        assert!(
            read(&folder.join("README.md")).starts_with(&begins),
            "{room}: README.md does not begin {begins:?}"
        );
        for key in ["\nkeywords = [", "\ncategories = [", "\nexclude.workspace = true\n"] {
            assert!(manifest.contains(key), "{room}: no {key:?} in Cargo.toml");
        }
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            assert_eq!(read(&folder.join(licence)), read(&root().join(licence)), "{room}: {licence}");
        }
    }
}

/// What tests reach for is not packed.
#[test]
fn no_room_reaches_for_files_of_another() {
    let rooms = root().join("crates");
    for file in rust_files() {
        let Some(path) = file
            .strip_prefix(&rooms)
            .ok()
            .filter(|path| path.iter().nth(1).is_some_and(|part| part != "tests"))
        else {
            continue;
        };
        let text = read(&file);
        let reaches = ["include_str!(\"", "include_bytes!(\"", "#[path = \""]
            .iter()
            .flat_map(|word| text.split(word).skip(1));
        let upwards = reaches.map(|rest| rest.split("../").take_while(|part| part.is_empty()).count()).max();
        assert!(
            upwards.unwrap_or(0) < path.components().count() - 1,
            "{} reaches out of its package",
            path.display()
        );
    }
}

/// A postmaster greps for these words; `...` stands for what differs, and a status comes from elsewhere.
#[test]
fn what_the_log_says_in_operating_is_said_by_the_source() {
    let said = rust_files().into_iter().filter(|file| file.iter().any(|part| part == "src"));
    let said: String = said.map(|file| read(&file)).collect();
    // A sentence may go on in the next line.
    let said: String = said.split("\\\n").map(str::trim_start).collect();
    let page = read(&root().join("examples/relay/OPERATING.md"));
    let table =
        page.split("| it says |").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("the table");
    let cells = table.lines().skip(2).filter_map(|row| row.split('|').nth(1));
    let words =
        cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).flat_map(|words| words.split("..."));
    let words: Vec<_> =
        words.map(|words| words.trim_start_matches(|c| "0123456789. ".contains(c)).trim_end()).collect();
    let unsaid: Vec<_> = words.iter().filter(|words| !said.contains(**words)).collect();
    assert!(words.len() > 20 && unsaid.is_empty(), "no source file says {unsaid:#?} of {}", words.len());
}

/// The folders of `crates/`.
fn rooms() -> Vec<String> {
    let entries = fs::read_dir(root().join("crates")).expect("list crates/");
    let folders = entries.map(|entry| entry.expect("an entry of crates/").path());
    let rooms = folders.filter(|folder| folder.join("Cargo.toml").is_file());
    rooms.map(|folder| folder.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect()
}

fn floor(room: &str) -> usize {
    let floor = FLOORS.iter().position(|rooms| rooms.contains(&room));
    floor.unwrap_or_else(|| panic!("{room} stands on no floor: draw it into ARCHITECTURE.md and FLOORS"))
}

/// The rooms that a crate depends on outside its tests.
fn dependencies(room: &str) -> Vec<String> {
    let manifest = read(&root().join("crates").join(room).join("Cargo.toml"));
    let normal = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let normal = normal.split("\n[").next().unwrap_or_default();
    let names = normal.lines().filter_map(|line| line.strip_prefix("postroad-")?.split_once([' ', '.']));
    names.map(|(name, _)| name.to_owned()).collect()
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
