//! Plays `tests/dialogues/*.txt` against the server session, as written and cut into small pieces.

use std::fmt::Write as _;
use std::path::Path;

use crate::server_dialogue::Dialogue;

/// Attacks that have a file of their own: whoever asks what becomes of one reads it there.
const ATTACKS: &[&str] = &[
    "01-smuggling",
    "02-starttls-injection",
    "04-eight-bit",
    "04-injection",
    "04-nuls",
    "06-flood-of-commands",
    "06-line-of-a-gigabyte",
    "06-slow-loris",
    "07-pipelining-desync",
    "08-bdat-abuse",
    "08-size-lies",
    "10-relay-forms",
];

#[test]
fn every_attack_has_its_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    for attack in ATTACKS {
        let text = std::fs::read_to_string(folder.join(attack).with_extension("txt")).expect(attack);
        assert!(Dialogue::read_all(&text).len() >= 3, "{attack}");
    }
}

#[test]
fn every_dialogue_goes_as_written_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut played = 0;
    let mut failures = String::new();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        for dialogue in Dialogue::read_all(&std::fs::read_to_string(&file).unwrap()) {
            let cuts: &[usize] = match (dialogue.set("whole"), dialogue.has_flood()) {
                (true, _) => &[usize::MAX],
                (false, true) => &[usize::MAX, 7],
                (false, false) => &[usize::MAX, 1, 2, 3, 7],
            };
            for &cut in cuts {
                if let Err(why) = dialogue.play(cut) {
                    let _ = writeln!(failures, "{}: {} (cut by {cut}): {why}", file.display(), dialogue.name);
                    break;
                }
            }
            played += 1;
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(played > 150, "only {played} dialogues were found");
}
