//! What a Send connector asks of the wire, in the words of the SMTP client: the one place where the two meet.

use std::net::IpAddr;

use postroad_address_space::{AddressLiteral, Domain, MailDomain};
use postroad_connector::{
    self as connector, FrontEndProxy, ProtocolLoggingLevel, SendConnector, ServerAddress,
    SmartHostAuthMechanism, SmartHostType, TlsAuthLevel, TlsDomain,
};
use postroad_smtp_client::{
    Authentication, CertificateName, ClientCertificate, Credential, Destination, EightBitContent, Hosts,
    Mechanism, Proxy, SmartHost, TlsPolicy, Verification,
};

/// Whom we say we are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Names {
    /// The EHLO name of connectors that have none of their own.
    pub fqdn: Domain,
    /// The domain in which addresses of other types than SMTP are encapsulated.
    pub default_domain: Domain,
    /// The domains that a connector's `masquerade_domain` stands for.
    pub accepted_domains: Vec<Domain>,
    /// The front end.
    pub frontend_proxies: Vec<FrontEndProxy>,
}

impl Names {
    /// Without a front end; `default_domain` is the one accepted domain.
    pub fn new(fqdn: Domain, default_domain: Domain) -> Self {
        let accepted_domains = vec![default_domain.clone()];
        Self { fqdn, default_domain, accepted_domains, frontend_proxies: Vec::new() }
    }
}

/// Why a connector cannot be dialled as it is configured. Mail for it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The recipients' domain is an address literal of a kind that nobody can dial, such as `[X25:123]`.
    #[error("the recipients' domain is an address of an unknown kind")]
    NoDomain,
    /// The front end is the only way out, and there is none.
    #[error("frontend_proxy_enabled sends through the front end only, and [frontend] proxies names none")]
    NoFrontEnd,
    /// The mechanism needs the integrated-authentication crate.
    #[error("smart_host_auth_mechanism {0:?} is not available yet")]
    Mechanism(&'static str),
    /// Basic authentication without its credential.
    #[error("the connector's authentication_credential cannot be read")]
    NoCredential,
    /// A client certificate that is named and not there.
    #[error("the connector's tls_certificate or tls_key cannot be used")]
    NoCertificate,
}

/// Where a connector's mail for one queue goes, and on which terms.
///
/// `credential` is asked only for a connector that logs in by one. `certificate` is what its `tls_certificate` holds.
///
/// # Errors
///
/// It cannot be dialled as it is configured: see [`DialError`].
pub fn destination(
    connector: &SendConnector,
    queue: &str,
    names: &Names,
    credential: impl FnOnce(&str) -> Option<Credential>,
    certificate: Option<ClientCertificate>,
) -> Result<Destination, DialError> {
    if connector.tls_certificate.is_some() && certificate.is_none() {
        return Err(DialError::NoCertificate);
    }
    if connector.frontend_proxy_enabled && names.frontend_proxies.is_empty() {
        return Err(DialError::NoFrontEnd);
    }
    let to_smart_hosts = || {
        let hosts = Hosts::SmartHosts(connector.smart_hosts.iter().map(smart_host).collect());
        let mut destination = base(connector, hosts, names, Way::SmartHosts);
        destination.client_certificate = certificate.clone();
        destination.authentication = authentication(connector, credential)?;
        Ok(destination)
    };
    if !connector.routes_by_dns() {
        return to_smart_hosts();
    }
    let mut destination = base(connector, recipients_hosts(queue)?, names, Way::Direct);
    destination.client_certificate = certificate.clone();
    if connector.smart_host_use() == SmartHostType::DnsFirst {
        destination.when_dns_fails = Some(Box::new(to_smart_hosts()?));
    }
    Ok(destination)
}

/// Whom a connector's mail is handed to; password, login and certificate name are the smart hosts' alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    SmartHosts,
    Direct,
}

/// What a connector asks of hosts of every kind.
fn base(connector: &SendConnector, hosts: Hosts, names: &Names, way: Way) -> Destination {
    let hello_name = connector.fqdn.clone().unwrap_or_else(|| names.fqdn.clone());
    let tls = tls_policy(connector, &hosts, way);
    let mut destination = Destination::new(hosts, MailDomain::Name(hello_name));
    destination.port = connector.port;
    destination.force_helo = connector.force_helo;
    destination.tls = tls;
    destination.eight_bit_content = eight_bit_content(connector);
    destination.imcea_domain = Some(names.default_domain.clone());
    destination.source_address = Some(connector.source_ip_address).filter(|address| !is_any(*address));
    if connector.frontend_proxy_enabled {
        destination.proxies = names.frontend_proxies.iter().map(proxy).collect();
    }
    destination.max_messages_per_connection = connector.smtp_max_messages_per_connection;
    destination.inactivity_timeout = connector.connection_inactivity_timeout;
    let is_logged = connector.protocol_logging_level == ProtocolLoggingLevel::Verbose;
    destination.logged_as = is_logged.then(|| connector.name.clone());
    destination
}

/// The way to a source server of a connector that this server is no source of: plain SMTP inside the organisation.
pub fn relay_to(server: &ServerAddress, names: &Names) -> Destination {
    let hosts = Hosts::SmartHosts(vec![smart_host(&server.host)]);
    let mut destination = Destination::new(hosts, MailDomain::Name(names.fqdn.clone()));
    destination.port = server.port;
    destination.imcea_domain = Some(names.default_domain.clone());
    destination
}

/// RFC 5321 section 5.1: a domain is looked up, an address literal is dialled as it stands.
fn recipients_hosts(queue: &str) -> Result<Hosts, DialError> {
    if let Ok(domain) = Domain::parse(queue) {
        return Ok(Hosts::Mx(domain));
    }
    let literal = AddressLiteral::parse(queue).ok().and_then(|literal| literal.ip());
    literal.map(|address| Hosts::SmartHosts(vec![SmartHost::Address(address)])).ok_or(DialError::NoDomain)
}

fn smart_host(host: &connector::SmartHost) -> SmartHost {
    match host {
        connector::SmartHost::Name(name) => SmartHost::Name(name.clone()),
        connector::SmartHost::Address(address) => SmartHost::Address(*address),
    }
}

fn proxy(proxy: &FrontEndProxy) -> Proxy {
    let address = proxy.address();
    Proxy::new(smart_host(&address.host), address.port)
}

fn eight_bit_content(connector: &SendConnector) -> EightBitContent {
    match connector.eight_bit_content {
        connector::EightBitContent::Convert => EightBitContent::Convert,
        connector::EightBitContent::SendAsItIs => EightBitContent::SendAsItIs,
        // Also whatever may be added: nothing arrives damaged.
        _ => EightBitContent::ConvertUnlessSigned,
    }
}

fn tls_policy(connector: &SendConnector, hosts: &Hosts, way: Way) -> TlsPolicy {
    let after_tls_only = connector.smart_host_auth_mechanism == SmartHostAuthMechanism::BasicAuthRequireTls
        && way == Way::SmartHosts;
    if connector.ignore_starttls {
        return TlsPolicy::Never;
    }
    let verify = match connector.tls_auth_level {
        Some(TlsAuthLevel::EncryptionOnly) => Verification::EncryptionOnly,
        Some(TlsAuthLevel::CertificateValidation) => Verification::CertificateValidation,
        // Also whatever level may be added: the strictest is never wrong.
        Some(_) => Verification::DomainValidation(certificate_name(connector, hosts, way)),
        // Exchange: the smart host's certificate must hold the very name that is configured.
        None if after_tls_only => Verification::DomainValidation(CertificateName::Host),
        None if connector.require_tls => Verification::EncryptionOnly,
        None => return TlsPolicy::Opportunistic,
    };
    TlsPolicy::required(verify)
}

fn certificate_name(connector: &SendConnector, hosts: &Hosts, way: Way) -> CertificateName {
    // Beside smart hosts the name is theirs.
    let given =
        connector.tls_domain.as_ref().filter(|_| way == Way::SmartHosts || connector.smart_hosts.is_empty());
    match (given, hosts) {
        (Some(TlsDomain::Exact(name)), _) => CertificateName::Exact(name.clone()),
        (Some(TlsDomain::Wildcard(name)), _) => CertificateName::Below(name.clone()),
        (None, Hosts::Mx(recipients)) => CertificateName::Exact(recipients.clone()),
        (None, _) => CertificateName::Host,
    }
}

fn authentication(
    connector: &SendConnector,
    credential: impl FnOnce(&str) -> Option<Credential>,
) -> Result<Option<Authentication>, DialError> {
    let mechanism = connector.smart_host_auth_mechanism;
    match mechanism {
        SmartHostAuthMechanism::None | SmartHostAuthMechanism::ExternalAuthoritative => return Ok(None),
        SmartHostAuthMechanism::BasicAuth | SmartHostAuthMechanism::BasicAuthRequireTls => {}
        other => return Err(DialError::Mechanism(other.as_str())),
    }
    let login = if connector.logs_in_by_certificate() {
        Credential::certificate(None)
    } else {
        let name = connector.authentication_credential.as_deref().ok_or(DialError::NoCredential)?;
        credential(name).ok_or(DialError::NoCredential)?
    };
    let mut authentication = Authentication::new(login);
    authentication.clear_text_allowed = mechanism.clear_text_allowed();
    for wanted in &connector.sasl_mechanisms {
        let known = Mechanism::ALL.into_iter().find(|known| known.name() == wanted.as_str());
        authentication.mechanisms.push(known.ok_or(DialError::Mechanism("with these sasl_mechanisms"))?);
    }
    Ok(Some(authentication))
}

fn is_any(address: IpAddr) -> bool {
    address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use postroad_connector::SendConnector;
    use postroad_smtp_client::Secret;

    use super::*;

    fn names() -> Names {
        let domain = |text| Domain::parse(text).unwrap();
        Names::new(domain("hub01.contoso.com"), domain("contoso.com"))
    }

    fn by_smart_host() -> SendConnector {
        let mut connector = SendConnector::new("Smart host", vec!["*".parse().unwrap()]);
        connector.smart_hosts = vec!["smtp-relay.example.com".parse().unwrap()];
        connector.smart_host_auth_mechanism = SmartHostAuthMechanism::BasicAuthRequireTls;
        connector.authentication_credential = Some("smtp-relay".to_owned());
        connector
    }

    #[test]
    fn a_connector_may_name_each_mechanism_that_the_client_speaks() {
        for mechanism in Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::External) {
            let mut connector = by_smart_host();
            connector.sasl_mechanisms = vec![mechanism.name().parse().unwrap()];
            assert_eq!(connector.validate(), [], "{}", mechanism.name());
        }
    }

    fn dialled(connector: &SendConnector) -> Destination {
        assert_eq!(connector.validate(), []);
        let login = |_: &str| Some(Credential::new("tim", Secret::new("pw")));
        destination(connector, "fabrikam.com", &names(), login, None).unwrap()
    }

    #[test]
    fn a_recipient_at_an_address_literal_is_dialled_and_not_looked_up() {
        let hosts = |queue: &str| {
            let internet = SendConnector::new("Internet", vec![]);
            destination(&internet, queue, &names(), |_| None, None).map(|destination| destination.hosts)
        };
        let at = |address: &str| Ok(Hosts::SmartHosts(vec![SmartHost::Address(address.parse().unwrap())]));
        assert_eq!(hosts("contoso.com"), Ok(Hosts::Mx(Domain::parse("contoso.com").unwrap())));
        assert_eq!(hosts("[192.0.2.1]"), at("192.0.2.1"));
        assert_eq!(hosts("[IPv6:2001:db8::1]"), at("2001:db8::1"));
        assert_eq!(hosts("[X25:123]"), Err(DialError::NoDomain));
    }

    #[test]
    fn a_connector_of_the_front_end_leaves_through_it_or_not_at_all() {
        let mut connector = by_smart_host();
        connector.smart_host_type = Some(SmartHostType::DnsFirst);
        connector.frontend_proxy_enabled = true;
        let login = |_: &str| Some(Credential::new("tim", Secret::new("pw")));
        let refused = destination(&connector, "fabrikam.com", &names(), login, None).err();
        assert_eq!(refused, Some(DialError::NoFrontEnd));
        let mut names = names();
        names.frontend_proxies = vec!["socks5://cas01.contoso.com".parse().unwrap()];
        let direct = destination(&connector, "fabrikam.com", &names, login, None).unwrap();
        let instead = direct.when_dns_fails.as_ref().unwrap();
        for way in [&direct, instead] {
            let shown: Vec<String> = way.proxies.iter().map(ToString::to_string).collect();
            assert_eq!(shown, ["socks5://cas01.contoso.com:1080"]);
        }
        connector.frontend_proxy_enabled = false;
        assert!(destination(&connector, "fabrikam.com", &names, login, None).unwrap().proxies.is_empty());
    }

    #[test]
    fn mail_that_tries_mx_hosts_first_shows_them_no_password_and_asks_no_certificate_for_it() {
        let mut connector = by_smart_host();
        connector.smart_host_type = Some(SmartHostType::DnsFirst);
        let direct = dialled(&connector);
        assert_eq!(direct.hosts, Hosts::Mx("fabrikam.com".parse().unwrap()));
        assert_eq!((direct.tls, direct.authentication.is_some()), (TlsPolicy::Opportunistic, false));

        let instead = direct.when_dns_fails.unwrap();
        assert!(instead.authentication.is_some() && instead.when_dns_fails.is_none());
        connector.smart_host_type = None;
        let always = dialled(&connector);
        assert_eq!((&instead.hosts, &instead.tls), (&always.hosts, &always.tls));
        assert!(always.when_dns_fails.is_none() && always.authentication.is_some());
    }

    #[test]
    fn a_required_certificate_is_that_of_whoever_is_dialled() {
        let mut connector = by_smart_host();
        connector.smart_host_type = Some(SmartHostType::DnsFirst);
        (connector.require_tls, connector.tls_auth_level) = (true, Some(TlsAuthLevel::DomainValidation));
        connector.tls_domain = Some("smtp-relay.example.com".parse().unwrap());
        let of = |name: &str| {
            TlsPolicy::required(Verification::DomainValidation(CertificateName::Exact(name.parse().unwrap())))
        };
        let direct = dialled(&connector);
        assert_eq!(direct.tls, of("fabrikam.com"));
        assert_eq!(direct.when_dns_fails.unwrap().tls, of("smtp-relay.example.com"));
    }

    #[test]
    fn what_becomes_of_eight_bits_is_the_connectors_to_say() {
        for (name, becomes) in [
            ("convert-unless-signed", EightBitContent::ConvertUnlessSigned),
            ("convert", EightBitContent::Convert),
            ("send-as-it-is", EightBitContent::SendAsItIs),
        ] {
            let mut connector = by_smart_host();
            connector.eight_bit_content = name.parse().unwrap();
            assert_eq!(dialled(&connector).eight_bit_content, becomes);
        }
    }

    #[test]
    fn a_certificate_is_shown_on_every_way_and_is_a_login_where_external_stands_alone() {
        let pair = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let made = pair("hub01.contoso.com");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let shown = ClientCertificate::from_pem(certificate.as_bytes(), key.as_bytes()).ok();
        let mut connector = by_smart_host();
        connector.authentication_credential = None;
        connector.smart_host_type = Some(SmartHostType::DnsFirst);
        connector.sasl_mechanisms = vec!["external".parse().unwrap()];
        (connector.tls_certificate, connector.tls_key) = (Some("hub.pem".into()), Some("hub.key".into()));
        assert_eq!(connector.validate(), []);
        let nobody = |_: &str| -> Option<Credential> { panic!("no credential is asked for") };
        let dialled = |shown| destination(&connector, "fabrikam.com", &names(), nobody, shown);
        let direct = dialled(shown).unwrap();
        let instead = direct.when_dns_fails.as_ref().unwrap();
        assert!(direct.client_certificate.is_some() && instead.client_certificate.is_some());
        assert!(direct.authentication.is_none());
        let login = instead.authentication.as_ref().unwrap();
        assert!(login.credential.is_same(&Credential::certificate(None)));
        assert_eq!(
            (login.mechanisms.as_slice(), login.clear_text_allowed),
            (&[Mechanism::External][..], false)
        );
        assert_eq!(dialled(None).err(), Some(DialError::NoCertificate), "mail waits for the files");
    }
}
