//! Every key of `tests/keys.txt` is understood, and a value of the wrong kind is refused at its own place.

use std::path::Path;

use postroad_configuration::{Configuration, ProblemKind};

#[test]
fn every_key_is_known_and_checked() {
    let lines = include_str!("../keys.txt").lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.flat_map(|line| {
        let (section, keys) = line.split_once(": ").unwrap();
        keys.split(' ').map(move |key| (section, key))
    });
    for (section, key) in pairs {
        // No key of relay.toml takes a number with a fraction.
        let text = format!("{section}\n{key} = 1.5\n");
        let problems = Configuration::parse(&text, Path::new("relay.toml")).unwrap_err();
        let told: Vec<_> = problems.iter().filter(|problem| problem.key == key).collect();
        let wrong_type = told.iter().find(|problem| problem.kind == ProblemKind::WrongType);
        let wrong_type = wrong_type.unwrap_or_else(|| panic!("{section} {key}: {told:?}"));
        assert_eq!((wrong_type.line, wrong_type.section.as_str()), (2, section), "{key}");
    }
}
