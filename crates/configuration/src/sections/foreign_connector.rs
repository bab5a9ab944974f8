//! `[[foreign_connector]]`: mail that leaves as files in a Drop directory (spec 3.4).

use postroad_connector::ForeignConnector;

use crate::problem::ProblemKind;
use crate::reading::fault::plain;
use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::{boolean, distinct, name, or_empty, or_unlimited, size, text, text_up_to};
use crate::sections::send_connector::{address_spaces, takes_nothing};

/// The greatest number Exchange writes, 2^31 - 1; for `max_message_size` it counts kilobytes.
const MOST: u64 = 2_147_483_647;

pub(crate) fn read(mut section: Section<'_, '_>) -> (ForeignConnector, Places) {
    let name_given = section.require("name", "\"Fax gateway\"", name).unwrap_or_default();
    let spaces = address_spaces(&mut section);
    let mut connector = ForeignConnector::new(name_given, spaces);
    let c = &mut connector;
    section.set(&mut c.source_transport_servers, "source_transport_servers", distinct(name));
    section.set(&mut c.is_scoped_connector, "is_scoped_connector", boolean);
    section.set(&mut c.enabled, "enabled", boolean);
    section.set(&mut c.drop_directory, "drop_directory", or_empty(text_up_to(4_096)));
    section.set(&mut c.drop_directory_quota, "drop_directory_quota", or_unlimited(size(1..=MOST)));
    section.set(&mut c.max_message_size, "max_message_size", or_unlimited(size(0..=MOST * 1_024)));
    section.set(&mut c.relay_dsn_required, "relay_dsn_required", boolean);
    section.set(&mut c.comment, "comment", text);

    if connector.drop_directory.is_none() && !names_a_folder(&connector.name) && section.has("name") {
        let message =
            format!("{:?} cannot be the name of a folder; write drop_directory = \"...\"", connector.name);
        section.error("name", ProblemKind::BadValue, message);
    }
    let places = section.places().clone();
    for broken in connector.validate() {
        section.gather().broken_rule(&places, broken.parameters(), plain(&broken.rule().to_string()));
    }
    takes_nothing(&mut section, connector.max_message_size);
    (connector, section.close())
}

/// Whether the connector's name, which is the default of its Drop directory, stays below the root directory.
fn names_a_folder(name: &str) -> bool {
    !name.contains(['/', '\\']) && !matches!(name, "." | "..")
}
