//! Receive connectors: takes mail from those who may send it, and from nobody else.

mod admission;
pub mod client;
mod connection;
mod content_check;
pub mod contradiction;
pub mod credentials;
pub mod ip_range;
pub mod parameters;
pub mod receive_connector;
pub mod relay_right;
pub mod server;
pub mod server_settings;
pub mod submit;
pub mod tls;
pub mod verify;

pub use client::Client;
pub use contradiction::{Contradiction, validate_together};
pub use credentials::{Credentials, CredentialsError, FileVerifier, hash_password};
pub use ip_range::{InvalidIpRange, IpRange};
pub use parameters::{
    AuthMechanism, ExtendedProtectionPolicy, MessageRateSource, PermissionGroup, ProtocolLoggingLevel,
    RelayIpRangesMode, SizeEnabled, TransportRole, UnknownKeyword,
};
pub use postroad_smtp_protocol::sasl::Secret;
pub use receive_connector::ReceiveConnector;
pub use server::Server;
pub use server_settings::ServerSettings;
pub use submit::{BoxFuture, Refusal, Submit};
pub use tls::{TlsMaterial, TlsMaterialError};
pub use verify::{NobodyLogsOn, Verification, Verify};
