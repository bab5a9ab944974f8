//! What cannot be true at once in a configuration: the parameters, and what would be right.

use std::fmt;
use std::time::Duration;

use postroad_address_space::{AddressSpace, Mailbox};

use crate::authentication::SmartHostAuthMechanism;
use crate::smart_host::SmartHostType;

/// One rule broken by one connector, pin or topology.
///
/// The configuration is at fault; the same one is refused again until somebody changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    subject: Subject,
    rule: Rule,
}

impl Contradiction {
    pub(crate) fn new(subject: Subject, rule: Rule) -> Self {
        Self { subject, rule }
    }

    /// Whose parameters they are.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The rule that is broken. Its text names the parameters and says what would be right.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The parameters involved, the one most likely wrong first.
    pub fn parameters(&self) -> &'static [&'static str] {
        self.rule.parameters()
    }
}

/// `send connector "Internet": ...`
impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.rule)
    }
}

impl std::error::Error for Contradiction {}

/// Everything that contradicts itself in what a [`RoutingTable`](crate::RoutingTable) was to be built from, at least one;
/// printed one a line. The same connectors give the same answer again.
///
/// ```
/// use postroad_address_space::AddressSpace;
/// use postroad_connector::{RoutingTable, SendConnector, Topology};
///
/// let space: AddressSpace = "SMTP:*;1".parse()?;
/// let named = |name| SendConnector::new(name, vec![space.clone()]).into();
/// let found = RoutingTable::build(vec![named("Out"), named("out")], Topology::new("Hub01"), vec![]).unwrap_err();
/// assert_eq!(found[0].parameters(), ["name"]);
/// let error: Box<dyn std::error::Error> = found.into(); // so that `?` does
/// assert!(error.to_string().contains("name"), "{error}");
/// # Ok::<(), postroad_address_space::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradictions(pub(crate) Vec<Contradiction>);

impl fmt::Display for Contradictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, contradiction) in self.0.iter().enumerate() {
            f.write_str(if number > 0 { "\n" } else { "" })?;
            contradiction.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Contradictions {}

impl std::ops::Deref for Contradictions {
    type Target = [Contradiction];

    fn deref(&self) -> &[Contradiction] {
        &self.0
    }
}

impl IntoIterator for Contradictions {
    type Item = Contradiction;
    type IntoIter = std::vec::IntoIter<Contradiction>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Who holds the parameters of a contradiction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// A Send connector, by name.
    SendConnector(String),
    /// A Foreign connector, by name.
    ForeignConnector(String),
    /// A Delivery Agent connector, by name.
    DeliveryAgentConnector(String),
    /// A pinned sender.
    Sender(Mailbox),
    /// Servers, sites and links.
    Topology,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SendConnector(name) => write!(f, "send connector {name:?}"),
            Self::ForeignConnector(name) => write!(f, "foreign connector {name:?}"),
            Self::DeliveryAgentConnector(name) => write!(f, "delivery agent connector {name:?}"),
            Self::Sender(address) => write!(f, "sender {address}"),
            Self::Topology => f.write_str("topology"),
        }
    }
}

/// Each rule that a configuration can break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// No name, or one of more than 64 characters.
    #[error("`name` has {characters} characters: it takes 1 to 64")]
    NameLength {
        /// How many it has.
        characters: usize,
    },
    /// No address space.
    #[error("`address_spaces` is empty: a connector needs at least one, such as \"SMTP:*;1\"")]
    NoAddressSpaces,
    /// No delivery protocol.
    #[error("`delivery_protocol` is empty: name the agent, such as \"lmtp\" or \"pipe\"")]
    NoDeliveryProtocol,
    /// `DNSRoutingEnabled` and `SmartHosts`.
    #[error("`dns_routing_enabled` is true beside `smart_hosts`: set it to false, or remove the smart hosts")]
    DnsRoutingBesideSmartHosts,
    /// Neither `DNSRoutingEnabled` nor `SmartHosts`.
    #[error("`dns_routing_enabled` is false and `smart_hosts` is empty: name a smart host, or route by DNS")]
    NeitherDnsRoutingNorSmartHosts,
    /// A type other than SMTP on a connector that routes by MX.
    #[error(
        "`address_spaces` holds {address_space}, and `smart_hosts` is empty: \
         a type other than SMTP has no MX and needs a smart host"
    )]
    OtherTypeWithoutSmartHosts {
        /// The first such space.
        address_space: AddressSpace,
    },
    /// `SmartHostType` 1 without `DNSRoutingEnabled`.
    #[error(
        "`smart_host_type` is dns-first and `dns_routing_enabled` is false: set it to true, or the type to always"
    )]
    DnsFirstWithoutDnsRouting,
    /// `SmartHostType` 0 and `SmartHosts`.
    #[error(
        "`smart_host_type` is none beside `smart_hosts`: remove the smart hosts, or choose dns-first or always"
    )]
    SmartHostTypeNoneBesideSmartHosts,
    /// `SmartHostType` 1 or 2 without `SmartHosts`.
    #[error("`smart_host_type` is {smart_host_type} and `smart_hosts` is empty: name a smart host")]
    SmartHostTypeWithoutSmartHosts {
        /// The type given.
        smart_host_type: SmartHostType,
    },
    /// A type other than SMTP on a connector that tries MX first.
    #[error(
        "`smart_host_type` is dns-first and `address_spaces` holds {address_space}: \
         a type other than SMTP has no MX; set the type to always"
    )]
    OtherTypeButDnsFirst {
        /// The first such space.
        address_space: AddressSpace,
    },
    /// `RequireTLS` and `IgnoreSTARTTLS`.
    #[error(
        "`require_tls` and `ignore_starttls` are both true: nothing could ever be sent; set one to false"
    )]
    RequireTlsButIgnoreStarttls,
    /// `RequireTLS` and `ForceHELO`.
    #[error("`require_tls` and `force_helo` are both true: STARTTLS needs EHLO; set `force_helo` to false")]
    RequireTlsButForceHelo,
    /// `TlsAuthLevel` and `IgnoreSTARTTLS`.
    #[error("`tls_auth_level` is given and `ignore_starttls` is true: set `ignore_starttls` to false")]
    TlsAuthLevelButIgnoreStarttls,
    /// `TlsAuthLevel` without `RequireTLS`.
    #[error("`tls_auth_level` is given and `require_tls` is false: set `require_tls` to true")]
    TlsAuthLevelWithoutRequireTls,
    /// `DomainValidation` to a smart host without `TlsDomain`.
    #[error(
        "`tls_auth_level` is domain-validation to smart hosts and `tls_domain` is missing: \
         name the domain that their certificate carries"
    )]
    DomainValidationWithoutTlsDomain,
    /// `tls_certificate` without `tls_key`, or the key alone.
    #[error("`tls_certificate` needs `tls_key`, and the key needs it: name both files")]
    HalfACertificate,
    /// EXTERNAL among mechanisms that prove something else.
    #[error(
        "`sasl_mechanisms` holds EXTERNAL beside others: the certificate logs in, or a password does; name it alone"
    )]
    ExternalBesideOthers,
    /// EXTERNAL and no certificate to log in by.
    #[error(
        "`sasl_mechanisms` is EXTERNAL and `tls_certificate` is missing: name the certificate that logs in, and its key"
    )]
    ExternalWithoutCertificate,
    /// `SmartHostAuthMechanism` without `SmartHosts`.
    #[error(
        "`smart_host_auth_mechanism` is {mechanism} and `smart_hosts` is empty: set it to none, or name a smart host"
    )]
    AuthMechanismWithoutSmartHosts {
        /// The mechanism given.
        mechanism: SmartHostAuthMechanism,
    },
    /// A Basic variant without `AuthenticationCredential`.
    #[error(
        "`smart_host_auth_mechanism` is {mechanism} and `authentication_credential` is missing: name a credential"
    )]
    AuthMechanismWithoutCredential {
        /// The mechanism given.
        mechanism: SmartHostAuthMechanism,
    },
    /// `SmartHostAuthMechanism` and `ForceHELO`.
    #[error(
        "`smart_host_auth_mechanism` is {mechanism} and `force_helo` is true: AUTH needs EHLO; set `force_helo` to false"
    )]
    AuthMechanismButForceHelo {
        /// The mechanism given.
        mechanism: SmartHostAuthMechanism,
    },
    /// `BasicAuthRequireTLS` and `IgnoreSTARTTLS`.
    #[error(
        "`smart_host_auth_mechanism` is basic-auth-require-tls and `ignore_starttls` is true: \
         the password could never be sent; set `ignore_starttls` to false"
    )]
    AuthRequiresTlsButIgnoreStarttls,
    /// `sasl_mechanisms` for a mechanism that sends no AUTH.
    #[error(
        "`sasl_mechanisms` is given and `smart_host_auth_mechanism` is {mechanism}, which sends no AUTH: \
         remove the list, or choose basic-auth-require-tls"
    )]
    SaslMechanismsWithoutAuth {
        /// The mechanism given.
        mechanism: SmartHostAuthMechanism,
    },
    /// `ConnectionInactivityTimeOut` outside 1 second to 1 day.
    #[error("`connection_inactivity_timeout` is {span:?}: it takes 1s to 1d")]
    InactivityTimeout {
        /// The span given.
        span: Duration,
    },
    /// A number out of its range.
    #[error("`{parameter}` is {value}: it takes {least} to {most}")]
    OutOfRange {
        /// The parameter.
        parameter: Ranged,
        /// The value given.
        value: u64,
        /// The least allowed.
        least: u64,
        /// The greatest allowed.
        most: u64,
    },
    /// Two connectors of one name.
    #[error("`name` is also the name of another connector; letter case does not count: give each its own")]
    DuplicateName,
    /// An address pinned twice.
    #[error("`address` is pinned more than once: keep one `send_connector` for it")]
    DuplicatePin,
    /// A pin to a connector that does not exist, or is no Send connector.
    #[error("`send_connector` is {connector:?}, and no send connector has that `name`")]
    UnknownPinnedConnector {
        /// The name given.
        connector: String,
    },
    /// A pin elsewhere for an address that a connector lists.
    #[error(
        "`send_connector` pins elsewhere an `address` that stands among the `senders` of {connector:?}: remove one of them"
    )]
    PinAgainstSenders {
        /// The connector that lists the address.
        connector: String,
    },
    /// A server listed twice.
    #[error("`servers` holds {server:?} more than once; letter case does not count")]
    DuplicateServer {
        /// The server.
        server: String,
    },
    /// Two sites for this server.
    #[error("`site` is {site:?}, and `servers` puts this server into {listed:?}: make them one")]
    SiteOfThisServer {
        /// What `site` says.
        site: String,
        /// What `servers` says.
        listed: String,
    },
    /// An address for a server of no site.
    #[error("`addresses` holds {server:?}, and `servers` does not: give the server a site")]
    AddressOfUnknownServer {
        /// The server.
        server: String,
    },
    /// A link cost above 99999.
    #[error("`site_links` holds a cost of {cost}: it takes 0 to 99999")]
    SiteLinkCost {
        /// The cost given.
        cost: u32,
    },
    /// A parameter that Exchange has, asking for a part that is not built here.
    #[error("`{}` asks for what is not available yet: {reason}", parameters.join("`, `"))]
    NotAvailableYet {
        /// The parameter.
        parameters: &'static [&'static str],
        /// What there is not, and what to write instead where there is something.
        reason: &'static str,
    },
    /// A link that leads nowhere.
    #[error("`site_links` links {site:?} to itself: name two sites")]
    SiteLinkToItself {
        /// The site.
        site: String,
    },
}

impl Rule {
    /// The parameters involved, by their names in relay.toml, the one most likely wrong first.
    pub fn parameters(&self) -> &'static [&'static str] {
        match self {
            Self::NameLength { .. } | Self::DuplicateName => &["name"],
            Self::NoAddressSpaces => &["address_spaces"],
            Self::NoDeliveryProtocol => &["delivery_protocol"],
            Self::DnsRoutingBesideSmartHosts | Self::NeitherDnsRoutingNorSmartHosts => {
                &["dns_routing_enabled", "smart_hosts"]
            }
            Self::OtherTypeWithoutSmartHosts { .. } => &["address_spaces", "smart_hosts"],
            Self::DnsFirstWithoutDnsRouting => &["dns_routing_enabled", "smart_host_type"],
            Self::SmartHostTypeNoneBesideSmartHosts | Self::SmartHostTypeWithoutSmartHosts { .. } => {
                &["smart_host_type", "smart_hosts"]
            }
            Self::OtherTypeButDnsFirst { .. } => &["smart_host_type", "address_spaces"],
            Self::RequireTlsButIgnoreStarttls => &["ignore_starttls", "require_tls"],
            Self::RequireTlsButForceHelo => &["force_helo", "require_tls"],
            Self::TlsAuthLevelButIgnoreStarttls => &["tls_auth_level", "ignore_starttls"],
            Self::TlsAuthLevelWithoutRequireTls => &["tls_auth_level", "require_tls"],
            Self::DomainValidationWithoutTlsDomain => &["tls_auth_level", "tls_domain"],
            Self::HalfACertificate => &["tls_certificate", "tls_key"],
            Self::ExternalBesideOthers => &["sasl_mechanisms"],
            Self::ExternalWithoutCertificate => &["sasl_mechanisms", "tls_certificate"],
            Self::AuthMechanismWithoutSmartHosts { .. } => &["smart_host_auth_mechanism", "smart_hosts"],
            Self::AuthMechanismWithoutCredential { .. } => {
                &["smart_host_auth_mechanism", "authentication_credential"]
            }
            Self::AuthMechanismButForceHelo { .. } => &["force_helo", "smart_host_auth_mechanism"],
            Self::AuthRequiresTlsButIgnoreStarttls => &["smart_host_auth_mechanism", "ignore_starttls"],
            Self::SaslMechanismsWithoutAuth { .. } => &["sasl_mechanisms", "smart_host_auth_mechanism"],
            Self::InactivityTimeout { .. } => &["connection_inactivity_timeout"],
            Self::OutOfRange { parameter, .. } => parameter.as_slice(),
            Self::NotAvailableYet { parameters, .. } => parameters,
            Self::DuplicatePin => &["address", "send_connector"],
            Self::UnknownPinnedConnector { .. } => &["send_connector", "name"],
            Self::PinAgainstSenders { .. } => &["send_connector", "senders"],
            Self::DuplicateServer { .. } => &["servers"],
            Self::SiteOfThisServer { .. } => &["site", "servers"],
            Self::AddressOfUnknownServer { .. } => &["addresses", "servers"],
            Self::SiteLinkCost { .. } | Self::SiteLinkToItself { .. } => &["site_links"],
        }
    }
}

/// A parameter that takes a number within a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ranged {
    /// `max_message_size`, in bytes.
    MaxMessageSize,
    /// `drop_directory_quota`, in bytes.
    DropDirectoryQuota,
    /// `smtp_max_messages_per_connection`.
    SmtpMaxMessagesPerConnection,
    /// `max_concurrent_connections`.
    MaxConcurrentConnections,
    /// `max_messages_per_connection`.
    MaxMessagesPerConnection,
}

impl Ranged {
    fn as_slice(self) -> &'static [&'static str] {
        match self {
            Self::MaxMessageSize => &["max_message_size"],
            Self::DropDirectoryQuota => &["drop_directory_quota"],
            Self::SmtpMaxMessagesPerConnection => &["smtp_max_messages_per_connection"],
            Self::MaxConcurrentConnections => &["max_concurrent_connections"],
            Self::MaxMessagesPerConnection => &["max_messages_per_connection"],
        }
    }
}

impl fmt::Display for Ranged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_slice().first().copied().unwrap_or_default())
    }
}

/// The rules that connectors of every kind keep.
pub(crate) fn common(name: &str, address_spaces: &[AddressSpace], rules: &mut Vec<Rule>) {
    let characters = name.trim().chars().count();
    if !(1..=64).contains(&characters) {
        rules.push(Rule::NameLength { characters });
    }
    if address_spaces.is_empty() {
        rules.push(Rule::NoAddressSpaces);
    }
}

/// Refuses a number outside `least..=most`.
pub(crate) fn in_range(parameter: Ranged, value: u64, least: u64, most: u64, rules: &mut Vec<Rule>) {
    if !(least..=most).contains(&value) {
        rules.push(Rule::OutOfRange { parameter, value, least, most });
    }
}

/// Refuses a size outside `least..=most`; unlimited is always right.
pub(crate) fn size_in_range(
    parameter: Ranged,
    size: Option<u64>,
    least: u64,
    most: u64,
    rules: &mut Vec<Rule>,
) {
    if let Some(size) = size {
        in_range(parameter, size, least, most, rules);
    }
}

/// Whether a space is of the SMTP type.
pub(crate) fn is_smtp(space: &AddressSpace) -> bool {
    space.address_type().eq_ignore_ascii_case("SMTP")
}
