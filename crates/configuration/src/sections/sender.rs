//! `[[sender]]`: pins one sender to one connector, whatever its domain is attached to.

use postroad_address_space::Mailbox;
use postroad_connector::SenderPin;

use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::{name, parsed};

/// The word for "the connectors attached to nobody" (OVH's id 0).
const PLATFORM_DEFAULT: &str = "platform-default";

pub(crate) fn read(mut section: Section<'_, '_>) -> Option<(SenderPin, Places)> {
    let address = section.require("address", "\"contact@contoso.com\"", parsed::<Mailbox>("an address"));
    let connector = section.require("send_connector", "\"platform-default\"", name);
    let places = section.close();
    let connector = Some(connector?).filter(|name| name != PLATFORM_DEFAULT);
    Some((SenderPin::new(address?, connector), places))
}
