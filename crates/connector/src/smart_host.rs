//! The hosts a connector hands its mail to: a name to look up, or an address to dial.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use postroad_address_space::Domain;

use crate::error::{Expected, ParseError};
use crate::named::{as_text, named};

named! {
    /// `SmartHostType`, IIS's word for when the smart hosts are used.
    SmartHostType {
        /// 0: never; mail goes to MX hosts.
        None = "none",
        /// 1: mail goes to MX hosts; to the smart hosts only when DNS for the recipient's domain fails.
        DnsFirst = "dns-first",
        /// 2: always. What Exchange does.
        Always = "always",
    }
}

/// One entry of `SmartHosts`.
///
/// A name is looked up as MX, then as A and AAAA; an address is dialled as it stands. Read with or without
/// brackets (`10.10.1.1`, `[10.10.1.1]`, `[IPv6:2001:db8::1]`), written with them, as Exchange names its queues.
/// Exhaustive on purpose: whoever dials has to know every kind, and is to hear of a new one from the compiler.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SmartHost {
    /// A host name, or a domain with MX records.
    Name(Domain),
    /// An IP address: no DNS is asked.
    Address(IpAddr),
}

impl fmt::Display for SmartHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Address(address) => write!(f, "[{address}]"),
        }
    }
}

impl FromStr for SmartHost {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let trimmed = text.trim();
        let start = text.len() - text.trim_start().len();
        if let Some(inner) = trimmed.strip_prefix('[') {
            let inner =
                inner.strip_suffix(']').ok_or(ParseError::new(Expected::SmartHost, start + trimmed.len()))?;
            return bracketed(inner)
                .map(Self::Address)
                .ok_or(ParseError::new(Expected::SmartHost, start + 1));
        }
        if let Ok(address) = trimmed.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            // 10.10.1.256 is a slip of the pen, not a name to look up.
            return Err(ParseError::new(Expected::SmartHost, start));
        }
        Domain::parse(trimmed)
            .map(Self::Name)
            .map_err(|error| ParseError::new(Expected::SmartHost, start + error.offset()))
    }
}

as_text!(SmartHost);

/// `[10.0.0.2]`, `[2001:db8::1]`, `[IPv6:2001:db8::1]` without its brackets.
fn bracketed(inner: &str) -> Option<IpAddr> {
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => {
            inner.get(5..)?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => inner.parse().ok(),
    }
}

/// Where another server takes mail: a host, and a port of which 25 is the default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ServerAddress {
    /// Name or address of the server.
    pub host: SmartHost,
    /// TCP port.
    pub port: u16,
}

impl ServerAddress {
    /// That port of that host.
    pub fn new(host: SmartHost, port: u16) -> Self {
        Self { host, port }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            SmartHost::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl FromStr for ServerAddress {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let trimmed = text.trim();
        let bare_ipv6 = trimmed.parse::<Ipv6Addr>().is_ok();
        let (host, port) = match trimmed.rsplit_once(':') {
            Some((host, port)) if !bare_ipv6 && !port.contains(']') => {
                let offset = text.len() - text.trim_start().len() + host.len() + 1;
                (host, port.parse().map_err(|_| ParseError::new(Expected::ServerAddress, offset))?)
            }
            _ => (trimmed, 25),
        };
        let host = host
            .parse()
            .map_err(|error: ParseError| ParseError::new(Expected::ServerAddress, error.offset()))?;
        Ok(Self { host, port })
    }
}

as_text!(ServerAddress);

/// A proxy at the front end, through which connectors with `frontend_proxy_enabled` leave: `socks5://host:port`, of which 1080
/// is the default port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrontEndProxy(ServerAddress);

impl FrontEndProxy {
    /// Where it listens.
    pub fn address(&self) -> &ServerAddress {
        &self.0
    }
}

impl fmt::Display for FrontEndProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socks5://{}", self.0)
    }
}

impl FromStr for FrontEndProxy {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const SCHEME: &str = "socks5://";
        let wrong = |offset| ParseError::new(Expected::FrontEndProxy, offset);
        let rest = text.strip_prefix(SCHEME).ok_or(wrong(0))?;
        if rest.parse::<Ipv6Addr>().is_ok() {
            return Err(wrong(SCHEME.len()));
        }
        let mut address: ServerAddress =
            rest.parse().map_err(|error: ParseError| wrong(SCHEME.len() + error.offset()))?;
        if rest.ends_with(']') || !rest.contains(':') {
            address.port = 1080;
        }
        if address.port == 0 { Err(wrong(SCHEME.len())) } else { Ok(Self(address)) }
    }
}

as_text!(FrontEndProxy);

/// The address that stands for "any of ours".
pub(crate) const ANY_SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_end_proxy_is_a_url_without_a_password() {
        for (text, written) in [
            ("socks5://cas01.contoso.com:1080", Some("socks5://cas01.contoso.com:1080")),
            ("socks5://192.0.2.1", Some("socks5://192.0.2.1:1080")),
            ("socks5://[2001:db8::1]", Some("socks5://[2001:db8::1]:1080")),
            ("socks5://[2001:db8::1]:9050", Some("socks5://[2001:db8::1]:9050")),
            ("socks5://2001:db8::1", None),
            ("socks5://cas01:0", None),
            ("socks5://me:secret@cas01:1080", None),
            ("http://cas01:3128", None),
            ("cas01:1080", None),
            ("", None),
        ] {
            let read = text.parse::<FrontEndProxy>().map(|proxy| proxy.to_string());
            assert_eq!(read.ok().as_deref(), written, "{text}");
        }
    }
}
