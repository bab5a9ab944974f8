//! `[[delivery_agent_connector]]`: mail handed to an agent with a protocol of its own (spec 3.5).

use std::path::Path;
use std::time::Duration;

use postroad_connector::DeliveryAgentConnector;
use postroad_transport::agent::{lmtp, pipe};

use crate::problem::ProblemKind;

use crate::reading::fault::plain;
use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::{
    boolean, distinct, integer, list, name, or_empty, or_unlimited, path, size, span, text, text_up_to,
};
use crate::sections::send_connector::address_spaces;

/// What only `pipe` goes by.
const OF_PIPE: [&str; 5] =
    ["command", "user", "working_directory", "time_limit", "one_call_for_each_recipient"];

pub(crate) fn read(mut section: Section<'_, '_>, folder: &Path) -> (DeliveryAgentConnector, Places) {
    let name_given = section.require("name", "\"Mailboxes\"", name).unwrap_or_default();
    let spaces = address_spaces(&mut section);
    let protocol = section.require("delivery_protocol", "\"lmtp\"", text_up_to(64)).unwrap_or_default();
    let mut connector = DeliveryAgentConnector::new(name_given, spaces, protocol);
    let c = &mut connector;
    section.set(&mut c.endpoint, "endpoint", or_empty(text));
    section.set(&mut c.command, "command", list(text));
    section.set(&mut c.user, "user", or_empty(text));
    let working_directory = section.get("working_directory", path(folder));
    c.working_directory = working_directory.map(|directory| directory.to_string_lossy().into_owned());
    section.set(&mut c.time_limit, "time_limit", span(Duration::from_secs(1)..=pipe::LONGEST_TIME_LIMIT));
    section.set(&mut c.one_call_for_each_recipient, "one_call_for_each_recipient", boolean);
    section.set(&mut c.source_transport_servers, "source_transport_servers", distinct(name));
    section.set(&mut c.enabled, "enabled", boolean);
    section.set(&mut c.is_scoped_connector, "is_scoped_connector", boolean);
    section.set(&mut c.max_message_size, "max_message_size", or_unlimited(size(65_536..=2_147_483_647)));
    section.set(&mut c.max_concurrent_connections, "max_concurrent_connections", integer(1..=2_147_483_647));
    section.set(
        &mut c.max_messages_per_connection,
        "max_messages_per_connection",
        integer(1..=2_147_483_647),
    );
    section.set(&mut c.comment, "comment", text);

    let places = section.places().clone();
    for broken in connector.validate() {
        section.gather().broken_rule(&places, broken.parameters(), plain(&broken.rule().to_string()));
    }
    if section.has("delivery_protocol") {
        of_protocol(&mut section, &connector);
    }
    (connector, section.close())
}

/// What the agents of this relay cannot do without, or do not know.
fn of_protocol(section: &mut Section<'_, '_>, connector: &DeliveryAgentConnector) {
    let protocol = connector.delivery_protocol.to_ascii_lowercase();
    let is_ours = matches!(protocol.as_str(), "lmtp" | "pipe");
    if !is_ours && !protocol.trim().is_empty() {
        let message = "the relay has agents for \"lmtp\" and \"pipe\"; mail for another one waits";
        section.warn("delivery_protocol", message);
    }
    if protocol == "lmtp"
        && let Err(error) = connector.endpoint.as_deref().unwrap_or_default().parse::<lmtp::Endpoint>()
    {
        let key = if section.has("endpoint") { "endpoint" } else { "delivery_protocol" };
        section.error(key, ProblemKind::BadValue, error.to_string());
    }
    if protocol == "lmtp" {
        for key in OF_PIPE {
            if section.has(key) {
                section.contradiction(key, "delivery_protocol", "is for \"pipe\" only");
            }
        }
    }
    if protocol != "pipe" {
        return;
    }
    if section.has("endpoint") {
        section.contradiction("endpoint", "delivery_protocol", "\"pipe\" has a command instead");
    }
    if let Err(error) = pipe::check_command(&connector.command, connector.one_call_for_each_recipient) {
        let key = if section.has("command") { "command" } else { "delivery_protocol" };
        section.error(key, ProblemKind::BadValue, error.to_string());
    }
    if let Some(Err(error)) = connector.user.as_deref().map(pipe::check_user) {
        section.error("user", ProblemKind::BadValue, error.to_string());
    }
}
