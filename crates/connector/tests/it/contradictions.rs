//! Every rule of spec section 3: one row each, with the parameters that are named.

use std::time::Duration;

use postroad_connector::{
    ConnectorType, DeliveryAgentConnector, ErrorPolicy, ForeignConnector, Rule, SiteLink,
    SmartHostAuthMechanism, SmartHostType, Subject, TlsAuthLevel,
};

use crate::*;

type Change = fn(&mut SendConnector);

fn by_smart_host() -> SendConnector {
    let mut connector = send("C", &["*"]);
    connector.smart_hosts = vec!["relay.example.com".parse().unwrap()];
    connector
}

#[test]
fn a_send_connector_names_both_parameters() {
    use SmartHostAuthMechanism::{BasicAuth, BasicAuthRequireTls, ExternalAuthoritative};
    let by_mx: &[(&str, Change, &[&str])] = &[
        ("nothing wrong", |_| {}, &[]),
        ("no spaces", |c| c.address_spaces.clear(), &["address_spaces"]),
        ("no name", |c| c.name = "  ".to_owned(), &["name"]),
        ("a long name", |c| c.name = "é".repeat(65), &["name"]),
        ("a name just short enough", |c| c.name = "é".repeat(64), &[]),
        ("neither way", |c| c.dns_routing_enabled = Some(false), &["dns_routing_enabled", "smart_hosts"]),
        (
            "X400 by MX",
            |c| c.address_spaces = spaces(&["*", "X400:c=US;a=X;1"]),
            &["address_spaces", "smart_hosts"],
        ),
        (
            "never STARTTLS, always TLS",
            |c| (c.require_tls, c.ignore_starttls) = (true, true),
            &["ignore_starttls", "require_tls"],
        ),
        (
            "HELO, always TLS",
            |c| (c.require_tls, c.force_helo) = (true, true),
            &["force_helo", "require_tls"],
        ),
        (
            "a level without TLS",
            |c| c.tls_auth_level = Some(TlsAuthLevel::EncryptionOnly),
            &["tls_auth_level", "require_tls"],
        ),
        (
            "a certificate without its key",
            |c| c.tls_certificate = Some("hub.pem".into()),
            &["tls_certificate", "tls_key"],
        ),
        ("a key alone", |c| c.tls_key = Some("hub.key".into()), &["tls_certificate", "tls_key"]),
        (
            "a certificate and its key",
            |c| (c.tls_certificate, c.tls_key) = (Some("hub.pem".into()), Some("hub.key".into())),
            &[],
        ),
        (
            "domain validation by MX needs no name",
            |c| (c.require_tls, c.tls_auth_level) = (true, Some(TlsAuthLevel::DomainValidation)),
            &[],
        ),
        (
            "direct delivery first, and then nobody",
            |c| c.smart_host_type = Some(SmartHostType::DnsFirst),
            &["smart_host_type", "smart_hosts"],
        ),
        (
            "always nobody",
            |c| c.smart_host_type = Some(SmartHostType::Always),
            &["smart_host_type", "smart_hosts"],
        ),
        ("no smart host, and so it says", |c| c.smart_host_type = Some(SmartHostType::None), &[]),
        (
            "a login by MX",
            |c| c.smart_host_auth_mechanism = ExternalAuthoritative,
            &["smart_host_auth_mechanism", "smart_hosts"],
        ),
        (
            "idle for too short",
            |c| c.connection_inactivity_timeout = Duration::from_millis(999),
            &["connection_inactivity_timeout"],
        ),
        ("idle for a day", |c| c.connection_inactivity_timeout = Duration::from_secs(86_400), &[]),
        ("no messages", |c| c.smtp_max_messages_per_connection = 0, &["smtp_max_messages_per_connection"]),
        ("2 GB", |c| c.max_message_size = Some(2048 * MB), &["max_message_size"]),
        ("one byte less", |c| c.max_message_size = Some(2048 * MB - 1), &[]),
        ("nothing but empty messages", |c| c.max_message_size = Some(0), &[]),
    ];
    let by_host: &[(&str, Change, &[&str])] = &[
        ("nothing wrong", |_| {}, &[]),
        ("said twice", |c| c.dns_routing_enabled = Some(false), &[]),
        ("both ways", |c| c.dns_routing_enabled = Some(true), &["dns_routing_enabled", "smart_hosts"]),
        ("always, and so it says", |c| c.smart_host_type = Some(SmartHostType::Always), &[]),
        (
            "direct delivery first",
            |c| (c.smart_host_type, c.dns_routing_enabled) = (Some(SmartHostType::DnsFirst), Some(true)),
            &[],
        ),
        (
            "direct delivery first, and not at all",
            |c| (c.smart_host_type, c.dns_routing_enabled) = (Some(SmartHostType::DnsFirst), Some(false)),
            &["dns_routing_enabled", "smart_host_type"],
        ),
        (
            "a smart host that is never used",
            |c| c.smart_host_type = Some(SmartHostType::None),
            &["smart_host_type", "smart_hosts"],
        ),
        (
            "X400 by MX first",
            |c| {
                c.smart_host_type = Some(SmartHostType::DnsFirst);
                c.address_spaces = spaces(&["*", "X400:c=US;a=X;1"]);
            },
            &["smart_host_type", "address_spaces"],
        ),
        ("X400 to a smart host", |c| c.address_spaces = spaces(&["X400:c=US;a=X;1"]), &[]),
        (
            "no credential",
            |c| c.smart_host_auth_mechanism = BasicAuth,
            &["smart_host_auth_mechanism", "authentication_credential"],
        ),
        (
            "a password that could never be sent",
            |c| {
                c.smart_host_auth_mechanism = BasicAuthRequireTls;
                c.authentication_credential = Some("relay".to_owned());
                c.ignore_starttls = true;
            },
            &["smart_host_auth_mechanism", "ignore_starttls"],
        ),
        (
            "AUTH after HELO",
            |c| {
                c.smart_host_auth_mechanism = BasicAuth;
                c.authentication_credential = Some("relay".to_owned());
                c.force_helo = true;
            },
            &["force_helo", "smart_host_auth_mechanism"],
        ),
        (
            "mechanisms for nothing",
            |c| {
                c.smart_host_auth_mechanism = ExternalAuthoritative;
                c.sasl_mechanisms = vec!["plain".parse().unwrap()];
            },
            &["sasl_mechanisms", "smart_host_auth_mechanism"],
        ),
        (
            "the certificate logs in, and there is none",
            |c| {
                c.smart_host_auth_mechanism = BasicAuthRequireTls;
                c.sasl_mechanisms = vec!["external".parse().unwrap()];
            },
            &["sasl_mechanisms", "tls_certificate"],
        ),
        (
            "the certificate logs in, without a credential",
            |c| {
                c.smart_host_auth_mechanism = BasicAuthRequireTls;
                c.sasl_mechanisms = vec!["external".parse().unwrap()];
                (c.tls_certificate, c.tls_key) = (Some("hub.pem".into()), Some("hub.key".into()));
            },
            &[],
        ),
        (
            "the certificate or a password",
            |c| {
                c.smart_host_auth_mechanism = BasicAuthRequireTls;
                c.authentication_credential = Some("relay".to_owned());
                c.sasl_mechanisms = vec!["external".parse().unwrap(), "plain".parse().unwrap()];
                (c.tls_certificate, c.tls_key) = (Some("hub.pem".into()), Some("hub.key".into()));
            },
            &["sasl_mechanisms"],
        ),
        (
            "domain validation of no name",
            |c| (c.require_tls, c.tls_auth_level) = (true, Some(TlsAuthLevel::DomainValidation)),
            &["tls_auth_level", "tls_domain"],
        ),
    ];
    let rows = by_mx
        .iter()
        .map(|row| (send("C", &["*"]), row))
        .chain(by_host.iter().map(|row| (by_smart_host(), row)));
    for (mut connector, (name, change, expected)) in rows {
        change(&mut connector);
        let found = connector.validate();
        let parameters: Vec<_> = found.iter().map(|contradiction| contradiction.parameters()).collect();
        let expected: Vec<_> = if expected.is_empty() { vec![] } else { vec![*expected] };
        assert_eq!(parameters, expected, "{name}: {found:?}");
        for contradiction in &found {
            let text = contradiction.to_string();
            assert!(text.starts_with("send connector"), "{text}");
            for parameter in contradiction.parameters() {
                assert!(text.contains(&format!("`{parameter}`")), "{text:?} names {parameter}");
            }
        }
    }
}

#[test]
fn what_no_code_acts_on_is_refused_by_the_table_itself() {
    let asked: &[(&str, Change)] = &[
        ("smart_host_auth_mechanism", |c| c.smart_host_auth_mechanism = SmartHostAuthMechanism::Integrated),
        ("smart_host_auth_mechanism", |c| {
            c.smart_host_auth_mechanism = SmartHostAuthMechanism::ExchangeServer
        }),
        ("sasl_mechanisms", |c| {
            c.smart_host_auth_mechanism = SmartHostAuthMechanism::BasicAuth;
            c.authentication_credential = Some("relay".to_owned());
            c.sasl_mechanisms = vec!["PLAIN".parse().unwrap(), "GSSAPI".parse().unwrap()];
        }),
        ("domain_secure_enabled", |c| c.domain_secure_enabled = true),
        ("tls_certificate_name", |c| c.tls_certificate_name = Some("<I>CN=CA<S>CN=mail".parse().unwrap())),
        ("use_external_dns_servers_enabled", |c| c.use_external_dns_servers_enabled = true),
        ("error_policies", |c| c.error_policies = vec![ErrorPolicy::DowngradeDnsFailures]),
        ("cloud_services_mail_enabled", |c| c.cloud_services_mail_enabled = true),
        ("connector_type", |c| c.connector_type = ConnectorType::XPremises),
        ("require_oorg", |c| c.require_oorg = true),
        ("linked_receive_connector", |c| c.linked_receive_connector = Some("R".to_owned())),
        ("is_coexistence_connector", |c| c.is_coexistence_connector = true),
    ];
    for (parameter, change) in asked {
        let mut connector = by_smart_host();
        change(&mut connector);
        let built = RoutingTable::build(vec![connector.into()], Topology::new("Hub01"), vec![]);
        let found = built.expect_err(parameter);
        let parameters: Vec<_> = found.iter().map(|contradiction| contradiction.parameters()).collect();
        assert_eq!(parameters, [[*parameter]], "{found}");
        assert!(found.to_string().contains("not available yet"), "{found}");
    }
    let mut harmless = send("C", &["*"]);
    harmless.error_policies = vec![ErrorPolicy::Default];
    assert_eq!(harmless.validate(), []);
}

#[test]
fn a_foreign_connector_counts_its_limit_in_kilobytes_and_a_delivery_agent_starts_at_64() {
    let most = 2_147_483_647;
    for (size, quota, expected) in [
        (Some(0), None, 0),
        (Some(most * 1024), Some(1), 0),
        (Some(most * 1024 + 1), Some(most), 1),
        (None, Some(0), 1),
        (None, Some(most + 1), 1),
    ] {
        let mut connector = ForeignConnector::new("F", spaces(&["FAX:*"]));
        (connector.max_message_size, connector.drop_directory_quota) = (size, quota);
        assert_eq!(connector.validate().len(), expected, "{size:?} {quota:?}");
    }
    for (size, expected) in
        [(None, 0), (Some(65_535), 1), (Some(65_536), 0), (Some(most), 0), (Some(most + 1), 1)]
    {
        let mut connector = DeliveryAgentConnector::new("D", spaces(&["contoso.com"]), "lmtp");
        connector.max_message_size = size;
        assert_eq!(connector.validate().len(), expected, "{size:?}");
    }
    let nameless = DeliveryAgentConnector::new("D", spaces(&["contoso.com"]), "");
    assert_eq!(nameless.validate()[0].parameters(), ["delivery_protocol"]);
}

#[test]
fn all_are_found_at_once() {
    let mut first = send("Internet", &["*"]);
    (first.require_tls, first.ignore_starttls) = (true, true);
    first.tls_auth_level = Some(TlsAuthLevel::CertificateValidation);
    first.senders = vec!["jane@contoso.com".parse().unwrap()];
    let fax = ForeignConnector::new("INTERNET", vec![]);
    let mut topology = Topology::new("Hub01");
    topology.site = Some("Paris".to_owned());
    topology.servers.insert("hub01".to_owned(), "Lyon".to_owned());
    topology.servers.insert("HUB01".to_owned(), "Lyon".to_owned());
    topology.addresses.insert("Hub02".to_owned(), "10.0.0.2:25".parse().unwrap());
    topology.site_links = vec![SiteLink::new("Paris", "Lyon", 100_000), SiteLink::new("Paris", "paris", 1)];
    let pins = vec![
        pin("JANE@contoso.com", None),
        pin("joe@contoso.com", Some("Nowhere")),
        pin("Joe@contoso.com", Some("internet 2")),
    ];
    let found = RoutingTable::build(vec![first.into(), fax.into()], topology, pins).unwrap_err();
    let parameters: Vec<_> = found.iter().map(|contradiction| contradiction.parameters().join(" ")).collect();
    assert_eq!(
        parameters,
        [
            "ignore_starttls require_tls",
            "tls_auth_level ignore_starttls",
            "address_spaces",
            "name",
            "servers",
            "site servers",
            "addresses servers",
            "site_links",
            "site_links",
            "send_connector senders",
            "send_connector name",
            "send_connector name",
            "address send_connector",
        ]
    );
    assert_eq!(found[3].subject(), &Subject::ForeignConnector("INTERNET".to_owned()));
    assert_eq!(found[3].rule(), &Rule::DuplicateName);
    assert_eq!(found[7].rule(), &Rule::SiteLinkCost { cost: 100_000 });
}

#[test]
fn a_sender_is_pinned_to_send_connectors_only() {
    let fax = ForeignConnector::new("Fax", spaces(&["FAX:*"]));
    let found =
        RoutingTable::build(vec![fax.into()], Topology::new("Hub01"), vec![pin("a@b.test", Some("Fax"))]);
    assert_eq!(found.unwrap_err()[0].parameters(), ["send_connector", "name"]);
}
