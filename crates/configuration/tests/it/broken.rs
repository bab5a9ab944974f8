//! Broken files, each with the problems a postmaster reads beside it: `tests/broken/NAME.toml` and `NAME.problems`.

use std::fs;
use std::path::{Path, PathBuf};

use postroad_configuration::{Configuration, Problem};

/// `BLESS=1 cargo test` writes what is told now into the `.problems` files; read the difference before committing.
#[test]
fn each_broken_file_tells_its_problems_and_no_others() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for file in files() {
        let told: String = problems(&file).iter().map(|problem| format!("{problem}\n")).collect();
        let expected_file = file.with_extension("problems");
        if bless {
            fs::write(&expected_file, &told).unwrap();
        }
        let expected = fs::read_to_string(&expected_file).unwrap_or_default();
        if told != expected {
            wrong.push(format!("--- {}\nexpected:\n{expected}\ntold:\n{told}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn problems(file: &Path) -> Vec<Problem> {
    let text = fs::read_to_string(file).unwrap();
    match Configuration::parse(&text, Path::new("relay.toml")) {
        Ok(configuration) => configuration.warnings,
        Err(problems) => {
            assert!(problems.iter().any(Problem::is_error), "{}: refused without an error", file.display());
            problems.into()
        }
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(files.len() > 5, "the broken files are gone");
    files
}
