//! `[dns]`: whom to ask for MX and address records, and how far to believe the answer.

use std::net::{IpAddr, SocketAddr};

use toml_span::value::Value;

use crate::problem::ProblemKind;
use crate::reading::fault::{Reading, refuse};
use crate::reading::section::Section;
use crate::reading::value::{boolean, distinct, one_of, quoted, string};

/// Whom to ask for MX and address records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dns {
    /// The servers to ask; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// Who validates DNSSEC.
    pub validation: DnsValidation,
    /// Whether an MX on a loopback address is taken for another host (tests, demo) instead of for ourselves.
    pub allow_loopback_mx: bool,
}

/// Who validates DNSSEC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DnsValidation {
    /// The relay itself.
    Builtin,
    /// A local resolver, whose AD bit is believed.
    ResolverAd,
    /// Nobody.
    #[default]
    Off,
}

pub(crate) fn read(mut section: Section<'_, '_>) -> Dns {
    let mut dns = Dns::default();
    let validations = [
        ("builtin", DnsValidation::Builtin),
        ("resolver-ad", DnsValidation::ResolverAd),
        ("off", DnsValidation::Off),
    ];
    section.set(&mut dns.servers, "servers", distinct(server));
    section.set(&mut dns.validation, "validation", one_of(&validations));
    section.set(&mut dns.allow_loopback_mx, "allow_loopback_mx", boolean);
    section.close();
    dns
}

/// An address, with or without a port; 53 is meant without.
fn server(value: &Value<'_>) -> Reading<SocketAddr> {
    let text = string(value, "an address of a DNS server")?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match (text.parse::<SocketAddr>(), bare.parse::<IpAddr>()) {
        (Ok(address), _) if address.port() > 0 => Ok(address),
        (_, Ok(address)) => Ok(SocketAddr::new(address, 53)),
        _ => {
            let message = format!(
                "must be an IP address, with a port or without, as in \"127.0.0.1:5353\", not {}",
                quoted(text)
            );
            refuse(value.span, ProblemKind::BadValue, message)
        }
    }
}
