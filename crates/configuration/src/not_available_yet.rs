//! What relay.toml can ask for but the relay cannot do yet: one row each, deleted when its part is built.
//!
//! A key of this table is parsed and checked like any other. It is refused, with the words "not available yet",
//! only when its value asks for the missing part; a value that asks for nothing (its default) is taken. What a Send
//! connector cannot do it says itself, also to those who have no relay.toml.

use toml_span::value::{Value, ValueInner};

use crate::reading::quantity::{parse_size, parse_span};

/// Which values of a key ask for the missing part.
enum Asks {
    /// Every value, also the section as a whole where the key is empty.
    Always,
    /// Every value but these, written as in relay.toml without quotes; of a list every entry but these.
    AllBut(&'static [&'static str]),
    /// These values, or a list that holds one of them.
    Only(&'static [&'static str]),
}

struct Row {
    section: &'static str,
    /// The key, or empty for the section as a whole.
    key: &'static str,
    asks: Asks,
    reason: &'static str,
}

const fn row(section: &'static str, key: &'static str, asks: Asks, reason: &'static str) -> Row {
    Row { section, key, asks, reason }
}

use Asks::{AllBut, Always, Only};

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("admin", "", Always, "there is no management API and no status page"),
    row("metrics", "", Always, "nothing is measured for others to read"),

    row("queue", "store", AllBut(&["sqlite"]), "the embedded store is the only one"),
    row("dns", "validation", AllBut(&["off"]), "DNS answers are taken as they come; leave the key out or write \"off\""),
    row("credentials", "token_command", Always, "no command is run; let it write the token to a token_file, which is read anew"),

    row("transport", "mailbox_delivery_queue_retry_interval", AllBut(&["5m"]), "there are no mailbox queues"),
    row("transport", "queue_max_idle_time", AllBut(&["3m"]), "an empty queue is forgotten at once"),

    row("receive_connector", "auth_mechanism", Only(&["integrated", "exchange-server"]), "there is neither NTLM nor Kerberos; let clients log on with \"basic-auth\", or name them in relay_ip_ranges"),
    row("receive_connector", "permission_groups", Only(&["exchange-legacy-servers", "partners", "custom"]), "there are anonymous-users, exchange-users and exchange-servers only; a partner is anonymous, with require_tls and tls_client_certificates on a connector of his own"),
    row("receive_connector", "enable_auth_gssapi", AllBut(&["false"]), "there is no Kerberos; let clients log on with \"basic-auth\", SCRAM needs no password in the clear"),
    row("receive_connector", "extended_protection_policy", AllBut(&["none"]), "it is part of integrated Windows authentication, which there is not; SCRAM-SHA-256-PLUS binds a logon to its TLS without it"),
    row("receive_connector", "tls_domain_capabilities", AllBut(&[]), "there is no hybrid organisation; leave the key out, and ask for certificates with tls_client_certificates"),
    row("receive_connector", "max_acknowledgement_delay", AllBut(&["30s", "0s"]), "no answer waits for the next server, because a message is on the disk before it is answered; leave the key out"),
    row("receive_connector", "orar_enabled", AllBut(&["false"]), "what XORAR carries is published nowhere; leave the key out, ORCPT keeps the original recipient"),
];

/// Why this value of `key` in `section` cannot be had yet; `None` when it can.
pub(crate) fn refused(section: &str, key: &str, value: &Value<'_>) -> Option<&'static str> {
    let row = ROWS.iter().find(|row| row.section == section && row.key == key)?;
    let among = |value: &Value<'_>, words: &[&str]| words.iter().any(|word| is(value, word));
    let asks = |value: &Value<'_>| match row.asks {
        Always => true,
        AllBut(harmless) => !among(value, harmless),
        Only(missing) => among(value, missing),
    };
    let asked = match value.as_array() {
        Some(entries) => entries.iter().any(asks),
        None => asks(value),
    };
    asked.then_some(row.reason)
}

/// Why the section as a whole cannot be had yet.
pub(crate) fn refused_section(section: &str) -> Option<&'static str> {
    ROWS.iter().find(|row| row.section == section && row.key.is_empty()).map(|row| row.reason)
}

fn is(value: &Value<'_>, word: &str) -> bool {
    match value.as_ref() {
        ValueInner::String(text) => {
            let same_span = || parse_span(text).is_ok_and(|span| parse_span(word) == Ok(span));
            let same_size = || parse_size(text).is_ok_and(|size| parse_size(word) == Ok(size));
            text.eq_ignore_ascii_case(word) || same_span() || same_size()
        }
        ValueInner::Integer(number) => number.to_string() == word,
        ValueInner::Boolean(given) => given.to_string() == word,
        ValueInner::Array(_) | ValueInner::Float(_) | ValueInner::Table(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use postroad_smtp_server::{AuthMechanism, ExtendedProtectionPolicy, PermissionGroup, ReceiveConnector};

    use super::*;
    use crate::{Configuration, Problem, ProblemKind};

    /// The keys of the table whose value is a list.
    const LISTS: [&str; 3] = ["tls_domain_capabilities", "auth_mechanism", "permission_groups"];

    /// `key = word` in its section, and what is told of that key.
    fn told(row: &Row, word: &str) -> Vec<Problem> {
        let header = match row.section {
            "credentials" => "[credentials.a]".to_owned(),
            repeated if repeated.ends_with("connector") => format!("[[{repeated}]]"),
            single => format!("[{single}]"),
        };
        let bare = word.parse::<bool>().is_ok() || word.parse::<u64>().is_ok();
        let single = if bare { word.to_owned() } else { format!("{word:?}") };
        let value = if LISTS.contains(&row.key) { format!("[{single}]") } else { single };
        let text = format!("{header}\n{} = {value}\n", row.key);
        let problems = match Configuration::parse(&text, Path::new("relay.toml")) {
            Ok(relay) => relay.warnings,
            Err(problems) => problems.into(),
        };
        problems.into_iter().filter(|problem| problem.key == row.key).collect()
    }

    #[test]
    fn every_row_names_a_key_that_is_known_and_its_harmless_values_are_taken() {
        for row in ROWS.iter().filter(|row| !row.key.is_empty()) {
            let unknown = told(row, "x").into_iter().find(|problem| problem.kind == ProblemKind::UnknownKey);
            assert_eq!(unknown, None, "{} {}", row.section, row.key);
            if let AllBut(harmless) = row.asks {
                for word in harmless {
                    // Beside no smart host a list of mechanisms is a contradiction, but not unavailable.
                    let told = told(row, word)
                        .into_iter()
                        .find(|problem| problem.kind != ProblemKind::Contradiction);
                    assert_eq!(told, None, "{} {} = {word}", row.section, row.key);
                }
            }
        }
    }

    #[test]
    fn each_thing_a_receive_connector_cannot_do_is_refused_with_what_to_do_instead() {
        let asked = [
            ("auth_mechanism", "integrated", "log on with \"basic-auth\""),
            ("auth_mechanism", "exchange-server", "relay_ip_ranges"),
            ("permission_groups", "exchange-legacy-servers", "exchange-servers only"),
            ("permission_groups", "partners", "tls_client_certificates"),
            ("permission_groups", "custom", "exchange-users"),
            ("enable_auth_gssapi", "true", "log on with \"basic-auth\""),
            ("extended_protection_policy", "allow", "SCRAM-SHA-256-PLUS"),
            ("extended_protection_policy", "require", "SCRAM-SHA-256-PLUS"),
            ("tls_domain_capabilities", "contoso.com:AcceptOorgProtocol", "leave the key out"),
            ("max_acknowledgement_delay", "29s", "leave the key out"),
            ("orar_enabled", "true", "leave the key out"),
        ];
        for (key, word, instead) in asked {
            let row = ROWS.iter().find(|row| row.section == "receive_connector" && row.key == key);
            let told = told(row.expect("a row"), word);
            let refusal = told.iter().find(|problem| problem.kind == ProblemKind::NotAvailableYet);
            let refusal = refusal.unwrap_or_else(|| panic!("{key} = {word} is taken: {told:?}"));
            assert!(refusal.is_error() && refusal.message.contains(instead), "{refusal}");
        }
    }

    #[test]
    fn what_the_receive_connector_does_not_do_stands_in_the_table() {
        let mut connector = ReceiveConnector::new("everything");
        connector.auth_mechanism = vec![AuthMechanism::Integrated];
        connector.permission_groups = vec![PermissionGroup::Partners];
        connector.orar_enabled = true;
        connector.enable_auth_gssapi = true;
        connector.extended_protection_policy = ExtendedProtectionPolicy::Require;
        connector.tls_domain_capabilities = vec![String::new()];
        connector.max_acknowledgement_delay = std::time::Duration::from_secs(1);
        let mut missing = connector.not_available_yet();
        let mut listed: Vec<&str> =
            ROWS.iter().filter(|row| row.section == "receive_connector").map(|row| row.key).collect();
        missing.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, missing);
    }
}
