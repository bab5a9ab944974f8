//! `[[delivery_agent_connector]]`: mail handed to an agent with a protocol of its own (spec 3.5).

use postroad_connector::DeliveryAgentConnector;

use crate::reading::fault::plain;
use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::{
    boolean, distinct, integer, name, or_empty, or_unlimited, size, text, text_up_to,
};
use crate::sections::send_connector::address_spaces;

pub(crate) fn read(mut section: Section<'_, '_>) -> (DeliveryAgentConnector, Places) {
    let name_given = section.require("name", "\"Mailboxes\"", name).unwrap_or_default();
    let spaces = address_spaces(&mut section);
    let protocol = section.require("delivery_protocol", "\"lmtp\"", text_up_to(64)).unwrap_or_default();
    let mut connector = DeliveryAgentConnector::new(name_given, spaces, protocol);
    let c = &mut connector;
    section.set(&mut c.endpoint, "endpoint", or_empty(text));
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
    (connector, section.close())
}
