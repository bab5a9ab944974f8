//! The sections of relay.toml, one file each: its typed shape, its defaults, and the reading of its keys.

pub(crate) mod admin;
pub(crate) mod credentials;
pub(crate) mod delivery_agent_connector;
pub(crate) mod dns;
pub(crate) mod foreign_connector;
pub(crate) mod frontend;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod pickup;
pub(crate) mod queue;
pub(crate) mod receive_connector;
pub(crate) mod replay;
pub(crate) mod send_connector;
pub(crate) mod sender;
pub(crate) mod server;
pub(crate) mod smtp_client;
pub(crate) mod tls;
pub(crate) mod topology;
pub(crate) mod transport;
