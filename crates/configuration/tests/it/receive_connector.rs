//! What each parameter of a receive connector may be: the tables in `receive_connector_ranges.txt` and `receive_connector_words.txt`.

use std::path::Path;

use postroad_configuration::{Configuration, Problem};
use postroad_smtp_server::ReceiveConnector;

const RANGES: &str = include_str!("../receive_connector_ranges.txt");
const WORDS: &str = include_str!("../receive_connector_words.txt");

/// The connector of a relay.toml with these lines in it, or what is told of `key`.
fn read(key: &str, lines: &str) -> Result<ReceiveConnector, Vec<Problem>> {
    let text = format!("[[receive_connector]]\nname = \"In\"\n{lines}\n");
    let problems = match Configuration::parse(&text, Path::new("relay.toml")) {
        Ok(mut relay) => return Ok(relay.receive_connectors.remove(0)),
        Err(problems) => problems,
    };
    // A file of one connector lacks other things: they are no matter here.
    let is_its = |problem: &Problem| problem.is_error() && problem.to_string().contains(key);
    let told: Vec<Problem> = problems.into_iter().filter(is_its).collect();
    assert!(!told.is_empty(), "{text} is refused, but not for {key}");
    Err(told)
}

fn taken(key: &str, lines: &str) -> ReceiveConnector {
    read(key, lines).unwrap_or_else(|told| panic!("{lines} is refused: {told:?}"))
}

fn rows(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn both_ends_of_each_range_are_taken_and_what_lies_beyond_is_refused() {
    let mut count = 0;
    for row in rows(RANGES) {
        let mut words = row.split_whitespace();
        let mut word = || words.next().unwrap_or_else(|| panic!("{row}?"));
        let (key, default, lowest, highest) = (word(), word(), word(), word());
        let (below, above, free) = (word(), word(), word());
        let beside = words.collect::<Vec<_>>().join(" ");
        let with = |value: &str| format!("{beside}\n{key} = {value}");
        assert_eq!(taken(key, &with(default)), taken(key, &beside), "the default of {key}");
        let ends = [lowest, highest].map(|end| taken(key, &with(end)));
        assert_ne!(ends[0], ends[1], "{key} does nothing");
        for beyond in [below, above] {
            assert!(read(key, &with(beyond)).is_err(), "{key} = {beyond} is taken");
        }
        let unlimited = read(key, &with("\"unlimited\"")).is_ok();
        assert_eq!(unlimited, free == "yes", "{key} = \"unlimited\"");
        count += 1;
    }
    assert_eq!(count, 15);
}

#[test]
fn each_word_is_taken_and_no_other() {
    let mut count = 0;
    for row in rows(WORDS) {
        let (taken_words, refused) = row.split_once('|').unwrap_or_else(|| panic!("{row}?"));
        let (key, values) = taken_words.split_once(' ').unwrap_or_else(|| panic!("{row}?"));
        let values = values_of(values);
        let with = |value: &str| format!("{key} = {value}");
        assert_eq!(taken(key, &with(&values[0])), taken(key, ""), "the default of {key}");
        for (earlier, value) in values.iter().zip(values.iter().skip(1)) {
            assert_ne!(taken(key, &with(value)), taken(key, &with(earlier)), "{key} = {value} does nothing");
        }
        assert!(read(key, &with(refused.trim())).is_err(), "{key} ={refused} is taken");
        count += 1;
    }
    assert_eq!(count, 32);
}

/// Values with spaces between them; those within quotes are theirs.
fn values_of(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut quoted = false;
    for character in text.trim().chars() {
        quoted ^= character == '"';
        match values.last_mut() {
            Some(value) if quoted || character != ' ' => value.push(character),
            _ => values.push(String::new()),
        }
    }
    values.retain(|value| !value.is_empty());
    values
}
