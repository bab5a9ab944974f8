//! What a session offers and insists on.

use postroad_address_space::Mailbox;

use crate::data::BareLineEnds;
use crate::parameter::Offered;
use crate::sasl::Mechanism;
use crate::server::limits::Limits;

/// One connector's part in a session, plain data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Our name in the greeting and in the EHLO reply.
    pub fqdn: String,
    /// The whole greeting line instead of one made of `fqdn`; `220 ` before it may be left out.
    pub banner: Option<String>,
    /// Where `<postmaster>` goes.
    pub postmaster: Mailbox,
    /// `PIPELINING` is said. Commands that come ahead are taken in either case.
    pub pipelining: bool,
    /// How `SIZE` is said.
    pub size: SizeKeyword,
    /// `8BITMIME`.
    pub eight_bit_mime: bool,
    /// `SMTPUTF8`.
    pub smtputf8: bool,
    /// `ENHANCEDSTATUSCODES`, and a status in each reply.
    pub enhanced_status_codes: bool,
    /// `DSN`.
    pub dsn: bool,
    /// `CHUNKING`.
    pub chunking: bool,
    /// `STARTTLS`.
    pub starttls: bool,
    /// Nothing of use is served outside TLS.
    pub require_tls: bool,
    /// `AUTH`.
    pub logon: Option<LogonOffer>,
    /// EHLO must come with a name.
    pub require_hello_name: bool,
    /// Content with a CR or LF that stands alone is refused; otherwise each of them becomes CRLF.
    pub refuse_bare_line_ends: bool,
    /// Bounds.
    pub limits: Limits,
}

/// How `SIZE` stands in the EHLO reply (RFC 1870).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeKeyword {
    /// With the limit.
    WithLimit,
    /// Alone.
    Alone,
    /// Not at all.
    Absent,
}

/// What `AUTH` offers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogonOffer {
    /// In the order they are said.
    pub mechanisms: Vec<Mechanism>,
    /// Said and taken inside TLS only.
    pub require_tls: bool,
}

impl LogonOffer {
    /// PLAIN and LOGIN.
    pub fn basic(require_tls: bool) -> Self {
        Self { mechanisms: Mechanism::ALL.to_vec(), require_tls }
    }
}

impl Settings {
    /// Every extension but STARTTLS and AUTH, and no insistence.
    pub fn new(fqdn: impl Into<String>, postmaster: Mailbox) -> Self {
        Self {
            fqdn: fqdn.into(),
            banner: None,
            postmaster,
            pipelining: true,
            size: SizeKeyword::WithLimit,
            eight_bit_mime: true,
            smtputf8: true,
            enhanced_status_codes: true,
            dsn: true,
            chunking: true,
            starttls: false,
            require_tls: false,
            logon: None,
            require_hello_name: false,
            refuse_bare_line_ends: true,
            limits: Limits::default(),
        }
    }

    pub(super) fn offered(&self) -> Offered {
        Offered {
            size: self.size != SizeKeyword::Absent,
            eight_bit_mime: self.eight_bit_mime,
            binary_mime: false,
            smtputf8: self.smtputf8,
            dsn: self.dsn,
            auth: self.logon.is_some(),
        }
    }

    pub(super) fn bare_line_ends(&self) -> BareLineEnds {
        if self.refuse_bare_line_ends { BareLineEnds::Keep } else { BareLineEnds::MakeCrlf }
    }

    /// The keyword lines of the EHLO reply, for a session in that state.
    pub(super) fn keywords(&self, in_tls: bool) -> Vec<String> {
        let limit = self.limits.message_size;
        let size = match self.size {
            SizeKeyword::WithLimit => Some(format!("SIZE {limit}")),
            SizeKeyword::Alone => Some("SIZE".to_owned()),
            SizeKeyword::Absent => None,
        };
        let logon = self.logon.as_ref().filter(|offer| in_tls || !offer.require_tls).map(|offer| {
            let names: Vec<_> = offer.mechanisms.iter().map(|mechanism| mechanism.name()).collect();
            format!("AUTH {}", names.join(" "))
        });
        let said = |keyword: &str, offered: bool| offered.then(|| keyword.to_owned());
        [
            size,
            said("PIPELINING", self.pipelining),
            said("DSN", self.dsn),
            said("ENHANCEDSTATUSCODES", self.enhanced_status_codes),
            said("STARTTLS", self.starttls && !in_tls),
            logon,
            said("8BITMIME", self.eight_bit_mime),
            said("CHUNKING", self.chunking),
            said("SMTPUTF8", self.smtputf8),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
