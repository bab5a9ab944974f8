//! `[frontend]`: the proxies through which connectors with `frontend_proxy_enabled` leave.

use crate::reading::section::Section;
use crate::reading::value::{distinct, text};

/// Proxies are not available yet: the list is checked and, unless empty, refused.
pub(crate) fn read(mut section: Section<'_, '_>) {
    section.check("proxies", distinct(text));
    section.close();
}
