//! Plays `tests/dialogues/*.txt` against the server session, as written and cut into small pieces.

use std::fmt::Write as _;
use std::path::Path;

use crate::server_dialogue::Dialogue;

#[test]
fn every_dialogue_goes_as_written_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut played = 0;
    let mut failures = String::new();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        for dialogue in Dialogue::read_all(&std::fs::read_to_string(&file).unwrap()) {
            let cuts: &[usize] =
                if dialogue.set("whole") { &[usize::MAX] } else { &[usize::MAX, 1, 2, 3, 7] };
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
    assert!(played > 50, "only {played} dialogues were found");
}
