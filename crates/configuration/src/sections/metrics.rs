//! `[metrics]`: where others may read what the relay counts.

use crate::reading::section::Section;
use crate::reading::value::address_and_port;

/// Metrics are not available yet: the section is checked and refused.
pub(crate) fn read(mut section: Section<'_, '_>) {
    section.check("bind", address_and_port);
    section.close();
}
