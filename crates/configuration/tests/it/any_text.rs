//! Whatever the text, the answer is a configuration or problems with places; never a panic.

use std::path::Path;

use postroad_configuration::Configuration;
use proptest::prelude::*;

/// Pieces that lead deep into the sections, whatever order they come in.
const PIECES: &[&str] = &[
    "[server]\n",
    "[topology]\n",
    "[transport]\n",
    "[queue]\n",
    "[dns]\n",
    "[tls]\n",
    "[pickup]\n",
    "[replay]\n",
    "[[receive_connector]]\n",
    "[[send_connector]]\n",
    "[[foreign_connector]]\n",
    "[[delivery_agent_connector]]\n",
    "[[sender]]\n",
    "[credentials.a]\n",
    "[credentials]\n",
    "[frontend]\n",
    "[admin]\n",
    "[metrics]\n",
    "[unknown]\n",
    "name = ",
    "address_spaces = ",
    "smart_hosts = ",
    "servers = ",
    "site_links = ",
    "port = ",
    "bindings = ",
    "max_message_size = ",
    "retry_intervals = ",
    "relay_ip_ranges = ",
    "drop_directory = ",
    "path = ",
    "a.b.c = ",
    "\"*\"",
    "\"\"",
    "\"unlimited\"",
    "\"15m\"",
    "\"1.00:00:00\"",
    "\"35MB\"",
    "true",
    "7",
    "-7",
    "1.5",
    "[",
    "]",
    "{",
    "}",
    ",",
    "=",
    "\n",
    "\"X400:c=US;a=x;1\"",
    "\"[::1]:25\"",
    "\"\\u0000\"",
    "'é'",
    "\"\"\"",
    "#",
    ".",
    "\"",
    "\u{feff}",
    "\r\n",
    "\r",
    "\u{0}",
];

fn told(text: &str) {
    let problems = match Configuration::parse(text, Path::new("relay.toml")) {
        Ok(configuration) => {
            assert!(configuration.warnings.iter().all(|problem| !problem.is_error()));
            configuration.warnings
        }
        Err(problems) => {
            assert!(
                problems.iter().any(postroad_configuration::Problem::is_error),
                "refused without an error: {text:?}"
            );
            problems.into()
        }
    };
    let lines = text.lines().count() + 1;
    for problem in problems {
        assert!(problem.line <= lines, "{problem} in {text:?}");
        assert!(!problem.to_string().contains('\n'), "{problem}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_characters(text in "(?s).{0,200}") {
        told(&text);
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60)) {
        told(&pieces.concat());
    }

    #[test]
    fn a_good_file_with_a_hole(start in 0usize..10_000, length in 0usize..80) {
        let good = include_str!("../good/complete.toml");
        let start = (0..=start.min(good.len())).rev().find(|at| good.is_char_boundary(*at)).unwrap();
        let end = (start + length).min(good.len());
        if good.is_char_boundary(end) {
            told(&format!("{}{}", &good[..start], &good[end..]));
        }
    }
}
