//! What a receive connector is told: Exchange's parameters with their defaults, and the relay's own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use postroad_address_space::Domain;

use crate::ip_range::IpRange;
use crate::parameters::{
    AuthMechanism, ExtendedProtectionPolicy, MessageRateSource, PermissionGroup, ProtocolLoggingLevel,
    ReceiveProtocol, RelayIpRangesMode, SizeEnabled, TlsClientCertificates, TlsMinimumVersion, TransportRole,
};
use crate::tls::TlsCertificateName;

/// A certificate and its key, for `tls_certificates`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateFiles {
    /// Certificate chain, PEM, the server's own first.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// These two.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into() }
    }
}

/// One receive connector as plain data: no socket, no certificate, no secret.
///
/// Names are Exchange's in snake_case, defaults are those of `Set-ReceiveConnector`; sizes are bytes, `None`
/// where Exchange says *unlimited*. The default takes mail from nobody: no permission group and an empty relay list.
///
/// ```
/// use postroad_smtp_server::{PermissionGroup, ReceiveConnector};
/// let mut applications = ReceiveConnector::new("Applications");
/// applications.bindings = vec!["127.0.0.1:2525".parse()?];
/// applications.relay_ip_ranges = vec!["127.0.0.1".parse()?];
/// applications.permission_groups = vec![PermissionGroup::AnonymousUsers];
/// assert!(applications.validate().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReceiveConnector {
    /// `Name`.
    pub name: String,
    /// `Enabled`: a disabled one does not listen.
    pub enabled: bool,
    /// `Bindings`: where it listens.
    pub bindings: Vec<SocketAddr>,
    /// Where it listens for clients that begin with TLS (RFC 8314, port 465), beside `bindings`. Neither Exchange nor .NET's
    /// SmtpClient, which SQL Server's Database Mail uses, speaks so: they want STARTTLS.
    pub implicit_tls_bindings: Vec<SocketAddr>,
    /// `RemoteIPRanges`: who may connect; of several connectors on one binding the most specific range wins.
    pub remote_ip_ranges: Vec<IpRange>,
    /// Who may relay without logging on (IIS: the Relay list). Empty by default.
    pub relay_ip_ranges: Vec<IpRange>,
    /// How `relay_ip_ranges` is read.
    pub relay_ip_ranges_mode: RelayIpRangesMode,
    /// What is spoken here.
    pub protocol: ReceiveProtocol,
    /// Load balancers: from these addresses a PROXY header (version 1 or 2) must come before anything else, and the client it
    /// names is the client from there on. Empty by default; from anybody else such a header ends the connection.
    /// `remote_ip_ranges` speak of the load balancer, `relay_ip_ranges` and the limits for each source of the client.
    pub proxy_protocol_ip_ranges: Vec<IpRange>,
    /// Fronts: clients at these addresses may say XCLIENT, and so who the client is and as whom it logged on. Empty by default.
    pub xclient_ip_ranges: Vec<IpRange>,
    /// `TransportRole`. What is taken goes into this server's queue in either case: one program is both here.
    pub transport_role: TransportRole,
    /// `AuthMechanism`.
    pub auth_mechanism: Vec<AuthMechanism>,
    /// `PermissionGroups`.
    pub permission_groups: Vec<PermissionGroup>,
    /// `RequireTLS`: nothing but EHLO, STARTTLS, NOOP, RSET and QUIT outside TLS.
    pub require_tls: bool,
    /// `RequireEHLODomain`: a client must name itself.
    pub require_ehlo_domain: bool,
    /// `Banner`: the whole greeting, which must start with `220 `; `None` makes one of the FQDN.
    pub banner: Option<String>,
    /// `Fqdn`: banner, EHLO reply, Received; `None` takes the server's.
    pub fqdn: Option<String>,
    /// Certificate chain, PEM.
    pub tls_certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub tls_key: Option<PathBuf>,
    /// More certificates: a client is shown the first that is for the name it asks for (SNI), else `tls_certificate`.
    pub tls_certificates: Vec<CertificateFiles>,
    /// The least version of TLS. 1.2 unless set.
    pub tls_minimum_version: TlsMinimumVersion,
    /// Whether clients are asked for a certificate. It gives no right to relay; an embedder sees it in
    /// [`Client::certificate`](crate::Client::certificate).
    pub tls_client_certificates: TlsClientCertificates,
    /// Whose client certificates are believed, PEM.
    pub tls_client_ca_file: Option<PathBuf>,
    /// Who may log on: lines `name = "hash"`.
    pub credentials_file: Option<PathBuf>,
    /// `MaxMessageSize`, 64 KB to 2 GB - 1.
    pub max_message_size: u64,
    /// `MaxHeaderSize`, at least 1.
    pub max_header_size: u64,
    /// `MaxRecipientsPerMessage`, 1 to 512000; the rest is told 452 4.5.3.
    pub max_recipients_per_message: u32,
    /// `MaxHopCount`, 1 to 500: Received fields.
    pub max_hop_count: u32,
    /// `MaxLocalHopCount`, 0 to 50, 0 is off.
    pub max_local_hop_count: u32,
    /// `MaxInboundConnection`, at least 1.
    pub max_inbound_connection: Option<u32>,
    /// `MaxInboundConnectionPerSource`, 1 to 10000.
    pub max_inbound_connection_per_source: Option<u32>,
    /// `MaxInboundConnectionPercentagePerSource`, 1 to 100, of the connections that remain. An IPv6 network of 64 bits is one source
    /// here.
    pub max_inbound_connection_percentage_per_source: u8,
    /// `ConnectionTimeout`: a session in all.
    pub connection_timeout: Duration,
    /// `ConnectionInactivityTimeout`: silence; smaller than `connection_timeout`.
    pub connection_inactivity_timeout: Duration,
    /// `MaxProtocolErrors`: malformed or out-of-order commands; a refused recipient is none.
    pub max_protocol_errors: Option<u32>,
    /// `MaxLogonFailures`, 0 to 10, 0 is never.
    pub max_logon_failures: u32,
    /// `MessageRateLimit`, a minute.
    pub message_rate_limit: Option<u32>,
    /// `MessageRateSource`.
    pub message_rate_source: MessageRateSource,
    /// `TarpitInterval`: before a 5xx reply to a client that did not log on; zero is off.
    pub tarpit_interval: Duration,
    /// `AuthTarpitInterval`: before the reply to a failed logon; zero is off.
    pub auth_tarpit_interval: Duration,
    /// `SizeEnabled`.
    pub size_enabled: SizeEnabled,
    /// `PipeliningEnabled` (RFC 2920).
    pub pipelining_enabled: bool,
    /// `ChunkingEnabled` (RFC 3030).
    pub chunking_enabled: bool,
    /// `BinaryMimeEnabled` (RFC 3030); needs chunking.
    pub binary_mime_enabled: bool,
    /// `EightBitMimeEnabled` (RFC 6152).
    pub eight_bit_mime_enabled: bool,
    /// `DeliveryStatusNotificationEnabled` (RFC 3461).
    pub delivery_status_notification_enabled: bool,
    /// `EnhancedStatusCodesEnabled` (RFC 2034).
    pub enhanced_status_codes_enabled: bool,
    /// `LongAddressesEnabled`: XLONGADDR is offered, and addresses of up to 1860 bytes are taken instead of 571, for X.400
    /// addresses that are encapsulated.
    pub long_addresses_enabled: bool,
    /// `OrarEnabled`: XORAR.
    pub orar_enabled: bool,
    /// `BareLinefeedRejectionEnabled`: content with a CR or LF that stands alone is refused with 550 5.5.2. True by
    /// default, unlike Exchange; false makes each of them CRLF, and even then only CRLF.CRLF ends the content.
    pub bare_linefeed_rejection_enabled: bool,
    /// `RejectReservedTopLevelRecipientDomains` (RFC 2606).
    pub reject_reserved_top_level_recipient_domains: bool,
    /// `RejectReservedSecondLevelRecipientDomains` (RFC 2606).
    pub reject_reserved_second_level_recipient_domains: bool,
    /// `RejectSingleLabelRecipientDomains`.
    pub reject_single_label_recipient_domains: bool,
    /// `DefaultDomain`: IMCEA recipients are opened for it, and where it is accepted `<postmaster>` is in it. `None` opens them
    /// for the first accepted domain and sends `<postmaster>` to the server's.
    pub default_domain: Option<Domain>,
    /// `EnableAuthGSSAPI`.
    pub enable_auth_gssapi: bool,
    /// `ExtendedProtectionPolicy`.
    pub extended_protection_policy: ExtendedProtectionPolicy,
    /// `SuppressXAnonymousTls`.
    pub suppress_x_anonymous_tls: bool,
    /// `DomainSecureEnabled`: senders of the domains in
    /// [`tls_receive_domain_secure_list`](crate::ServerSettings::tls_receive_domain_secure_list) are taken only from clients
    /// whose certificate is for that domain.
    pub domain_secure_enabled: bool,
    /// `TlsCertificateName`: which of the certificates in `tls_certificate` and `tls_certificates` is shown where none is for the
    /// name a client asks for, or where several are; `None`: that in `tls_certificate`.
    pub tls_certificate_name: Option<TlsCertificateName>,
    /// `TlsDomainCapabilities`.
    pub tls_domain_capabilities: Vec<String>,
    /// `ProtocolLoggingLevel`.
    pub protocol_logging_level: ProtocolLoggingLevel,
    /// `AdvertiseClientSettings`: whether `relay check` prints what to type into a client, as web mail does there.
    pub advertise_client_settings: bool,
    /// `MaxAcknowledgementDelay` (Exchange 2010): how long an answer may wait for the next server's. Here none does, because a
    /// message is on the disk before it is answered; zero says so, and so does the default.
    pub max_acknowledgement_delay: Duration,
}

impl ReceiveConnector {
    /// A connector with Exchange's defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            enabled: true,
            bindings: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 25)],
            implicit_tls_bindings: Vec::new(),
            remote_ip_ranges: vec![IpRange::ALL_IPV4, IpRange::ALL_IPV6],
            relay_ip_ranges: Vec::new(),
            relay_ip_ranges_mode: RelayIpRangesMode::Only,
            protocol: ReceiveProtocol::Smtp,
            proxy_protocol_ip_ranges: Vec::new(),
            xclient_ip_ranges: Vec::new(),
            transport_role: TransportRole::HubTransport,
            auth_mechanism: vec![AuthMechanism::Tls],
            permission_groups: Vec::new(),
            require_tls: false,
            require_ehlo_domain: false,
            banner: None,
            fqdn: None,
            tls_certificate: None,
            tls_key: None,
            tls_certificates: Vec::new(),
            tls_minimum_version: TlsMinimumVersion::Tls12,
            tls_client_certificates: TlsClientCertificates::None,
            tls_client_ca_file: None,
            credentials_file: None,
            max_message_size: 36 * 1024 * 1024,
            max_header_size: 256 * 1024,
            max_recipients_per_message: 200,
            max_hop_count: 30,
            max_local_hop_count: 8,
            max_inbound_connection: Some(5000),
            max_inbound_connection_per_source: Some(20),
            max_inbound_connection_percentage_per_source: 2,
            connection_timeout: Duration::from_secs(10 * 60),
            connection_inactivity_timeout: Duration::from_secs(5 * 60),
            max_protocol_errors: Some(5),
            max_logon_failures: 3,
            message_rate_limit: None,
            message_rate_source: MessageRateSource::IpAddress,
            tarpit_interval: Duration::from_secs(5),
            auth_tarpit_interval: Duration::from_secs(5),
            size_enabled: SizeEnabled::Enabled,
            pipelining_enabled: true,
            chunking_enabled: true,
            binary_mime_enabled: true,
            eight_bit_mime_enabled: true,
            delivery_status_notification_enabled: true,
            enhanced_status_codes_enabled: true,
            long_addresses_enabled: false,
            orar_enabled: false,
            bare_linefeed_rejection_enabled: true,
            reject_reserved_top_level_recipient_domains: false,
            reject_reserved_second_level_recipient_domains: false,
            reject_single_label_recipient_domains: false,
            default_domain: None,
            enable_auth_gssapi: false,
            extended_protection_policy: ExtendedProtectionPolicy::None,
            suppress_x_anonymous_tls: false,
            domain_secure_enabled: false,
            tls_certificate_name: None,
            tls_domain_capabilities: Vec::new(),
            protocol_logging_level: ProtocolLoggingLevel::None,
            advertise_client_settings: false,
            max_acknowledgement_delay: Duration::from_secs(30),
        }
    }

    /// Whether the mechanism is in `auth_mechanism`.
    pub fn offers(&self, mechanism: AuthMechanism) -> bool {
        self.auth_mechanism.contains(&mechanism)
    }

    /// Whether the group is in `permission_groups`.
    pub fn permits(&self, group: PermissionGroup) -> bool {
        self.permission_groups.contains(&group)
    }

    /// Whether this address may relay without logging on: by the Relay list, or because a link that is secured by other means
    /// (`external-authoritative`) is trusted with whoever may connect.
    pub fn relays_for(&self, client: IpAddr) -> bool {
        // A client of which a front knows no address.
        if client.is_unspecified() {
            return false;
        }
        if self.offers(AuthMechanism::ExternalAuthoritative) {
            return self.remote_span(client).is_some();
        }
        let listed = self.relay_ip_ranges.iter().any(|range| range.contains(client));
        match self.relay_ip_ranges_mode {
            RelayIpRangesMode::Only => listed,
            RelayIpRangesMode::AllExcept => !listed,
        }
    }

    /// Whether a PROXY header must come from this address.
    pub fn awaits_proxy_header(&self, peer: IpAddr) -> bool {
        self.proxy_protocol_ip_ranges.iter().any(|range| range.contains(peer))
    }

    /// Whether XCLIENT is taken from this address.
    pub fn takes_xclient(&self, client: IpAddr) -> bool {
        !client.is_unspecified() && self.xclient_ip_ranges.iter().any(|range| range.contains(client))
    }

    /// The span of the narrowest remote range that holds the client, if any does.
    pub fn remote_span(&self, client: IpAddr) -> Option<u128> {
        self.remote_ip_ranges.iter().filter(|range| range.contains(client)).map(IpRange::span).min()
    }

    /// Parameters that ask for a part that is not built yet, by their names in relay.toml.
    ///
    /// A configuration that names one of these is refused with the words "not available yet".
    #[must_use]
    pub fn not_available_yet(&self) -> Vec<&'static str> {
        let default = Self::new("");
        let foreign_mechanism = |mechanism: &AuthMechanism| {
            matches!(mechanism, AuthMechanism::Integrated | AuthMechanism::ExchangeServer)
        };
        let foreign_group = |group: &PermissionGroup| {
            matches!(
                group,
                PermissionGroup::ExchangeLegacyServers | PermissionGroup::Partners | PermissionGroup::Custom
            )
        };
        [
            (self.auth_mechanism.iter().any(foreign_mechanism), "auth_mechanism"),
            (self.permission_groups.iter().any(foreign_group), "permission_groups"),
            (self.orar_enabled, "orar_enabled"),
            (self.enable_auth_gssapi, "enable_auth_gssapi"),
            (
                self.extended_protection_policy != default.extended_protection_policy,
                "extended_protection_policy",
            ),
            (!self.tls_domain_capabilities.is_empty(), "tls_domain_capabilities"),
            (
                !self.max_acknowledgement_delay.is_zero()
                    && self.max_acknowledgement_delay != default.max_acknowledgement_delay,
                "max_acknowledgement_delay",
            ),
        ]
        .into_iter()
        .filter_map(|(asked, name)| asked.then_some(name))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_connector_relays_for_nobody() {
        let connector = ReceiveConnector::new("Default");
        for client in ["127.0.0.1", "10.0.0.1", "::1"] {
            assert!(!connector.relays_for(client.parse().unwrap()));
        }
        assert!(connector.permission_groups.is_empty());
        assert!(connector.not_available_yet().is_empty());
    }

    #[test]
    fn a_trusted_link_relays_for_whoever_may_connect() {
        let mut link = ReceiveConnector::new("Link");
        link.remote_ip_ranges = vec!["10.0.0.0/8".parse().unwrap()];
        link.auth_mechanism = vec![AuthMechanism::ExternalAuthoritative];
        link.permission_groups = vec![PermissionGroup::ExchangeServers];
        assert!(link.validate().is_empty() && link.not_available_yet().is_empty());
        assert!(link.relays_for("10.1.1.1".parse().unwrap()));
        assert!(!link.relays_for("11.1.1.1".parse().unwrap()));
    }

    #[test]
    fn all_except_turns_the_list_around() {
        let mut connector = ReceiveConnector::new("IIS");
        connector.relay_ip_ranges = vec!["10.0.0.0/8".parse().unwrap()];
        let (inside, outside) = ("::ffff:10.1.1.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        assert!(connector.relays_for(inside) && !connector.relays_for(outside));
        connector.relay_ip_ranges_mode = RelayIpRangesMode::AllExcept;
        assert!(!connector.relays_for(inside) && connector.relays_for(outside));
        assert!(!connector.relays_for("0.0.0.0".parse().unwrap()));
    }
}
