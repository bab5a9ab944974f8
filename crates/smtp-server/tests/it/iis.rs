//! IIS's rules of who may connect and who may relay, by the table in `tests/relay_right_iis.txt`.

use std::collections::HashMap;

use postroad_smtp_server::{
    AuthMechanism, IpRange, PermissionGroup, ReceiveConnector, RelayIpRangesMode, TlsMaterial,
};

use crate::house::{House, connector, settings};
use crate::relay_right::connect_from;

/// The virtual server whose dialogs are filled in like this.
fn filled_in(words: &str) -> ReceiveConnector {
    let ranges = |texts: &[&str]| -> Vec<IpRange> {
        texts.iter().map(|text| text.parse().expect("a range")).collect()
    };
    let mut iis = connector("IIS");
    iis.max_inbound_connection_per_source = None;
    iis.auth_mechanism = vec![AuthMechanism::BasicAuth];
    iis.permission_groups = vec![PermissionGroup::AnonymousUsers];
    iis.relay_ip_ranges = ranges(&["127.0.0.9", "127.0.1.0(255.255.255.0)"]);
    for word in words.split(',') {
        match word {
            "only" => iis.relay_ip_ranges_mode = RelayIpRangesMode::Only,
            "all-except" => iis.relay_ip_ranges_mode = RelayIpRangesMode::AllExcept,
            "empty" => iis.relay_ip_ranges.clear(),
            "ticked" => iis.permission_groups.push(PermissionGroup::ExchangeUsers),
            "unticked" => {}
            "anonymous" => iis.auth_mechanism = vec![AuthMechanism::None],
            "control" => iis.remote_ip_ranges = ranges(&["127.0.0.0/24"]),
            other => panic!("{other}?"),
        }
    }
    iis
}

#[tokio::test]
async fn every_line_of_the_table_holds() {
    let mut houses = HashMap::new();
    let mut wrong = Vec::new();
    let table = include_str!("../relay_right_iis.txt").lines();
    for line in table.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [filled, source, user, recipient, expected @ ..] = words.as_slice() else { panic!("{line}") };
        if !houses.contains_key(filled) {
            let made = vec![(filled_in(filled), TlsMaterial::none())];
            houses.insert(*filled, House::open(made, settings()).await);
        }
        let mut caller = connect_from(source.parse().expect("an address"), houses[filled].address).await;
        let reply = match caller.reply().await {
            Some(greeting) if greeting.starts_with("220 ") => {
                caller.ask("EHLO a", "250-").await;
                if *user == "jane" {
                    // Said in any case: where nobody can log on it is refused.
                    caller.ask("AUTH PLAIN AGphbmUAc2VjcmV0", "").await;
                }
                caller.ask("MAIL FROM:<joe@contoso.com>", "250 ").await;
                caller.ask(&format!("RCPT TO:<{recipient}>"), "").await
            }
            _ => "closed".to_owned(),
        };
        if !reply.starts_with(&expected.join(" ")) {
            wrong.push(format!("{line}\n    but it was {}", reply.trim_end()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
