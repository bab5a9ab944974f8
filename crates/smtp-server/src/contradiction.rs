//! What a receive connector's parameters may not say, alone or together with other connectors.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ip_range::IpRange;
use crate::parameters::{AuthMechanism, PermissionGroup, ReceiveProtocol, TlsClientCertificates};
use crate::receive_connector::ReceiveConnector;

/// A rule that the parameters break. All of them are found at once; each names its parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// A number outside its range.
    #[error("`{parameter}` must be from {min} to {max}")]
    OutOfRange {
        /// Its name in relay.toml.
        parameter: &'static str,
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
    },
    /// A list that may not be empty.
    #[error("`{0}` must name at least one")]
    Empty(&'static str),
    /// `none` beside others.
    #[error("`none` must stand alone in `{0}`")]
    NoneNotAlone(&'static str),
    /// `basic-auth-require-tls` needs the other two.
    #[error("`auth_mechanism` has `basic-auth-require-tls`, which needs `basic-auth` and `tls` beside it")]
    BasicAuthRequireTlsAlone,
    /// `external-authoritative` goes with `tls` only.
    #[error("`auth_mechanism` has `external-authoritative`, which may stand beside `tls` only")]
    ExternalAuthoritativeNotAlone,
    /// `external-authoritative` needs the group.
    #[error(
        "`auth_mechanism` has `external-authoritative`, which needs `exchange-servers` in `permission_groups`"
    )]
    ExternalAuthoritativeWithoutServers,
    /// `external-authoritative` trusts whoever may connect.
    #[error(
        "`auth_mechanism` has `external-authoritative`, which lets every client in `remote_ip_ranges` relay: name those clients there, not everybody"
    )]
    ExternalAuthoritativeForEverybody,
    /// `require_tls` without `tls`.
    #[error("`require_tls` needs `tls` in `auth_mechanism`")]
    RequireTlsWithoutTls,
    /// TLS is demanded and there is no certificate.
    #[error("`{0}` needs `tls_certificate` and `tls_key`")]
    NoCertificate(&'static str),
    /// One of the two files is missing.
    #[error("`tls_certificate` and `tls_key` need each other")]
    HalfACertificate,
    /// More certificates without the first.
    #[error("`tls_certificates` are for other names than that of `tls_certificate`, which must be given too")]
    OnlyFurtherCertificates,
    /// Client certificates nobody could check.
    #[error("`{0}` needs `tls_client_ca_file`, the authorities whose client certificates are believed")]
    NoClientAuthorities(&'static str),
    /// `domain_secure_enabled` without client certificates.
    #[error(
        "`domain_secure_enabled` needs `tls` in `auth_mechanism`, and `tls_client_certificates` = \"request\" or \"require\""
    )]
    DomainSecureWithoutClientCertificates,
    /// A logon is offered and nobody can log on.
    #[error("`auth_mechanism` has `basic-auth`, which needs `credentials_file`")]
    NoCredentials,
    /// The banner.
    #[error("`banner` must start with `220 ` and be one line of at most 500 printable characters")]
    Banner,
    /// A name that is no domain.
    #[error("`fqdn` must be a domain name")]
    Fqdn,
    /// The two time-outs.
    #[error("`connection_inactivity_timeout` must be smaller than `connection_timeout`")]
    InactivityNotSmaller,
    /// BINARYMIME without CHUNKING.
    #[error("`binary_mime_enabled` needs `chunking_enabled`")]
    BinaryMimeWithoutChunking,
    /// LMTP on the port of SMTP (RFC 2033 section 5).
    #[error("`protocol` \"lmtp\" is never spoken on port 25")]
    LmtpOnPort25,
    /// What RFC 2033 section 5 asks of every LMTP server.
    #[error("`protocol` \"lmtp\" needs `{0}`")]
    LmtpWithout(&'static str),
    /// Two connectors on one binding claim the same or partly the same clients.
    #[error(
        "`remote_ip_ranges` {range} on {binding} collides with {other_range} of receive connector \"{other}\": ranges may nest, but neither be equal nor overlap in part"
    )]
    Overlap {
        /// The binding both have.
        binding: SocketAddr,
        /// This connector's range.
        range: IpRange,
        /// The other connector.
        other: String,
        /// Its range.
        other_range: IpRange,
    },
    /// One binding with TLS from the start and without.
    #[error(
        "`implicit_tls_bindings` has {0}, where a receive connector listens for clients that begin without TLS"
    )]
    TwoWaysToBegin(SocketAddr),
    /// Two connectors of one name.
    #[error("`name` \"{0}\" is taken by another receive connector")]
    SameName(String),
}

impl Contradiction {
    /// The parameters that contradict, by their names in relay.toml; the first is the one to point at.
    #[must_use]
    pub fn parameters(&self) -> Vec<&'static str> {
        match self {
            Self::OutOfRange { parameter, .. } => vec![parameter],
            Self::Empty(parameter) | Self::NoneNotAlone(parameter) => vec![parameter],
            Self::BasicAuthRequireTlsAlone | Self::ExternalAuthoritativeNotAlone => vec!["auth_mechanism"],
            Self::ExternalAuthoritativeWithoutServers => vec!["auth_mechanism", "permission_groups"],
            Self::ExternalAuthoritativeForEverybody => vec!["auth_mechanism", "remote_ip_ranges"],
            Self::OnlyFurtherCertificates => vec!["tls_certificates", "tls_certificate"],
            Self::NoClientAuthorities(parameter) => vec![parameter, "tls_client_ca_file"],
            Self::DomainSecureWithoutClientCertificates => {
                vec!["domain_secure_enabled", "tls_client_certificates", "auth_mechanism"]
            }
            Self::TwoWaysToBegin(_) => vec!["implicit_tls_bindings", "bindings"],
            Self::RequireTlsWithoutTls => vec!["require_tls", "auth_mechanism"],
            Self::NoCertificate(parameter) => vec![parameter, "tls_certificate", "tls_key"],
            Self::HalfACertificate => vec!["tls_certificate", "tls_key"],
            Self::NoCredentials => vec!["auth_mechanism", "credentials_file"],
            Self::Banner => vec!["banner"],
            Self::Fqdn => vec!["fqdn"],
            Self::InactivityNotSmaller => vec!["connection_inactivity_timeout", "connection_timeout"],
            Self::BinaryMimeWithoutChunking => vec!["binary_mime_enabled", "chunking_enabled"],
            Self::LmtpOnPort25 => vec!["protocol", "bindings"],
            Self::LmtpWithout(parameter) => vec!["protocol", parameter],
            Self::Overlap { .. } => vec!["remote_ip_ranges", "bindings"],
            Self::SameName(_) => vec!["name"],
        }
    }
}

impl ReceiveConnector {
    /// Every rule this connector breaks by itself; empty when it may be used.
    #[must_use]
    pub fn validate(&self) -> Vec<Contradiction> {
        let mut found = self.ranges();
        found.extend(self.authentication_rules());
        found.extend(self.certificate_rules());
        if self.bindings.is_empty() && self.implicit_tls_bindings.is_empty() {
            found.push(Contradiction::Empty("bindings"));
        }
        if self.remote_ip_ranges.is_empty() {
            found.push(Contradiction::Empty("remote_ip_ranges"));
        }
        if self.connection_inactivity_timeout >= self.connection_timeout {
            found.push(Contradiction::InactivityNotSmaller);
        }
        if self.binary_mime_enabled && !self.chunking_enabled {
            found.push(Contradiction::BinaryMimeWithoutChunking);
        }
        if self.protocol == ReceiveProtocol::Lmtp {
            found.extend(self.lmtp_rules());
        }
        if self.banner.as_deref().is_some_and(|banner| !is_banner(banner)) {
            found.push(Contradiction::Banner);
        }
        if self.fqdn.as_deref().is_some_and(|fqdn| postroad_address_space::Domain::parse(fqdn).is_err()) {
            found.push(Contradiction::Fqdn);
        }
        found
    }

    fn ranges(&self) -> Vec<Contradiction> {
        let percentage = u64::from(self.max_inbound_connection_percentage_per_source);
        let whole = |value: Option<u32>| value.map_or(1, u64::from);
        [
            ("max_message_size", self.max_message_size, 65_536, 2_147_483_647),
            ("max_header_size", self.max_header_size, 1, 2_147_483_647),
            ("max_recipients_per_message", u64::from(self.max_recipients_per_message), 1, 512_000),
            ("max_hop_count", u64::from(self.max_hop_count), 1, 500),
            ("max_local_hop_count", u64::from(self.max_local_hop_count), 0, 50),
            ("max_inbound_connection", whole(self.max_inbound_connection), 1, 2_147_483_647),
            ("max_inbound_connection_per_source", whole(self.max_inbound_connection_per_source), 1, 10_000),
            ("max_inbound_connection_percentage_per_source", percentage, 1, 100),
            ("max_logon_failures", u64::from(self.max_logon_failures), 0, 10),
            ("message_rate_limit", whole(self.message_rate_limit), 1, 2_147_483_647),
            ("connection_timeout", seconds_up(self.connection_timeout), 1, 86_400),
            ("connection_inactivity_timeout", seconds_up(self.connection_inactivity_timeout), 1, 86_400),
            ("tarpit_interval", seconds_up(self.tarpit_interval), 0, 600),
            ("auth_tarpit_interval", seconds_up(self.auth_tarpit_interval), 0, 600),
        ]
        .into_iter()
        .filter(|(_, value, min, max)| !(min..=max).contains(&value))
        .map(|(parameter, _, min, max)| Contradiction::OutOfRange { parameter, min, max })
        .collect()
    }

    fn lmtp_rules(&self) -> Vec<Contradiction> {
        let bindings = self.bindings.iter().chain(&self.implicit_tls_bindings);
        let on_port_25 = bindings.into_iter().any(|binding| binding.port() == 25);
        [
            (on_port_25, Contradiction::LmtpOnPort25),
            (!self.pipelining_enabled, Contradiction::LmtpWithout("pipelining_enabled")),
            (
                !self.enhanced_status_codes_enabled,
                Contradiction::LmtpWithout("enhanced_status_codes_enabled"),
            ),
        ]
        .into_iter()
        .filter_map(|(broken, contradiction)| broken.then_some(contradiction))
        .collect()
    }

    fn authentication_rules(&self) -> Vec<Contradiction> {
        use AuthMechanism as M;
        let external = self.offers(M::ExternalAuthoritative);
        let beside_external = |m: &M| !matches!(m, M::ExternalAuthoritative | M::Tls);
        let in_tls_only = self.offers(M::BasicAuthRequireTls);
        [
            (
                self.offers(M::None) && self.auth_mechanism.len() > 1,
                Contradiction::NoneNotAlone("auth_mechanism"),
            ),
            (
                self.permits(PermissionGroup::None) && self.permission_groups.len() > 1,
                Contradiction::NoneNotAlone("permission_groups"),
            ),
            (
                in_tls_only && !(self.offers(M::BasicAuth) && self.offers(M::Tls)),
                Contradiction::BasicAuthRequireTlsAlone,
            ),
            (
                external && self.auth_mechanism.iter().any(beside_external),
                Contradiction::ExternalAuthoritativeNotAlone,
            ),
            (
                external && !self.permits(PermissionGroup::ExchangeServers),
                Contradiction::ExternalAuthoritativeWithoutServers,
            ),
            (external && self.takes_everybody(), Contradiction::ExternalAuthoritativeForEverybody),
            (self.require_tls && !self.offers(M::Tls), Contradiction::RequireTlsWithoutTls),
            (in_tls_only && self.has_no_certificate(), Contradiction::NoCertificate("auth_mechanism")),
            (self.offers(M::BasicAuth) && self.credentials_file.is_none(), Contradiction::NoCredentials),
        ]
        .into_iter()
        .filter_map(|(broken, contradiction)| broken.then_some(contradiction))
        .collect()
    }
}

impl ReceiveConnector {
    fn certificate_rules(&self) -> Vec<Contradiction> {
        let half = self.tls_certificate.is_some() != self.tls_key.is_some();
        let asks = self.tls_client_certificates != TlsClientCertificates::None;
        let secure = asks && self.offers(AuthMechanism::Tls);
        let shared = self.implicit_tls_bindings.iter().find(|binding| self.bindings.contains(binding));
        let rules = [
            (half, Contradiction::HalfACertificate),
            (self.require_tls && self.has_no_certificate(), Contradiction::NoCertificate("require_tls")),
            (
                !self.implicit_tls_bindings.is_empty() && self.has_no_certificate(),
                Contradiction::NoCertificate("implicit_tls_bindings"),
            ),
            (asks && self.has_no_certificate(), Contradiction::NoCertificate("tls_client_certificates")),
            (
                self.tls_certificate_name.is_some() && self.has_no_certificate(),
                Contradiction::NoCertificate("tls_certificate_name"),
            ),
            (
                !self.tls_certificates.is_empty() && self.has_no_certificate(),
                Contradiction::OnlyFurtherCertificates,
            ),
            (
                asks && self.tls_client_ca_file.is_none(),
                Contradiction::NoClientAuthorities("tls_client_certificates"),
            ),
            (self.domain_secure_enabled && !secure, Contradiction::DomainSecureWithoutClientCertificates),
        ];
        let broken = rules.into_iter().filter_map(|(broken, contradiction)| broken.then_some(contradiction));
        broken.chain(shared.map(|binding| Contradiction::TwoWaysToBegin(*binding))).collect()
    }

    fn has_no_certificate(&self) -> bool {
        self.tls_certificate.is_none() && self.tls_key.is_none()
    }

    /// Whether every address of a family may connect.
    fn takes_everybody(&self) -> bool {
        [IpRange::ALL_IPV4, IpRange::ALL_IPV6]
            .iter()
            .any(|family| IpRange::cover_together(&self.remote_ip_ranges, family))
    }
}

/// Every rule that connectors break together, each with the index of the later connector of the pair.
#[must_use]
pub fn validate_together<'a>(
    connectors: impl IntoIterator<Item = &'a ReceiveConnector>,
) -> Vec<(usize, Contradiction)> {
    let connectors: Vec<_> = connectors.into_iter().collect();
    let mut found = Vec::new();
    for (index, later) in connectors.iter().enumerate() {
        for earlier in connectors.iter().take(index) {
            if later.name.eq_ignore_ascii_case(&earlier.name) {
                found.push((index, Contradiction::SameName(later.name.clone())));
            }
            found.extend(collisions(later, earlier).map(|contradiction| (index, contradiction)));
        }
    }
    found
}

fn collisions<'a>(
    later: &'a ReceiveConnector,
    earlier: &'a ReceiveConnector,
) -> impl Iterator<Item = Contradiction> + 'a {
    let common = |one: &'a [SocketAddr], other: &'a [SocketAddr]| {
        one.iter().find(|binding| other.contains(binding)).copied()
    };
    let two_ways = common(&later.implicit_tls_bindings, &earlier.bindings)
        .or_else(|| common(&later.bindings, &earlier.implicit_tls_bindings));
    let shared = common(&later.bindings, &earlier.bindings)
        .or_else(|| common(&later.implicit_tls_bindings, &earlier.implicit_tls_bindings));
    let overlaps = shared.into_iter().flat_map(move |binding| {
        let pairs = later
            .remote_ip_ranges
            .iter()
            .flat_map(|range| earlier.remote_ip_ranges.iter().map(move |other| (range, other)));
        pairs.filter(|(range, other)| range == other || range.partly_overlaps(other)).map(
            move |(range, other)| Contradiction::Overlap {
                binding,
                range: *range,
                other: earlier.name.clone(),
                other_range: *other,
            },
        )
    });
    two_ways.map(Contradiction::TwoWaysToBegin).into_iter().chain(overlaps)
}

fn seconds_up(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

fn is_banner(text: &str) -> bool {
    text.strip_prefix("220 ").is_some()
        && text.len() <= 500
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(change: impl FnOnce(&mut ReceiveConnector)) -> Vec<Contradiction> {
        let mut connector = ReceiveConnector::new("Applications");
        change(&mut connector);
        connector.validate()
    }

    #[test]
    fn the_defaults_break_no_rule() {
        assert_eq!(broken(|_| ()), []);
    }

    #[test]
    fn each_rule_names_its_parameters() {
        use AuthMechanism as M;
        assert_eq!(
            broken(|c| c.auth_mechanism = vec![M::None, M::Tls]),
            [Contradiction::NoneNotAlone("auth_mechanism")]
        );
        assert_eq!(
            broken(|c| c.auth_mechanism = vec![M::BasicAuthRequireTls]),
            [Contradiction::BasicAuthRequireTlsAlone, Contradiction::NoCertificate("auth_mechanism")]
        );
        assert_eq!(
            broken(|c| c.auth_mechanism = vec![M::ExternalAuthoritative]),
            [
                Contradiction::ExternalAuthoritativeWithoutServers,
                Contradiction::ExternalAuthoritativeForEverybody,
            ]
        );
        assert_eq!(
            broken(|c| {
                c.auth_mechanism = vec![M::ExternalAuthoritative];
                c.permission_groups = vec![PermissionGroup::ExchangeServers];
                c.remote_ip_ranges = ["0.0.0.0/1", "128.0.0.0/1"].map(|half| half.parse().unwrap()).to_vec();
            }),
            [Contradiction::ExternalAuthoritativeForEverybody]
        );
        assert_eq!(
            broken(|c| c.implicit_tls_bindings = c.bindings.clone()),
            [
                Contradiction::NoCertificate("implicit_tls_bindings"),
                Contradiction::TwoWaysToBegin("0.0.0.0:25".parse().unwrap()),
            ]
        );
        assert_eq!(
            broken(|c| c.tls_client_certificates = TlsClientCertificates::Request),
            [
                Contradiction::NoCertificate("tls_client_certificates"),
                Contradiction::NoClientAuthorities("tls_client_certificates"),
            ]
        );
        assert_eq!(
            broken(|c| c.domain_secure_enabled = true),
            [Contradiction::DomainSecureWithoutClientCertificates]
        );
        assert_eq!(
            broken(|c| c.tls_certificate_name = "<I>CN=a<S>CN=b".parse().ok()),
            [Contradiction::NoCertificate("tls_certificate_name")]
        );
        assert_eq!(broken(|c| c.require_tls = true), [Contradiction::NoCertificate("require_tls")]);
        assert_eq!(broken(|c| c.tls_key = Some("key.pem".into())), [Contradiction::HalfACertificate]);
        assert_eq!(broken(|c| c.banner = Some("hello".into())), [Contradiction::Banner]);
        assert_eq!(broken(|c| c.banner = Some("220 a\r\n250 b".into())), [Contradiction::Banner]);
        assert_eq!(broken(|c| c.chunking_enabled = false), [Contradiction::BinaryMimeWithoutChunking]);
        assert_eq!(broken(|c| c.protocol = ReceiveProtocol::Lmtp), [Contradiction::LmtpOnPort25]);
        assert_eq!(
            broken(|c| {
                c.protocol = ReceiveProtocol::Lmtp;
                c.bindings = vec!["[::1]:24".parse().unwrap()];
                c.pipelining_enabled = false;
            }),
            [Contradiction::LmtpWithout("pipelining_enabled")]
        );
        assert_eq!(
            broken(|c| c.connection_inactivity_timeout = c.connection_timeout),
            [Contradiction::InactivityNotSmaller]
        );
        assert_eq!(
            broken(|c| c.max_message_size = 65_535),
            [Contradiction::OutOfRange { parameter: "max_message_size", min: 65_536, max: 2_147_483_647 }]
        );
    }

    #[test]
    fn ranges_of_one_binding_may_nest_but_not_overlap_in_part() {
        let with = |name: &str, range: &str| {
            let mut connector = ReceiveConnector::new(name);
            connector.remote_ip_ranges = vec![range.parse().unwrap()];
            connector
        };
        let collides = |a: &str, b: &str| !validate_together(&[with("A", a), with("B", b)]).is_empty();
        assert!(!collides("10.0.0.0/8", "10.1.0.0/16"));
        assert!(collides("10.0.0.0/8", "10.0.0.0/8"));
        assert!(collides("10.0.0.1-10.0.0.5", "10.0.0.5-10.0.0.9"));
        let mut elsewhere = with("B", "10.0.0.0/8");
        elsewhere.bindings = vec!["127.0.0.1:587".parse().unwrap()];
        assert_eq!(validate_together(&[with("A", "10.0.0.0/8"), elsewhere]), []);
        assert!(!validate_together(&[with("A", "10.0.0.0/8"), with("a", "11.0.0.0/8")]).is_empty());
    }
}
