//! Checks that compare sections: names that must exist, names that must be the only one, directories that must differ.

use std::path::{Path, PathBuf};

use postroad_address_space::Mailbox;
use postroad_connector::{
    Connector, Rule, SendConnector, SenderAttachment, SenderPin, SmartHost, SmartHostAuthMechanism, Warning,
};
use postroad_smtp_server::{Contradiction, IpRange, PermissionGroup, RelayIpRangesMode, validate_together};

use crate::configuration::Configuration;
use crate::problem::{ProblemKind, Severity};
use crate::read::Written;
use crate::reading::fault::plain;
use crate::reading::gather::{Finding, Gather, Places};
use crate::reading::suggestion::nearest;

/// Every rule that two sections can break together.
pub(crate) fn check(configuration: &Configuration, written: &Written, gather: &mut Gather<'_>) {
    names_of_receive_connectors(written, gather);
    names_of_connectors(written, gather);
    credentials(written, gather);
    sender_pins(written, gather);
    topology(configuration, written, gather);
    directories(configuration, written, gather);
}

/// What is legal but will most likely not do what was meant.
pub(crate) fn warn(configuration: &Configuration, written: &Written, gather: &mut Gather<'_>) {
    if configuration.connectors.iter().all(|connector| !connector.enabled()) {
        let message = "no connector is enabled: mail for anyone waits as unreachable";
        gather.warn_at(&Places::default(), "", message);
    }
    if !written.receive_connectors.iter().any(|(connector, _)| connector.enabled) {
        gather.warn_at(&Places::default(), "", "no receive connector is enabled: nothing comes in by SMTP");
    }
    nobody_may_send(written, gather);
    everybody_may_relay(written, gather);
    smart_host_is_this_server(written, gather);
    servers_out_of_reach(configuration, written, gather);
    shared_drop_directories(configuration, written, gather);
    front_end_without_proxies(configuration, written, gather);
    protocol_logs_without_a_place(configuration, written, gather);
    for (send, places) in send_connectors(written) {
        let logs_in = send.smart_host_auth_mechanism != SmartHostAuthMechanism::None;
        if send.authentication_credential.is_some() && !logs_in {
            let message = "nobody logs in by it, for smart_host_auth_mechanism is \"none\"; \"basic-auth-require-tls\" does";
            gather.warn_at(places, "authentication_credential", message);
        }
    }
    for (credential, places) in &written.credentials {
        let named = |connector: &Connector| match connector {
            Connector::Send(send) => send.authentication_credential.as_deref() == Some(&credential.name),
            _ => false,
        };
        if !configuration.connectors.iter().any(named) {
            gather.warn_at(places, "", "no connector names this credential");
        }
    }
}

fn protocol_logs_without_a_place(configuration: &Configuration, written: &Written, gather: &mut Gather<'_>) {
    let logs = &configuration.server.logs;
    let mut warn = |places: &Places, path: &str| {
        let message = format!("is written nowhere: [server] {path} is not given");
        gather.warn_at(places, "protocol_logging_level", message);
    };
    for (connector, places) in &written.receive_connectors {
        let is_logged = connector.protocol_logging_level != postroad_smtp_server::ProtocolLoggingLevel::None;
        if is_logged && logs.receive_protocol.is_none() {
            warn(places, "receive_protocol_log_path");
        }
    }
    for (connector, places) in &written.connectors {
        if let Connector::Send(send) = connector
            && send.protocol_logging_level != postroad_connector::ProtocolLoggingLevel::None
            && logs.send_protocol.is_none()
        {
            warn(places, "send_protocol_log_path");
        }
    }
}

fn names_of_receive_connectors(written: &Written, gather: &mut Gather<'_>) {
    let names =
        written.receive_connectors.iter().map(|(connector, places)| (connector.name.as_str(), places));
    distinct_names(names, gather);
    let connectors: Vec<_> =
        written.receive_connectors.iter().map(|(connector, _)| connector.clone()).collect();
    for (index, broken) in validate_together(&connectors) {
        // Told above, with the place of the other one.
        if matches!(broken, Contradiction::SameName(_)) {
            continue;
        }
        let Some((_, places)) = written.receive_connectors.get(index) else { continue };
        let other =
            |name: &str| written.receive_connectors.iter().find(|(connector, _)| connector.name == *name);
        if let Contradiction::Overlap { other: name, .. } = &broken
            && let Some((_, other_places)) = other(name)
        {
            let key = if places.has("remote_ip_ranges") { "remote_ip_ranges" } else { "bindings" };
            two_places(gather, places, key, other_places.of(key), plain(&broken.to_string()));
        } else {
            gather.broken_rule(places, &broken.parameters(), plain(&broken.to_string()));
        }
    }
}

fn names_of_connectors(written: &Written, gather: &mut Gather<'_>) {
    distinct_names(written.connectors.iter().map(|(connector, places)| (connector.name(), places)), gather);
}

fn distinct_names<'w>(names: impl Iterator<Item = (&'w str, &'w Places)>, gather: &mut Gather<'_>) {
    let mut seen: Vec<(String, &Places)> = Vec::new();
    for (name, places) in names.filter(|(_, places)| !places.refused.contains("name")) {
        let folded = name.to_lowercase();
        match seen.iter().find(|(earlier, _)| *earlier == folded) {
            Some((_, earlier)) => gather.report(Finding {
                severity: Severity::Error,
                kind: ProblemKind::Duplicate,
                section: &places.section,
                key: "name",
                span: places.of("name"),
                also: Some(earlier.of("name")),
                message: format!("another connector is called {name:?} already; letter case does not count"),
            }),
            None => seen.push((folded, places)),
        }
    }
}

fn credentials(written: &Written, gather: &mut Gather<'_>) {
    for (connector, places) in &written.connectors {
        let Connector::Send(send) = connector else { continue };
        let Some(name) = &send.authentication_credential else { continue };
        if written.credential_names.contains(name) {
            continue;
        }
        let message = match nearest(name, written.credential_names.iter().map(String::as_str)) {
            Some(known) => format!("there is no [credentials.{name}]; did you mean {known:?}?"),
            None => format!("there is no [credentials.{name}]"),
        };
        gather.error_at(places, "authentication_credential", ProblemKind::UnknownName, message);
    }
}

fn sender_pins(written: &Written, gather: &mut Gather<'_>) {
    for (index, (pin, places)) in written.sender_pins.iter().enumerate() {
        let mut earlier = written.sender_pins.iter().take(index);
        if let Some((_, earlier)) = earlier.find(|(earlier, _)| same_mailbox(&earlier.address, &pin.address))
        {
            let message = format!("{} is pinned already", pin.address);
            two_places(gather, places, "address", earlier.of("address"), message);
        }
        pinned_to_nobody(written, pin, places, gather);
        pinned_against_senders(written, pin, places, gather);
    }
}

fn pinned_to_nobody(written: &Written, pin: &SenderPin, places: &Places, gather: &mut Gather<'_>) {
    let Some(name) = &pin.connector else { return };
    // A connector whose name was refused may be the one that is meant.
    let unsure = send_connectors(written).any(|(_, places)| places.refused.contains("name"));
    if unsure || send_connectors(written).any(|(connector, _)| same_name(&connector.name, name)) {
        return;
    }
    let known =
        send_connectors(written).map(|(connector, _)| connector.name.as_str()).chain(["platform-default"]);
    let message = match nearest(name, known) {
        Some(known) => format!("there is no send connector {name:?}; did you mean {known:?}?"),
        None => format!("there is no send connector {name:?}; name one, or \"platform-default\""),
    };
    gather.error_at(places, "send_connector", ProblemKind::UnknownName, message);
}

fn pinned_against_senders(written: &Written, pin: &SenderPin, places: &Places, gather: &mut Gather<'_>) {
    for (connector, other) in send_connectors(written) {
        let lists_it = connector.senders.iter().any(
            |sender| matches!(sender, SenderAttachment::Address(address) if same_mailbox(address, &pin.address)),
        );
        let elsewhere = pin.connector.as_deref().is_none_or(|pinned| !same_name(pinned, &connector.name));
        if lists_it && elsewhere {
            let message =
                format!("pins elsewhere an address that stands among the senders of {:?}", connector.name);
            two_places(gather, places, "send_connector", other.of("senders"), message);
        }
    }
}

fn send_connectors(written: &Written) -> impl Iterator<Item = (&SendConnector, &Places)> {
    written.connectors.iter().filter_map(|(connector, places)| match connector {
        Connector::Send(send) => Some((send, places)),
        _ => None,
    })
}

/// Names of connectors ignore letter case.
fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Pinned addresses ignore letter case.
fn same_mailbox(one: &Mailbox, other: &Mailbox) -> bool {
    same_name(&one.to_string(), &other.to_string())
}

fn topology(configuration: &Configuration, written: &Written, gather: &mut Gather<'_>) {
    for broken in configuration.topology.validate() {
        let message = plain(&broken.rule().to_string());
        match broken.rule() {
            Rule::SiteOfThisServer { .. } => {
                two_places(gather, &written.server, "site", written.topology.of("servers"), message);
            }
            _ => gather.broken_rule(&written.topology, broken.parameters(), message),
        }
    }
}

fn directories(configuration: &Configuration, written: &Written, gather: &mut Gather<'_>) {
    let pickup = configuration.pickup.as_ref().map(|pickup| pickup.path.as_path());
    let replay = configuration.replay.as_ref().map(|replay| replay.path.as_path());
    if pickup.is_some() && pickup == replay {
        let also = written.pickup.of("path");
        two_places(gather, &written.replay, "path", also, "must not be the Pickup directory".into());
    }
    for (connector, places) in &written.connectors {
        let Connector::Foreign(foreign) = connector else { continue };
        let directory = configuration.drop_directory(foreign);
        let taken: [(Option<&Path>, &Places, &str); 2] =
            [(pickup, &written.pickup, "Pickup"), (replay, &written.replay, "Replay")];
        for (other, other_places, name) in taken {
            if other == Some(directory.as_path()) {
                let message =
                    format!("must not be the {name} directory: what is dropped would come in again");
                two_places(gather, places, "drop_directory", other_places.of("path"), message);
            }
        }
        let absolute =
            foreign.drop_directory.as_deref().is_some_and(|directory| Path::new(directory).is_absolute());
        if absolute && configuration.server.root_drop_directory_path.is_some() {
            let also = written.server.of("root_drop_directory_path");
            let message = "is absolute, so that root_drop_directory_path must not be set; write a relative one, \
                           or remove the root";
            two_places(gather, places, "drop_directory", also, message.into());
        }
    }
}

fn two_places(gather: &mut Gather<'_>, places: &Places, key: &str, also: toml_span::Span, message: String) {
    if places.refused.contains(key) {
        return;
    }
    gather.report(Finding {
        severity: Severity::Error,
        kind: ProblemKind::Contradiction,
        section: &places.section,
        key,
        span: places.of(key),
        also: Some(also),
        message,
    });
}

fn nobody_may_send(written: &Written, gather: &mut Gather<'_>) {
    for (connector, places) in &written.receive_connectors {
        let by_address = !connector.relay_ip_ranges.is_empty()
            || connector.relay_ip_ranges_mode == RelayIpRangesMode::AllExcept;
        let groups = [PermissionGroup::AnonymousUsers, PermissionGroup::ExchangeUsers];
        if connector.enabled && !by_address && !groups.iter().any(|group| connector.permits(*group)) {
            let message = "nobody may send here: list clients in relay_ip_ranges, or permit \"anonymous-users\" or \
                           \"exchange-users\" in permission_groups";
            gather.warn_at(places, "permission_groups", message);
        }
    }
}

fn everybody_may_relay(written: &Written, gather: &mut Gather<'_>) {
    for (connector, places) in written.receive_connectors.iter().filter(|(connector, _)| connector.enabled) {
        if connector.relay_ip_ranges_mode != RelayIpRangesMode::Only {
            continue; // Told where the mode is read.
        }
        for (all, family) in [(IpRange::ALL_IPV4, "IPv4"), (IpRange::ALL_IPV6, "IPv6")] {
            // Who cannot connect cannot relay.
            let welcome = connector.remote_ip_ranges.iter().any(|range| range.covers(&all));
            if welcome && IpRange::cover_together(&connector.relay_ip_ranges, &all) {
                let message = format!("every {family} client may relay: an open relay");
                gather.warn_at(places, "relay_ip_ranges", message);
            }
        }
    }
}

fn smart_host_is_this_server(written: &Written, gather: &mut Gather<'_>) {
    let receive = written.receive_connectors.iter().map(|(connector, _)| connector);
    let bindings: Vec<_> =
        receive.filter(|connector| connector.enabled).flat_map(|connector| &connector.bindings).collect();
    for (connector, places) in send_connectors(written).filter(|(connector, _)| connector.enabled) {
        for host in &connector.smart_hosts {
            let SmartHost::Address(address) = host else { continue };
            let own = bindings.iter().find(|binding| {
                let anywhere = binding.ip().is_unspecified() && address.is_loopback();
                binding.port() == connector.port && (binding.ip() == *address || anywhere)
            });
            if let Some(own) = own {
                let message =
                    format!("{host} with port {} is this server itself ({own}): a loop", own.port());
                gather.warn_at(places, "smart_hosts", message);
            }
        }
    }
}

/// Connectors of other servers only: never chosen, or chosen and then nobody knows where to hand the mail over.
fn servers_out_of_reach(configuration: &Configuration, written: &Written, gather: &mut Gather<'_>) {
    let Ok(table) = configuration.routing_table() else { return };
    for warning in table.warnings() {
        let (Warning::NoSourceServerInReach { connector }
        | Warning::NoAddressOfSourceServer { connector, .. }) = warning
        else {
            continue;
        };
        if let Some((_, places)) = written.connectors.iter().find(|(known, _)| known.name() == connector) {
            gather.warn_at(places, "source_transport_servers", plain(&warning.to_string()));
        }
    }
}

/// Legal, and never what anybody wants for long.
fn front_end_without_proxies(configuration: &Configuration, written: &Written, gather: &mut Gather<'_>) {
    for (connector, places) in &written.connectors {
        if matches!(connector, Connector::Send(send) if send.frontend_proxy_enabled)
            && configuration.frontend_proxies.is_empty()
        {
            let message = "its mail waits, for [frontend] proxies names no proxy to leave through".to_owned();
            gather.warn_at(places, "frontend_proxy_enabled", message);
        }
    }
}

fn shared_drop_directories(configuration: &Configuration, written: &Written, gather: &mut Gather<'_>) {
    let mut seen: Vec<(PathBuf, &str)> = Vec::new();
    for (connector, places) in &written.connectors {
        let Connector::Foreign(foreign) = connector else { continue };
        let directory = configuration.drop_directory(foreign);
        if let Some((_, earlier)) = seen.iter().find(|(earlier, _)| *earlier == directory) {
            let message =
                format!("{earlier:?} drops into the same directory, and each counts the other's files");
            gather.warn_at(places, "drop_directory", message);
        }
        seen.push((directory, &foreign.name));
    }
}
