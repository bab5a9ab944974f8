//! What a log of one kind looks like: its files' prefix, its type, its fields.

/// The form of one kind of log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What file names begin with: `MSGTRK`.
    pub prefix: &'static str,
    /// Behind `#Log-type`.
    pub log_type: &'static str,
    /// Behind `#Version`.
    pub version: &'static str,
    /// Behind `#Fields`; the first is the moment.
    pub fields: &'static [&'static str],
}
