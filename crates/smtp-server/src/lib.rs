//! Receive connectors: takes mail from those who may send it, and from nobody else.

pub mod contradiction;
pub mod ip_range;
pub mod parameters;
pub mod receive_connector;

pub use contradiction::{Contradiction, validate_together};
pub use ip_range::{InvalidIpRange, IpRange};
pub use parameters::{
    AuthMechanism, ExtendedProtectionPolicy, MessageRateSource, PermissionGroup, ProtocolLoggingLevel,
    RelayIpRangesMode, SizeEnabled, TransportRole, UnknownKeyword,
};
pub use receive_connector::ReceiveConnector;
