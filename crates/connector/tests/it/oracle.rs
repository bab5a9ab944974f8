//! The documented steps, followed to the letter and without regard to cost: what the table must agree with.

use std::cmp::Reverse;

use postroad_address_space::{Address, Specificity};
use postroad_connector::{Connector, Sender, SenderAttachment, SenderPin};

/// A world small enough to say by hand how far each server is: cost and hops.
pub(crate) fn distance(server: &str) -> Option<(u32, u8)> {
    match server {
        "Hub01" => Some((0, 0)),
        "Hub02" => Some((0, 1)),
        "Hub03" => Some((10, 2)),
        _ => None,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Connector(String),
    Unreachable,
    NoConnector,
    TooLarge,
}

type Preference = (u8, Reverse<Specificity>, u32, u8, String);

/// The connector for one recipient, by spec 2.1 and 2.2 and the declared precedence of attachment.
pub(crate) fn choose(
    connectors: &[Connector],
    pins: &[SenderPin],
    sender: &Sender,
    recipient: &Address,
    size: u64,
) -> Answer {
    let usable = |connector: &Connector| preference(connector, pins, sender, recipient);
    let fits = |connector: &Connector| connector.max_message_size().is_none_or(|limit| limit >= size);
    let matching: Vec<(Preference, &Connector)> =
        connectors.iter().filter_map(|connector| Some((usable(connector)?, connector))).collect();
    let chosen = matching
        .iter()
        .filter(|(_, connector)| fits(connector))
        .min_by_key(|(preference, _)| preference.clone());
    match chosen {
        Some((_, connector)) => Answer::Connector(connector.name().to_owned()),
        None if !matching.is_empty() => Answer::TooLarge,
        None if matches!(recipient, Address::Smtp(_)) => Answer::Unreachable,
        None => Answer::NoConnector,
    }
}

/// How much a connector is preferred, size aside; `None`: it may not be used.
fn preference(
    connector: &Connector,
    pins: &[SenderPin],
    sender: &Sender,
    recipient: &Address,
) -> Option<Preference> {
    if !connector.enabled() {
        return None;
    }
    let here = vec!["Hub01".to_owned()];
    let servers = match connector.source_transport_servers() {
        [] => here.as_slice(),
        servers => servers,
    };
    if connector.is_scoped_connector() && !servers.iter().any(|server| server == "Hub01" || server == "Hub02")
    {
        return None;
    }
    let tier = tier(connector, pins, sender)?;
    let spaces = connector.address_spaces().iter();
    let (specificity, space_cost) = spaces
        .filter_map(|space| Some((space.matches(recipient)?, space.cost())))
        .min_by_key(|(fit, cost)| (Reverse(*fit), *cost))?;
    let (links, hops) = servers.iter().filter_map(|server| distance(server)).min()?;
    Some((tier, Reverse(specificity), links + u32::from(space_cost), hops, connector.name().to_lowercase()))
}

fn tier(connector: &Connector, pins: &[SenderPin], sender: &Sender) -> Option<u8> {
    let default = connector.senders().is_empty().then_some(3);
    let Sender::Mailbox(mailbox) = sender else { return default };
    let own = mailbox.to_string().to_lowercase();
    if let Some(pin) = pins.iter().find(|pin| pin.address.to_string().to_lowercase() == own) {
        return match &pin.connector {
            Some(name) => (name.to_lowercase() == connector.name().to_lowercase()).then_some(1),
            None => default,
        };
    }
    let attached = |attachment: &SenderAttachment| match attachment {
        SenderAttachment::Address(address) => (address.to_string().to_lowercase() == own).then_some(1),
        SenderAttachment::Domain(domain) => (domain.to_string() == mailbox.domain().to_string()).then_some(2),
        other => panic!("the oracle knows no {other:?}"),
    };
    connector.senders().iter().filter_map(attached).min().or(default)
}
