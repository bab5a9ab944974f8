//! SMTP addresses: mailbox, domain and address literal, by RFC 5321 section 4.1.2 and RFC 6531.

pub(crate) mod domain;
pub(crate) mod literal;
pub(crate) mod mailbox;
pub(crate) mod pattern;
pub(crate) mod wildcards;
