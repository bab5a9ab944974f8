//! How much one session may ask of a server.

/// Bounds on size and patience; what exceeds one is refused, and what goes on exceeding it is hung up on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a command line, CRLF included. 2048: RFC 5321's 512 and what the extensions add, with room to spare. At least
    /// 8000 with [`long_addresses`](super::Settings::long_addresses).
    pub command_line: usize,
    /// Bytes of content, unstuffed. 36 MiB, as Exchange.
    pub message_size: usize,
    /// Recipients of one message; the next is told 452 4.5.3. 200, as Exchange.
    pub recipients: usize,
    /// MAIL commands of one session (`MAILMAX`); the next is told 421. `None`, the default, for any number.
    pub messages: Option<u32>,
    /// Different recipient domains of one session (`RCPTDOMAINMAX`); the next is told 452 4.5.3. `None`, the default, for any
    /// number.
    pub recipient_domains: Option<u32>,
    /// Malformed or out-of-order commands that are borne; `None` for any number. 5, as Exchange.
    pub protocol_errors: Option<u32>,
    /// Failed logons until the session ends; 0 for any number. 3, as Exchange.
    pub logon_failures: u32,
    /// Commands and lines that are none without a message between them, but for accepted recipients and chunks of 512 octets and more, which have limits of
    /// their own. 1000, above what any client of the trade needs.
    pub idle_commands: u32,
}

impl Limits {
    /// Bytes of a line in an AUTH exchange, CRLF aside (RFC 4954 section 4).
    pub const LOGON_LINE: usize = 12_288;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line: 2048,
            message_size: 36 * 1024 * 1024,
            recipients: 200,
            messages: None,
            recipient_domains: None,
            protocol_errors: Some(5),
            logon_failures: 3,
            idle_commands: 1000,
        }
    }
}
