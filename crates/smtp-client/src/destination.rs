//! Where mail goes and on which terms, as plain data.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use postroad_address_space::{Domain, MailDomain, ParseError};
use postroad_smtp_protocol::client::{Authentication, EightBitContent};

use crate::authenticator::Authenticator;
use crate::client_certificate::ClientCertificate;
use crate::proxy::{self, Proxy};

/// One place that mail is delivered to: its hosts, and what is demanded of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Destination {
    /// Which hosts, and in which order.
    pub hosts: Hosts,
    /// The port of every host. 25.
    pub port: u16,
    /// The name we give in EHLO.
    pub hello_name: MailDomain,
    /// HELO instead of EHLO.
    pub force_helo: bool,
    /// LMTP (RFC 2033) instead of SMTP: the last hop, into mailboxes, with an answer for each recipient.
    pub lmtp: bool,
    /// What TLS has to be.
    pub tls: TlsPolicy,
    /// TLS from the first byte on, as on port 465, instead of STARTTLS.
    pub implicit_tls: bool,
    /// Shown to a server that asks, inside TLS, who we are.
    pub client_certificate: Option<ClientCertificate>,
    /// Log in before any mail.
    pub authentication: Option<Authentication>,
    /// Who answers for mechanisms that are not ours; asked where `authentication` is given.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// The domain in which recipients of other types than SMTP are written as IMCEA mailboxes.
    pub imcea_domain: Option<Domain>,
    /// The address connections leave from.
    pub source_address: Option<IpAddr>,
    /// Leave through one of these, and never straight: Exchange's `FrontendProxyEnabled`. None: straight.
    pub proxies: Vec<Proxy>,
    /// What becomes of 8-bit content for a host without 8BITMIME.
    pub eight_bit_content: EightBitContent,
    /// How many messages one connection carries before it is closed; 1: it is never kept for another. 20.
    pub max_messages_per_connection: u32,
    /// How long a connection is kept for the next message. 10 minutes.
    pub inactivity_timeout: Duration,
    /// Write what is said into the client's protocol log, under this connector's name.
    pub logged_as: Option<String>,
    /// Where mail goes instead when the name service names no host to try, with terms and a login of its own: IIS's
    /// direct delivery first. A host that is down or refuses is no reason.
    pub when_dns_fails: Option<Box<Destination>>,
}

impl Destination {
    /// Port 25, opportunistic TLS, no login.
    pub fn new(hosts: Hosts, hello_name: MailDomain) -> Self {
        Self {
            hosts,
            port: 25,
            hello_name,
            force_helo: false,
            lmtp: false,
            tls: TlsPolicy::Opportunistic,
            implicit_tls: false,
            client_certificate: None,
            authentication: None,
            authenticator: None,
            imcea_domain: None,
            source_address: None,
            proxies: Vec::new(),
            eight_bit_content: EightBitContent::default(),
            max_messages_per_connection: 20,
            inactivity_timeout: Duration::from_secs(600),
            logged_as: None,
            when_dns_fails: None,
        }
    }

    /// One smart host, by its name or address: `smtp-relay.example.com`, 587. The rest as of [`new`](Self::new).
    pub fn smart_host(host: SmartHost, port: u16, hello_name: MailDomain) -> Self {
        Self { port, ..Self::new(Hosts::SmartHosts(vec![host]), hello_name) }
    }

    /// The terms alone, for a connection that outlives its message.
    pub(crate) fn terms(&self) -> Self {
        Self {
            hello_name: self.hello_name.clone(),
            tls: self.tls.clone(),
            client_certificate: self.client_certificate.clone(),
            authentication: self.authentication.clone(),
            authenticator: self.authenticator.clone(),
            logged_as: self.logged_as.clone(),
            imcea_domain: None,
            proxies: self.proxies.clone(),
            hosts: Hosts::SmartHosts(Vec::new()),
            when_dns_fails: None,
            ..*self
        }
    }

    /// Whether a connection that was opened on these terms is as good as one on the others.
    pub(crate) fn has_terms_of(&self, other: &Self) -> bool {
        // Taken apart, so that a field that joins has to be thought of here. A connection does not know to whom else its
        // mail might have gone, and how long it is kept is asked anew for each message.
        let Self {
            hosts: _,
            port,
            hello_name,
            force_helo,
            lmtp,
            tls,
            implicit_tls,
            client_certificate,
            authentication,
            authenticator,
            imcea_domain: _,
            source_address,
            proxies,
            eight_bit_content,
            max_messages_per_connection: _,
            inactivity_timeout: _,
            logged_as,
            when_dns_fails: _,
        } = self;
        *port == other.port
            && *hello_name == other.hello_name
            && *force_helo == other.force_helo
            && *lmtp == other.lmtp
            && *tls == other.tls
            && *implicit_tls == other.implicit_tls
            && *source_address == other.source_address
            && proxies.len() == other.proxies.len()
            && proxies.iter().zip(&other.proxies).all(|(ours, theirs)| proxy::is_same(ours, theirs))
            && *eight_bit_content == other.eight_bit_content
            && *logged_as == other.logged_as
            && match (client_certificate, &other.client_certificate) {
                (None, None) => true,
                (Some(ours), Some(theirs)) => ours.is_same(theirs),
                _ => false,
            }
            && match (authenticator, &other.authenticator) {
                (None, None) => true,
                (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
                _ => false,
            }
            && match (authentication, &other.authentication) {
                (None, None) => true,
                (Some(ours), Some(theirs)) => ours.is_same(theirs),
                _ => false,
            }
    }
}

/// Which hosts take the mail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hosts {
    /// The MX hosts of a domain, best preference first; the domain's own address where it has none.
    Mx(Domain),
    /// Any of these: mail is spread over them evenly, and the others stand in for one that fails.
    ///
    /// There is no first choice in this list; for one, give a name whose MX records have preferences.
    SmartHosts(Vec<SmartHost>),
}

/// One smart host.
///
/// Read with or without brackets (`10.10.1.1`, `[10.10.1.1]`, `[IPv6:2001:db8::1]`), written with them (`[2001:db8::1]`): as connectors
/// spell it, and Exchange its queues.
///
/// ```
/// use postroad_smtp_client::SmartHost;
/// assert_eq!("2001:db8::1".parse::<SmartHost>()?.to_string(), "[2001:db8::1]");
/// assert_eq!("smtp-relay.example.com".parse::<SmartHost>()?.to_string(), "smtp-relay.example.com");
/// # Ok::<(), postroad_address_space::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SmartHost {
    /// Looked up as MX, and then as the name of a host.
    Name(Domain),
    /// Never looked up.
    Address(IpAddr),
}

/// A name as it is, an address in brackets.
impl fmt::Display for SmartHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name.as_str()),
            Self::Address(address) => write!(f, "[{address}]"),
        }
    }
}

impl FromStr for SmartHost {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let tagged = inner.split_once(':').filter(|(tag, _)| tag.eq_ignore_ascii_case("IPv6"));
        let address = match tagged {
            Some((_, address)) => address.parse::<Ipv6Addr>().map(IpAddr::V6),
            None => inner.parse(),
        };
        match address {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => Domain::parse(text).map(Self::Name),
        }
    }
}

/// What TLS has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsPolicy {
    /// Not used, even where it is offered.
    Never,
    /// Used where it is offered, with no look at the certificate; clear text where the handshake fails.
    Opportunistic,
    /// No mail without it: see [`required`](Self::required).
    #[non_exhaustive]
    Required {
        /// What the certificate has to prove.
        verify: Verification,
    },
}

impl TlsPolicy {
    /// No mail without TLS, and without a certificate that proves this.
    pub const fn required(verify: Verification) -> Self {
        Self::Required { verify }
    }

    /// No mail without TLS and a certificate, by a trusted authority, for the host: what a smart host should have.
    pub const fn verified() -> Self {
        Self::required(Verification::DomainValidation(CertificateName::Host))
    }
}

/// What a certificate has to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// Nothing: the connection is encrypted, to whomever.
    EncryptionOnly,
    /// That a trusted authority issued it, for any name, and that it is in date. Revocation is not asked for.
    CertificateValidation,
    /// That, and that it was issued for this name.
    DomainValidation(CertificateName),
}

/// The name a certificate has to be for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateName {
    /// The smart host's name as configured, whatever its MX records say; with [`Hosts::Mx`] the MX host's, which proves
    /// no more than the name service does.
    Host,
    /// This one: `smtp.contoso.com`.
    Exact(Domain),
    /// Any name one label below: `*.contoso.com` is `Below(contoso.com)`.
    Below(Domain),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smart_host_is_read_as_it_is_written_and_as_people_write_it() {
        for (text, written) in [
            ("smtp-relay.example.com", Some("smtp-relay.example.com")),
            ("192.0.2.1", Some("[192.0.2.1]")),
            ("[192.0.2.1]", Some("[192.0.2.1]")),
            ("2001:db8::1", Some("[2001:db8::1]")),
            ("[2001:db8::1]", Some("[2001:db8::1]")),
            ("[ipv6:2001:db8::1]", Some("[2001:db8::1]")),
            ("[IPv6:192.0.2.1]", None),
            ("[192.0.2.1", None),
            ("[smtp-relay.example.com]", None),
            ("smtp-relay.example.com:25", None),
            ("", None),
        ] {
            let read = text.parse::<SmartHost>().ok();
            assert_eq!(read.as_ref().map(ToString::to_string).as_deref(), written, "{text}");
            assert_eq!(written.and_then(|written| written.parse().ok()), read, "{text}");
        }
    }
}
