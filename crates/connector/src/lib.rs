//! Connectors as plain data, and the rule that chooses one of them for each recipient.

pub mod authentication;
pub mod contradiction;
pub mod delivery_agent;
pub mod error;
pub mod foreign;
mod named;
pub mod send;
pub mod sender;
pub mod smart_host;
pub mod tls;
pub mod topology;

pub use authentication::{SaslMechanism, SmartHostAuthMechanism};
pub use contradiction::{Contradiction, Ranged, Rule, Subject};
pub use delivery_agent::DeliveryAgentConnector;
pub use error::{Expected, ParseError};
pub use foreign::ForeignConnector;
pub use send::{ConnectorType, ErrorPolicy, ProtocolLoggingLevel, SendConnector, Usage};
pub use sender::{Sender, SenderAttachment, SenderPin};
pub use smart_host::{ServerAddress, SmartHost};
pub use tls::{TlsAuthLevel, TlsCertificateName, TlsDomain};
pub use topology::{SiteLink, Topology};
