//! `[admin]`: the management API and the status page.

use std::path::Path;

use crate::reading::section::Section;
use crate::reading::value::{address_and_port, path, text};

/// The management API is not available yet: the section is checked and refused.
pub(crate) fn read(mut section: Section<'_, '_>, folder: &Path) {
    section.check("bind", address_and_port);
    section.check("token_file", path(folder));
    section.check("public_url", text);
    section.close();
}
