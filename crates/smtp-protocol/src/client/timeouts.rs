//! How long each phase may take, with the values of RFC 5321 section 4.5.3.2 where it names one.

use std::time::Duration;

/// One bound for each thing that is waited for, and one for a whole transaction.
///
/// A bound covers a whole reply: a server that sends a byte every two seconds does not extend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// One question to the name service. 30 s.
    pub lookup: Duration,
    /// Opening one TCP connection. 30 s.
    pub connect: Duration,
    /// The TLS handshake. 1 min.
    pub tls_handshake: Duration,
    /// 220 after the connection stands. 5 min.
    pub greeting: Duration,
    /// The reply to EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT and RSET, each. 5 min.
    pub command: Duration,
    /// 354 after DATA. 2 min.
    pub data_start: Duration,
    /// Any progress while content is sent. 3 min.
    pub data_block: Duration,
    /// The reply to the final dot. 10 min.
    pub final_dot: Duration,
    /// From MAIL to the reply to the final dot, whatever the others allow. 1 h.
    pub transaction: Duration,
    /// The reply to QUIT, which changes nothing any more. 5 s.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            lookup: Duration::from_secs(30),
            connect: Duration::from_secs(30),
            tls_handshake: MINUTE,
            greeting: MINUTE.saturating_mul(5),
            command: MINUTE.saturating_mul(5),
            data_start: MINUTE.saturating_mul(2),
            data_block: MINUTE.saturating_mul(3),
            final_dot: MINUTE.saturating_mul(10),
            transaction: MINUTE.saturating_mul(60),
            quit: Duration::from_secs(5),
        }
    }
}
