//! Send connectors: mail that leaves by SMTP, to smart hosts or by MX.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use postroad_address_space::{AddressSpace, Domain, MailDomain, Mailbox};

use crate::authentication::{SaslMechanism, SmartHostAuthMechanism};
use crate::contradiction::{self, Contradiction, Ranged, Rule, Subject};
use crate::named::named;
use crate::not_available_yet;
use crate::sender::SenderAttachment;
use crate::smart_host::{ANY_SOURCE, SmartHost, SmartHostType};
use crate::tls::{TlsAuthLevel, TlsCertificateName, TlsDomain};

named! {
    /// `Usage`: what the connector is made for. It only chooses defaults when the connector is made.
    #[derive(Default)]
    Usage {
        /// No special purpose.
        #[default]
        Custom = "custom",
        /// To servers of the same organisation: no size limit.
        Internal = "internal",
        /// To the Internet.
        Internet = "internet",
        /// To a partner's domain.
        Partner = "partner",
    }
}

named! {
    /// `ProtocolLoggingLevel`.
    #[derive(Default)]
    ProtocolLoggingLevel {
        /// No protocol log.
        #[default]
        None = "none",
        /// The whole conversation, without content or secrets.
        Verbose = "verbose",
    }
}

named! {
    /// One of the `ErrorPolicies`; an empty list is Exchange's `Default`.
    ErrorPolicy {
        /// Errors count as the peer meant them.
        Default = "default",
        /// Every DNS error is transient.
        DowngradeDnsFailures = "downgrade-dns-failures",
        /// Some permanent SMTP errors are transient.
        DowngradeCustomFailures = "downgrade-custom-failures",
        /// Some transient SMTP errors are permanent.
        UpgradeCustomFailures = "upgrade-custom-failures",
    }
}

named! {
    /// `ConnectorType` (2016 and later).
    #[derive(Default)]
    ConnectorType {
        /// An ordinary connector.
        #[default]
        Default = "default",
        /// A hybrid connector between premises.
        XPremises = "x-premises",
    }
}

named! {
    /// What becomes of 8-bit content for a host without 8BITMIME (ours; RFC 6152 section 3).
    #[derive(Default)]
    EightBitContent {
        /// Converted; where that would break a signature the message fails with 5.6.3.
        #[default]
        ConvertUnlessSigned = "convert-unless-signed",
        /// Converted, signed or not, as Postfix does.
        Convert = "convert",
        /// Sent as it is.
        SendAsItIs = "send-as-it-is",
    }
}

/// A Send connector: every parameter under Exchange's name, with Exchange's default.
///
/// Fields hold what was said; [`SendConnector::validate`] tells what cannot be true at once, and what is *not available
/// yet*: a parameter that is marked so is refused unless it asks for nothing, and never taken in silence.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default = "unnamed", deny_unknown_fields)
)]
#[non_exhaustive]
pub struct SendConnector {
    /// `Name`: 1 to 64 characters; the last tie-breaker of selection.
    pub name: String,
    /// `AddressSpaces`: at least one. A type other than SMTP needs smart hosts.
    pub address_spaces: Vec<AddressSpace>,
    /// `Usage`; see [`SendConnector::for_usage`]. Default: custom.
    pub usage: Usage,
    /// `Enabled`: routing ignores a disabled connector. Default: true.
    pub enabled: bool,
    /// `IsScopedConnector`: only for servers in the site of a source server. Default: false.
    pub is_scoped_connector: bool,
    /// `SourceTransportServers`: the servers this connector sends from. Empty: this server.
    pub source_transport_servers: Vec<String>,
    /// `DNSRoutingEnabled`: deliver by MX. `None`: true where there are no smart hosts.
    pub dns_routing_enabled: Option<bool>,
    /// `SmartHosts`: mail is spread over them; there is no primary and no backup. Default: none.
    pub smart_hosts: Vec<SmartHost>,
    /// `SmartHostType` (IIS): when the smart hosts are used. `None`: always, where there are any.
    pub smart_host_type: Option<SmartHostType>,
    /// `SmartHostAuthMechanism`. Default: none.
    pub smart_host_auth_mechanism: SmartHostAuthMechanism,
    /// The SASL mechanisms that may be used (ours). Empty: the strongest both sides have.
    pub sasl_mechanisms: Vec<SaslMechanism>,
    /// `AuthenticationCredential`: the name of a credential, never the secret.
    pub authentication_credential: Option<String>,
    /// `Port`, for smart hosts and (ours) MX hosts. Default: 25.
    pub port: u16,
    /// `Fqdn`: the name of EHLO. `None`: the server's.
    pub fqdn: Option<Domain>,
    /// `MasqueradeDomain` (IIS): stands in MAIL FROM instead of our own domains; see [`SendConnector::masqueraded`].
    pub masquerade_domain: Option<Domain>,
    /// `ForceHELO`: HELO instead of EHLO, so no STARTTLS, AUTH or SIZE. Default: false.
    pub force_helo: bool,
    /// What becomes of 8-bit content for a host without 8BITMIME (ours). Default: convert-unless-signed.
    pub eight_bit_content: EightBitContent,
    /// `RequireTLS`: nothing is sent in clear. Default: false.
    pub require_tls: bool,
    /// `IgnoreSTARTTLS`: do not take up an offered STARTTLS. Default: false.
    pub ignore_starttls: bool,
    /// `TlsAuthLevel`: only beside `require_tls`. `None`: the certificate is not judged; but with
    /// [`SmartHostAuthMechanism::BasicAuthRequireTls`] it must be valid and carry the smart host's configured name.
    pub tls_auth_level: Option<TlsAuthLevel>,
    /// `TlsDomain`: the name for domain validation. `None`: with MX routing the recipient's domain.
    pub tls_domain: Option<TlsDomain>,
    /// The certificate that is shown to a host that asks for one (ours): a PEM file, ours first. Needs `tls_key`.
    pub tls_certificate: Option<PathBuf>,
    /// The key of `tls_certificate`, a PEM file (ours).
    pub tls_key: Option<PathBuf>,
    /// `TlsCertificateName`: which certificate of Windows' store to show. Not available yet.
    pub tls_certificate_name: Option<TlsCertificateName>,
    /// `DomainSecureEnabled`: mutual TLS with MX routing. Default: false. Not available yet.
    pub domain_secure_enabled: bool,
    /// `MaxMessageSize` in bytes, 0 to 2147483647; `None`: unlimited. Default: 35 MB. (Exchange 2013: 25 MB, 2010: 10 MB.)
    pub max_message_size: Option<u64>,
    /// `ConnectionInactivityTimeOut`: 1 second to 1 day. Default: 10 minutes.
    pub connection_inactivity_timeout: Duration,
    /// `SmtpMaxMessagesPerConnection`: 1 to 2147483647, then reconnect. Default: 20.
    pub smtp_max_messages_per_connection: u32,
    /// `SourceIPAddress`: the local address to dial from. Default: 0.0.0.0, any.
    pub source_ip_address: IpAddr,
    /// `UseExternalDNSServersEnabled`. Default: false. Not available yet.
    pub use_external_dns_servers_enabled: bool,
    /// `ProtocolLoggingLevel`. Default: none.
    pub protocol_logging_level: ProtocolLoggingLevel,
    /// `ErrorPolicies`. Empty: errors count as the peer meant them. Not available yet.
    pub error_policies: Vec<ErrorPolicy>,
    /// `FrontendProxyEnabled`: leave through the front end, never directly. Default: false.
    pub frontend_proxy_enabled: bool,
    /// `CloudServicesMailEnabled`: keep the headers of a hybrid organisation. Default: false. Not available yet.
    pub cloud_services_mail_enabled: bool,
    /// `ConnectorType`. Default: default. Not available yet.
    pub connector_type: ConnectorType,
    /// `RequireOorg`: reserved. Default: false. Not available yet.
    pub require_oorg: bool,
    /// `LinkedReceiveConnector` (2010 only). Not available yet.
    pub linked_receive_connector: Option<String>,
    /// `IsCoexistenceConnector` (2010 only). Default: false. Not available yet.
    pub is_coexistence_connector: bool,
    /// Who may use this connector (ours, after OVH). Empty: everyone who is attached to no other.
    pub senders: Vec<SenderAttachment>,
    /// `Comment`. Default: empty.
    pub comment: String,
}

impl SendConnector {
    /// The default of `max_message_size`: 35 MB, as Exchange 2016 and later.
    pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 35 * 1024 * 1024;

    /// A connector for custom usage with Exchange's defaults.
    pub fn new(name: impl Into<String>, address_spaces: Vec<AddressSpace>) -> Self {
        Self::for_usage(name, address_spaces, Usage::Custom)
    }

    /// A connector with the defaults of its usage: an internal one has no size limit, the others take 35 MB.
    pub fn for_usage(name: impl Into<String>, address_spaces: Vec<AddressSpace>, usage: Usage) -> Self {
        Self {
            name: name.into(),
            address_spaces,
            usage,
            enabled: true,
            is_scoped_connector: false,
            source_transport_servers: Vec::new(),
            dns_routing_enabled: None,
            smart_hosts: Vec::new(),
            smart_host_type: None,
            smart_host_auth_mechanism: SmartHostAuthMechanism::None,
            sasl_mechanisms: Vec::new(),
            authentication_credential: None,
            port: 25,
            fqdn: None,
            masquerade_domain: None,
            force_helo: false,
            eight_bit_content: EightBitContent::ConvertUnlessSigned,
            require_tls: false,
            ignore_starttls: false,
            tls_auth_level: None,
            tls_domain: None,
            tls_certificate: None,
            tls_key: None,
            tls_certificate_name: None,
            domain_secure_enabled: false,
            max_message_size: Self::default_max_message_size(usage),
            connection_inactivity_timeout: Duration::from_secs(600),
            smtp_max_messages_per_connection: 20,
            source_ip_address: ANY_SOURCE,
            use_external_dns_servers_enabled: false,
            protocol_logging_level: ProtocolLoggingLevel::None,
            error_policies: Vec::new(),
            frontend_proxy_enabled: false,
            cloud_services_mail_enabled: false,
            connector_type: ConnectorType::Default,
            require_oorg: false,
            linked_receive_connector: None,
            is_coexistence_connector: false,
            senders: Vec::new(),
            comment: String::new(),
        }
    }

    /// The default of `max_message_size` for a usage; `None`: unlimited.
    pub fn default_max_message_size(usage: Usage) -> Option<u64> {
        match usage {
            Usage::Internal => None,
            Usage::Custom | Usage::Internet | Usage::Partner => Some(Self::DEFAULT_MAX_MESSAGE_SIZE),
        }
    }

    /// When the smart hosts are used: what `smart_host_type` says, or else always, if there are any.
    pub fn smart_host_use(&self) -> SmartHostType {
        match self.smart_host_type {
            _ if self.smart_hosts.is_empty() => SmartHostType::None,
            given => given.unwrap_or(SmartHostType::Always),
        }
    }

    /// Whether mail goes to MX hosts, only or first: what `dns_routing_enabled` says, or else whether the smart hosts
    /// are not always used.
    pub fn routes_by_dns(&self) -> bool {
        self.dns_routing_enabled.unwrap_or(self.smart_host_use() != SmartHostType::Always)
    }

    /// The reverse-path that stands in MAIL FROM instead of this one; `None`: this one.
    ///
    /// `masquerade_domain` replaces the domains that are ours (`accepted_domains`, without what is below them), and
    /// nothing in the header. IIS does so on the first hop only: whoever asks knows whether this is the first.
    pub fn masqueraded(&self, reverse_path: &Mailbox, accepted_domains: &[Domain]) -> Option<Mailbox> {
        let masquerade = self.masquerade_domain.as_ref()?;
        let own = reverse_path.domain().name()?;
        if !accepted_domains.contains(own) || own == masquerade {
            return None;
        }
        Mailbox::new(reverse_path.local_part(), MailDomain::Name(masquerade.clone())).ok()
    }

    /// Whether the client certificate is the login: `sasl_mechanisms` is EXTERNAL alone.
    pub fn logs_in_by_certificate(&self) -> bool {
        matches!(self.sasl_mechanisms.as_slice(), [only] if only.as_str() == "EXTERNAL")
    }

    /// Everything in this connector that cannot be true at once, is out of range, or asks for a part that is not built.
    #[must_use]
    pub fn validate(&self) -> Vec<Contradiction> {
        let mut rules = Vec::new();
        contradiction::common(&self.name, &self.address_spaces, &mut rules);
        self.validate_routing(&mut rules);
        self.validate_tls(&mut rules);
        self.validate_authentication(&mut rules);
        self.validate_ranges(&mut rules);
        rules.extend(not_available_yet::refused(self));
        let subject = Subject::SendConnector(self.name.clone());
        rules.into_iter().map(|rule| Contradiction::new(subject.clone(), rule)).collect()
    }

    fn validate_routing(&self, rules: &mut Vec<Rule>) {
        let dns_first = self.smart_host_use() == SmartHostType::DnsFirst;
        match (self.dns_routing_enabled, self.smart_hosts.is_empty()) {
            (Some(true), false) if !dns_first => rules.push(Rule::DnsRoutingBesideSmartHosts),
            (Some(false), false) if dns_first => rules.push(Rule::DnsFirstWithoutDnsRouting),
            (Some(false), true) => rules.push(Rule::NeitherDnsRoutingNorSmartHosts),
            _ => {}
        }
        match self.smart_host_type {
            Some(SmartHostType::None) if !self.smart_hosts.is_empty() => {
                rules.push(Rule::SmartHostTypeNoneBesideSmartHosts);
            }
            Some(given @ (SmartHostType::DnsFirst | SmartHostType::Always))
                if self.smart_hosts.is_empty() =>
            {
                rules.push(Rule::SmartHostTypeWithoutSmartHosts { smart_host_type: given });
            }
            _ => {}
        }
        if let Some(space) = self.address_spaces.iter().find(|space| !contradiction::is_smtp(space)) {
            let address_space = || space.clone();
            if self.smart_hosts.is_empty() {
                rules.push(Rule::OtherTypeWithoutSmartHosts { address_space: address_space() });
            } else if dns_first {
                rules.push(Rule::OtherTypeButDnsFirst { address_space: address_space() });
            }
        }
    }

    fn validate_tls(&self, rules: &mut Vec<Rule>) {
        let mut refuse = |wrong: bool, rule| {
            if wrong {
                rules.push(rule);
            }
        };
        let by_dns = self.routes_by_dns() && self.smart_host_use() != SmartHostType::DnsFirst;
        refuse(self.require_tls && self.ignore_starttls, Rule::RequireTlsButIgnoreStarttls);
        refuse(self.require_tls && self.force_helo, Rule::RequireTlsButForceHelo);
        if let Some(level) = self.tls_auth_level {
            refuse(self.ignore_starttls, Rule::TlsAuthLevelButIgnoreStarttls);
            refuse(!self.require_tls, Rule::TlsAuthLevelWithoutRequireTls);
            let unnamed = level == TlsAuthLevel::DomainValidation && !by_dns && self.tls_domain.is_none();
            refuse(unnamed, Rule::DomainValidationWithoutTlsDomain);
        }
        let half = self.tls_certificate.is_some() != self.tls_key.is_some();
        refuse(half, Rule::HalfACertificate);
    }

    fn validate_authentication(&self, rules: &mut Vec<Rule>) {
        let mechanism = self.smart_host_auth_mechanism;
        let mut refuse = |wrong: bool, rule| {
            if wrong {
                rules.push(rule);
            }
        };
        let unused = mechanism != SmartHostAuthMechanism::None && self.smart_hosts.is_empty();
        refuse(unused, Rule::AuthMechanismWithoutSmartHosts { mechanism });
        let external = self.sasl_mechanisms.iter().any(|sasl| sasl.as_str() == "EXTERNAL");
        refuse(external && !self.logs_in_by_certificate(), Rule::ExternalBesideOthers);
        refuse(external && self.tls_certificate.is_none(), Rule::ExternalWithoutCertificate);
        let secret_missing =
            mechanism.needs_credential() && !external && self.authentication_credential.is_none();
        refuse(secret_missing, Rule::AuthMechanismWithoutCredential { mechanism });
        refuse(mechanism.authenticates() && self.force_helo, Rule::AuthMechanismButForceHelo { mechanism });
        let needs_tls = mechanism == SmartHostAuthMechanism::BasicAuthRequireTls;
        refuse(needs_tls && self.ignore_starttls, Rule::AuthRequiresTlsButIgnoreStarttls);
        let idle_list = !mechanism.authenticates() && !self.sasl_mechanisms.is_empty();
        refuse(idle_list, Rule::SaslMechanismsWithoutAuth { mechanism });
    }

    fn validate_ranges(&self, rules: &mut Vec<Rule>) {
        contradiction::size_in_range(Ranged::MaxMessageSize, self.max_message_size, 0, MAX_BYTES, rules);
        let idle = self.connection_inactivity_timeout;
        if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&idle) {
            rules.push(Rule::InactivityTimeout { span: idle });
        }
        let messages = u64::from(self.smtp_max_messages_per_connection);
        contradiction::in_range(Ranged::SmtpMaxMessagesPerConnection, messages, 1, MAX_BYTES, rules);
    }
}

/// The greatest number Exchange writes, 2^31 - 1.
pub(crate) const MAX_BYTES: u64 = 2_147_483_647;

/// What is not written has its default. Name and spaces have none: [`RoutingTable::build`](crate::RoutingTable::build) misses them.
#[cfg(feature = "serde")]
fn unnamed() -> SendConnector {
    SendConnector::new("", Vec::new())
}
