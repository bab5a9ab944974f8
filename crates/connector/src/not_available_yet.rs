//! What a Send connector can ask for and nothing here does yet: one row each, deleted when its part is built.

use crate::authentication::SmartHostAuthMechanism;
use crate::contradiction::Rule;
use crate::send::{ConnectorType, ErrorPolicy, SendConnector};

/// What `postroad-smtp-client` can speak, the strongest first.
const SPOKEN: &[&str] = &[
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1",
    "EXTERNAL",
    "OAUTHBEARER",
    "XOAUTH2",
    "CRAM-MD5",
    "PLAIN",
    "LOGIN",
];

/// The parameter, whether this connector asks for the missing part, and why it cannot be had.
type Row = (&'static [&'static str], fn(&SendConnector) -> bool, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    (&["smart_host_auth_mechanism"], foreign_login, "there is neither NTLM nor Kerberos"),
    (&["sasl_mechanisms"], unspoken, "there are SCRAM-SHA-256 and -1 (and -PLUS), EXTERNAL, OAUTHBEARER, XOAUTH2, CRAM-MD5, PLAIN and LOGIN"),
    (&["domain_secure_enabled"], |c| c.domain_secure_enabled, "there is no mutual TLS; ask for the name with require_tls and tls_auth_level"),
    (&["tls_certificate_name"], |c| c.tls_certificate_name.is_some(), "certificates are files here: tls_certificate, tls_key"),
    (&["use_external_dns_servers_enabled"], |c| c.use_external_dns_servers_enabled, "there is one list of DNS servers, [dns] servers"),
    (&["error_policies"], |c| c.error_policies.iter().any(|policy| *policy != ErrorPolicy::Default), "a reply is judged by its own code only"),
    (&["cloud_services_mail_enabled"], |c| c.cloud_services_mail_enabled, "there is no hybrid organisation"),
    (&["connector_type"], |c| c.connector_type != ConnectorType::Default, "there is no hybrid organisation"),
    (&["require_oorg"], |c| c.require_oorg, "there is no hybrid organisation"),
    (&["linked_receive_connector"], |c| c.linked_receive_connector.is_some(), "it was Exchange 2010's alone"),
    (&["is_coexistence_connector"], |c| c.is_coexistence_connector, "it was Exchange 2010's alone"),
];

/// One rule for each parameter that asks for a missing part. None may be taken in silence: mail would go another way
/// than was asked, as without mutual TLS.
pub(crate) fn refused(connector: &SendConnector) -> impl Iterator<Item = Rule> {
    let asked = ROWS.iter().filter(|(_, asks, _)| asks(connector));
    asked.map(|&(parameters, _, reason)| Rule::NotAvailableYet { parameters, reason })
}

fn foreign_login(connector: &SendConnector) -> bool {
    use SmartHostAuthMechanism::{ExchangeServer, Integrated};
    matches!(connector.smart_host_auth_mechanism, Integrated | ExchangeServer)
}

fn unspoken(connector: &SendConnector) -> bool {
    connector.sasl_mechanisms.iter().any(|wanted| !SPOKEN.contains(&wanted.as_str()))
}
