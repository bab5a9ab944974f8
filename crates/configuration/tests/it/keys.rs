//! Every key of `tests/keys.txt` is understood, and a value of the wrong kind is refused at its own place.

use std::collections::BTreeMap;
use std::path::Path;

use postroad_configuration::{Configuration, ProblemKind};

#[test]
fn every_key_is_known_and_checked() {
    for (section, key) in keys() {
        // No key of relay.toml takes a number with a fraction.
        let text = format!("{section}\n{key} = 1.5\n");
        let problems = Configuration::parse(&text, Path::new("relay.toml")).unwrap_err();
        let told: Vec<_> = problems.iter().filter(|problem| problem.key == key).collect();
        let wrong_type = told.iter().find(|problem| problem.kind == ProblemKind::WrongType);
        let wrong_type = wrong_type.unwrap_or_else(|| panic!("{section} {key}: {told:?}"));
        assert_eq!((wrong_type.line, wrong_type.section.as_str()), (2, section), "{key}");
    }
}

/// What is understood and asks for a part that is not built, or is another name of another key.
const NOT_IN_THE_COMPLETE_FILE: &[&str] = &[
    "url_file",
    "token_command",
    "orar_enabled",
    "enable_auth_gssapi",
    "extended_protection_policy",
    "tls_domain_capabilities",
    "max_acknowledgement_delay",
    "connection_inactivity_time_out",
    "use_external_dns_servers_enabled",
    "error_policies",
    "cloud_services_mail_enabled",
    "connector_type",
    "require_oorg",
    "force",
    "is_coexistence_connector",
    "linked_receive_connector",
];

#[test]
fn the_complete_file_has_every_key_that_does_something() {
    let mut sections = BTreeMap::<&str, String>::new();
    let mut section = "";
    for line in include_str!("../good/complete.toml").lines() {
        if line.starts_with('[') {
            section = if line.starts_with("[credentials.") { "[credentials.name]" } else { line };
        }
        sections.entry(section).or_default().extend(["\n", line.trim_start_matches("# ")]);
    }
    for (section, key) in keys().filter(|(_, key)| !NOT_IN_THE_COMPLETE_FILE.contains(key)) {
        let not_built = match section {
            "[metrics]" | "[admin]" => true,
            "[[send_connector]]" => ["tls_certificate_name", "domain_secure_enabled"].contains(&key),
            _ => false,
        };
        if not_built {
            continue;
        }
        let found = sections.get(section).is_some_and(|text| text.contains(&format!("\n{key} = ")));
        assert!(found, "{section} {key} is not in complete.toml");
    }
}

/// The pairs of section and key of `tests/keys.txt`.
fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../keys.txt").lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| {
        let (section, keys) = line.split_once(": ").unwrap();
        keys.split(' ').map(move |key| (section, key))
    })
}
