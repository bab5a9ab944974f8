//! Any text is a configuration or problems of which at least one is an error, each on one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_configuration::{Configuration, Problem};

fuzz_target!(|text: &str| {
    match Configuration::parse(text, std::path::Path::new("relay.toml")) {
        Ok(relay) => assert!(!relay.warnings.iter().any(Problem::is_error)),
        Err(problems) => {
            assert!(problems.iter().any(Problem::is_error));
            assert!(problems.iter().all(|problem| !problem.to_string().contains('\n')));
        }
    }
});
