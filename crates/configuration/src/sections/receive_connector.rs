//! `[[receive_connector]]`: where mail comes in, who may connect, and who may relay (spec 3.6).

use std::path::Path;
use std::time::Duration;

use postroad_address_space::Domain;
use postroad_smtp_server::{
    AuthMechanism, CertificateFiles, ExtendedProtectionPolicy, IpRange, MessageRateSource, PermissionGroup,
    ProtocolLoggingLevel, ReceiveConnector, ReceiveProtocol, RelayIpRangesMode, SizeEnabled,
    TlsClientCertificates, TlsMinimumVersion, TransportRole,
};
use toml_span::value::Value;

use crate::problem::ProblemKind;
use crate::reading::fault::{Reading, plain, refuse};
use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::{
    address_and_port, boolean, distinct, integer, keyword, list, map, name, not_empty, or_empty,
    or_unlimited, parsed, path, size, span, text, text_up_to, wrong_type,
};

const NONE: Duration = Duration::ZERO;
const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

const MOST: u64 = 2_147_483_647;

pub(crate) fn read(mut section: Section<'_, '_>, folder: &Path) -> Option<(ReceiveConnector, Places)> {
    let name = section.require("name", "\"Applications\"", name);
    let mut connector = ReceiveConnector::new(name.clone().unwrap_or_default());
    who_may_connect(&mut section, &mut connector, folder);
    limits(&mut section, &mut connector);
    extensions(&mut section, &mut connector);
    not_built(&mut section, &mut connector);
    section.check("comment", text);

    let places = section.places().clone();
    for broken in connector.validate() {
        section.gather().broken_rule(&places, &broken.parameters(), plain(&broken.to_string()));
    }
    doubts(&mut section, &connector);
    let places = section.close();
    name.map(|_| (connector, places))
}

#[rustfmt::skip]
fn who_may_connect(section: &mut Section<'_, '_>, c: &mut ReceiveConnector, folder: &Path) {
    section.set(&mut c.enabled, "enabled", boolean);
    section.set(&mut c.bindings, "bindings", distinct(address_and_port));
    section.set(&mut c.implicit_tls_bindings, "implicit_tls_bindings", distinct(address_and_port));
    section.set(&mut c.remote_ip_ranges, "remote_ip_ranges", not_empty(distinct(range)));
    section.set(&mut c.relay_ip_ranges, "relay_ip_ranges", distinct(range));
    section.set(&mut c.relay_ip_ranges_mode, "relay_ip_ranges_mode", keyword(RelayIpRangesMode::WORDS));
    section.set(&mut c.transport_role, "transport_role", keyword(TransportRole::WORDS));
    section.set(&mut c.protocol, "protocol", keyword(ReceiveProtocol::WORDS));
    section.set(&mut c.proxy_protocol_ip_ranges, "proxy_protocol_ip_ranges", distinct(range));
    section.set(&mut c.xclient_ip_ranges, "xclient_ip_ranges", distinct(range));
    section.set(&mut c.auth_mechanism, "auth_mechanism", distinct(keyword(AuthMechanism::WORDS)));
    section.set(&mut c.permission_groups, "permission_groups", distinct(keyword(PermissionGroup::WORDS)));
    section.set(&mut c.require_tls, "require_tls", boolean);
    section.set(&mut c.require_ehlo_domain, "require_ehlo_domain", boolean);
    section.set(&mut c.banner, "banner", or_empty(text_up_to(500)));
    section.set(&mut c.fqdn, "fqdn", or_empty(map(parsed::<Domain>("a host name"), |name| name.to_string())));
    section.set(&mut c.default_domain, "default_domain", or_empty(parsed::<Domain>("a domain")));
    section.set(&mut c.tls_certificate, "tls_certificate", or_empty(path(folder)));
    section.set(&mut c.tls_key, "tls_key", or_empty(path(folder)));
    section.set(&mut c.tls_certificates, "tls_certificates", list(certificate_files(folder)));
    section.set(&mut c.tls_certificate_name, "tls_certificate_name", or_empty(parsed("the name of a certificate")));
    section.set(&mut c.tls_minimum_version, "tls_minimum_version", keyword(TlsMinimumVersion::WORDS));
    section.set(&mut c.tls_client_certificates, "tls_client_certificates", keyword(TlsClientCertificates::WORDS));
    section.set(&mut c.tls_client_ca_file, "tls_client_ca_file", or_empty(path(folder)));
    section.set(&mut c.domain_secure_enabled, "domain_secure_enabled", boolean);
    section.set(&mut c.credentials_file, "credentials_file", or_empty(path(folder)));
}

#[rustfmt::skip]
fn limits(section: &mut Section<'_, '_>, c: &mut ReceiveConnector) {
    section.set(&mut c.max_message_size, "max_message_size", size(65_536..=MOST));
    section.set(&mut c.max_header_size, "max_header_size", size(1..=MOST));
    section.set(&mut c.max_recipients_per_message, "max_recipients_per_message", integer(1..=512_000));
    section.set(&mut c.max_hop_count, "max_hop_count", integer(1..=500));
    section.set(&mut c.max_local_hop_count, "max_local_hop_count", integer(0..=50));
    section.set(&mut c.max_inbound_connection, "max_inbound_connection", or_unlimited(integer(1..=2_147_483_647)));
    section.set(&mut c.max_inbound_connection_per_source, "max_inbound_connection_per_source", or_unlimited(integer(1..=10_000)));
    section.set(&mut c.max_inbound_connection_percentage_per_source, "max_inbound_connection_percentage_per_source", integer(1..=100));
    section.set(&mut c.connection_timeout, "connection_timeout", span(MILLISECOND..=DAY));
    section.set(&mut c.connection_inactivity_timeout, "connection_inactivity_timeout", span(MILLISECOND..=DAY));
    section.set(&mut c.max_protocol_errors, "max_protocol_errors", or_unlimited(integer(0..=2_147_483_647)));
    section.set(&mut c.max_logon_failures, "max_logon_failures", integer(0..=10));
    section.set(&mut c.message_rate_limit, "message_rate_limit", or_unlimited(integer(1..=2_147_483_647)));
    section.set(&mut c.message_rate_source, "message_rate_source", keyword(MessageRateSource::WORDS));
    section.set(&mut c.tarpit_interval, "tarpit_interval", span(NONE..=10 * MINUTE));
    section.set(&mut c.auth_tarpit_interval, "auth_tarpit_interval", span(NONE..=10 * MINUTE));
    section.set(&mut c.max_acknowledgement_delay, "max_acknowledgement_delay", span(NONE..=10 * MINUTE));
}

#[rustfmt::skip]
fn extensions(section: &mut Section<'_, '_>, c: &mut ReceiveConnector) {
    section.set(&mut c.size_enabled, "size_enabled", keyword(SizeEnabled::WORDS));
    section.set(&mut c.pipelining_enabled, "pipelining_enabled", boolean);
    section.set(&mut c.chunking_enabled, "chunking_enabled", boolean);
    section.set(&mut c.binary_mime_enabled, "binary_mime_enabled", boolean);
    section.set(&mut c.eight_bit_mime_enabled, "eight_bit_mime_enabled", boolean);
    section.set(&mut c.delivery_status_notification_enabled, "delivery_status_notification_enabled", boolean);
    section.set(&mut c.enhanced_status_codes_enabled, "enhanced_status_codes_enabled", boolean);
    section.set(&mut c.long_addresses_enabled, "long_addresses_enabled", boolean);
    section.set(&mut c.bare_linefeed_rejection_enabled, "bare_linefeed_rejection_enabled", boolean);
    section.set(&mut c.reject_reserved_top_level_recipient_domains, "reject_reserved_top_level_recipient_domains", boolean);
    section.set(&mut c.reject_reserved_second_level_recipient_domains, "reject_reserved_second_level_recipient_domains", boolean);
    section.set(&mut c.reject_single_label_recipient_domains, "reject_single_label_recipient_domains", boolean);
    section.set(&mut c.protocol_logging_level, "protocol_logging_level", keyword(ProtocolLoggingLevel::WORDS));
    section.set(&mut c.advertise_client_settings, "advertise_client_settings", boolean);
    section.set(&mut c.suppress_x_anonymous_tls, "suppress_x_anonymous_tls", boolean);
}

/// Parameters that are checked, and refused unless they ask for nothing: see `not_available_yet.rs`.
#[rustfmt::skip]
fn not_built(section: &mut Section<'_, '_>, c: &mut ReceiveConnector) {
    section.set(&mut c.orar_enabled, "orar_enabled", boolean);
    section.set(&mut c.enable_auth_gssapi, "enable_auth_gssapi", boolean);
    section.set(&mut c.extended_protection_policy, "extended_protection_policy", keyword(ExtendedProtectionPolicy::WORDS));
    section.set(&mut c.tls_domain_capabilities, "tls_domain_capabilities", list(text));
}

/// Legal, and most likely not what was meant.
fn doubts(section: &mut Section<'_, '_>, connector: &ReceiveConnector) {
    if connector.relay_ip_ranges_mode == RelayIpRangesMode::AllExcept {
        section.warn("relay_ip_ranges_mode", "every client outside relay_ip_ranges may relay: an open relay");
    }
    let trusted = connector.offers(AuthMechanism::ExternalAuthoritative);
    if connector.permits(PermissionGroup::ExchangeServers) && !trusted {
        let message = "\"exchange-servers\" are those on a link with auth_mechanism \"external-authoritative\": there is none here";
        section.warn("permission_groups", message);
    }
    if connector.bindings.is_empty() {
        let message = "nothing listens for STARTTLS: SQL Server's Database Mail and other .NET programs cannot begin with TLS";
        section.warn("implicit_tls_bindings", message);
    }
    let required = connector.tls_client_certificates == TlsClientCertificates::Require;
    if required && !connector.require_tls && !connector.bindings.is_empty() {
        let message = "a client that leaves TLS out is asked for no certificate: set require_tls";
        section.warn("tls_client_certificates", message);
    }
    let fronts = [
        ("proxy_protocol_ip_ranges", &connector.proxy_protocol_ip_ranges),
        ("xclient_ip_ranges", &connector.xclient_ip_ranges),
    ];
    for (key, ranges) in fronts {
        if [IpRange::ALL_IPV4, IpRange::ALL_IPV6].iter().any(|all| IpRange::cover_together(ranges, all)) {
            section.warn(key, "every client may say that it is another: an open relay");
        }
    }
    let logs_on = connector.offers(AuthMechanism::BasicAuth);
    if connector.permits(PermissionGroup::ExchangeUsers) && !logs_on {
        let message =
            "\"exchange-users\" are those who log on, and auth_mechanism has no \"basic-auth\": nobody can";
        section.warn("permission_groups", message);
    }
    if logs_on && !connector.permits(PermissionGroup::ExchangeUsers) {
        let message = "logging on gives no right here: permit \"exchange-users\" in permission_groups";
        section.warn("auth_mechanism", message);
    }
    let without_certificate = connector.tls_certificate.is_none() && connector.tls_key.is_none();
    if section.has("auth_mechanism") && connector.offers(AuthMechanism::Tls) && without_certificate {
        section.warn("auth_mechanism", "STARTTLS is not offered without tls_certificate and tls_key");
    }
}

const PAIR: &str = "{ certificate = \"tls/shop.pem\", key = \"tls/shop.key\" }";

fn certificate_files(folder: &Path) -> impl Fn(&Value<'_>) -> Reading<CertificateFiles> {
    let path = path(folder);
    move |value| {
        let Some(table) = value.as_table() else {
            return wrong_type(value, &format!("a certificate and its key, as in {PAIR}"));
        };
        if let Some(unknown) = table.keys().find(|key| !["certificate", "key"].contains(&key.name.as_ref())) {
            let message = format!("there is no {}; a certificate is written {PAIR}", unknown.name);
            return refuse(unknown.span, ProblemKind::UnknownKey, message);
        }
        let (Some(certificate), Some(key)) = (table.get("certificate"), table.get("key")) else {
            let message = format!("a certificate needs its key, as in {PAIR}");
            return refuse(value.span, ProblemKind::Missing, message);
        };
        Ok(CertificateFiles::new(path(certificate)?, path(key)?))
    }
}

fn range(value: &Value<'_>) -> Reading<IpRange> {
    parsed("an address range")(value)
}
