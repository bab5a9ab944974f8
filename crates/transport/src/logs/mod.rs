//! The logs of a relay: message tracking, and what receive and Send connectors said.
//!
//! ```
//! use postroad_transport::Logs;
//! use postroad_transport::tracking::{self, LogSettings};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let mut settings = tracking::LogsSettings::default();
//! settings.message_tracking = Some(LogSettings::message_tracking(folder.path()));
//! let logs = Logs::open("hub01.contoso.com", &settings);
//! let observer = logs.message_tracking(); // for PipelineBuilder::observer
//! let protocol = logs.receive_protocol(); // for ServerSettings::protocol_log
//! logs.configure(&tracking::LogsSettings::default()); // at any time; off, and written to the last row
//! # let _ = (observer, protocol);
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use postroad_tracking::{Log, RECEIVE_PROTOCOL, SEND_PROTOCOL};

use crate::world::{SystemWorld, World};

pub mod message_tracking;
pub mod protocol;

pub use message_tracking::MessageTracking;
pub use protocol::ProtocolFile;

/// All logs of one relay: made once, and configured as often as the configuration changes. A clone is a handle to the same.
#[derive(Clone, Debug)]
pub struct Logs {
    message_tracking: Arc<MessageTracking>,
    receive_protocol: Arc<ProtocolFile>,
    send_protocol: Arc<ProtocolFile>,
}

impl Logs {
    /// The logs of the server of this name. One that cannot be written to says so when its first row comes.
    pub fn open(server: impl Into<String>, settings: &postroad_tracking::LogsSettings) -> Self {
        let logs = Self::in_world(server, Arc::new(SystemWorld));
        logs.configure(settings);
        logs
    }

    /// All of them off, in a world with a clock of its own.
    pub fn in_world(server: impl Into<String>, world: Arc<dyn World>) -> Self {
        let protocol = |layout| Arc::new(ProtocolFile::new(Log::new(layout), Arc::clone(&world)));
        Self {
            message_tracking: Arc::new(MessageTracking::new(server)),
            receive_protocol: protocol(RECEIVE_PROTOCOL),
            send_protocol: protocol(SEND_PROTOCOL),
        }
    }

    /// Puts each of them on, off, or elsewhere.
    pub fn configure(&self, settings: &postroad_tracking::LogsSettings) {
        self.message_tracking.configure(settings.message_tracking.as_ref(), settings.subjects);
        self.receive_protocol.log().configure(settings.receive_protocol.as_ref());
        self.send_protocol.log().configure(settings.send_protocol.as_ref());
    }

    /// For [`PipelineBuilder::observer`](crate::PipelineBuilder::observer).
    pub fn message_tracking(&self) -> Arc<MessageTracking> {
        Arc::clone(&self.message_tracking)
    }

    /// For [`ServerSettings::protocol_log`](postroad_smtp_server::ServerSettings::protocol_log).
    pub fn receive_protocol(&self) -> Arc<ProtocolFile> {
        Arc::clone(&self.receive_protocol)
    }

    /// For [`SmtpClientBuilder::protocol_log`](postroad_smtp_client::SmtpClientBuilder::protocol_log).
    pub fn send_protocol(&self) -> Arc<ProtocolFile> {
        Arc::clone(&self.send_protocol)
    }
}
