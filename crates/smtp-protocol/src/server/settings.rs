//! What a session offers and insists on.

use postroad_address_space::Mailbox;

use crate::data::BareLineEnds;
use crate::parameter::Offered;
use crate::path;
use crate::server::limits::Limits;
use crate::xclient;

/// One connector's part in a session, plain data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// LMTP (RFC 2033): LHLO in place of EHLO and HELO, and after the content a reply for each recipient.
    pub lmtp: bool,
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
    /// `XLONGADDR`, Exchange's: addresses of up to 1860 bytes instead of 571, in lines of up to 8000. Off: who passes them on
    /// to the world finds few that take them.
    pub long_addresses: bool,
    /// `ENHANCEDSTATUSCODES`, and a status in each reply.
    pub enhanced_status_codes: bool,
    /// `DSN`.
    pub dsn: bool,
    /// `CHUNKING`.
    pub chunking: bool,
    /// `BINARYMIME`, where `chunking` is set: content that says so comes by BDAT and is taken as it is.
    pub binary_mime: bool,
    /// `REQUIRETLS` (RFC 8689), inside TLS only. Whoever takes such a message must pass it on inside TLS only.
    pub require_tls_onward: bool,
    /// `LIMITS` (RFC 9422).
    pub announce_limits: bool,
    /// `XCLIENT`: this client may say for whom it speaks. Never but for addresses that somebody named.
    pub xclient: bool,
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
#[non_exhaustive]
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
    /// In the order they are said, upper case (`sasl-mech` of RFC 4422 section 3.1). Ours are in
    /// [`sasl::Mechanism`](crate::sasl::Mechanism); an owner may serve others.
    pub mechanisms: Vec<String>,
    /// Said and taken inside TLS only.
    pub require_tls: bool,
}

impl LogonOffer {
    /// These mechanisms.
    pub fn new(mechanisms: Vec<String>, require_tls: bool) -> Self {
        Self { mechanisms, require_tls }
    }

    /// PLAIN and LOGIN.
    pub fn basic(require_tls: bool) -> Self {
        Self::new(vec!["PLAIN".to_owned(), "LOGIN".to_owned()], require_tls)
    }
}

impl Settings {
    /// SMTP with every extension but STARTTLS, AUTH and XCLIENT, and no insistence.
    pub fn new(fqdn: impl Into<String>, postmaster: Mailbox) -> Self {
        Self {
            lmtp: false,
            fqdn: fqdn.into(),
            banner: None,
            postmaster,
            pipelining: true,
            size: SizeKeyword::WithLimit,
            eight_bit_mime: true,
            smtputf8: true,
            long_addresses: false,
            enhanced_status_codes: true,
            dsn: true,
            chunking: true,
            binary_mime: true,
            require_tls_onward: true,
            announce_limits: true,
            xclient: false,
            starttls: false,
            require_tls: false,
            logon: None,
            require_hello_name: false,
            refuse_bare_line_ends: true,
            limits: Limits::default(),
        }
    }

    pub(super) fn offered(&self, in_tls: bool) -> Offered {
        Offered {
            size: self.size != SizeKeyword::Absent,
            eight_bit_mime: self.eight_bit_mime,
            binary_mime: self.binary_mime && self.chunking,
            smtputf8: self.smtputf8,
            dsn: self.dsn,
            auth: self.logon.is_some(),
            require_tls: self.require_tls_onward && in_tls,
            long_addresses: self.long_addresses,
        }
    }

    /// Bytes of a command line, CRLF included.
    pub(super) fn longest_line(&self) -> usize {
        const WITH_LONG_ADDRESSES: usize = 8000;
        let usual = self.limits.command_line;
        if self.long_addresses { usual.max(WITH_LONG_ADDRESSES) } else { usual }
    }

    /// Bytes of an address.
    pub(super) fn longest_address(&self) -> usize {
        if self.long_addresses { path::LONGEST_ADDRESS } else { path::MAX_ADDRESS_LENGTH }
    }

    pub(super) fn bare_line_ends(&self) -> BareLineEnds {
        if self.refuse_bare_line_ends { BareLineEnds::Keep } else { BareLineEnds::MakeCrlf }
    }

    /// `limits-param = limit-name "=" limit-value` (RFC 9422 section 2)
    fn limits(&self) -> String {
        let most = |name: &str, limit: Option<u32>| {
            limit.map(|limit| format!(" {name}={limit}")).unwrap_or_default()
        };
        let (messages, domains) = (self.limits.messages, self.limits.recipient_domains);
        let recipients = self.limits.recipients;
        format!("LIMITS RCPTMAX={recipients}{}{}", most("MAILMAX", messages), most("RCPTDOMAINMAX", domains))
    }

    /// The keyword lines of the EHLO reply, for a session in that state.
    pub(super) fn keywords(&self, in_tls: bool, xclient: bool) -> Vec<String> {
        let limit = self.limits.message_size;
        let size = match self.size {
            SizeKeyword::WithLimit => Some(format!("SIZE {limit}")),
            SizeKeyword::Alone => Some("SIZE".to_owned()),
            SizeKeyword::Absent => None,
        };
        let logon = self
            .logon
            .as_ref()
            .filter(|offer| (in_tls || !offer.require_tls) && !offer.mechanisms.is_empty())
            .map(|offer| format!("AUTH {}", offer.mechanisms.join(" ")));
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
            said("BINARYMIME", self.binary_mime && self.chunking),
            said("SMTPUTF8", self.smtputf8),
            said("XLONGADDR", self.long_addresses),
            said("REQUIRETLS", self.require_tls_onward && in_tls),
            self.announce_limits.then(|| self.limits()),
            said(xclient::KEYWORD, xclient),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
