//! `[tls]`: whose certificates are believed.

use std::path::{Path, PathBuf};

use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::path;

/// Whose certificates are believed when a connector asks for a certificate's validation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustAnchors {
    /// The system's.
    #[default]
    System,
    /// Those of this PEM file, and no others.
    File(PathBuf),
}

pub(crate) fn read(mut section: Section<'_, '_>, folder: &Path) -> (TrustAnchors, Places) {
    let file = path(folder);
    let anchors = section.get("trust_anchors", |value| match value.as_str() {
        Some("system") => Ok(TrustAnchors::System),
        _ => file(value).map(TrustAnchors::File),
    });
    (anchors.unwrap_or_default(), section.close())
}
