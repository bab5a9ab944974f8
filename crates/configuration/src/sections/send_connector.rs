//! `[[send_connector]]`: mail that leaves by SMTP, to smart hosts or by MX (spec 3.1 to 3.3).

use std::path::Path;
use std::time::Duration;

use postroad_address_space::{AddressSpace, Domain};
use postroad_connector::{
    AcceptedDomains, ConnectorType, EightBitContent, ErrorPolicy, ProtocolLoggingLevel, Rule, SendConnector,
    SmartHostAuthMechanism, SmartHostType, TlsAuthLevel, TlsCertificateName, Usage,
};
use toml_span::value::Value;

use crate::problem::ProblemKind;
use crate::reading::fault::{plain, refuse};
use crate::reading::gather::Places;
use crate::reading::section::Section;
use crate::reading::value::{
    boolean, distinct, integer, keyword, likely, map, name, not_empty, or_empty, or_unlimited, parsed, path,
    size, span, text,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// The connector as written; a name or address spaces that are missing or refused are told and left empty.
///
/// `accepted_domains` are what the space `--` stands for.
pub(crate) fn read(
    mut section: Section<'_, '_>,
    accepted_domains: &[Domain],
    folder: &Path,
) -> (SendConnector, Places) {
    let name = section.require("name", "\"Internet\"", name).unwrap_or_default();
    let spaces = spaces_or_accepted_domains(&mut section, accepted_domains);
    let usage = section.get("usage", keyword::<Usage>(Usage::NAMES)).unwrap_or_default();
    let mut connector = SendConnector::for_usage(name, spaces, usage);
    routing(&mut section, &mut connector);
    wire(&mut section, &mut connector, folder);
    not_built(&mut section, &mut connector);

    let places = section.places().clone();
    for broken in connector.validate() {
        if let (Rule::NotAvailableYet { reason, .. }, [key, ..]) = (broken.rule(), broken.parameters()) {
            section.error(key, ProblemKind::NotAvailableYet, format!("not available yet: {reason}"));
            continue;
        }
        section.gather().broken_rule(&places, broken.parameters(), plain(&broken.rule().to_string()));
    }
    if connector.smart_host_auth_mechanism.clear_text_allowed() && !connector.require_tls {
        let message =
            "the password may cross the wire in clear; \"basic-auth-require-tls\" never sends it so";
        section.warn("smart_host_auth_mechanism", message);
    }
    if connector.smart_host_use() == SmartHostType::DnsFirst && connector.port != 25 {
        let message = "is also the port of the MX hosts that direct delivery tries first";
        section.warn("port", message);
    }
    takes_nothing(&mut section, connector.max_message_size);
    (connector, section.close())
}

/// Exchange takes 0, and the connector is never chosen.
pub(crate) fn takes_nothing(section: &mut Section<'_, '_>, max_message_size: Option<u64>) {
    if max_message_size == Some(0) {
        section.warn("max_message_size", "takes no message at all; write enabled = false to say so");
    }
}

/// `address_spaces` of a connector of any kind.
pub(crate) fn address_spaces(section: &mut Section<'_, '_>) -> Vec<AddressSpace> {
    let spaces = not_empty(distinct(likely(parsed("an address space"), domain_of_an_address)));
    section.require("address_spaces", "[\"SMTP:*;1\"]", spaces).unwrap_or_default()
}

/// `address_spaces` of a Send connector, where Edge's `--` is every accepted domain, written out.
fn spaces_or_accepted_domains(
    section: &mut Section<'_, '_>,
    accepted_domains: &[Domain],
) -> Vec<AddressSpace> {
    let space = |value: &Value<'_>| match value.as_str().map(str::parse::<AcceptedDomains>) {
        Some(Ok(_)) if accepted_domains.is_empty() => {
            let message = "-- stands for the accepted domains, and [server] accepted_domains is empty";
            refuse(value.span, ProblemKind::BadValue, message)
        }
        Some(Ok(all)) => Ok(all.spaces(accepted_domains)),
        _ => likely(parsed("an address space"), domain_of_an_address)(value).map(|space| vec![space]),
    };
    let spaces = section.require("address_spaces", "[\"SMTP:*;1\"]", not_empty(distinct(space)));
    spaces.unwrap_or_default().into_iter().flatten().collect()
}

/// An address, where a domain is meant.
fn domain_of_an_address(text: &str) -> Option<String> {
    let address = text.strip_prefix("SMTP:").unwrap_or(text);
    let (_, domain) = address.rsplit_once('@').filter(|_| !address.contains(':'))?;
    Some(format!("it covers a domain, and nobody's address alone: {domain:?}"))
}

/// A URL, or a host and its port, as Postfix and most libraries write it.
fn host_alone(text: &str) -> Option<String> {
    if text.contains("://") {
        return Some("the host alone, without a scheme".to_owned());
    }
    let (_, port) = text.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'))?;
    let port: u16 = port.parse().ok()?;
    Some(format!("the port is a key of its own: port = {port}"))
}

#[rustfmt::skip]
fn routing(section: &mut Section<'_, '_>, c: &mut SendConnector) {
    section.set(&mut c.enabled, "enabled", boolean);
    section.set(&mut c.is_scoped_connector, "is_scoped_connector", boolean);
    section.set(&mut c.source_transport_servers, "source_transport_servers", distinct(name));
    section.set(&mut c.dns_routing_enabled, "dns_routing_enabled", map(boolean, Some));
    section.set(&mut c.smart_hosts, "smart_hosts", distinct(likely(parsed("a smart host"), host_alone)));
    section.set(&mut c.smart_host_type, "smart_host_type", or_empty(keyword(SmartHostType::NAMES)));
    section.set(&mut c.port, "port", integer(0..=65_535));
    section.set(&mut c.max_message_size, "max_message_size", or_unlimited(size(0..=2_147_483_647)));
    section.set(&mut c.senders, "senders", distinct(parsed("a sender")));
    section.set(&mut c.comment, "comment", text);
    section.check("force", boolean);
}

#[rustfmt::skip]
fn wire(section: &mut Section<'_, '_>, c: &mut SendConnector, folder: &Path) {
    section.set(&mut c.fqdn, "fqdn", or_empty(parsed("a host name")));
    section.set(&mut c.masquerade_domain, "masquerade_domain", or_empty(parsed("a domain")));
    section.set(&mut c.force_helo, "force_helo", boolean);
    section.set(&mut c.eight_bit_content, "eight_bit_content", keyword(EightBitContent::NAMES));
    section.set(&mut c.require_tls, "require_tls", boolean);
    section.set(&mut c.ignore_starttls, "ignore_starttls", boolean);
    section.set(&mut c.tls_auth_level, "tls_auth_level", or_empty(keyword(TlsAuthLevel::NAMES)));
    section.set(&mut c.tls_domain, "tls_domain", or_empty(parsed("a domain")));
    section.set(&mut c.tls_certificate, "tls_certificate", or_empty(path(folder)));
    section.set(&mut c.tls_key, "tls_key", or_empty(path(folder)));
    section.set(&mut c.smart_host_auth_mechanism, "smart_host_auth_mechanism", keyword(SmartHostAuthMechanism::NAMES));
    section.set(&mut c.sasl_mechanisms, "sasl_mechanisms", distinct(parsed("a SASL mechanism")));
    section.set(&mut c.authentication_credential, "authentication_credential", or_empty(name));
    section.set(&mut c.frontend_proxy_enabled, "frontend_proxy_enabled", boolean);
    section.set(&mut c.protocol_logging_level, "protocol_logging_level", keyword(ProtocolLoggingLevel::NAMES));
    section.set(&mut c.source_ip_address, "source_ip_address", parsed("an IP address"));
    section.set(&mut c.smtp_max_messages_per_connection, "smtp_max_messages_per_connection", integer(1..=2_147_483_647));
    section.set(&mut c.connection_inactivity_timeout, "connection_inactivity_timeout", span(SECOND..=DAY));
    // Exchange spells it ConnectionInactivityTimeOut here and ConnectionInactivityTimeout on receive connectors.
    section.set(&mut c.connection_inactivity_timeout, "connection_inactivity_time_out", span(SECOND..=DAY));
}

/// Parameters that the connector itself refuses unless they ask for nothing: see `not_available_yet.rs` of its crate.
#[rustfmt::skip]
fn not_built(section: &mut Section<'_, '_>, c: &mut SendConnector) {
    section.set(&mut c.domain_secure_enabled, "domain_secure_enabled", boolean);
    section.set(&mut c.tls_certificate_name, "tls_certificate_name", or_empty(parsed::<TlsCertificateName>("a certificate's name")));
    section.set(&mut c.use_external_dns_servers_enabled, "use_external_dns_servers_enabled", boolean);
    section.set(&mut c.error_policies, "error_policies", distinct(keyword(ErrorPolicy::NAMES)));
    section.set(&mut c.cloud_services_mail_enabled, "cloud_services_mail_enabled", boolean);
    section.set(&mut c.connector_type, "connector_type", keyword(ConnectorType::NAMES));
    section.set(&mut c.require_oorg, "require_oorg", boolean);
    section.set(&mut c.linked_receive_connector, "linked_receive_connector", or_empty(name));
    section.set(&mut c.is_coexistence_connector, "is_coexistence_connector", boolean);
}
