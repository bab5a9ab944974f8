//! Connectors as plain data, and the rule that chooses one of them for each recipient.

mod attachment;
pub mod authentication;
pub mod connector;
pub mod contradiction;
pub mod delivery_agent;
pub mod error;
pub mod explanation;
pub mod foreign;
mod named;
pub mod partition;
pub mod reach;
pub mod routing_table;
pub mod send;
pub mod sender;
pub mod smart_host;
pub mod tls;
pub mod topology;

pub use attachment::Tier;
pub use authentication::{SaslMechanism, SmartHostAuthMechanism};
pub use connector::Connector;
pub use contradiction::{Contradiction, Ranged, Rule, Subject};
pub use delivery_agent::DeliveryAgentConnector;
pub use error::{Expected, ParseError};
pub use explanation::{Candidate, Costs, Explanation, Reason};
pub use foreign::ForeignConnector;
pub use partition::{Group, Partition};
pub use reach::Proximity;
pub use routing_table::{DeliveryType, Refusal, Route, RoutingTable, Selection};
pub use send::{ConnectorType, ErrorPolicy, ProtocolLoggingLevel, SendConnector, Usage};
pub use sender::{Sender, SenderAttachment, SenderPin};
pub use smart_host::{ServerAddress, SmartHost};
pub use tls::{TlsAuthLevel, TlsCertificateName, TlsDomain};
pub use topology::{SiteLink, Topology};
