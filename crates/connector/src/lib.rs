//! Connectors as plain data, and the rule that chooses one of them for each recipient, as Exchange does.
//!
//! ```
//! use postroad_address_space::{Address, AddressSpace};
//! use postroad_connector::{RoutingTable, SendConnector, Sender, Topology};
//!
//! let internet = SendConnector::new("Internet", vec![AddressSpace::parse("SMTP:*;1")?]);
//! let table = RoutingTable::build(vec![internet.into()], Topology::new("Hub01"), vec![])?;
//!
//! let jane = Address::parse("jane@contoso.com")?;
//! let selection = table.select(&Sender::Null, &jane, 4_096);
//! let route = selection.route().ok_or("no connector takes it")?;
//! assert_eq!((route.connector.name(), route.destination()), ("Internet", "contoso.com"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rule
//!
//! Connectors of all kinds compete for each recipient on its own. Those whose limit is less than the message drop out,
//! and so do those that are disabled, out of scope, attached to other senders, without a space for the address, or
//! without a source server in reach. Of what is left, the tier of sender attachment decides, then the closest address space,
//! then the least cost of site links and space together, then the nearest source server, then the lowest name. There is no second best:
//! a chosen connector that fails keeps its mail and tries again.
//!
//! | step | who stays | reason of those who go |
//! |---|---|---|
//! | 1 | `max_message_size` is at least the size of the message (equal is enough) | `too_large` |
//! | 2 | enabled | `disabled` |
//! | 3 | not scoped, or in the site of a source server | `out_of_scope` |
//! | 4 | attached to this sender, or to nobody; for a pinned sender its connector alone | `not_attached` |
//! | 5 | an address space covers the recipient | `no_matching_space` |
//! | 6 | a source server is this one, or stands in the topology | `no_source_server_in_reach` |
//! | 7 | attached by address, else by domain, else to nobody | `not_attached` |
//! | 8 | the closest space: `a.example` before `*.a.example` before `*`, whatever the cost | `less_close` |
//! | 9 | the least cost: site links to the nearest source server, and the space's own | `dearer` |
//! | 10 | this server, then its site, then another site | `farther` |
//! | 11 | the lowest name, letter case aside; equals are not balanced | `later_name` |
//!
//! When nobody stays: an SMTP recipient is [unreachable](Selection::Unreachable) and waits; one of another type is
//! refused with 5.1.2; and if connectors would have taken the address but for step 1, any recipient is refused with 5.3.4.
//!
//! # IIS's ways, and Edge's
//!
//! | there | here, on a Send connector | what it does |
//! |---|---|---|
//! | IIS: smart host | `smart_hosts` | takes all mail of the connector's address spaces |
//! | IIS: SmartHostType 0, 1, 2 | `smart_host_type`: `none`, `dns-first`, `always` (default where there are smart hosts) | with `dns-first` mail goes to MX hosts, one group for each domain, and to the smart hosts when DNS for the domain fails: no such domain, neither MX nor address, or no answer. A host that is down or refuses is no such failure. The password is the smart hosts' alone |
//! | IIS: a remote domain's own route | another connector with that domain as its address space | overrides the smart host of `*`, because it is closer, whatever the costs |
//! | IIS: masquerade domain | `masquerade_domain` | replaces `accepted_domains` in MAIL FROM, on the first hop only: [`SendConnector::masqueraded`] |
//! | Edge: address space `--` | [`AcceptedDomains`], in relay.toml `address_spaces = ["--"]` | every accepted domain, written out when the configuration is read: as close as an exact domain, because it is one |
//!
//! # A configured table
//!
//! ```
//! use postroad_address_space::{Address, AddressSpace, Mailbox};
//! use postroad_connector::{ForeignConnector, RoutingTable, SendConnector, Sender, SmartHostAuthMechanism, Topology};
//!
//! let mut relay = SendConnector::new("Newsletter", vec![AddressSpace::parse("*")?]);
//! relay.smart_hosts = vec!["smtp-relay.example.com".parse()?, "[192.168.100.1]".parse()?];
//! relay.port = 587;
//! relay.smart_host_auth_mechanism = SmartHostAuthMechanism::BasicAuthRequireTls;
//! relay.authentication_credential = Some("smtp-relay".to_owned()); // a name; the secret is joined elsewhere
//! relay.senders = vec!["newsletter@contoso.com".parse()?];
//!
//! let mut fax = ForeignConnector::new("Fax", vec![AddressSpace::parse("FAX:*;1")?]);
//! fax.source_transport_servers = vec!["Hub01".to_owned(), "Hub02".to_owned()];
//!
//! let table = RoutingTable::build(vec![relay.into(), fax.into()], Topology::new("Hub01"), vec![])?;
//!
//! let recipients = ["jane@fabrikam.com", "FAX:+1 425", "joe@example.org"];
//! let recipients = recipients.into_iter().map(Address::parse).collect::<Result<Vec<_>, _>>()?;
//! let sender = Sender::Mailbox(Mailbox::parse("newsletter@contoso.com")?);
//! let partition = table.partition(&sender, &recipients, 4_096);
//! let hops: Vec<_> = partition.groups().map(|group| (group.route.destination(), group.recipients)).collect();
//! assert_eq!(hops, [("smtp-relay.example.com,[192.168.100.1]", &[0, 2][..]), ("FAX", &[1][..])]);
//!
//! println!("{}", table.explain(&sender, &recipients[0], 4_096)); // or as JSON, by the feature serde
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A table is immutable and `Send + Sync`: put it behind an `Arc`, and swap the `Arc` when the configuration changes.
//! What contradicts itself, or is not available yet, is refused by [`RoutingTable::build`], all at once, each with the
//! parameters involved.

mod accepted_domains;
mod attachment;
mod authentication;
mod connector;
mod contradiction;
mod delivery_agent;
mod delivery_type;
mod error;
mod explanation;
#[cfg(feature = "serde")]
mod explanation_json;
mod explanation_text;
mod foreign;
mod named;
mod not_available_yet;
mod partition;
mod prospect;
mod reach;
mod routing_table;
mod selection;
mod send;
mod sender;
mod smart_host;
mod tls;
mod topology;

pub use accepted_domains::AcceptedDomains;
pub use attachment::Tier;
pub use authentication::{SaslMechanism, SmartHostAuthMechanism};
pub use connector::Connector;
pub use contradiction::{Contradiction, Contradictions, Ranged, Rule, Subject};
pub use delivery_agent::DeliveryAgentConnector;
pub use delivery_type::DeliveryType;
pub use error::{Expected, ParseError};
pub use explanation::{Candidate, Costs, Explanation, Reason};
pub use foreign::ForeignConnector;
pub use partition::{Group, Partition};
pub use reach::Proximity;
pub use routing_table::{RoutingTable, Warning};
pub use selection::{Refusal, Route, Selection};
pub use send::{ConnectorType, EightBitContent, ErrorPolicy, ProtocolLoggingLevel, SendConnector, Usage};
pub use sender::{Sender, SenderAttachment, SenderPin};
pub use smart_host::{FrontEndProxy, ServerAddress, SmartHost, SmartHostType};
pub use tls::{TlsAuthLevel, TlsCertificateName, TlsDomain};
pub use topology::{SiteLink, Topology};
