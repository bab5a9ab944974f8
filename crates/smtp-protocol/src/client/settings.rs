//! What a session may and must do before it carries mail: as whom it speaks, with or without TLS, logged in or not.

use postroad_address_space::MailDomain;

use crate::client::timeouts::Timeouts;
use crate::reply::ReplyLimits;
use crate::sasl::{Credential, Mechanism, Nonce};

/// The terms of one session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The name we give in EHLO.
    pub hello_name: MailDomain,
    /// HELO instead of EHLO: no STARTTLS, no AUTH, no SIZE.
    pub force_helo: bool,
    /// LMTP (RFC 2033): LHLO, and behind the content a reply for each recipient.
    pub lmtp: bool,
    /// Send content by BDAT (RFC 3030) where CHUNKING is offered: nothing is stuffed, and nobody has to agree on a final dot.
    pub chunking: bool,
    /// Whether STARTTLS is used.
    pub starttls: StartTls,
    /// TLS failed with this host a moment ago and we are here in clear text instead: no secret may be sent.
    pub downgraded: bool,
    /// Log in before any mail.
    pub authentication: Option<Authentication>,
    /// Fresh for each session, and what SCRAM cannot do without: where it is missing, no SCRAM mechanism is used.
    pub nonce: Option<Nonce>,
    /// What becomes of 8-bit content for a server without 8BITMIME.
    pub eight_bit_content: EightBitContent,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// How much of a reply is read.
    pub reply_limits: ReplyLimits,
    /// What outcomes call the server: `mx.example.com [192.0.2.1]:25`.
    pub host: String,
}

impl Settings {
    /// Opportunistic STARTTLS, no login, the defaults of the RFC for the rest.
    pub fn new(hello_name: MailDomain, host: impl Into<String>) -> Self {
        Self {
            hello_name,
            force_helo: false,
            lmtp: false,
            chunking: true,
            starttls: StartTls::Opportunistic,
            downgraded: false,
            authentication: None,
            nonce: None,
            eight_bit_content: EightBitContent::default(),
            timeouts: Timeouts::default(),
            reply_limits: ReplyLimits::default(),
            host: host.into(),
        }
    }
}

/// Whether STARTTLS is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartTls {
    /// Not even where it is offered.
    Never,
    /// Where it is offered; clear text otherwise.
    Opportunistic,
    /// Nothing but QUIT is said in clear text.
    Required,
}

/// What becomes of 8-bit content for a server without 8BITMIME (RFC 6152 section 3).
///
/// Such servers are rare, and most of them let 8-bit content pass all the same; the RFC allows nobody to rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum EightBitContent {
    /// Converted part by part; where that would break a DKIM, S/MIME or PGP signature the message fails with 5.6.3, and the
    /// sender hears of it. Nothing arrives damaged.
    #[default]
    ConvertUnlessSigned,
    /// Converted, signed or not: it arrives, and signatures that cover the bytes do not hold any more. Postfix does that.
    Convert,
    /// Sent as it is: signatures hold if the server and those behind it let bytes above 127 pass. Content that is no lines of
    /// text is converted as by `ConvertUnlessSigned`, since DATA has no place for it.
    SendAsItIs,
}

/// How to log in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Authentication {
    /// As whom.
    pub credential: Credential,
    /// Which mechanisms may be used; empty: every one we speak. The strongest both sides have is taken.
    pub mechanisms: Vec<Mechanism>,
    /// Mechanisms that the owner of the session answers for, such as `GSSAPI`, in any letter case: tried before ours, the first
    /// first. See [`Output::Challenge`](crate::client::Output::Challenge).
    pub own_mechanisms: Vec<String>,
    /// We may log in without TLS, the password in clear text if need be. Never after a downgrade, whatever this says.
    pub clear_text_allowed: bool,
}

impl Authentication {
    /// Any mechanism, after TLS only.
    pub fn new(credential: Credential) -> Self {
        Self { credential, mechanisms: Vec::new(), own_mechanisms: Vec::new(), clear_text_allowed: false }
    }

    /// Whether both log the same user in by the same rules, secrets included.
    pub fn is_same(&self, other: &Self) -> bool {
        // Taken apart, so that a field that joins has to be thought of here.
        let Self { credential, mechanisms, own_mechanisms, clear_text_allowed } = self;
        credential.is_same(&other.credential)
            && *mechanisms == other.mechanisms
            && *own_mechanisms == other.own_mechanisms
            && *clear_text_allowed == other.clear_text_allowed
    }

    pub(crate) fn allows(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.is_empty() || self.mechanisms.contains(&mechanism)
    }
}
